"""A folder of tiles, `z/x/y.png`, rows from the north (XYZ) or from the south (TMS)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from geobridge.onboard.bundle import sha256
from geobridge.onboard.errors import DataError

from .tiles import Box

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


class TileFolder:
    """The tiles below a folder.

    Raises:
        DataError: there are none.
    """

    def __init__(self, path: Path, scheme: str) -> None:
        self.name = str(path)
        self._from_south = scheme == "tms"
        self._files = {
            (int(file.parts[-3]), int(file.parts[-2]), int(file.stem)): file
            for file in sorted(path.glob("*/*/*"))
            if file.suffix.lower() in SUFFIXES and _is_numbered(file)
        }
        if not self._files:
            raise DataError(f"{path}: holds no tiles; expected zoom/column/row.png")

    def zooms(self) -> Sequence[int]:
        """Of which there are tiles, coarsest first."""
        return tuple(sorted({zoom for zoom, _, _ in self._files}))

    def box(self, zoom: int) -> Box:
        """Columns and rows between which they lie."""
        columns = [column for at, column, _ in self._files if at == zoom]
        rows = [self._row(zoom, row) for at, _, row in self._files if at == zoom]
        return min(columns), max(columns), min(rows), max(rows)

    def first(self, zoom: int) -> tuple[int, int] | None:
        """Column and row of a tile that is not empty, the northernmost."""
        there = [
            (self._row(zoom, row), column)
            for (at, column, row), file in self._files.items()
            if at == zoom and file.stat().st_size
        ]
        return min(there)[::-1] if there else None

    def read(self, zoom: int, column: int, row: int) -> bytes | None:
        """The encoded tile, None where there is none."""
        file = self._files.get((zoom, column, self._row(zoom, row)))
        return file.read_bytes() if file is not None else None

    def sha256(self) -> str:
        """One digest of all: that of what `sha256sum` prints for every tile below the folder."""
        digest = hashlib.sha256()
        for (zoom, column, _), file in sorted(self._files.items()):
            digest.update(f"{sha256(file)}  {zoom}/{column}/{file.name}\n".encode())
        return digest.hexdigest()

    def _row(self, zoom: int, row: int) -> int:
        return 2**zoom - 1 - row if self._from_south else row


def _is_numbered(file: Path) -> bool:
    return all(part.isdecimal() for part in (*file.parts[-3:-1], file.stem))
