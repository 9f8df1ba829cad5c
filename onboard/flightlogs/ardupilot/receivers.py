"""Receivers of a DataFlash log, and which of them something else than satellites feeds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..gnss import AXIS, Solutions
from ..series import Floats, series
from .columns import first, instances, stamps
from .rows import Rows

_INJECTED = 14.0
"""GPSn_TYPE of a receiver that GPS_INPUT feeds."""
_TYPES = (("GPS1_TYPE", "GPS_TYPE"), ("GPS2_TYPE", "GPS_TYPE2"))
"""Parameters that tell what a receiver is, of each; their names changed with ArduPilot 4.6."""


def receivers(rows: Rows, offset_ns: int) -> list[Solutions]:
    """By number; before 4.0 the second had rows of its own name, and a blend too."""
    gps = instances(rows.of("GPS"))
    gps += [(1, columns) for columns in [rows.of("GPS2")] if columns]
    gps += [(2, columns) for columns in [rows.of("GPSB")] if columns]
    accuracies = dict(instances(rows.of("GPA")))
    accuracies |= {1: rows.of("GPA2")} if rows.of("GPA2") else {}
    return [_solutions(n, columns, accuracies.get(n), rows, offset_ns) for n, columns in gps]


def _solutions(
    number: int,
    columns: Mapping[str, Floats],
    accuracies: Mapping[str, Floats] | None,
    rows: Rows,
    offset_ns: int,
) -> Solutions:
    times_ns = stamps(columns, offset_ns)
    nothing = np.full(len(times_ns), np.nan)
    accuracy = nothing
    if accuracies and "HAcc" in accuracies:
        found = series(stamps(accuracies, offset_ns), [accuracies["HAcc"] * AXIS], "GPA", [])
        accuracy = nothing if found is None else found.at(times_ns)[:, 0]

    def cells(*names: str) -> Floats:
        column = first(columns, *names)
        return nothing if column is None else column

    return Solutions(
        f"GPS {number}",
        times_ns,
        cells("Status"),
        cells("Lat"),
        cells("Lng"),
        cells("Alt"),
        cells("NSats"),
        cells("HDop"),
        accuracy,
        doubt_of(number, rows),
    )


def doubt_of(number: int, rows: Rows) -> str:
    """Why positions of a receiver are no truth, or nothing.

    A parameter that was changed counts by all its values: which one the receiver was started with
    is not told.
    """
    injected = {n: name for n in (0, 1) for name in _TYPES[n] if rows.had(name, _INJECTED)}
    if number in injected:
        name = injected[number]
        verb = rows.had(name, _INJECTED)
        return f"{name} {verb} 14: it {verb} fed by GPS_INPUT, as by us"
    if number >= 2 and injected:
        return f"a blend with GPS {min(injected)}, which GPS_INPUT feeds"
    return ""
