"""Heights of the ground in a bundle, so that a frame over hills is laid where it belongs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .bundle import Bundle
from .errors import BundleError
from .manifest_entries import TerrainEntry

LOWEST_M, HIGHEST_M = -500.0, 9000.0
NEAR_M, _NEAR_STEPS = 30.0, 7
"""Wider than most roofs are from their middle, and narrower than hills."""


Floats = npt.NDArray[np.float64]


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
        self._lowest_m, self._highest_m = float(heights_m.min()), float(heights_m.max())

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

    def heights_amsl_m(self, points_m: Floats) -> Floats:
        """[N, 2] points of the local plane to [N] heights, beyond the nodes as at their border."""
        entry, heights_m = self.entry, self._heights_m
        column = np.clip((points_m[:, 0] - entry.west_m) / entry.spacing_m, 0, entry.columns - 1)
        row = np.clip((entry.north_m - points_m[:, 1]) / entry.spacing_m, 0, entry.rows - 1)
        left = np.minimum(column.astype(int), entry.columns - 2)
        top = np.minimum(row.astype(int), entry.rows - 2)
        right, down = column - left, row - top
        upper = heights_m[top, left] * (1.0 - right) + heights_m[top, left + 1] * right
        lower = heights_m[top + 1, left] * (1.0 - right) + heights_m[top + 1, left + 1] * right
        return np.asarray(upper + (lower - upper) * down, np.float64)

    def span_m(self) -> tuple[float, float]:
        """The lowest and the highest height."""
        return self._lowest_m, self._highest_m

    def span_around_m(
        self, east_m: float, north_m: float, sigma_m: float
    ) -> tuple[float, float] | None:
        """The lowest and the highest height within two sigmas of a point that is not well known;
        None where the point lies beyond the nodes."""
        if self.height_amsl_m(east_m, north_m) is None:
            return None
        reach_m = 2.0 * sigma_m
        steps = np.arange(-reach_m, reach_m + self.entry.spacing_m, self.entry.spacing_m)
        east, north = np.meshgrid(east_m + steps, north_m + steps)
        heights_m = self.heights_amsl_m(np.column_stack([east.ravel(), north.ravel()]))
        return float(heights_m.min()), float(heights_m.max())

    def ground_amsl_m(self, east_m: float, north_m: float) -> float | None:
        """The ground around a point, as heights above ground mean it; None beyond the nodes.

        The middle one of heights within `NEAR_M`: on a slope that at the point, over a roof or a
        tree that of the ground beside it.
        """
        if self.height_amsl_m(east_m, north_m) is None:
            return None
        steps = np.linspace(-NEAR_M, NEAR_M, _NEAR_STEPS)
        east, north = np.meshgrid(east_m + steps, north_m + steps)
        points = np.column_stack([east.ravel(), north.ravel()])
        return float(np.median(self.heights_amsl_m(points)))

    def around(self, east_m: float, north_m: float) -> Relief | None:
        """The heights around a point, against the ground there; None beyond the nodes."""
        here_m = self.ground_amsl_m(east_m, north_m)
        return None if here_m is None else Relief(self, np.array([east_m, north_m]), here_m)


@dataclass(frozen=True, eq=False)
class Relief:
    """The surface around a place [2], against the ground there, whose height is AMSL."""

    terrain: Terrain
    place_m: Floats
    height_amsl_m: float

    @property
    def lowest_m(self) -> float:
        """The lowest surface of the terrain."""
        return self.terrain.span_m()[0] - self.height_amsl_m

    def up_m(self, ground_m: Floats) -> Floats:
        """[N, 2] metres east and north of the place to [N] metres above it."""
        return self.terrain.heights_amsl_m(self.place_m + ground_m) - self.height_amsl_m
