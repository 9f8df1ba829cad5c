"""Where the vehicle truly was: a table of `lat_deg` and `lon_deg` by time or by picture.

With `time_s` (seconds on the clock of the frames) rows are in increasing time; with `file` a row
belongs to the picture of that name, whose time comes from elsewhere. A row without a position ends
what is known, until the next row.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError
from .interpolation import turn
from .table import LATITUDE, LONGITUDE, Table, read_table


@dataclass(frozen=True)
class Track:
    """[N] positions in strictly increasing time, straight between them."""

    times_ns: tuple[int, ...]
    lat_deg: tuple[float, ...]
    lon_deg: tuple[float, ...]
    silent_after: frozenset[int] = frozenset()
    """Numbers of rows after which nobody knows, until the next; else the line between is meant."""

    def at(self, t_ns: int) -> tuple[float, float] | None:
        """WGS84 latitude and longitude in degrees, None outside the rows and in silences."""
        if not self.times_ns[0] <= t_ns <= self.times_ns[-1]:
            return None
        row = bisect_left(self.times_ns, t_ns)
        if self.times_ns[row] == t_ns:
            return self.lat_deg[row], self.lon_deg[row]
        if row - 1 in self.silent_after:
            return None
        start_ns, end_ns = self.times_ns[row - 1 : row + 1]
        weight = (t_ns - start_ns) / (end_ns - start_ns)
        lat_deg = self.lat_deg[row - 1] + weight * (self.lat_deg[row] - self.lat_deg[row - 1])
        return lat_deg, turn(self.lon_deg[row - 1], self.lon_deg[row], weight)


def read_track(path: Path, times_by_file: Mapping[str, int] | None = None) -> Track:
    """Read a table of positions.

    Args:
        path: the table.
        times_by_file: when each picture was taken, in nanoseconds; needed where rows are pictures.

    Raises:
        DataError: names the file, the line, the column and what was expected.
    """
    table = read_table(path, required=["lat_deg", "lon_deg"], optional=["time_s", "file"])
    times_ns = _times(table, times_by_file)
    lat_deg = table.numbers_or_none("lat_deg", LATITUDE)
    lon_deg = table.numbers_or_none("lon_deg", LONGITUDE)
    known: list[tuple[int, float, float]] = []
    silent_after: set[int] = set()
    for row in sorted(range(len(times_ns)), key=times_ns.__getitem__):
        lat, lon = lat_deg[row], lon_deg[row]
        if lat is not None and lon is not None:
            known.append((times_ns[row], lat, lon))
        elif lat is None and lon is None:
            silent_after.add(len(known) - 1)
        else:
            raise table.error(row, "lat_deg" if lat is None else "lon_deg", "half a position")
    if not known:
        raise DataError(f"{path}: no row has a position")
    times, lats, lons = zip(*known, strict=True)
    return Track(times, lats, lons, frozenset(silent_after & set(range(len(known) - 1))))


def _times(table: Table, times_by_file: Mapping[str, int] | None) -> list[int]:
    if ("time_s" in table) == ("file" in table):
        raise DataError(f"{table.path}, line 1: expected either a time_s or a file column")
    if "time_s" in table:
        return table.times_ns()
    if times_by_file is None:
        raise DataError(f"{table.path}, line 1, file: nothing tells when the pictures were taken")
    for row, name in enumerate(table.texts("file")):
        if name not in times_by_file:
            raise table.error(row, "file", f"the telemetry has no picture {name!r}")
    return [times_by_file[name] for name in table.cells["file"]]
