"""Heights of the ground in a bundle, so that a frame over hills is laid where it belongs."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .bundle import Bundle
from .errors import BundleError
from .manifest import TerrainEntry

LOWEST_M, HIGHEST_M = -500.0, 9000.0


class Terrain:
    """A grid of heights AMSL on the bundle's local plane.

    Raises:
        BundleError: heights that are not finite or not of the Earth.
    """

    def __init__(self, entry: TerrainEntry, heights_m: npt.NDArray[np.float32]) -> None:
        if not (np.isfinite(heights_m).all() and heights_m.min() >= LOWEST_M):
            raise BundleError(f"{entry.path}: heights that are not finite, or below the sea floor")
        if not heights_m.max() <= HIGHEST_M:
            raise BundleError(f"{entry.path}: heights above all mountains")
        self.entry = entry
        self._heights_m = heights_m

    @classmethod
    def open(cls, bundle: Bundle) -> Terrain | None:
        """The heights of an opened, hence hash-checked, bundle; None where it carries none."""
        entry = bundle.manifest.terrain
        return None if entry is None else cls(entry, bundle.terrain())

    def height_amsl_m(self, east_m: float, north_m: float) -> float | None:
        """The surface at a point of the local plane, between nodes bilinear; None beyond them."""
        entry = self.entry
        column = (east_m - entry.west_m) / entry.spacing_m
        row = (entry.north_m - north_m) / entry.spacing_m
        if not (0.0 <= row <= entry.rows - 1 and 0.0 <= column <= entry.columns - 1):
            return None
        top, left = min(math.floor(row), entry.rows - 2), min(math.floor(column), entry.columns - 2)
        down, right = row - top, column - left
        (a, b), (c, d) = self._heights_m[top : top + 2, left : left + 2].tolist()
        upper, lower = a + (b - a) * right, c + (d - c) * right
        return float(upper + (lower - upper) * down)
