"""Heights of a DataFlash log, the best for a camera first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..heights import ABOVE_HOME, above_ground, height_of, upright
from ..series import Series, series
from .columns import instances, stamps
from .rows import Rows

_DOWN, _IN_RANGE, _TERRAIN_KNOWN = 25.0, 4.0, 2.0
_ABOVE = (
    ("POS", "RelHomeAlt", ABOVE_HOME),
    ("GPS", "RelAlt", ABOVE_HOME),
    ("CTUN", "Alt", "above take-off: above the ground where that is level"),
    ("BARO", "Alt", "by pressure since start: above the ground where that is level"),
)


def height(rows: Rows, offset_ns: int, attitude: Series | None) -> Series | None:
    """Above the ground: by a rangefinder that looks down, by the autopilot's terrain."""
    return above_ground(upright(_ranges(rows, offset_ns), attitude), _terrain(rows, offset_ns))


def home_height(rows: Rows, offset_ns: int, during: Series | None) -> Series | None:
    """Above where it took off; `during` has rows for as long as the flight lasts."""
    return height_of(list(_above_home(rows, offset_ns)), during)


def _ranges(rows: Rows, offset_ns: int) -> Series | None:
    for _, columns in instances(rows.of("RFND"), "Instance"):
        if {"Dist", "Stat", "Orient"} <= columns.keys():
            good = (columns["Stat"] == _IN_RANGE) & (columns["Orient"] == _DOWN)
            distances = [np.where(good, columns["Dist"], np.nan)]
            found = series(stamps(columns, offset_ns), distances, "RFND.Dist", [])
            if found is not None:
                return found
    return None


def _terrain(rows: Rows, offset_ns: int) -> Series | None:
    columns = rows.of("TERR")
    if not {"Status", "CHeight"} <= columns.keys():
        return None
    heights = [np.where(columns["Status"] == _TERRAIN_KNOWN, columns["CHeight"], np.nan)]
    source = "TERR.CHeight, above the autopilot's terrain"
    return series(stamps(columns, offset_ns), heights, source, [])


def _above_home(rows: Rows, offset_ns: int) -> Iterator[Series | None]:
    for kind, name, meaning in _ABOVE:
        columns = dict(instances(rows.of(kind))).get(0, rows.of(kind))
        if name in columns:
            source = f"{kind}.{name}, {meaning}"
            yield series(stamps(columns, offset_ns), [columns[name]], source, [])
