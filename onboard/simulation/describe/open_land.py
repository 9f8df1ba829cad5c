"""Facts about land that is not built on: fields, meadows, woods, slopes."""

from __future__ import annotations

import math

import cv2
import numpy as np

from ..land.geometry import long_axis
from ..land.ground import Ground
from ..land.plan import Use
from ..land.solids import Species, middles
from .fact import Fact, Topic, counted
from .footprint import Footprint, Mask
from .whereabouts import Whereabouts
from .words import axis, axis_index, wind

_SEEN, _CLEAR, _OPEN = 0.06, 0.03, 0.15
_MANY = 8
_VERGE_M = 7
_PLANTED = 0.012
_GRASS = (Use.MEADOW, Use.WATER_TOWER, Use.FARM)
_GENTLE, _STEEP = 0.045, 0.09


def open_land(place: Footprint, where: Whereabouts) -> list[Fact]:
    """Fields by the course of their rows, then the rest."""
    return [
        *_fields(place, where),
        *_meadows(place, where),
        *_woods(place, where),
        *_planted(place, where),
        *_bare(place, where),
        *_slope(place),
    ]


def _fields(place: Footprint, where: Whereabouts) -> list[Fact]:
    """Those whose rows run alike together."""
    courses: dict[int, list[tuple[float, Mask]]] = {}
    for index, block in enumerate(place.blocks):
        land = (place.owner == index) & (place.cover == Ground.FIELD)
        if block.use in (Use.FIELD, Use.WIND_TURBINES) and place.share(land) > _SEEN:
            angle = long_axis(block.corners_m)[0]
            courses.setdefault(axis_index(angle), []).append((angle, land))
    facts = []
    for fields in courses.values():
        land = np.any([mask for _, mask in fields], axis=0)
        rows = "from " + axis(fields[0][0])
        weight, spot = 4.0 + 2.0 * place.share(land), where.of(land)
        one, many = f"a field with rows {rows}", f"fields with rows {rows}"
        facts.append(counted(Topic.LAND, weight, len(fields), one, many, spot))
    return facts


def _meadows(place: Footprint, where: Whereabouts) -> list[Fact]:
    """Grass, with the trees that stand on it."""
    kept = [place.uses[use] for use in _GRASS if use in place.uses]
    land = _grass(place) & np.any([place.owner == -1, *kept], axis=0)
    grass = _grass_in_woods(place)
    if not _is_clearing(grass):
        land |= grass
    if place.share(land) < _SEEN:
        return []
    thing = "a meadow" + _with_trees(land, place)
    return [Fact(Topic.LAND, 3.8 + 2.0 * place.share(land), thing, where=where.of(land))]


def _with_trees(land: Mask, place: Footprint) -> str:
    trees = place.crowns[place.crowns["species"] != Species.SHRUB]
    count = int(place.grid.sample(land, middles(trees)).sum())
    for least, words in ((_MANY, " dotted with trees"), (2, " with a few trees")):
        if count >= least:
            return words
    return " with a lone tree" if count else " without trees"


def _woods(place: Footprint, where: Whereabouts) -> list[Fact]:
    land = place.cover == Ground.FOREST
    if place.share(land) < _SEEN:
        return []
    on_it = place.crowns[place.grid.sample(land, middles(place.crowns)) > 0]
    tall = on_it[on_it["species"] != Species.SHRUB]
    conifers = float((tall["species"] == Species.CONIFER).mean()) if len(tall) else 0.5
    kind = "conifer" if conifers > 0.75 else "broadleaf" if conifers < 0.25 else "mixed"
    thing, spot = f"{kind} woodland", where.of(land)
    clearing = _grass_in_woods(place)
    if place.share(clearing) > _CLEAR and _is_clearing(clearing):
        thing += " with a clearing" + ("" if spot else f" {where.of(clearing)}").rstrip()
    return [Fact(Topic.LAND, 4.5 + 2.0 * place.share(land), thing, where=spot)]


def _grass_in_woods(place: Footprint) -> Mask:
    woods = place.uses.get(Use.FOREST, np.zeros(place.cover.shape, bool))
    return np.asarray(woods & _grass(place))


def _grass(place: Footprint) -> Mask:
    """Without verges."""
    grass = (place.cover == Ground.MEADOW).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(grass, cv2.MORPH_OPEN, np.ones((_VERGE_M, _VERGE_M))) > 0)


def _is_clearing(grass: Mask) -> bool:
    """Whether the edge of the square cuts little of it."""
    edge = np.concatenate([grass[0], grass[-1], grass[:, 0], grass[:, -1]])
    return bool(max(grass.mean(), edge.mean()) < _OPEN)


def _planted(place: Footprint, where: Whereabouts) -> list[Fact]:
    facts = []
    for use, thing in (
        (Use.ORCHARD, "an orchard in rows from {}"),
        (Use.PLANTATION, "a plantation of equal trees in rows from {}"),
    ):
        land = place.uses.get(use)
        if land is None or place.share(land) < _SEEN or _trees_per_m2(land, place) < _PLANTED:
            continue
        largest = max(
            (k for k, b in enumerate(place.blocks) if b.use is use),
            key=lambda k: int((place.owner == k).sum()),
        )
        course = axis(long_axis(place.blocks[largest].corners_m)[0])
        weight = 5.5 + 2.0 * place.share(land)
        facts.append(Fact(Topic.LAND, weight, thing.format(course), where=where.of(land)))
    return facts


def _trees_per_m2(land: Mask, place: Footprint) -> float:
    return float(place.grid.sample(land, middles(place.crowns)).sum() / land.sum())


def _bare(place: Footprint, where: Whereabouts) -> list[Fact]:
    land = place.uses.get(Use.BARE)
    if land is None or place.share(land) < _SEEN:
        return []
    return [Fact(Topic.LAND, 5.0, "bare waste ground", where=where.of(land))]


def _slope(place: Footprint) -> list[Fact]:
    """Of the plane through the ground, where that is a slope on the whole."""
    flat = place.places_m.reshape(-1, 2)
    heights_m = place.world.terrain.alt_amsl_m(flat + place.middle_m)
    design = np.column_stack([flat, np.ones(len(flat))])
    (east, north, _), *_ = np.linalg.lstsq(design, heights_m, rcond=None)
    steepness = math.hypot(east, north)
    if steepness < _GENTLE:
        return []
    thing = "a hillside" if steepness > _STEEP else "a gentle slope"
    return [Fact(Topic.TRAIT, 2.0, f"{thing} falling to the {wind(-east, -north)}")]
