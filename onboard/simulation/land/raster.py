"""The map as a raster: where its pixels lie, how shapes are filled in.

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

Canvas = npt.NDArray[np.uint8] | npt.NDArray[np.float32] | npt.NDArray[np.int32]
"""What shapes are drawn on."""

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

    def bands(self, height_px: int = 512) -> list[slice]:
        """The rows in bands, from the north."""
        tops = range(0, self.size_px, height_px)
        return [slice(top, min(top + height_px, self.size_px)) for top in tops]

    def offsets(self, window: tuple[slice, slice], at_m: Floats) -> tuple[Floats, Floats]:
        """[1, W] metres east and [H, 1] metres north of a point, at the pixels of a window."""
        column, row = self.pixels(at_m)
        east = (np.arange(window[1].start, window[1].stop) - column) * self.gsd_m
        north = (row - np.arange(window[0].start, window[0].stop)) * self.gsd_m
        return east[None, :], north[:, None]

    def fill(self, raster: Canvas, outline_m: Floats, value: float) -> None:
        """Fill a polygon [K, 2]."""
        cv2.fillPoly(raster, [self._fixed_point(outline_m)], value, shift=_SUBPIXEL_BITS)

    def stroke(self, raster: Canvas, line_m: Floats, width_m: float, value: float) -> None:
        """Draw a line [K, 2] of this width, with round joints."""
        thickness = max(1, round(width_m / self.gsd_m))
        points = [self._fixed_point(line_m)]
        cv2.polylines(raster, points, False, value, thickness, cv2.LINE_8, _SUBPIXEL_BITS)

    def cut_out(
        self, outline_m: Floats, margin_m: float = 0.0
    ) -> tuple[tuple[slice, slice], npt.NDArray[np.bool_]]:
        """The rows and columns around an outline [K, 2], and which of their pixels it covers."""
        points, margin_px = self.pixels(outline_m), margin_m / self.gsd_m
        low = np.clip(np.floor(points.min(axis=0) - margin_px), 0, self.size_px).astype(int)
        high = np.clip(np.ceil(points.max(axis=0) + margin_px) + 1, 0, self.size_px).astype(int)
        mask = np.zeros(np.maximum(high - low, 0)[::-1], np.uint8)
        if mask.size:
            cv2.fillPoly(mask, [np.rint(points - low).astype(np.int32)[:, None]], 1)
        return (slice(low[1], high[1]), slice(low[0], high[0])), mask > 0

    def _fixed_point(self, points_m: Floats) -> npt.NDArray[np.int32]:
        return np.rint(self.pixels(points_m) * (1 << _SUBPIXEL_BITS)).astype(np.int32)[:, None]


def _span(centre_px: float, reach_px: float, size_px: int) -> tuple[int, int]:
    return max(0, math.floor(centre_px - reach_px)), min(size_px, math.ceil(centre_px + reach_px))
