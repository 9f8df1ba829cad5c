"""One picture, or anything else as descriptors, and the places of bundles that look most like it.

For a person, not for an autopilot: nothing is verified, and what is not known about a picture (its
heading, the ground it shows) is searched over. Scores of different views are on different scales.
Of a drone's picture a bundle knows what right and wrong places of a layer score, so places are
ranked between these; of anything else by how far each stands out among all of its layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .found import Heat
from .localization.rectify import Picture, north_up_grid, warp
from .records import Image
from .retrieval.atlas import Area
from .retrieval.encoder import Encoder
from .views import VIEW_CODES, View

HEADING_STEP_DEG = 15.0
SCALES = (0.7, 0.85, 1.0, 1.2, 1.45, 1.75)
"""Ground across the photo's shorter side, in footprints, that is tried when it is not known."""
_BLOCK = 8192
_NEIGHBOURS = 500
"""Places that are looked at for each that is told: neighbours of a good one are as good."""
_LAST = 100.0
"""Taken from what does not compare with the rest."""

Descriptors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Query:
    """[H, D] unit descriptors of one thing under H hypotheses, and what each of them supposes.

    `of_drone`: it is a drone's picture, for which bundles were calibrated.
    """

    descriptors: Descriptors
    supposed: tuple[dict[str, float], ...]
    of_drone: bool = False


def query_of_ground(
    photo: Image,
    encoder: Encoder,
    footprint_m: float,
    ground_width_m: float | None = None,
    heading_deg: float | None = None,
    of_drone: bool = True,
) -> Query:
    """A picture looking down, turned north up and cut to the references' scale.

    Args:
        photo: the picture.
        encoder: of its view.
        footprint_m: side of a reference.
        ground_width_m: ground across the picture; searched over if None.
        heading_deg: true bearing of the picture's upper edge; searched over if None.
        of_drone: whether a drone took it.
    """
    hypotheses = _hypotheses(photo, footprint_m, ground_width_m, heading_deg)
    descriptors = [
        encoder.encode([_north_up(photo, heading, width_m, footprint_m, encoder)])[0]
        for heading, width_m in hypotheses
    ]
    supposed = tuple(
        {"heading_deg": heading, "ground_width_m": round(width_m, 1)}
        for heading, width_m in hypotheses
    )
    return Query(np.stack(descriptors), supposed, of_drone)


def query_of_street(photo: Image, encoder: Encoder) -> Query:
    """A street-level picture, as it is."""
    return Query(encoder.encode([encoder.prepare(photo)]), ({},))


def rank(
    query: Query, areas: Sequence[Area], top: int, views: Sequence[View]
) -> tuple[list[dict[str, Any]], list[Heat]]:
    """The places that stand out most, no two within half a footprint of each other; and how well
    every place fits, for each of the areas.

    Args:
        query: what is looked for.
        areas: where.
        top: how many places.
        views: of which places.
    """
    wanted = [VIEW_CODES[view] for view in views]
    found: list[_Found] = []
    heats = []
    for number, area in enumerate(areas):
        scores, which = _best_of_all(query.descriptors, area)
        rows = np.flatnonzero(np.isin(area.index.places["view"], wanted))
        standing = _standing(scores, area, query.of_drone)[rows]
        compares = standing > standing.max(initial=-np.inf) - _LAST / 2.0
        heats.append(Heat.of(rows[compares], standing[compares]))
        for at in np.argsort(-standing, kind="stable")[: _NEIGHBOURS * top]:
            row = int(rows[at])
            found.append(
                _Found(float(standing[at]), float(scores[row]), number, row, int(which[row]))
            )
    found.sort(key=lambda each: -each.standing)
    apart = _apart(found, areas, top)
    return [_row(at, each, query, areas) for at, each in enumerate(apart, start=1)], heats


class _Found(NamedTuple):
    """A place: how it stands, its score, in which area, its row, under which hypothesis."""

    standing: float
    score: float
    area: int
    row: int
    which: int


def _best_of_all(queries: Descriptors, area: Area) -> tuple[Descriptors, npt.NDArray[np.int64]]:
    """[N] the best score of every place under any hypothesis, and [N] under which."""
    descriptors = area.index.descriptors
    scores = np.empty(len(descriptors), np.float32)
    which = np.empty(len(descriptors), np.int64)
    for first in range(0, len(descriptors), _BLOCK):
        rows = slice(first, first + _BLOCK)
        every = np.asarray(descriptors[rows], np.float32) @ queries.T
        which[rows] = every.argmax(axis=1)
        scores[rows] = every.max(axis=1)
    return scores, which


def _standing(scores: Descriptors, area: Area, of_drone: bool) -> Descriptors:
    """Of a drone's picture 0 where a wrong place is, 1 where a right one is, in the middle; layers
    that were not calibrated come behind all others. Else standard deviations above the mean."""
    standing = np.zeros_like(scores)
    known = of_drone and any(layer.entry.scores for layer in area.index.layers)
    for layer in area.index.layers:
        own = slice(layer.entry.first, layer.entry.first + layer.entry.count)
        entry = layer.entry.scores if known else None
        if entry is not None:
            right, wrong = entry.genuine[3], entry.impostor[3]
            standing[own] = (scores[own] - wrong) / max(right - wrong, 1e-3)
        else:
            spread = float(scores[own].std()) or 1.0
            standing[own] = (scores[own] - scores[own].mean()) / spread - (_LAST if known else 0.0)
    return standing


def _apart(found: Sequence[_Found], areas: Sequence[Area], top: int) -> list[_Found]:
    """The first of which no two of one area lie within half a footprint."""
    kept: list[_Found] = []
    for each in found:
        index = areas[each.area].index
        centre, apart_m = index.centres_m[each.row], index.places["footprint_m"][each.row] / 2.0
        near = (
            other.area == each.area and math.dist(centre, index.centres_m[other.row]) < apart_m
            for other in kept
        )
        if not any(near):
            kept.append(each)
        if len(kept) == top:
            break
    return kept


def _hypotheses(
    photo: Image, footprint_m: float, ground_width_m: float | None, heading_deg: float | None
) -> list[tuple[float, float]]:
    headings = np.arange(0.0, 360.0, HEADING_STEP_DEG) if heading_deg is None else [heading_deg]
    aspect = photo.shape[1] / min(photo.shape[:2])
    widths = [s * footprint_m * aspect for s in SCALES]
    return [
        (float(h), w) for w in ([ground_width_m] if ground_width_m else widths) for h in headings
    ]


def _north_up(
    photo: Image, heading_deg: float, ground_width_m: float, footprint_m: float, encoder: Encoder
) -> Image:
    """The middle of the photo, turned north up, at the references' scale."""
    height, width = photo.shape[:2]
    size_px = 2 * max(encoder.preprocess.height_px, encoder.preprocess.width_px)
    turn, per_m = math.radians(heading_deg), width / ground_width_m
    pixel_from_ground = np.array(
        [
            [per_m * math.cos(turn), -per_m * math.sin(turn), (width - 1) / 2],
            [-per_m * math.sin(turn), -per_m * math.cos(turn), (height - 1) / 2],
            [0.0, 0.0, 1.0],
        ]
    )
    patch = north_up_grid(0.0, 0.0, size_px, footprint_m / size_px)
    image, valid = warp(Picture(photo), pixel_from_ground @ patch, size_px)
    return encoder.prepare(image, valid)


def _row(at: int, found: _Found, query: Query, areas: Sequence[Area]) -> dict[str, Any]:
    place = areas[found.area].index.places[found.row]
    view = next(view for view, code in VIEW_CODES.items() if code == place["view"])
    told: dict[str, Any] = {
        "rank": at,
        "score": round(found.score, 4),
        "stands_out": round(found.standing, 2),
        "lat_deg": round(float(place["lat_deg"]), 7),
        "lon_deg": round(float(place["lon_deg"]), 7),
        "view": view.value,
        **query.supposed[found.which],
    }
    if len(areas) > 1:
        told["bundle"] = str(areas[found.area].bundle.path)
    return told
