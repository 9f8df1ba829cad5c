"""The map as a raster: where its pixels lie, how shapes are filled in, noise to give them grain.

Positions are metres east and north of the middle of the map. Pixel (0, 0) is the north-west one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Field = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

_SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class Grid:
    """A square of `size_px` x `size_px` pixels of `gsd_m`, north up."""

    size_px: int
    gsd_m: float

    @property
    def size_m(self) -> float:
        """Length of a side."""
        return self.size_px * self.gsd_m

    @property
    def pixel_from_enu(self) -> Floats:
        """[3, 3] from (east, north, 1) in metres to (column, row, 1)."""
        middle = (self.size_px - 1) / 2.0
        scale = 1.0 / self.gsd_m
        return np.array([[scale, 0.0, middle], [0.0, -scale, middle], [0.0, 0.0, 1.0]])

    def pixels(self, enu_m: npt.ArrayLike) -> Floats:
        """[..., 2] metres east and north to [..., 2] columns and rows."""
        middle = (self.size_px - 1) / 2.0
        return np.asarray(np.asarray(enu_m, float) * [1.0, -1.0] / self.gsd_m + middle)

    def contains(self, enu_m: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """[...] whether [..., 2] points lie on the map."""
        return np.asarray(np.all(np.abs(np.asarray(enu_m, float)) <= self.size_m / 2.0, axis=-1))

    def sample(self, raster: npt.NDArray[np.generic], enu_m: npt.ArrayLike) -> Floats:
        """[...] values of the nearest pixels; points off the map take the edge's value."""
        at = np.clip(np.rint(self.pixels(enu_m)).astype(int), 0, self.size_px - 1)
        return np.asarray(raster[at[..., 1], at[..., 0]], float)

    def window(
        self, east_m: float, north_m: float, reach_m: float
    ) -> tuple[slice, slice, Floats, Floats] | None:
        """The rows and columns within `reach_m`, with their metres from the point; None: all off.

        The offsets have the shapes [1, W] (east) and [H, 1] (north).
        """
        column, row = self.pixels([east_m, north_m])
        reach_px = reach_m / self.gsd_m + 1.0
        left, right = _span(column, reach_px, self.size_px)
        top, bottom = _span(row, reach_px, self.size_px)
        if left >= right or top >= bottom:
            return None
        east = (np.arange(left, right) - column) * self.gsd_m
        north = (row - np.arange(top, bottom)) * self.gsd_m
        return slice(top, bottom), slice(left, right), east[None, :], north[:, None]

    def fill(self, raster: Bytes | npt.NDArray[np.int32], outline_m: Floats, value: int) -> None:
        """Fill a polygon [K, 2]."""
        cv2.fillPoly(raster, [self._fixed_point(outline_m)], value, shift=_SUBPIXEL_BITS)

    def stroke(self, raster: Bytes, line_m: Floats, width_m: float, value: int) -> None:
        """Draw a line [K, 2] of this width, with round joints."""
        thickness = max(1, round(width_m / self.gsd_m))
        points = [self._fixed_point(line_m)]
        cv2.polylines(raster, points, False, value, thickness, cv2.LINE_8, _SUBPIXEL_BITS)

    def _fixed_point(self, points_m: Floats) -> npt.NDArray[np.int32]:
        return np.rint(self.pixels(points_m) * (1 << _SUBPIXEL_BITS)).astype(np.int32)[:, None]


def _span(centre_px: float, reach_px: float, size_px: int) -> tuple[int, int]:
    return max(0, math.floor(centre_px - reach_px)), min(size_px, math.ceil(centre_px + reach_px))


def noise(grid: Grid, rng: np.random.Generator, scale_m: float, octaves: int = 1) -> Field:
    """[H, W] smooth noise of about unit variance; every octave is finer and weaker by two."""
    total = np.zeros((grid.size_px, grid.size_px), np.float32)
    power = 0.0
    for octave in range(octaves):
        cells = max(2, math.ceil(grid.size_m / scale_m * 2**octave))
        coarse = rng.standard_normal((cells + 3, cells + 3), np.float32)
        step_px = scale_m / 2**octave / grid.gsd_m
        if step_px < 1.0:
            break
        total += 0.5**octave * _stretch(coarse, step_px, grid.size_px)
        power += 0.25**octave
    return total * np.float32(1.35 / math.sqrt(power or 1.0))


def _stretch(coarse: Field, step_px: float, size_px: int) -> Field:
    scale = np.array([[step_px, 0.0, -step_px], [0.0, step_px, -step_px]])
    stretched = cv2.warpAffine(coarse, scale, (size_px, size_px), flags=cv2.INTER_CUBIC)
    return np.asarray(stretched, np.float32)
