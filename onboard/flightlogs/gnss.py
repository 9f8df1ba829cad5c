"""Receivers of a log: which positions may be called truth, and how good they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .flight_log import Receiver
from .series import Floats, Times, in_order, rate_hz
from .truth_csv import Track

Flags = npt.NDArray[np.bool_]

FIX_3D = 3
MAX_SPEED_M_S = 300.0
"""A row that asks for more on both sides is no position of an aircraft that this is for."""
M_PER_DEG = 111_320.0
STATIONARY_M = 10.0
AXIS = 1.0 / np.sqrt(2.0)
"""Of the accuracy of a position, which receivers and filters state for both axes together."""


@dataclass(frozen=True)
class Solutions:
    """[N] rows of one receiver, as logged; `doubt` says why they are no truth.

    `fix_type` counts as MAVLink's GPS_FIX_TYPE; `horiz_accuracy_m` is 1-sigma per axis. Missing
    figures are NaN.
    """

    name: str
    times_ns: Times
    fix_type: Floats
    lat_deg: Floats
    lon_deg: Floats
    alt_amsl_m: Floats
    satellites: Floats
    hdop: Floats
    horiz_accuracy_m: Floats
    doubt: str = ""


@dataclass(frozen=True)
class Known:
    """What is left of a receiver: rows with a fix, in order, and its figures."""

    receiver: Receiver
    times_ns: Times
    lat_deg: Floats
    lon_deg: Floats
    horiz_accuracy_m: Floats
    alt_amsl_m: Floats


def known(solutions: Solutions, findings: list[str]) -> Known:
    """Rows with a 3D fix at a place that exists, without jumps; the rest is counted aloud."""
    name = solutions.name
    fixed = (solutions.fix_type >= FIX_3D) & _exists(solutions.lat_deg, solutions.lon_deg)
    rows = np.flatnonzero(fixed)
    without = len(fixed) - len(rows)
    if without:
        wander = _reach_m(solutions.lat_deg[~fixed], solutions.lon_deg[~fixed])
        told = f", which wander over {wander:.0f} m" if wander >= 1.0 else ""
        findings.append(
            f"{name}: {without} of {len(fixed)} rows without a 3D fix{told}; these are no truth"
        )
    if len(rows):
        rows = rows[in_order(solutions.times_ns[rows], name, findings)]
    leaps = _leaps(solutions.times_ns[rows], solutions.lat_deg[rows], solutions.lon_deg[rows])
    if leaps.any():
        findings.append(
            f"{name}: {leaps.sum()} rows jump faster than {MAX_SPEED_M_S:g} m/s; left out"
        )
        rows = rows[~leaps]
    if solutions.doubt:
        findings.append(f"{name}: {solutions.doubt}; its positions are no truth")
    times_ns = solutions.times_ns[rows]
    receiver = Receiver(
        name,
        len(fixed),
        len(rows),
        rate_hz(times_ns),
        _median(solutions.satellites[rows]),
        _median(solutions.hdop[rows]),
        _median(solutions.horiz_accuracy_m[rows]),
        solutions.doubt,
    )
    return Known(
        receiver,
        times_ns,
        solutions.lat_deg[rows],
        solutions.lon_deg[rows],
        solutions.horiz_accuracy_m[rows],
        solutions.alt_amsl_m[rows],
    )


def best(receivers: Sequence[Known]) -> Known | None:
    """The one that may be called truth for longest; of equals the one logged first."""
    sound = [each for each in receivers if not each.receiver.doubt and len(each.times_ns)]
    return max(sound, key=lambda each: each.receiver.rows_with_fix, default=None)


def track(times_ns: Times, lat_deg: Floats, lon_deg: Floats, max_gap_ns: int) -> Track:
    """As the replay reads it."""
    silent_after = np.flatnonzero(np.diff(times_ns) > max_gap_ns)
    return Track(
        tuple(times_ns.tolist()),
        tuple(lat_deg.tolist()),
        tuple(lon_deg.tolist()),
        frozenset(silent_after.tolist()),
    )


def reach_m(where: Track) -> float:
    """The farthest that it gets from its own middle."""
    return _reach_m(np.array(where.lat_deg), np.array(where.lon_deg))


def length_m(where: Track) -> float:
    """Along the rows."""
    return float(np.sum(_steps_m(np.array(where.lat_deg), np.array(where.lon_deg))))


def _exists(lat_deg: Floats, lon_deg: Floats) -> Flags:
    inside = (np.abs(lat_deg) <= 90.0) & (np.abs(lon_deg) <= 180.0)
    return np.asarray(inside & ~((lat_deg == 0.0) & (lon_deg == 0.0)))


def _steps_m(lat_deg: Floats, lon_deg: Floats) -> Floats:
    north_m = np.diff(lat_deg) * M_PER_DEG
    turn = (np.diff(lon_deg) + 180.0) % 360.0 - 180.0
    east_m = turn * M_PER_DEG * np.cos(np.radians(lat_deg[1:]))
    return np.asarray(np.hypot(north_m, east_m), np.float64)


def _reach_m(lat_deg: Floats, lon_deg: Floats) -> float:
    there = np.isfinite(lat_deg) & np.isfinite(lon_deg) & _exists(lat_deg, lon_deg)
    if not there.any():
        return 0.0
    lat, lon = lat_deg[there], lon_deg[there]
    middle_lat, middle_lon = float(np.median(lat)), float(np.median(lon))
    east = (lon - middle_lon) * np.cos(np.radians(middle_lat))
    return float(np.hypot(lat - middle_lat, east).max() * M_PER_DEG)


def _leaps(times_ns: Times, lat_deg: Floats, lon_deg: Floats) -> Flags:
    """Rows too far from both neighbours; the first and the last have one."""
    if len(times_ns) < 3:
        return np.zeros(len(times_ns), bool)
    too_fast = _steps_m(lat_deg, lon_deg) / (np.diff(times_ns) / 1e9) > MAX_SPEED_M_S
    found: Flags = np.append(too_fast, too_fast[-1]) & np.insert(too_fast, 0, too_fast[0])
    found[0] &= not too_fast[1]
    found[-1] &= not too_fast[-2]
    return found


def _median(values: Floats) -> float | None:
    stated = values[np.isfinite(values)]
    return float(np.median(stated)) if len(stated) else None
