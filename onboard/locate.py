"""`geobridge locate`: one photo, and the places of a bundle that look most like it.

For a person, not for an autopilot: nothing is verified, and what is not known about the photo
(its heading, the ground it shows) is searched over.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .bundle import Bundle
from .frames.picture import read_picture
from .localization.rectify import north_up_grid, warp
from .records import Candidate, Image
from .retrieval.encoder import Encoder
from .retrieval.index import Index
from .views import View

log = logging.getLogger(__name__)

HEADING_STEP_DEG = 15.0
DEPTH = 500
"""Candidates per hypothesis, so many because neighbours of a good one are as good."""
SCALES = (0.7, 0.85, 1.0, 1.2, 1.45, 1.75)
"""Ground across the photo's shorter side, in footprints, that is tried when it is not known."""


def locate(
    bundle: Path,
    image: Path,
    top: int = 5,
    ground_width_m: float | None = None,
    heading_deg: float | None = None,
) -> list[dict[str, Any]]:
    """The best candidates, best first, no two within half a footprint of each other.

    Args:
        bundle: what to search.
        image: a picture looking down.
        top: how many candidates.
        ground_width_m: ground across the picture; searched over if None.
        heading_deg: true bearing of the picture's upper edge; searched over if None.

    Raises:
        BundleError, DataError, EngineError: in one line.
    """
    opened = Bundle.open(bundle)
    encoder = Encoder.open(opened, View.DRONE, "onnxruntime", "fp32")
    index, footprint_m = Index.open(opened), opened.manifest.coverage.footprint_m
    photo = read_picture(image)
    log.warning("candidates only: nothing is verified, and every map has a most similar place")
    found: list[tuple[Candidate, float, float]] = []
    for heading, width_m in _hypotheses(photo, footprint_m, ground_width_m, heading_deg):
        pixels = _north_up(photo, heading, width_m, footprint_m, encoder)
        candidates = index.search(encoder.encode([pixels])[0], DEPTH)
        found += [(candidate, heading, width_m) for candidate in candidates]
    found.sort(key=lambda each: -each[0].score)
    centres = index.centres_m[[candidate.place for candidate, _, _ in found]]
    rows = _apart(centres, footprint_m / 2)[:top]
    return [_row(rank, *found[row]) for rank, row in enumerate(rows, start=1)]


def _apart(centres_m: npt.NDArray[np.float64], distance_m: float) -> list[int]:
    """The first rows of [N, 2] of which no two lie closer than a distance."""
    kept: list[int] = []
    for row, centre in enumerate(centres_m):
        if all(math.dist(centre, centres_m[other]) >= distance_m for other in kept):
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


def _row(rank: int, candidate: Candidate, heading_deg: float, width_m: float) -> dict[str, Any]:
    return {
        "rank": rank,
        "score": round(candidate.score, 4),
        "lat_deg": round(candidate.lat_deg, 7),
        "lon_deg": round(candidate.lon_deg, 7),
        "view": candidate.view.value,
        "heading_deg": heading_deg,
        "ground_width_m": round(width_m, 1),
    }
