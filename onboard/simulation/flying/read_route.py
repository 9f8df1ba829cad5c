"""A route from whatever a planner has: a `.plan`, a `.waypoints`, or coordinates.

Coordinates are `lat,lon` or `lat,lon,height_agl_m`, WGS84 degrees and metres: one place per line of
a text file, in which `#` begins a comment, or in one argument with colons between them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ...errors import DataError
from .plan_file import read_plan
from .route import Datum, Route, Stop, lay
from .terrain import Terrain
from .waypoints_file import HEADER, read_waypoints

SPEED_M_S, HEIGHT_AGL_M = 12.0, 100.0


def read_route(
    text: str,
    terrain: Terrain,
    *,
    speed_m_s: float | None = None,
    height_agl_m: float = HEIGHT_AGL_M,
) -> Route:
    """A route from a file, or from the coordinates themselves.

    Args:
        text: the path of a file, or `lat,lon:lat,lon`.
        terrain: where it is to be flown.
        speed_m_s: at the start, in place of a plan's own.
        height_agl_m: of coordinates that come without one.

    Raises:
        DataError: names the file, the item or line, and what was expected.
    """
    if speed_m_s is not None and not 0.0 < speed_m_s < math.inf:
        raise DataError(f"speed_m_s {speed_m_s}: expected more than 0 m/s")
    path = Path(text)
    if path.suffix.lower() == ".plan":
        return read_plan(path, terrain, speed_m_s)
    if path.suffix.lower() == ".waypoints" or _begins_as_mission(path):
        return read_waypoints(path, terrain, speed_m_s or SPEED_M_S)
    if "," in text and not _is_file(path):
        source, places = "route", [(f"place {n}", p) for n, p in enumerate(text.split(":"), 1)]
    else:
        source, places = text, _lines(path)
    return _coordinates(source, places, terrain, speed_m_s or SPEED_M_S, height_agl_m)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a long list of coordinates is no name of a file
        return False


def _begins_as_mission(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(HEADER)) == HEADER.encode()
    except (OSError, ValueError):
        return False


def _lines(path: Path) -> list[tuple[str, str]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(
            f"{path}: expected a .plan, a .waypoints, or lines of lat,lon[,height_agl_m]"
        ) from None
    contents = ((number, line.partition("#")[0].strip()) for number, line in enumerate(lines, 1))
    return [(f"line {number}", content) for number, content in contents if content]


def _coordinates(
    source: str,
    places: Sequence[tuple[str, str]],
    terrain: Terrain,
    speed_m_s: float,
    height_agl_m: float,
) -> Route:
    stops = []
    for name, text in places:
        lat_deg, lon_deg, *height = _parse(text, f"{source}, {name}")
        east_m, north_m = terrain.place(lat_deg, lon_deg, f"{source}, {name}")
        height_m = height[0] if height else height_agl_m
        stops.append(Stop(name, east_m, north_m, height_m, Datum.GROUND, speed_m_s))
    home = (stops[0].east_m, stops[0].north_m) if stops else (0.0, 0.0)
    return lay(source, stops, terrain, home)


def _parse(text: str, where: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    sound = len(values) in (2, 3) and all(map(math.isfinite, values))
    if not (sound and abs(values[0]) <= 90.0 and abs(values[1]) <= 180.0):
        raise DataError(
            f"{where}: expected lat,lon or lat,lon,height_agl_m in degrees and metres,"
            f" found {text!r}"
        )
    return values
