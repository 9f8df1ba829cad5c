"""Web-mercator tiles, whoever keeps them, as pixels of a local plane.

Rows count from the north (XYZ). https://wiki.openstreetmap.org/wiki/Slippy_map_tilenames
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import cv2
import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.warp import transform

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import Floats, LocalFrame
from geobridge.onboard.records import Image, Mask

from ..rasters.warp import Georeferenced, nothing, warp

HALF_M = 20037508.342789244
"""Half the side of the world in EPSG:3857."""
EQUATOR_M = 2 * HALF_M
MAX_LAT_DEG = 85.0
MERCATOR, WGS84 = CRS.from_epsg(3857), CRS.from_epsg(4326)
MAX_ZOOM = 30
MAX_TILES_AT_ONCE = 4096
CACHED = 256

Box = tuple[int, int, int, int]
"""First and last column, first and last row."""


class TileStore(Protocol):
    """Encoded tiles by zoom, column and row from the north."""

    name: str

    def zooms(self) -> Sequence[int]:
        """Of which there are tiles, coarsest first."""

    def box(self, zoom: int) -> Box:
        """Columns and rows between which they lie."""

    def first(self, zoom: int) -> tuple[int, int] | None:
        """Column and row of a tile that is not empty, the northernmost; None where all are."""

    def read(self, zoom: int, column: int, row: int) -> bytes | None:
        """PNG, JPEG or WebP; None where there is none."""


class Tiles:
    """One zoom of a store, on a local plane."""

    def __init__(self, store: TileStore, frame: LocalFrame, gsd_m: float, zoom: int | None) -> None:
        self.frame, self.gsd_m = frame, gsd_m
        self._store = store
        self.zoom = _chosen(store, frame, gsd_m, zoom)
        self._box = store.box(self.zoom)
        self._decoded = lru_cache(maxsize=CACHED)(self._decode)
        self._size_px = self._first_size_px()

    def read_at(
        self, west_m: float, north_m: float, height_px: int, width_px: int
    ) -> tuple[Image, Mask]:
        """[H, W, 3] RGB and [H, W] mask with the upper left corner anywhere on the plane.

        Raises:
            DataError: a tile there is no picture.
        """
        to_local = rasterio.Affine(self.gsd_m, 0.0, west_m, 0.0, -self.gsd_m, north_m)
        shape = (height_px, width_px)
        box = self._reached(to_local, shape)
        if box is None:
            return nothing(shape)
        left, right, top, bottom = box
        size, side_m = self._size_px, EQUATOR_M / 2**self.zoom
        image, valid = nothing(((bottom - top + 1) * size, (right - left + 1) * size))
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                tile = self._decoded(column, row)
                if tile is not None:
                    there = np.s_[
                        (row - top) * size : (row - top + 1) * size,
                        (column - left) * size : (column - left + 1) * size,
                    ]
                    image[there], valid[there] = tile[..., :3], tile[..., 3] > 127
        per_px = side_m / size
        own = rasterio.Affine(
            per_px, 0.0, left * side_m - HALF_M, 0.0, -per_px, HALF_M - top * side_m
        )
        source = Georeferenced(image, valid, own, MERCATOR)
        return warp(source, self.frame, to_local, shape, self._pixel_m() < self.gsd_m / 1.42)

    def _pixel_m(self) -> float:
        return pixel_m(self.zoom, self._size_px, self.frame.origin_lat_deg)

    def _reached(self, to_local: rasterio.Affine, shape: tuple[int, int]) -> Box | None:
        along = np.linspace(0.0, 1.0, 9)
        columns, rows = np.meshgrid(along * shape[1], along * shape[0])
        east, north = to_local @ (columns.ravel(), rows.ravel())
        x, y = map(np.asarray, transform(self.frame.proj, MERCATOR, list(east), list(north)))
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            return None
        side_m = EQUATOR_M / 2**self.zoom
        first_column, last_column, first_row, last_row = self._box
        left = max(first_column, math.floor((x.min() + HALF_M) / side_m - 0.01))
        right = min(last_column, math.floor((x.max() + HALF_M) / side_m + 0.01))
        top = max(first_row, math.floor((HALF_M - y.max()) / side_m - 0.01))
        bottom = min(last_row, math.floor((HALF_M - y.min()) / side_m + 0.01))
        if right < left or bottom < top:
            return None
        if (right - left + 1) * (bottom - top + 1) > MAX_TILES_AT_ONCE:
            raise DataError(
                f"{self._store.name}: zoom {self.zoom} is much finer than {self.gsd_m:g} m;"
                " choose a lower zoom"
            )
        return left, right, top, bottom

    def _decode(self, column: int, row: int) -> Image | None:
        tile = self._read(column, row)
        if tile is not None and len(tile) != self._size_px:
            tile = np.asarray(cv2.resize(tile, (self._size_px,) * 2), np.uint8)
        return tile

    def _read(self, column: int, row: int) -> Image | None:
        raw = self._store.read(self.zoom, column, row)
        return decode(raw, f"{self._store.name}, tile {self.zoom}/{column}/{row}") if raw else None

    def _first_size_px(self) -> int:
        first = self._store.first(self.zoom)
        tile = self._read(*first) if first else None
        if tile is None:
            raise DataError(f"{self._store.name}: zoom {self.zoom} holds no tile")
        return len(tile)


def decode(raw: bytes, where: str) -> Image:
    """[S, S, 4] RGBA of an encoded tile.

    Raises:
        DataError: it is no square picture.
    """
    try:
        tile = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        tile = None
    if tile is None or tile.dtype != np.uint8 or tile.shape[0] != tile.shape[1]:
        raise DataError(f"{where}: not a square PNG, JPEG or WebP picture")
    if tile.ndim == 2:
        return np.asarray(cv2.cvtColor(tile, cv2.COLOR_GRAY2RGBA), np.uint8)
    code = cv2.COLOR_BGRA2RGBA if tile.shape[2] == 4 else cv2.COLOR_BGR2RGBA
    return np.asarray(cv2.cvtColor(tile, code), np.uint8)


def pixel_m(zoom: int, size_px: int, lat_deg: float) -> float:
    """Side of a tile's pixel on the ground at a latitude."""
    return EQUATOR_M * 0.5**zoom / size_px * math.cos(math.radians(lat_deg))


def zoom_for(gsd_m: float, lat_deg: float, size_px: int = 256) -> int:
    """The coarsest zoom as fine as `gsd_m`, a tenth more or less."""
    return math.ceil(math.log2(pixel_m(0, size_px, lat_deg) / (1.1 * gsd_m)))


def box_of(outline: tuple[Floats, Floats], zoom: int) -> Box:
    """The tiles that a box around latitudes and longitudes meets."""
    lat_deg, lon_deg = outline
    x = (np.array([lon_deg.min(), lon_deg.max()]) + 180.0) / 360.0
    rise = np.arcsinh(np.tan(np.radians([lat_deg.max(), lat_deg.min()])))
    y = (1.0 - rise / math.pi) / 2.0
    last = 2**zoom - 1
    (left, right), (top, bottom) = (
        np.clip(np.floor(v * 2**zoom), 0, last).astype(int) for v in (x, y)
    )
    return int(left), int(right), int(top), int(bottom)


def outline_of(store: TileStore, zoom: int | None) -> tuple[Floats, Floats]:
    """Latitudes and longitudes of the corners of a store's finest tiles."""
    finest = zoom if zoom is not None else store.zooms()[-1]
    left, right, top, bottom = store.box(finest)
    side_m = EQUATOR_M / 2**finest
    x = np.array([left, right + 1, right + 1, left]) * side_m - HALF_M
    y = HALF_M - np.array([top, top, bottom + 1, bottom + 1]) * side_m
    lon_deg, lat_deg = transform(MERCATOR, WGS84, list(x), list(y))
    return np.asarray(lat_deg), np.asarray(lon_deg)


def _chosen(store: TileStore, frame: LocalFrame, gsd_m: float, zoom: int | None) -> int:
    zooms = store.zooms()
    if zoom is not None:
        if zoom not in zooms:
            have = ", ".join(map(str, zooms))
            raise DataError(f"{store.name}: no tiles of zoom {zoom}; it has {have}")
        return zoom
    wanted = zoom_for(gsd_m, frame.origin_lat_deg)
    return next((each for each in zooms if each >= wanted), zooms[-1])
