"""MAVLink messages of one autopilot to channels; their meaning is that of MAVLink's common.xml.

Positions of a receiver that GPS_INPUT or HIL_GPS feeds are found and kept from being truth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...mavlink.height import is_measured
from ..angles import counts_from_vehicle, euler_deg
from ..assemble import POSITION_ACCURACY_M, Channels
from ..flight_log import CameraEvent
from ..gnss import AXIS, Solutions
from ..heights import ABOVE_HOME, above_ground, upright
from ..series import Floats, Series, series
from .boot_clock import BootClock
from .feeds import POSITIONS_SENT, doubt_of, outside_positions
from .messages import Heard
from .spoken import Spoken, by_kind, cells, clock_of, made_ns, times_of

KINDS = frozenset(
    [
        *("HEARTBEAT", "SYSTEM_TIME", "ATTITUDE", "ATTITUDE_QUATERNION"),
        *("GLOBAL_POSITION_INT", "GPS_RAW_INT", "GPS2_RAW", "TERRAIN_REPORT"),
        *("DISTANCE_SENSOR", "EKF_STATUS_REPORT", "ESTIMATOR_STATUS", "SIMSTATE"),
        *("SIM_STATE", "CAMERA_FEEDBACK", "CAMERA_TRIGGER", "CAMERA_IMAGE_CAPTURED"),
        *("GIMBAL_DEVICE_ATTITUDE_STATUS", "MOUNT_ORIENTATION", "PARAM_VALUE", "GPS_INPUT"),
        *("HIL_GPS",),
        *POSITIONS_SENT,
    ]
)
_LOOKS_DOWN = 25
_UNKNOWN_16, _UNKNOWN_8 = 65535, 255
_Q = ("q1", "q2", "q3", "q4")
_MOUNT = ("roll", "pitch", "yaw_absolute")


def channels_of(heard: Sequence[Heard], system: int) -> Channels:
    """What the autopilot of `system` told, at the times at which it was so."""
    found = Channels()
    clock = clock_of(heard, system, found.findings)
    kinds = by_kind(heard, system, clock)
    _take_attitude(kinds, found)
    _take_position(kinds, found)
    _take_gimbal(kinds, found)
    _take_tests(kinds, found)
    found.receivers = [
        _solutions(name, kinds[kind], doubt_of(number, heard, system))
        for number, kind, name in ((0, "GPS_RAW_INT", "GPS 0"), (1, "GPS2_RAW", "GPS 1"))
        if kinds.get(kind)
    ]
    found.findings += outside_positions(heard, system)
    found.camera_events = _camera_events(heard, system, clock)
    _take_simulated(kinds, found)
    return found


def _take_attitude(kinds: dict[str, Spoken], found: Channels) -> None:
    spoken = kinds.get("ATTITUDE", [])
    if spoken:
        angles = [np.degrees(cells(spoken, name)) for name in ("roll", "pitch", "yaw")]
        found.attitude = series(times_of(spoken), angles, "ATTITUDE", found.findings)
        return
    spoken = kinds.get("ATTITUDE_QUATERNION", [])
    if spoken:
        angles = list(euler_deg(np.column_stack([cells(spoken, name) for name in _Q])).T)
        found.attitude = series(times_of(spoken), angles, "ATTITUDE_QUATERNION", found.findings)


def _take_position(kinds: dict[str, Spoken], found: Channels) -> None:
    spoken = [
        (t_ns, message)
        for t_ns, message in kinds.get("GLOBAL_POSITION_INT", [])
        if message.lat or message.lon
    ]
    if spoken:
        times_ns, name, findings = times_of(spoken), "GLOBAL_POSITION_INT", found.findings
        where = [cells(spoken, "lat", 1e7), cells(spoken, "lon", 1e7)]
        accuracy = np.full(len(spoken), POSITION_ACCURACY_M)
        found.position = series(times_ns, [*where, accuracy], f"{name}, by its EKF", findings)
        found.velocity = series(
            times_ns,
            [cells(spoken, "vx", 1e2), cells(spoken, "vy", 1e2)],
            f"{name}.vx, vy",
            [],
        )
        source = f"{name}.alt, metres above mean sea level"
        found.altitude = _series(spoken, "alt", 1e3, source)
    found.height = _height(kinds, found)
    source = f"GLOBAL_POSITION_INT.relative_alt, {ABOVE_HOME}"
    found.home_height = _series(kinds.get("GLOBAL_POSITION_INT", []), "relative_alt", 1e3, source)


def _height(kinds: dict[str, Spoken], found: Channels) -> Series | None:
    """By a rangefinder that looks down, by the autopilot's terrain."""
    ranges = [
        (t_ns, message)
        for t_ns, message in kinds.get("DISTANCE_SENSOR", [])
        if message.orientation == _LOOKS_DOWN and is_measured(message)
    ]
    known = [(t_ns, m) for t_ns, m in kinds.get("TERRAIN_REPORT", []) if m.spacing]
    measured = _series(ranges, "current_distance", 1e2, "DISTANCE_SENSOR.current_distance")
    terrain = "TERRAIN_REPORT.current_height, above the autopilot's terrain"
    return above_ground(
        upright(measured, found.attitude), _series(known, "current_height", 1.0, terrain)
    )


def _series(spoken: Spoken, field: str, scale: float, source: str) -> Series | None:
    return series(times_of(spoken), [cells(spoken, field, scale)], source, [])


def _solutions(name: str, spoken: Spoken, doubt: str) -> Solutions:
    def stated(field: str, scale: float, unknown: int) -> Floats:
        raw = cells(spoken, field)
        return np.where((raw == unknown) | (raw == 0), np.nan, raw / scale)

    return Solutions(
        name,
        times_of(spoken),
        cells(spoken, "fix_type"),
        cells(spoken, "lat", 1e7),
        cells(spoken, "lon", 1e7),
        cells(spoken, "alt", 1e3),
        stated("satellites_visible", 1.0, _UNKNOWN_8),
        stated("eph", 1e2, _UNKNOWN_16),
        stated("h_acc", 1e3, 0) * AXIS,
        doubt,
    )


def _take_gimbal(kinds: dict[str, Spoken], found: Channels) -> None:
    spoken = kinds.get("GIMBAL_DEVICE_ATTITUDE_STATUS", [])
    if spoken:
        angles = euler_deg(np.array([message.q for _, message in spoken], np.float64))
        if found.attitude is not None:
            flags = np.array([message.flags for _, message in spoken], np.int64)
            vehicle = found.attitude.at(times_of(spoken), turning=True)[:, 2]
            angles[:, 2] += np.where(counts_from_vehicle(flags), vehicle, 0.0)
        source = "GIMBAL_DEVICE_ATTITUDE_STATUS"
        found.gimbal = series(times_of(spoken), list(angles.T), source, found.findings)
        return
    spoken = kinds.get("MOUNT_ORIENTATION", [])
    if spoken:
        columns = [cells(spoken, name) for name in _MOUNT]
        found.gimbal = series(times_of(spoken), columns, "MOUNT_ORIENTATION", found.findings)


def _take_tests(kinds: dict[str, Spoken], found: Channels) -> None:
    for kind, name in (
        ("EKF_STATUS_REPORT", "pos_horiz_variance"),
        ("ESTIMATOR_STATUS", "pos_horiz_ratio"),
    ):
        spoken = kinds.get(kind, [])
        if spoken:
            found.test_ratio = _series(spoken, name, 1.0, f"{kind}.{name}")
            return


def _camera_events(heard: Sequence[Heard], system: int, clock: BootClock) -> list[CameraEvent]:
    """Of the kind that tells most: a felt shutter before one that was asked to open."""
    found: dict[str, list[CameraEvent]] = {}
    for each in heard:
        kind, message = each.message.get_type(), each.message
        if message.get_srcSystem() != system or kind not in _PICTURES:
            continue
        number = getattr(message, _PICTURES[kind])
        event = CameraEvent(made_ns(each, clock), kind, number, kind != "CAMERA_TRIGGER")
        found.setdefault(kind, []).append(event)
    return next((found[kind] for kind in _PICTURES if kind in found), [])


_PICTURES = {
    "CAMERA_FEEDBACK": "img_idx",
    "CAMERA_IMAGE_CAPTURED": "image_index",
    "CAMERA_TRIGGER": "seq",
}


def _take_simulated(kinds: dict[str, Spoken], found: Channels) -> None:
    for kind, lon in (("SIMSTATE", "lng"), ("SIM_STATE", "lon")):
        spoken = kinds.get(kind, [])
        if not spoken:
            continue
        # SIM_STATE told degrees as floats before it told them as integers
        exact = hasattr(spoken[0][1], "lat_int") and any(message.lat_int for _, message in spoken)
        lat_name, lon_name = ("lat_int", "lon_int") if exact else ("lat", lon)
        scale = 1.0 if kind == "SIM_STATE" and not exact else 1e7
        where = [cells(spoken, name, scale) for name in (lat_name, lon_name)]
        found.simulated = series(times_of(spoken), where, kind, found.findings)
        found.is_simulated = True
        found.findings.append("simulated: the autopilot ran in SITL")
        return
