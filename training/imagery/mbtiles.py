"""MBTiles: tiles in an SQLite file. https://github.com/mapbox/mbtiles-spec (1.3)

Its rows count from the south (TMS); what is told here counts from the north.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geobridge.onboard.errors import DataError

from .tiles import MAX_ZOOM, Box

_STRANGE = """
SELECT count(*) FROM tiles WHERE typeof(zoom_level) || typeof(tile_column) || typeof(tile_row)
<> 'integerintegerinteger' OR zoom_level NOT BETWEEN 0 AND ?
OR tile_column NOT BETWEEN 0 AND (1 << zoom_level) - 1
OR tile_row NOT BETWEEN 0 AND (1 << zoom_level) - 1
"""
"""SQLite keeps anything in a column, whatever its type says."""


class MBTiles:
    """An open file, read only.

    Raises:
        DataError: not MBTiles, without tiles, or with tiles that are no pictures.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        try:
            self._file = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        except sqlite3.Error as error:
            raise DataError(f"{path}: {error}") from None
        if self.metadata().get("format") in ("pbf", "mvt"):
            raise DataError(f"{path}: holds vector tiles; expected pictures")
        self._zooms = tuple(
            row[0]
            for row in self._rows("SELECT DISTINCT zoom_level FROM tiles ORDER BY zoom_level")
        )
        if not self._zooms:
            raise DataError(f"{path}: holds no tiles")
        [(strange,)] = self._rows(_STRANGE, MAX_ZOOM)
        if strange:
            raise DataError(f"{path}: not MBTiles: {strange} tiles whose place is none")

    def metadata(self) -> dict[str, str]:
        """Names and values, empty where the file tells nothing."""
        return {str(k): str(v) for k, v in self._rows("SELECT name, value FROM metadata")}

    def zooms(self) -> Sequence[int]:
        """Of which there are tiles, coarsest first."""
        return self._zooms

    def box(self, zoom: int) -> Box:
        """Columns and rows between which they lie."""
        [(left, right, low, high)] = self._rows(
            "SELECT min(tile_column), max(tile_column), min(tile_row), max(tile_row)"
            " FROM tiles WHERE zoom_level = ?",
            zoom,
        )
        last = 2**zoom - 1
        return left, right, last - high, last - low

    def first(self, zoom: int) -> tuple[int, int] | None:
        """Column and row of a tile that is not empty, the northernmost."""
        found = self._rows(
            "SELECT tile_column, tile_row FROM tiles WHERE zoom_level = ? AND length(tile_data) > 0"
            " ORDER BY tile_row DESC, tile_column LIMIT 1",
            zoom,
        )
        return (found[0][0], 2**zoom - 1 - found[0][1]) if found else None

    def read(self, zoom: int, column: int, row: int) -> bytes | None:
        """The encoded tile, None where there is none."""
        found = self._rows(
            "SELECT tile_data FROM tiles WHERE zoom_level = ? AND tile_column = ? AND tile_row = ?",
            zoom,
            column,
            2**zoom - 1 - row,
        )
        data = found[0][0] if found else None
        if data is not None and not isinstance(data, bytes):
            raise DataError(f"{self.name}: tile {zoom}/{column}/{row} is no picture")
        return data or None

    def _rows(self, query: str, *values: int) -> list[Any]:
        try:
            return self._file.execute(query, values).fetchall()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise DataError(f"{self.name}: not MBTiles: {error}") from None
