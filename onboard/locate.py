"""One picture, or anything else as descriptors, and the places of bundles that look most like it.

For a person, not for an autopilot: nothing is verified, and what is not known about a picture (its
heading, the ground it shows) is searched over. Scores of different views are on different scales,
so places are ranked by how far each stands out among all of its view.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .found import Heat
from .localization.rectify import north_up_grid, warp
from .records import Image
from .retrieval.atlas import Area
from .retrieval.encoder import Encoder
from .views import VIEW_CODES, View

HEADING_STEP_DEG = 15.0
SCALES = (0.7, 0.85, 1.0, 1.2, 1.45, 1.75)
"""Ground across the photo's shorter side, in footprints, that is tried when it is not known."""
_BLOCK = 8192

Descriptors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Query:
    """[H, D] unit descriptors of one thing under H hypotheses, and what each of them supposes."""

    descriptors: Descriptors
    supposed: tuple[dict[str, float], ...]


def query_of_ground(
    photo: Image,
    encoder: Encoder,
    footprint_m: float,
    ground_width_m: float | None = None,
    heading_deg: float | None = None,
) -> Query:
    """A picture looking down, turned north up and cut to the references' scale.

    Args:
        photo: the picture.
        encoder: of its view.
        footprint_m: side of a reference.
        ground_width_m: ground across the picture; searched over if None.
        heading_deg: true bearing of the picture's upper edge; searched over if None.
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
    return Query(np.stack(descriptors), supposed)


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
    found: list[tuple[float, float, int, int, int]] = []
    heats = []
    for number, area in enumerate(areas):
        scores, which = _best_of_all(query.descriptors, area)
        rows = np.flatnonzero(np.isin(area.index.places["view"], wanted))
        standing = _standing(scores, area.index.places["view"])[rows]
        heats.append(Heat.of(rows, standing))
        best = np.argsort(-standing, kind="stable")[: 500 * top]
        found += [
            (
                float(standing[at]),
                float(scores[rows[at]]),
                number,
                int(rows[at]),
                int(which[rows[at]]),
            )
            for at in best
        ]
    found.sort(key=lambda each: -each[0])
    rows_told = _apart(found, areas)[:top]
    return [_row(at, found[row], query, areas) for at, row in enumerate(rows_told, start=1)], heats


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


def _standing(scores: Descriptors, codes: npt.NDArray[np.uint8]) -> Descriptors:
    """How many standard deviations each stands above the mean of its own view."""
    standing = np.zeros_like(scores)
    for code in np.unique(codes):
        own = codes == code
        spread = float(scores[own].std())
        standing[own] = (scores[own] - scores[own].mean()) / (spread or 1.0)
    return standing


def _apart(found: Sequence[tuple[float, float, int, int, int]], areas: Sequence[Area]) -> list[int]:
    """The first of which no two of one area lie within half a footprint."""
    kept: list[int] = []
    for row, (_, _, number, place, _) in enumerate(found):
        index = areas[number].index
        apart_m = float(index.places["footprint_m"][place]) / 2.0
        centre = index.centres_m[place]
        near = (
            found[other][2] == number
            and math.dist(centre, index.centres_m[found[other][3]]) < apart_m
            for other in kept
        )
        if not any(near):
            kept.append(row)
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
    image, valid = warp(photo, pixel_from_ground @ patch, size_px)
    return encoder.prepare(image, valid)


def _row(
    at: int, found: tuple[float, float, int, int, int], query: Query, areas: Sequence[Area]
) -> dict[str, Any]:
    standing, score, number, row, which = found
    place = areas[number].index.places[row]
    view = next(view for view, code in VIEW_CODES.items() if code == place["view"])
    told: dict[str, Any] = {
        "rank": at,
        "score": round(score, 4),
        "stands_out": round(standing, 2),
        "lat_deg": round(float(place["lat_deg"]), 7),
        "lon_deg": round(float(place["lon_deg"]), 7),
        "view": view.value,
        **query.supposed[which],
    }
    if len(areas) > 1:
        told["bundle"] = str(areas[number].bundle.path)
    return told
