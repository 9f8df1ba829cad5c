"""Mission Planner's `.waypoints` files: "QGC WPL 110", then lines of twelve columns.

    index  current  frame  command  p1 p2 p3 p4  latitude  longitude  altitude  autocontinue

Item 0 is home. https://mavlink.io/en/file_formats/
"""

from __future__ import annotations

import math
from pathlib import Path

from ...errors import DataError
from .mission import CHANGE_SPEED, Home, Item, route_of
from .route import Route
from .terrain import Terrain

HEADER = "QGC WPL"
_VERSIONS = ("110", "120")
_COLUMNS = 12


def read_waypoints(path: Path, terrain: Terrain, speed_m_s: float) -> Route:
    """The route of a mission that begins with `speed_m_s`, until it changes its speed itself.

    Raises:
        DataError: names the file, the line or the item, and what was expected.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: expected text that begins with '{HEADER} 110'") from None
    if not lines or lines[0].split() not in [[*HEADER.split(), v] for v in _VERSIONS]:
        found = lines[0][:40] if lines else ""
        raise DataError(f"{path}, line 1: expected '{HEADER} 110', found {found!r}")
    items = [
        _item(line.split(), f"{path}, line {number}")
        for number, line in enumerate(lines[1:], start=2)
        if line.strip()
    ]
    if len(items) < 2:
        raise DataError(f"{path}: expected home and at least one item")
    first = items[0]
    if first.lat_deg is None or first.lon_deg is None or first.lat_deg == first.lon_deg == 0.0:
        raise DataError(f"{path}, item 0: expected the latitude and longitude of home")
    home = Home(first.lat_deg, first.lon_deg)
    return route_of(str(path), items[1:], home, speed_m_s, terrain)


def _item(cells: list[str], where: str) -> Item:
    if len(cells) != _COLUMNS:
        raise DataError(f"{where}: expected {_COLUMNS} columns, found {len(cells)}")
    index, _, frame, command = (_whole(cell, where) for cell in cells[:4])
    values = [_number(cell, where) for cell in cells[4:11]]
    speed_m_s = values[1] if command == CHANGE_SPEED else -1.0
    return Item(f"item {index}", command, values[4], values[5], values[6], frame, speed_m_s)


def _whole(text: str, where: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise DataError(f"{where}: expected a whole number, found {text!r}") from None


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: expected a number, found {text!r}")
    return value
