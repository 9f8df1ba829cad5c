"""A map as a raster that is known to lie somewhere, cut into tiles of 256 pixels at some zooms.

At the largest zoom a tile is 256 pixels of the map, at every smaller one twice as many, as in the
prepared UAV-VisLoc; tile (0, 0) lies in the upper left corner.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.warp import transform as transform_points
from rasterio.windows import Window

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Image

from ..layouts.task import Floats
from ..layouts.visloc_maps import MAPS, TILE_PX

Tile = tuple[int, int, int]
"""Zoom, column and row."""
Locate = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Map:
    """`locate` takes [N, 2] pixels right and down to [N, 2] latitudes and longitudes."""

    name: str
    path: Path
    height_px: int
    width_px: int
    locate: Locate

    @property
    def largest_zoom(self) -> int:
        """At which pixels are the map's own."""
        return max(0, math.ceil(math.log2(max(self.height_px, self.width_px) / TILE_PX)))

    def tiles(self, zooms: int) -> Iterator[Tile]:
        """All of the `zooms` below the largest, or of the largest where there is no other."""
        last = self.largest_zoom
        for zoom in range(max(0, last - zooms), max(last, 1)):
            side_px = TILE_PX * 2 ** (last - zoom)
            for row in range(math.ceil(self.height_px / side_px)):
                for column in range(math.ceil(self.width_px / side_px)):
                    yield zoom, column, row

    def file_name(self, tile: Tile) -> str:
        """As the prepared data set calls it."""
        zoom, column, row = tile
        return f"{self.name}_{zoom}_{column:03d}_{row:03d}.png"

    def corners(self, tile: Tile) -> Floats:
        """[4, 2] latitude and longitude, from the upper left one clockwise."""
        zoom, column, row = tile
        side_px = TILE_PX * 2 ** (self.largest_zoom - zoom)
        square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], float) + np.array([column, row])
        return self.locate(square * side_px)

    def cut(self, tile: Tile) -> Image:
        """[256, 256, 3], black beyond the map.

        Raises:
            DataError: the map cannot be read.
        """
        zoom, column, row = tile
        side_px = TILE_PX * 2 ** (self.largest_zoom - zoom)
        left_px, top_px = column * side_px, row * side_px
        width_px = min(side_px, self.width_px - left_px)
        height_px = min(side_px, self.height_px - top_px)
        shape = tuple(math.ceil(TILE_PX * each / side_px) for each in (height_px, width_px))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                with rasterio.open(self.path) as raster:
                    bands = raster.read(
                        (1, 2, 3),
                        window=Window(left_px, top_px, width_px, height_px),
                        out_shape=(3, *shape),
                        resampling=Resampling.average,
                    )
        except RasterioIOError as error:
            raise DataError(f"{self.path}: {error}") from None
        picture = np.zeros((TILE_PX, TILE_PX, 3), np.uint8)
        picture[: shape[0], : shape[1]] = bands.transpose(1, 2, 0)
        return picture

    @cached_property
    def frame(self) -> LocalFrame:
        """Around its middle."""
        ((lat, lon),) = self.locate(np.array([(self.width_px / 2, self.height_px / 2)]))
        return LocalFrame(float(lat), float(lon))

    def square_m(self, tile: Tile) -> Floats:
        """[4, 2] corners of a tile in metres east and north."""
        return self.frame.to_enu(*self.corners(tile).T)


def between(
    upper_left: tuple[float, float], lower_right: tuple[float, float], height_px: int, width_px: int
) -> Locate:
    """Degrees in proportion to pixels, between two corners."""

    def locate(pixels: Floats) -> Floats:
        down_right = pixels[:, ::-1] / (height_px, width_px)
        return np.asarray(upper_left + down_right * np.subtract(lower_right, upper_left))

    return locate


def georeferenced(transform: rasterio.Affine, crs: CRS) -> Locate:
    """By a raster's own georeference."""

    def locate(pixels: Floats) -> Floats:
        x = transform.c + transform.a * pixels[:, 0] + transform.b * pixels[:, 1]
        y = transform.f + transform.d * pixels[:, 0] + transform.e * pixels[:, 1]
        lon, lat = transform_points(crs, CRS.from_epsg(4326), x.tolist(), y.tolist())
        return np.stack([lat, lon], axis=1)

    return locate


def open_map(name: str, path: Path) -> Map:
    """Where it lies its georeference tells, else UAV-VisLoc's corners.

    Raises:
        DataError: it cannot be read, has fewer than three bands, or nothing tells where it lies.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as raster:
                size, bands, crs = (raster.height, raster.width), raster.count, raster.crs
                transform = raster.transform
    except RasterioIOError as error:
        raise DataError(f"{path}: {error}") from None
    if bands < 3:
        raise DataError(f"{path}: has {bands} bands, expected red, green and blue")
    if crs is not None:
        return Map(name, path, *size, georeferenced(transform, crs))
    if name not in MAPS:
        raise DataError(f"{path}: has no georeference, and {name} is no map of UAV-VisLoc")
    return Map(name, path, *size, between(*MAPS[name][:2], *size))


def overlap(a_m: Floats, b_m: Floats) -> float:
    """Intersection over union of two convex polygons of [N, 2] corners."""
    a, b = (each.astype(np.float32) for each in (a_m, b_m))
    common, _ = cv2.intersectConvexConvex(a, b)
    areas = cv2.contourArea(a) + cv2.contourArea(b)
    return float(common / (areas - common))
