"""How far a satellite picture lies beside a drone picture of the same ground.

Both become fields of doubled edge directions, whatever the light, and are correlated; the same
arithmetic that aligns frames in flight.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from geobridge.onboard.localization.structure import correlate, peak, second_peak, structure
from geobridge.onboard.records import Image

SIDE_PX = 192
"""Both pictures are compared at so many pixels across the footprint."""
EDGE_PX = 12
"""Of the drone picture that is left out: its structure there depends on what lies beyond."""
RIVAL_PX = 8.0
MIN_RATIO = 1.2
"""Between the correlation of the best shift and that of any other place."""


@dataclass(frozen=True)
class Shift:
    """Metres east and north by which the satellite picture shows things beside where the drone
    picture has them; the correlation there, and over that of the best other shift."""

    east_m: float
    north_m: float
    correlation: float
    ratio: float

    def believed(self, min_correlation: float) -> bool:
        """Whether the two pictures agree there and nowhere else."""
        return self.correlation >= min_correlation and self.ratio >= MIN_RATIO


def find_shift(drone: Image, wide: Image, side_m: float, margin_m: float) -> Shift:
    """Of the satellite picture [W, W, 3], which reaches `margin_m` farther on every side, against
    the drone picture [S, S, 3] of `side_m`."""
    gsd_m = side_m / SIDE_PX
    template = _small(drone, SIDE_PX)
    window = _small(wide, round((side_m + 2.0 * margin_m) / gsd_m))
    inner = np.s_[EDGE_PX : SIDE_PX - EDGE_PX, EDGE_PX : SIDE_PX - EDGE_PX]
    field, mask = structure(template, _all(template))
    seen, _ = structure(window, _all(window))
    surface = correlate(np.ascontiguousarray(field[inner]), np.ascontiguousarray(mask[inner]), seen)
    top, row, column = peak(surface)
    rival = second_peak(surface, row, column, RIVAL_PX)
    middle = (window.shape[0] - SIDE_PX) / 2.0 + EDGE_PX
    ratio = top / max(rival, 1e-3) if np.isfinite(rival) else np.inf
    return Shift(
        round((column - middle) * gsd_m, 3),
        round((middle - row) * gsd_m, 3),
        round(max(-1.0, top), 4),
        round(float(min(ratio, 99.0)), 3),
    )


def _small(image: Image, side_px: int) -> Image:
    how = cv2.INTER_AREA if image.shape[0] > side_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (side_px, side_px), interpolation=how), np.uint8)


def _all(image: Image) -> Image:
    return np.ones(image.shape[:2], np.uint8)
