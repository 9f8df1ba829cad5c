"""An ArduPilot log, `.bin` or `.log`, to a flight log. What rows mean is written in ArduPilot's
LogStructure.h; fields that changed their names are looked for under all of them.

Attitude is ATT, which the vehicle flew by; where it is absent the EKF's primary lane, and last the
backup in AHR2. Times are the autopilot's own, moved to UTC by the first-rate part of the GPS rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..assemble import POSITION_ACCURACY_M, Channels, assemble
from ..flight_log import FlightLog
from ..gnss import Flags
from ..series import Floats, Series, series
from .cameras import camera_events
from .columns import first, instances, stamps, utc_offset_ns
from .heights import height, home_height
from .receivers import doubt_of, receivers
from .rows import Rows, read_rows

_EKFS = (("XKF", "EKF3", "C"), ("NKF", "EKF2", "C"), ("EKF", "EKF1", ""))
"""Rows, name, and field of the lane; EKF2's lanes had tables of their own before it was a field."""
_KINDS = frozenset(
    [
        *("ATT", "POS", "GPS", "GPS2", "GPSB", "GPA", "GPA2", "AHR2", "TERR", "SIM", "CAM"),
        *("TRIG", "MNT", "RFND", "XKF1", "XKF4", "NKF1", "NKF4", "NKF6", "EKF1", "EKF4"),
        *("CTUN", "BARO"),
    ]
)
_EXTERNAL_NAVIGATION = 6.0
"""EK3_SRCn_POSXY that follows external vision."""


def read_dataflash(path: Path) -> FlightLog:
    """Everything of it that can be used.

    Raises:
        DataError: not a DataFlash log, or one without attitude, position and height.
    """
    rows = read_rows(path, _KINDS)
    found = Channels()
    if rows.damage:
        found.findings.append(f"damaged in {rows.damage} places; what can be read is used")
    if rows.is_cut:
        found.findings.append("ends in the middle of a row: cut off; what is there is used")
    offset_ns, clock, source = utc_offset_ns(rows)
    found.receivers = receivers(rows, offset_ns)
    _take_attitude(rows, offset_ns, found)
    _take_position(rows, offset_ns, found)
    found.height = height(rows, offset_ns, found.attitude)
    found.home_height = home_height(rows, offset_ns, found.attitude or found.position)
    found.gimbal = _gimbal(rows, offset_ns, found)
    found.camera_events = camera_events(rows, offset_ns)
    _take_simulated(rows, offset_ns, found)
    _tell_feeds(rows, found.findings)
    return assemble(path, "dataflash", clock, source, found)


def _take_attitude(rows: Rows, offset_ns: int, found: Channels) -> None:
    for columns, source in (
        (rows.of("ATT"), f"ATT, which the vehicle flew by{_flown_by(rows)}"),
        *((lane, name) for lane, name in [_primary(rows)] if lane),
        (rows.of("AHR2"), "AHR2, the backup attitude"),
    ):
        if {"Roll", "Pitch", "Yaw"} <= columns.keys():
            angles = [columns[name] for name in ("Roll", "Pitch", "Yaw")]
            found.attitude = series(stamps(columns, offset_ns), angles, source, found.findings)
            if found.attitude is not None:
                return


def _flown_by(rows: Rows) -> str:
    used = first(rows.of("ATT"), "AEKF")
    kind = float(np.median(used)) if used is not None else rows.parameter("AHRS_EKF_TYPE")
    return {0.0: " (DCM)", 2.0: " (EKF2)", 3.0: " (EKF3)"}.get(
        kind if kind is not None else -1.0, ""
    )


def _primary(rows: Rows) -> tuple[Mapping[str, Floats], str]:
    """Attitude, velocity and position rows of the EKF's primary lane, and their name."""
    for prefix, name, field in _EKFS:
        lanes = dict(instances(rows.of(f"{prefix}1"), field))
        if prefix == "NKF" and rows.of("NKF6"):
            lanes[1] = rows.of("NKF6")
        if not lanes:
            continue
        chosen = first(rows.of(f"{prefix}4"), "PI")
        number = (
            int(np.nanmedian(chosen)) if chosen is not None and np.isfinite(chosen).any() else 0
        )
        lane = number if number in lanes else min(lanes)
        told = f", lane {lane} of {len(lanes)}" if len(lanes) > 1 else ""
        return lanes[lane], f"{prefix}1 ({name}{told})"
    return {}, ""


def _take_position(rows: Rows, offset_ns: int, found: Channels) -> None:
    lane, name = _primary(rows)
    where = rows.of("POS")
    if {"Lat", "Lng"} <= where.keys():
        times_ns = stamps(where, offset_ns)
        accuracy = np.where(_exists(where), POSITION_ACCURACY_M, np.nan)
        columns = [where["Lat"], where["Lng"], accuracy]
        source = f"POS, the autopilot's own{f' by {name}' if name else ''}"
        found.position = series(times_ns, columns, source, found.findings)
        if "Alt" in where:
            source = "POS.Alt, metres above mean sea level"
            found.altitude = series(times_ns, [where["Alt"]], source, found.findings)
    if {"VN", "VE"} <= lane.keys():
        # a filter that does not navigate yet stands still to the last bit
        navigates = (lane["VN"] != 0.0) | (lane["VE"] != 0.0)
        velocity = [np.where(navigates, lane[name], np.nan) for name in ("VN", "VE")]
        found.velocity = series(stamps(lane, offset_ns), velocity, name, found.findings)
    found.test_ratio = _test_ratio(rows, offset_ns)
    if found.velocity is None:
        found.velocity = _gps_velocity(rows, offset_ns, found.findings)


def _test_ratio(rows: Rows, offset_ns: int) -> Series | None:
    """The filter's own test of the positions it is sent, of the first lane that tells it."""
    for prefix, _, field in _EKFS:
        for _, columns in instances(rows.of(f"{prefix}4"), field):
            if "SP" in columns:
                return series(stamps(columns, offset_ns), [columns["SP"]], f"{prefix}4.SP", [])
    return None


def _exists(columns: Mapping[str, Floats]) -> Flags:
    return np.asarray((columns["Lat"] != 0.0) | (columns["Lng"] != 0.0))


def _gps_velocity(rows: Rows, offset_ns: int, findings: list[str]) -> Series | None:
    for number, columns in instances(rows.of("GPS")):
        if {"Spd", "GCrs", "Status"} <= columns.keys() and not doubt_of(number, rows):
            course = np.radians(columns["GCrs"])
            speed = np.where(columns["Status"] >= 3, columns["Spd"], np.nan)
            velocity = [speed * np.cos(course), speed * np.sin(course)]
            source = f"GPS {number}, speed and course"
            return series(stamps(columns, offset_ns), velocity, source, findings)
    return None


def _gimbal(rows: Rows, offset_ns: int, found: Channels) -> Series | None:
    """MNT of 4.3 and later; its yaw is against the earth, or the vehicle where that is not told."""
    columns = dict(instances(rows.of("MNT"))).get(0, {})
    if not {"Roll", "Pitch", "YawE", "YawB"} <= columns.keys():
        return None
    times_ns = stamps(columns, offset_ns)
    heading = columns["YawE"]
    if found.attitude is not None:
        vehicle = found.attitude.at(times_ns, turning=True)[:, 2]
        heading = np.where(np.isfinite(heading), heading, vehicle + columns["YawB"])
    angles: Sequence[Floats] = [columns["Roll"], columns["Pitch"], heading]
    return series(times_ns, angles, "MNT, against the earth", found.findings)


def _take_simulated(rows: Rows, offset_ns: int, found: Channels) -> None:
    columns = rows.of("SIM")
    if {"Lat", "Lng"} <= columns.keys():
        where = [columns["Lat"], columns["Lng"]]
        found.simulated = series(stamps(columns, offset_ns), where, "SIM", found.findings)
        found.is_simulated = True
        found.findings.append("simulated: the autopilot ran in SITL")


def _tell_feeds(rows: Rows, findings: list[str]) -> None:
    """Positions of the autopilot's own that follow what it was sent from outside."""
    names = [f"EK3_SRC{number}_POSXY" for number in (1, 2, 3)]
    sources = [name for name in names if rows.had(name, _EXTERNAL_NAVIGATION)]
    if sources:
        name, verb = sources[0], rows.had(sources[0], _EXTERNAL_NAVIGATION)
        findings.append(
            f"{name} {verb} 6: the autopilot's position may follow external vision, as ours; it"
            " is its belief here, never truth"
        )
