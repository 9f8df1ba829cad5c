"""Squares of ground anywhere on Earth: north up, by latitude and longitude of the middle and a side
in metres."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

A_M, E2 = 6_378_137.0, 6.69437999014e-3
"""WGS84."""


def metres_per_degree(lat_deg: npt.ArrayLike) -> tuple[Floats, Floats]:
    """North and east, at a latitude of the ellipsoid."""
    lat = np.radians(np.asarray(lat_deg, float))
    bend = 1.0 - E2 * np.sin(lat) ** 2
    north = A_M * (1.0 - E2) / bend**1.5
    east = A_M / np.sqrt(bend) * np.cos(lat)
    return np.asarray(np.radians(north)), np.asarray(np.radians(east))


def offset_m(
    lat_deg: npt.ArrayLike, lon_deg: npt.ArrayLike, from_lat_deg: float, from_lon_deg: float
) -> tuple[Floats, Floats]:
    """Metres east and north of a point that is no more than a few kilometres away."""
    lat, lon = np.asarray(lat_deg, float), np.asarray(lon_deg, float)
    north, east = metres_per_degree((lat + from_lat_deg) / 2.0)
    turned = (lon - from_lon_deg + 180.0) % 360.0 - 180.0
    return np.asarray(turned * east), np.asarray((lat - from_lat_deg) * north)


def overlap(east_m: Floats, north_m: Floats, side_m: Floats, other_m: Floats) -> Floats:
    """What squares have in common, as a share of the smaller one; offsets between the middles."""
    smaller, both = np.minimum(side_m, other_m), (side_m + other_m) / 2.0
    wide = np.clip(both - np.abs(east_m), 0.0, smaller)
    high = np.clip(both - np.abs(north_m), 0.0, smaller)
    return np.asarray(wide * high / smaller**2)


class Kept:
    """The squares so far, in cells as wide as the widest; asks only the cells around."""

    def __init__(self, cell_m: float, most: float) -> None:
        self._cell_m, self._most = cell_m, most
        self._cells: dict[tuple[int, int], list[tuple[float, float, float]]] = {}

    def takes(self, lat_deg: float, lon_deg: float, side_m: float) -> bool:
        """Keep a square unless it has more than `most` in common with one of them."""
        rows = self._rows(lat_deg)
        for row in rows:
            scale, count = _row(row, self._cell_m)
            column = math.floor((lon_deg + 180.0) * scale)
            for at in (column - 1, column, column + 1):
                for other in self._cells.get((row, at % count), ()):
                    if _overlap(lat_deg, lon_deg, side_m, other) > self._most:
                        return False
        scale, count = _row(rows[1], self._cell_m)
        cell = rows[1], math.floor((lon_deg + 180.0) * scale) % count
        self._cells.setdefault(cell, []).append((lat_deg, lon_deg, side_m))
        return True

    def _rows(self, lat_deg: float) -> tuple[int, int, int]:
        row = math.floor((lat_deg + 90.0) * _SHORTEST_M / self._cell_m)
        return row - 1, row, row + 1


_SHORTEST_M = 110_574.0
"""A degree of latitude is nowhere shorter, so no cell is lower than it should be."""


def _row(row: int, cell_m: float) -> tuple[float, int]:
    """Cells in a degree of longitude of a row, and around the Earth; none is too narrow."""
    edges = [row * cell_m / _SHORTEST_M - 90.0, (row + 1) * cell_m / _SHORTEST_M - 90.0]
    lat = math.radians(min(89.9, max(map(abs, edges))))
    count = max(3, math.floor(360.0 * _SHORTEST_M * math.cos(lat) / cell_m))
    return count / 360.0, count


def _overlap(
    lat_deg: float, lon_deg: float, side_m: float, other: tuple[float, float, float]
) -> float:
    """`overlap` of two, without arrays: a million squares ask it millions of times."""
    lat = math.radians((lat_deg + other[0]) / 2.0)
    bend = 1.0 - E2 * math.sin(lat) ** 2
    root = math.sqrt(bend)
    smaller, both = min(side_m, other[2]), (side_m + other[2]) / 2.0
    north_m = math.radians(lat_deg - other[0]) * A_M * (1.0 - E2) / (bend * root)
    high = min(smaller, both - abs(north_m))
    if high <= 0.0:
        return 0.0
    turned = (lon_deg - other[1] + 180.0) % 360.0 - 180.0
    wide = min(smaller, both - abs(math.radians(turned) * A_M / root * math.cos(lat)))
    return wide * high / smaller**2 if wide > 0.0 else 0.0


def without_overlaps(
    squares: Iterable[tuple[str, float, float, float]], most: float
) -> Iterator[str]:
    """The names of squares of which no two share more than `most` of the smaller one.

    Which of two stays is drawn by their names, so the order in which they come decides nothing.

    Args:
        squares: name, latitude, longitude, side in metres.
        most: share of the smaller square.
    """
    listed = sorted((_drawn(each[0]), *each) for each in squares)
    if not listed:
        return
    kept = Kept(max(each[4] for each in listed), most)
    for _, name, lat_deg, lon_deg, side_m in listed:
        if kept.takes(lat_deg, lon_deg, side_m):
            yield name


def _drawn(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=8).digest()
