"""QGroundControl's `.plan` files (JSON, plan version 1, mission versions 1 and 2).

Simple items, and the complex ones that hold the simple items they stand for (surveys, corridor
scans, structure scans) or an approach to a landing. Their altitudes: AltitudeMode 1 above home,
2 above mean sea level, 3 above the terrain at the place, 4 above terrain all the way; without it,
by the item's frame.
https://docs.qgroundcontrol.com/master/en/qgc-dev-guide/file_formats/plan.html
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import DataError
from .mission import CHANGE_SPEED, Home, Item, route_of
from .route import Datum, Route
from .terrain import Terrain

_WAYPOINT, _SEA_FRAME, _NO_FRAME, _HOME_FRAME = 16, 0, 2, 3
_DATUM_OF_MODE = {1: Datum.HOME, 2: Datum.AMSL, 3: Datum.GROUND_THERE, 4: Datum.GROUND}
_FIXED_WING = 1
_LARGEST = 1e9
"""No angle, height or speed of a plan is larger."""


def read_plan(path: Path, terrain: Terrain, speed_m_s: float | None = None) -> Route:
    """The route of a plan, at its own speeds where `speed_m_s` is not given.

    Raises:
        DataError: names the file, the item and the key, and what was expected.
    """
    plan = _object(_parse(path), f"{path}")
    if plan.get("fileType") != "Plan":
        raise DataError(f"{path}, fileType: expected 'Plan', found {plan.get('fileType')!r}")
    mission = _object(plan.get("mission"), f"{path}, mission")
    if mission.get("version") not in (1, 2):
        raise DataError(f"{path}, mission.version: expected 1 or 2, found {mission.get('version')}")
    entries = mission.get("items")
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path}, mission.items: expected a list of at least one item")
    home = _home(mission, f"{path}, mission.plannedHomePosition")
    items = [
        item
        for number, entry in enumerate(entries, start=1)
        for item in _items(entry, f"item {number}", path)
    ]
    return route_of(str(path), items, home, speed_m_s or _speed(mission, path), terrain)


def _parse(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}") from None


def _home(mission: Mapping[str, Any], where: str) -> Home:
    planned = mission.get("plannedHomePosition")
    if isinstance(planned, dict):  # mission version 1
        planned = planned.get("coordinate")
    lat_deg, lon_deg = _numbers(planned, where, 2, "[latitude, longitude, altitude]")
    if not (abs(lat_deg) <= 90.0 and abs(lon_deg) <= 180.0):
        raise DataError(f"{where}: expected degrees, found {lat_deg}, {lon_deg}")
    return Home(lat_deg, lon_deg)


def _speed(mission: Mapping[str, Any], path: Path) -> float:
    """A fixed wing cruises, what can hover has a speed for it."""
    name = "cruiseSpeed" if mission.get("vehicleType") == _FIXED_WING else "hoverSpeed"
    speed_m_s = _number(mission.get(name), f"{path}, mission.{name}")
    if not speed_m_s > 0.0:
        raise DataError(f"{path}, mission.{name}: expected more than 0 m/s, found {speed_m_s}")
    return speed_m_s


def _items(entry: Any, name: str, path: Path) -> Iterator[Item]:
    """The simple items that an entry of the list is or holds."""
    where = f"{path}, {name}"
    content = _object(entry, where)
    kind = content.get("type")
    if kind in ("SimpleItem", "missionItem"):
        yield _simple(content, name, where)
    elif kind == "ComplexItem":
        yield from _complex(content, name, path)
    else:
        raise DataError(f"{where}, type: expected SimpleItem or ComplexItem, found {kind!r}")


def _simple(content: Mapping[str, Any], name: str, where: str) -> Item:
    command = _whole(content.get("command"), f"{where}, command")
    params = _params(content, where)
    if command == CHANGE_SPEED:
        speed_m_s = -1.0 if params[1] is None else _number(params[1], f"{where}, params[1]")
        return Item(name, command, None, None, math.nan, 0, speed_m_s)
    lat_deg, lon_deg = (
        None if params[at] is None else _number(params[at], f"{where}, params[{at}]")
        for at in (4, 5)
    )
    mode, height = content.get("AltitudeMode"), params[6]
    datum = _DATUM_OF_MODE.get(mode) if isinstance(mode, int) else None
    if datum is not None and content.get("Altitude") is not None:
        height = _number(content["Altitude"], f"{where}, Altitude")
    frame = _whole(content.get("frame", _NO_FRAME), f"{where}, frame")
    height_m = math.nan if height is None else _number(height, f"{where}, params[6]")
    return Item(name, command, lat_deg, lon_deg, height_m, frame, datum=datum)


def _params(content: Mapping[str, Any], where: str) -> list[Any]:
    """Seven parameters; mission version 1 keeps four of them and a coordinate."""
    params = content.get("params")
    if "coordinate" in content:
        place = _numbers(content["coordinate"], f"{where}, coordinate", 3, "[lat, lon, altitude]")
        first = [content.get(f"param{number}") for number in range(1, 5)]
        params = (params if isinstance(params, list) else first)[:4] + place
    if not isinstance(params, list) or len(params) != 7:
        raise DataError(f"{where}, params: expected a list of 7 numbers")
    return params


def _complex(content: Mapping[str, Any], name: str, path: Path) -> Iterator[Item]:
    kind = content.get("complexItemType")
    where = f"{path}, {name} ({kind})"
    approach = content.get("landingApproachCoordinate")
    if approach is not None:
        lat_deg, lon_deg, height_m = _numbers(
            approach, f"{where}, landingApproachCoordinate", 3, "[latitude, longitude, altitude]"
        )
        frame = _HOME_FRAME if content.get("altitudesAreRelative", True) else _SEA_FRAME
        yield Item(f"{name} (approach)", _WAYPOINT, lat_deg, lon_deg, height_m, frame)
        return
    transects = content.get("TransectStyleComplexItem", content)
    held = transects.get("Items") if isinstance(transects, dict) else None
    if not isinstance(held, list) or not held:
        raise DataError(
            f"{where}: expected TransectStyleComplexItem.Items, the flight of the pattern;"
            " save the plan again in QGroundControl 4 or newer"
        )
    for number, entry in enumerate(held, start=1):
        yield from _items(entry, f"{name} ({kind}), part {number}", path)


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected a JSON object")
    return value


def _number(value: Any, where: str) -> float:
    sound = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (sound and abs(value) <= _LARGEST):  # whole numbers may be too large for a float
        raise DataError(f"{where}: expected a number, found {str(value)[:40]!r}")
    return float(value)


def _whole(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataError(f"{where}: expected a whole number, found {value!r}")
    return value


def _numbers(value: Any, where: str, count: int, expected: str) -> list[float]:
    if not isinstance(value, list) or len(value) < count:
        raise DataError(f"{where}: expected {expected}")
    return [_number(part, where) for part in value[:count]]
