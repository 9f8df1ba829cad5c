"""MAVLink mission items to a route, as `.plan` and `.waypoints` files both hold them.

Take-off, landing and return are flown over at their places: a flight here is in the air from its
first item to its last. Loiters are flown through. What steers camera, gimbal or servos is passed
over; what would change the path in a way not known here is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import DataError
from .route import Datum, Route, Stop, lay
from .terrain import Terrain

TAKEOFF, LAND, RETURN, CHANGE_SPEED = 22, 21, 20, 178
_PLACES = frozenset({16, 17, 18, 19, 31, 82, TAKEOFF, 84, LAND, 85})
_NO_CLIMB = frozenset({LAND, 85})
_LAST_NAVIGATION, _JUMP, _JUMP_TO_TAG = 95, 177, 601
_DATUMS = {
    0: Datum.AMSL,
    3: Datum.HOME,
    5: Datum.AMSL,
    6: Datum.HOME,
    10: Datum.GROUND,
    11: Datum.GROUND,
}
"""By MAV_FRAME."""
FRAMES = "0 or 5 (above mean sea level), 3 or 6 (above home), 10 or 11 (above terrain)"


@dataclass(frozen=True)
class Item:
    """One mission item. Degrees are None, or both 0, where it has no place of its own.

    `frame` is a MAV_FRAME and matters only where there is a place, and only where `datum` does not
    say more; `speed_m_s` is that of a change of speed, negative for none.
    """

    name: str
    command: int
    lat_deg: float | None
    lon_deg: float | None
    height_m: float
    frame: int
    speed_m_s: float = -1.0
    datum: Datum | None = None


@dataclass(frozen=True)
class Home:
    """The place of take-off, WGS84."""

    lat_deg: float
    lon_deg: float


def route_of(
    source: str, items: Sequence[Item], home: Home, speed_m_s: float, terrain: Terrain
) -> Route:
    """The route of a mission that begins at `home` with `speed_m_s`.

    Raises:
        DataError: names source and item, and what was expected.
    """
    home_enu = terrain.place(home.lat_deg, home.lon_deg, f"{source}, home")
    here, height_m, datum = home_enu, math.nan, Datum.HOME
    stops: list[Stop] = []
    for item in items:
        where = f"{source}, {item.name}"
        if item.command == CHANGE_SPEED and item.speed_m_s > 0.0:
            speed_m_s = item.speed_m_s
        if not _is_place(item, where):
            continue
        if item.command == RETURN:
            here = home_enu
        else:
            here = _place(item, here, terrain, where)
            if item.command not in _NO_CLIMB:
                height_m, datum = item.height_m, _datum(item, where)
        if math.isfinite(height_m):
            stops.append(Stop(item.name, *here, height_m, datum, speed_m_s))
        if item.command == RETURN:
            break
    return lay(source, stops, terrain, home_enu)


def _is_place(item: Item, where: str) -> bool:
    if item.command in _PLACES or item.command == RETURN:
        return True
    if item.command <= _LAST_NAVIGATION or item.command in (_JUMP, _JUMP_TO_TAG):
        known = ", ".join(str(command) for command in sorted(_PLACES | {RETURN, CHANGE_SPEED}))
        raise DataError(
            f"{where}, command {item.command}: cannot be flown here; expected one of {known}"
        )
    return False


def _place(
    item: Item, here: tuple[float, float], terrain: Terrain, where: str
) -> tuple[float, float]:
    """As autopilots take it: without coordinates, or with 0 and 0, where the vehicle is."""
    if item.lat_deg is None or item.lon_deg is None or item.lat_deg == item.lon_deg == 0.0:
        return here
    if not (abs(item.lat_deg) <= 90.0 and abs(item.lon_deg) <= 180.0):
        raise DataError(
            f"{where}: expected a latitude and longitude in degrees,"
            f" found {item.lat_deg}, {item.lon_deg}"
        )
    return terrain.place(item.lat_deg, item.lon_deg, where)


def _datum(item: Item, where: str) -> Datum:
    datum = item.datum or _DATUMS.get(item.frame)
    if datum is None:
        raise DataError(f"{where}, frame {item.frame}: expected {FRAMES}")
    if not math.isfinite(item.height_m):
        raise DataError(f"{where}: expected an altitude in metres, found {item.height_m}")
    return datum
