"""Any georeferenced raster as RGB squares of a local metric plane.

Only the windows asked for are read, so a mosaic may be larger than memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.warp import transform
from rasterio.windows import Window

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import MAX_RADIUS_M, LocalFrame
from geobridge.onboard.records import Image, Mask

from .bands import Bands
from .georeference import (
    RASTER_ERRORS,
    along_edge,
    bounds_of,
    edge_of,
    in_one_line,
    open_raster,
)
from .warp import Georeferenced, nothing, warp

MAX_PIXELS = 200_000_000
"""Largest area that `read_all` takes into memory."""
BLOCK_PX = 512
"""`read_all` goes block by block: a fine raster may be many times larger than what it gives."""

_FINER = 4
"""A raster so many times finer than what is asked for is read at half that and not whole: a window
of it would have no bounds."""


@dataclass(frozen=True)
class Grid:
    """North-up pixels of the local plane: `west_m`, `north_m` of the upper left corner, metres."""

    west_m: float
    north_m: float
    gsd_m: float
    width_px: int
    height_px: int


class Raster:
    """A georeferenced raster, warped to the local plane as it is read. Use as a context manager.

    `frame` is the local plane, by default around the raster's middle; `grid` covers the raster, or
    what of it lies within `bounds_m`: west, south, east, north of the plane.

    Raises:
        DataError: not readable, without CRS or with one that is not of the Earth, without data,
            not where its CRS says, at a pole, beyond the plane or the bounds, or smaller than a
            pixel of `gsd_m`.
    """

    def __init__(
        self,
        path: Path,
        gsd_m: float,
        frame: LocalFrame | None = None,
        bounds_m: tuple[float, float, float, float] | None = None,
    ) -> None:
        self.path = path
        self._dataset = open_raster(path)
        try:
            self.frame = frame or self._middle()
            self.grid = self._cover(gsd_m, bounds_m)
            self._bands = Bands(self._dataset, path)
        except RASTER_ERRORS as error:
            raise DataError(f"{path}: damaged: {in_one_line(error)}") from None

    def __enter__(self) -> Raster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._dataset.close()

    def read(
        self, row_px: int, column_px: int, height_px: int, width_px: int
    ) -> tuple[Image, Mask]:
        """[H, W, 3] RGB and [H, W] mask of a window of `grid`, which it may overhang.

        Raises:
            DataError: the file is damaged there.
        """
        west_m = self.grid.west_m + column_px * self.grid.gsd_m
        north_m = self.grid.north_m - row_px * self.grid.gsd_m
        return self.read_at(west_m, north_m, height_px, width_px)

    def read_at(
        self, west_m: float, north_m: float, height_px: int, width_px: int
    ) -> tuple[Image, Mask]:
        """[H, W, 3] RGB and [H, W] mask with the upper left corner anywhere on the local plane.

        Raises:
            DataError: the file is damaged there.
        """
        gsd_m, shape = self.grid.gsd_m, (height_px, width_px)
        to_local = rasterio.Affine(gsd_m, 0.0, west_m, 0.0, -gsd_m, north_m)
        try:
            window = self._source_window(to_local, height_px, width_px)
            if window is None:
                return nothing(shape)
            shrunk = _shrunk(window, shape)
            image, valid = self._bands.read(window, shrunk)
            own = self._dataset.transform @ rasterio.Affine.translation(
                window.col_off, window.row_off
            )
            if shrunk is not None:
                own @= rasterio.Affine.scale(window.width / shrunk[1], window.height / shrunk[0])
            source = Georeferenced(image, valid, own, self._dataset.crs)
            return warp(source, self.frame, to_local, shape, self._shrinks())
        except RASTER_ERRORS as error:
            raise DataError(f"{self.path}: damaged: {in_one_line(error)}") from None

    @property
    def outline(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Latitudes and longitudes of points along its edge."""
        return edge_of(self.path, self._dataset)

    def read_all(self) -> tuple[Image, Mask]:
        """The whole grid at once.

        Raises:
            DataError: it has more than `MAX_PIXELS`.
        """
        if self.grid.height_px * self.grid.width_px > MAX_PIXELS:
            raise DataError(
                f"{self.path}: {self.grid.width_px}x{self.grid.height_px} px at"
                f" {self.grid.gsd_m} m is more than {MAX_PIXELS} px; raise gsd_m or cut it"
            )
        image = np.zeros((self.grid.height_px, self.grid.width_px, 3), np.uint8)
        valid = np.zeros(image.shape[:2], np.uint8)
        for row in range(0, self.grid.height_px, BLOCK_PX):
            for column in range(0, self.grid.width_px, BLOCK_PX):
                block = np.s_[row : row + BLOCK_PX, column : column + BLOCK_PX]
                height, width = valid[block].shape
                image[block], valid[block] = self.read(row, column, height, width)
        return image, valid

    def _shrinks(self) -> bool:
        """Whether a pixel of the grid holds so many of the raster that they must be averaged."""
        grid = self.grid
        east = grid.west_m + grid.width_px * grid.gsd_m / 2.0
        north = grid.north_m - grid.height_px * grid.gsd_m / 2.0
        steps = [(east, north), (east + grid.gsd_m, north), (east, north + grid.gsd_m)]
        x, y = transform(self.frame.proj, self._dataset.crs, *map(list, zip(*steps, strict=True)))
        px = np.stack(~self._dataset.transform @ (np.asarray(x), np.asarray(y)), axis=-1)
        return bool(abs(np.linalg.det(px[1:] - px[0])) > 2.0)

    def _source_window(
        self, to_local: rasterio.Affine, height_px: int, width_px: int
    ) -> Window | None:
        columns, rows = along_edge(width_px, height_px)
        east, north = to_local @ (columns, rows)
        x, y = transform(self.frame.proj, self._dataset.crs, list(east), list(north))
        px, py = ~self._dataset.transform @ (np.asarray(x), np.asarray(y))
        if not (np.isfinite(px).all() and np.isfinite(py).all()):
            return None
        left, right = max(0, math.floor(px.min()) - 2), math.ceil(px.max()) + 2
        top, bottom = max(0, math.floor(py.min()) - 2), math.ceil(py.max()) + 2
        right, bottom = min(right, self._dataset.width), min(bottom, self._dataset.height)
        if right <= left or bottom <= top:
            return None
        return Window(left, top, right - left, bottom - top)

    def _middle(self) -> LocalFrame:
        x, y = self._dataset.transform @ (self._dataset.width / 2, self._dataset.height / 2)
        lon, lat = transform(self._dataset.crs, "EPSG:4326", [x], [y])
        try:
            # a few decimals: the same area gets the same origin
            return LocalFrame(round(lat[0], 4), round(lon[0], 4))
        except ValueError as error:
            raise DataError(f"{self.path}: {bounds_of(self._dataset)}: {error}") from None

    def _cover(self, gsd_m: float, bounds_m: tuple[float, float, float, float] | None) -> Grid:
        lat, lon = self.outline
        enu_m = self.frame.to_enu(lat, lon)
        if bounds_m is not None:
            return self._within(enu_m, gsd_m, bounds_m)
        if not (np.abs(enu_m) <= MAX_RADIUS_M).all():
            raise DataError(
                f"{self.path}: {bounds_of(self._dataset)}: reaches more than"
                f" {MAX_RADIUS_M / 1000:.0f} km from its middle; wrong CRS, or cut it into areas"
            )
        (west, south), (east, north) = enu_m.min(axis=0), enu_m.max(axis=0)
        if gsd_m > max(east - west, north - south):
            raise DataError(
                f"{self.path}: {east - west:.6g} x {north - south:.6g} m on the ground,"
                f" less than a pixel of {gsd_m:g} m"
            )
        return _grid(west, south, east, north, gsd_m)

    def _within(
        self,
        enu_m: npt.NDArray[np.float64],
        gsd_m: float,
        bounds_m: tuple[float, float, float, float],
    ) -> Grid:
        """What lies within bounds; beyond half the Earth the plane does not tell the sides apart,
        so what of the outline is far away counts as beyond them."""
        (west, south), (east, north) = enu_m.min(axis=0), enu_m.max(axis=0)
        west, south = max(west, bounds_m[0]), max(south, bounds_m[1])
        east, north = min(east, bounds_m[2]), min(north, bounds_m[3])
        if not (west < east and south < north):
            raise DataError(f"{self.path}: {bounds_of(self._dataset)}: does not reach the area")
        return _grid(west, south, east, north, gsd_m)


def _grid(west: float, south: float, east: float, north: float, gsd_m: float) -> Grid:
    width, height = math.ceil((east - west) / gsd_m), math.ceil((north - south) / gsd_m)
    return Grid(float(west), float(north), gsd_m, max(1, width), max(1, height))


def _shrunk(window: Window, shape: tuple[int, int]) -> tuple[int, int] | None:
    """The rows and columns at which a window is read; None for all of them."""
    finer = min(window.height / shape[0], window.width / shape[1])
    if finer < 2 * _FINER:
        return None
    factor = finer / _FINER
    return math.ceil(window.height / factor), math.ceil(window.width / factor)
