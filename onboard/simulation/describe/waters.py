"""Facts about water that has no course here: the sea, lakes, ponds, the bank of a river."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ..land.ground import Ground
from ..land.plan import Use
from ..land.raster import Bytes, Floats
from ..land.waters import LAKE, SEA, shores
from .fact import Fact, Topic, counted
from .footprint import Footprint
from .whereabouts import Whereabouts

Mask = npt.NDArray[np.bool_]

_RIVER = 1
_SEEN, _ALL = 0.01, 0.995
_SMALLEST_POND_M2 = 70


def waters(place: Footprint, where: Whereabouts, has_river: bool) -> list[Fact]:
    """All of them, and the beach; a river's bank unless the river itself is told of."""
    wet = place.cover == Ground.WATER
    kinds = _kinds(place)
    facts = _sea(wet & (kinds == SEA), place, where) + _lakes(wet & (kinds == LAKE), place, where)
    river = wet & (kinds == _RIVER)
    if not has_river and place.share(river) > _SEEN:
        facts.append(Fact(Topic.SIGHT, 8.5, "the bank of a river", where=where.of(river)))
    return facts + _ponds(wet & (kinds == 0), place, where)


def _kinds(place: Footprint) -> Bytes:
    """[n, n] which natural water could lie here, as in `waters.water_mask`."""
    kinds = np.zeros(place.cover.shape, np.uint8)
    waters = place.world.layout.waters
    for river in waters.rivers:
        left, right = shores(river, 2.0)
        place.grid.fill(kinds, place.moved(np.concatenate([left, right[::-1]])), _RIVER)
    for lake in waters.lakes:
        place.grid.fill(kinds, place.moved(_grown(lake)), LAKE)
    if waters.sea_m is not None:
        place.grid.fill(kinds, place.moved(waters.sea_m), SEA)
        place.grid.stroke(kinds, place.moved(waters.sea_m), 4.0, SEA)
    return kinds


def _grown(outline_m: Floats) -> Floats:
    middle = outline_m.mean(axis=0)
    return np.asarray(middle + (outline_m - middle) * 1.03)


def _sea(wet: Mask, place: Footprint, where: Whereabouts) -> list[Fact]:
    share = place.share(wet)
    if share < _SEEN:
        return []
    if share > _ALL:
        return [Fact(Topic.SIGHT, 9.0, "open sea", where="from edge to edge")]
    facts = [Fact(Topic.SIGHT, 9.2, "the sea", where=where.of(wet))]
    if place.share(sand := place.cover == Ground.SAND) > _SEEN:
        facts.append(Fact(Topic.SIGHT, 9.0, "a sandy beach", where=where.of(sand)))
    return facts


def _lakes(wet: Mask, place: Footprint, where: Whereabouts) -> list[Fact]:
    share = place.share(wet)
    if share < _SEEN:
        return []
    if share > _ALL:
        return [Fact(Topic.SIGHT, 9.0, "the open water of a lake", where="from edge to edge")]
    rim = np.ones(wet.shape, bool)
    rim[1:-1, 1:-1] = False
    thing = "the shore of a lake" if (wet & rim).any() else "a small lake"
    return [Fact(Topic.SIGHT, 9.0, thing, where=where.of(wet))]


def _ponds(wet: Mask, place: Footprint, where: Whereabouts) -> list[Fact]:
    """Standing water in parks and quarries."""
    facts = []
    for use, one, many in (
        (Use.PARK, "a pond", "ponds"),
        (Use.QUARRY, "a pool in the quarry", "pools in the quarry"),
    ):
        inside = np.zeros(wet.shape, np.uint8)
        for block in place.blocks:
            if block.use is use:
                place.grid.fill(inside, block.outline_m, 1)
        pools = _pieces(wet & (inside > 0))
        if pools:
            spot = where.of(pools[0]) if len(pools) == 1 else ""
            facts.append(counted(Topic.SIGHT, 8.5, len(pools), one, many, spot))
    return facts


def _pieces(mask: Mask) -> list[Mask]:
    """The parts that hang together and are large enough to be seen."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    pieces = [labels == k for k in range(1, count)]
    return [piece for piece in pieces if piece.sum() >= _SMALLEST_POND_M2]
