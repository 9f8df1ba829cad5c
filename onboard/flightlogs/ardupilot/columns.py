"""Columns of a DataFlash log: their times, their names in every version, their instances."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .. import gps_time
from ..flight_log import Clock
from ..series import Floats, Times
from .rows import Rows


def _boot_ns(columns: Mapping[str, Floats]) -> Floats | None:
    """[N] nanoseconds since the autopilot started, NaN where a row does not say: TimeUS, or before
    2015 TimeMS, which in GPS rows of that time is the receiver's and T the autopilot's."""
    for name, scale in (("TimeUS", 1e3), ("T", 1e6), ("TimeMS", 1e6)):
        if name in columns:
            return np.asarray(columns[name] * scale, np.float64)
    return None


def stamps(columns: Mapping[str, Floats], offset_ns: int) -> Times:
    """[N] times of rows; those without one lie before all others."""
    boot_ns = _boot_ns(columns)
    count = len(next(iter(columns.values()), ()))
    if boot_ns is None:
        return np.full(count, offset_ns - 1, np.int64)
    sound = np.isfinite(boot_ns) & (np.abs(boot_ns) < 1e18)
    return np.where(sound, boot_ns, -1.0).astype(np.int64) + offset_ns


def utc_offset_ns(rows: Rows) -> tuple[int, Clock, str]:
    """From the autopilot's time to UTC, by the median of all GPS rows that tell both."""
    for kind in ("GPS", "GPS2"):
        columns = rows.of(kind)
        boot_ns = _boot_ns(columns)
        week, millis = first(columns, "GWk", "Week"), first(columns, "GMS", "TimeMS")
        if boot_ns is None or week is None or millis is None:
            continue
        utc_ns = gps_time.utc_ns(week, millis)
        sound = (utc_ns >= 0) & np.isfinite(boot_ns) & (np.abs(boot_ns) < 1e18)
        if sound.any():
            offset_ns = int(np.median(utc_ns[sound] - boot_ns[sound].astype(np.int64)))
            leaps = gps_time.leap_seconds(float(np.median(utc_ns[sound])) / 1e9)
            source = f"UTC by {kind} week and milliseconds less {leaps} leap seconds"
            return offset_ns, Clock.UTC, source
    return 0, Clock.BOOT, "since the autopilot started: no GPS row tells the time of day"


def first(columns: Mapping[str, Floats], *names: str) -> Floats | None:
    """The first field that a type of row has."""
    return next((columns[name] for name in names if name in columns), None)


def instances(
    columns: Mapping[str, Floats], field: str = "I"
) -> list[tuple[int, Mapping[str, Floats]]]:
    """Rows of one type by receiver or lane; all are 0 where the type does not say."""
    if not columns:
        return []
    if field not in columns:
        return [(0, columns)]
    numbers = columns[field]
    return [
        (int(number), {name: cells[numbers == number] for name, cells in columns.items()})
        for number in np.unique(numbers[np.isfinite(numbers)])
    ]
