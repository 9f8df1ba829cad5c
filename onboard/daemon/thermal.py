"""How far the computer is from the temperature at which it slows itself down."""

from __future__ import annotations

import math
from pathlib import Path

ZONES = Path("/sys/class/thermal")
TRIPS = frozenset({"passive", "hot", "critical"})
MILLI = 1000.0
HOT_MARGIN_C = 5.0


class Thermometer:
    """The zones of sysfs, each with its own trip points, which differ from board to board."""

    def __init__(self, zones: Path = ZONES) -> None:
        self._limits_c = {
            zone / "temp": limit_c
            for zone in sorted(zones.glob("thermal_zone*"))
            if math.isfinite(limit_c := _lowest_trip_c(zone))
        }

    def margin_c(self) -> float | None:
        """Degrees to the nearest trip point; None where no zone can be read."""
        margins = [
            limit_c - found
            for path, limit_c in self._limits_c.items()
            if (found := _read_c(path)) is not None
        ]
        return min(margins, default=None)

    def hottest_c(self) -> float | None:
        """Of the zones that have a trip point."""
        found = (_read_c(path) for path in self._limits_c)
        return max((each for each in found if each is not None), default=None)


def _lowest_trip_c(zone: Path) -> float:
    limits = [math.inf]
    for kind in zone.glob("trip_point_*_type"):
        try:
            is_trip = kind.read_text().strip() in TRIPS
        except OSError:
            continue
        limit_c = _read_c(kind.with_name(kind.name.replace("_type", "_temp")))
        if is_trip and limit_c is not None and limit_c > 0.0:
            limits.append(limit_c)
    return min(limits)


def _read_c(path: Path) -> float | None:
    try:
        return int(path.read_text()) / MILLI
    except (OSError, ValueError):
        return None
