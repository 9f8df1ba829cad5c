"""The bundle's reference imagery as squares of the local plane."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from ..bundle import Bundle
from ..errors import BundleError
from ..manifest import ImageryEntry
from ..records import Image, Mask

CACHED_TILES = 256
TILE_NAME = re.compile(r"reference/imagery/[0-9]{5,}_[0-9]{5,}\.png")


def tile_path(row: int, column: int) -> str:
    """Where a tile lies in a bundle."""
    return f"reference/imagery/{row:05d}_{column:05d}.png"


def read_tile(path: Path, size_px: int) -> Image | None:
    """[T, T, 4] RGBA of a tile file; None where there is none of that size."""
    tile = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
    if tile is None or tile.shape != (size_px, size_px, 4) or tile.dtype != np.uint8:
        return None
    return np.asarray(cv2.cvtColor(tile, cv2.COLOR_BGRA2RGBA), np.uint8)


class ReferenceImagery:
    """North-up reference pixels around any point; nothing where the bundle has nothing."""

    def __init__(self, entry: ImageryEntry, read_tile: Callable[[int, int], Image | None]) -> None:
        """`read_tile` gives [T, T, 4] RGBA of a row and column, or None where there is none."""
        self.entry = entry
        self._tile = lru_cache(maxsize=CACHED_TILES)(read_tile)

    @classmethod
    def open(cls, bundle: Bundle) -> ReferenceImagery:
        """The imagery of an opened, hence hash-checked, bundle; every tile is decoded once.

        Raises:
            BundleError: a tile that is not one, or no imagery at all.
        """
        entry = bundle.manifest.imagery
        if entry is None:
            raise BundleError(f"{bundle.path}: holds no reference imagery")
        named = {file.path for file in bundle.manifest.files if file.role == "imagery"}
        size = entry.tile_px

        for path in sorted(named):
            if not TILE_NAME.fullmatch(path) or read_tile(bundle.path / path, size) is None:
                raise BundleError(f"{bundle.path / path}: not a {size} px RGBA tile")

        def read_named(row: int, column: int) -> Image | None:
            path = tile_path(row, column)
            # a tile lost since the check: nothing is known there
            return read_tile(bundle.path / path, size) if path in named else None

        return cls(entry, read_named)

    def read(
        self, east_m: float, north_m: float, size_px: int
    ) -> tuple[Image, Mask, tuple[float, float]]:
        """[S, S, 3], [S, S] around a point, and the local metres of the square's true centre.

        Pixels are not resampled: the centre is the one nearest to the point on the pixel grid.
        """
        square, centre = self.rgba(east_m, north_m, size_px)
        return square[..., :3], (square[..., 3] > 127).astype(np.uint8), centre

    def rgba(
        self, east_m: float, north_m: float, size_px: int
    ) -> tuple[Image, tuple[float, float]]:
        """[S, S, 4] as the tiles have it, and the centre."""
        entry = self.entry
        left = math.floor((east_m - entry.west_m) / entry.gsd_m - size_px / 2 + 0.5)
        top = math.floor((entry.north_m - north_m) / entry.gsd_m - size_px / 2 + 0.5)
        square = np.zeros((size_px, size_px, 4), np.uint8)
        for row in range(top // entry.tile_px, (top + size_px - 1) // entry.tile_px + 1):
            for column in range(left // entry.tile_px, (left + size_px - 1) // entry.tile_px + 1):
                self._paste(square, row, column, top, left)
        centre = (
            entry.west_m + (left + size_px / 2) * entry.gsd_m,
            entry.north_m - (top + size_px / 2) * entry.gsd_m,
        )
        return square, centre

    def _paste(self, square: Image, row: int, column: int, top: int, left: int) -> None:
        if not (0 <= row < self.entry.rows and 0 <= column < self.entry.columns):
            return
        tile = self._tile(row, column)
        if tile is None:
            return
        size, tile_px = len(square), self.entry.tile_px
        y, x = row * tile_px - top, column * tile_px - left
        rows = slice(max(0, y), min(size, y + tile_px))
        columns = slice(max(0, x), min(size, x + tile_px))
        square[rows, columns] = tile[
            rows.start - y : rows.stop - y, columns.start - x : columns.stop - x
        ]
