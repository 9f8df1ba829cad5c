"""The bundle's reference imagery as squares of the local plane."""

from __future__ import annotations

import hashlib
import logging
import math
import re
import struct
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from ..bundle import Bundle
from ..errors import BundleError
from ..manifest_entries import FileEntry, ImageryEntry
from ..records import Image, Mask

log = logging.getLogger(__name__)

CACHED_BYTES = 64 << 20
"""Of decoded tiles that are kept."""
TILE_NAME = re.compile(r"reference/imagery/[0-9]{5,}_[0-9]{5,}\.png")


def tile_path(row: int, column: int) -> str:
    """Where a tile lies in a bundle."""
    return f"reference/imagery/{row:05d}_{column:05d}.png"


def tile_header(size_px: int) -> bytes:
    """How the file of a tile begins: a PNG of that size, four channels of 8 bits."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBB", 13, b"IHDR", size_px, size_px, 8, 6)


def decode_tile(content: bytes, size_px: int) -> Image | None:
    """[T, T, 4] RGBA of a tile file's content; None where it is no tile of that size."""
    if not content.startswith(tile_header(size_px)):
        return None
    tile = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if tile is None or tile.shape != (size_px, size_px, 4) or tile.dtype != np.uint8:
        return None
    return np.asarray(cv2.cvtColor(tile, cv2.COLOR_BGRA2RGBA), np.uint8)


class ReferenceImagery:
    """North-up reference pixels around any point; nothing where the bundle has nothing."""

    def __init__(self, entry: ImageryEntry, read_tile: Callable[[int, int], Image | None]) -> None:
        """`read_tile` gives [T, T, 4] RGBA of a row and column, or None where there is none."""
        self.entry = entry
        kept = max(4, CACHED_BYTES // (4 * entry.tile_px**2))
        self._tile = lru_cache(maxsize=kept)(read_tile)

    @classmethod
    def open(cls, bundle: Bundle) -> ReferenceImagery:
        """The imagery of an opened bundle; a tile is decoded when somebody looks there.

        Its bytes are hashed once more then, so that the decoder sees none but those that were
        checked when the bundle was opened. Where they are no longer there, nothing is known.

        Raises:
            BundleError: a file that is not said to be, or does not begin like, a tile of its size;
                no imagery at all.
        """
        entry = bundle.manifest.imagery
        if entry is None:
            raise BundleError(f"{bundle.path}: holds no reference imagery")
        named = {file.path: file for file in bundle.manifest.files if file.role == "imagery"}
        size = entry.tile_px
        for path in sorted(named):
            if not TILE_NAME.fullmatch(path) or not _begins_as_tile(bundle.path / path, size):
                raise _not_a_tile(bundle.path / path, size)

        def read_named(row: int, column: int) -> Image | None:
            file = named.get(tile_path(row, column))
            return None if file is None else _read_checked(bundle.path / file.path, file, size)

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


def check_tiles(bundle: Bundle) -> None:
    """Decode every tile once, as before a flight.

    Raises:
        BundleError: names the first that is no tile.
    """
    size = bundle.manifest.imagery.tile_px if bundle.manifest.imagery else 0
    for file in bundle.manifest.files:
        path = bundle.path / file.path
        if file.role == "imagery" and _read_checked(path, file, size) is None:
            raise _not_a_tile(path, size)


def _begins_as_tile(path: Path, size_px: int) -> bool:
    expected = tile_header(size_px)
    try:
        with path.open("rb") as file:
            return file.read(len(expected)) == expected
    except OSError:
        return False


def _read_checked(path: Path, entry: FileEntry, size_px: int) -> Image | None:
    """A tile as the manifest names it; None where it is not that any more, or is none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        log.error("%s: %s; nothing is known there", path, error.strerror)
        return None
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        log.error("%s: changed since the bundle was opened; nothing is known there", path)
        return None
    return decode_tile(content, size_px)


def _not_a_tile(path: Path, size_px: int) -> BundleError:
    return BundleError(f"{path}: not a {size_px} px RGBA tile")
