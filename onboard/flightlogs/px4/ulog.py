"""A PX4 log, `.ulg`, to a flight log. What fields mean is written in PX4's message definitions;
those that changed their names and units are looked for under all of them.

Times count from the start of the autopilot, in simulations from 1970; a receiver's UTC moves them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...geodesy import LocalFrame
from ..angles import counts_from_vehicle, euler_deg
from ..assemble import Channels, assemble
from ..flight_log import CameraEvent, Clock, FlightLog
from ..gnss import AXIS, Solutions
from ..heights import ABOVE_HOME, above_ground, height_of
from ..series import Floats, Series, Times, series
from .topics import Topic, Topics, read_topics

_TOPICS = [
    *("vehicle_attitude", "vehicle_global_position", "vehicle_local_position"),
    *("vehicle_gps_position", "sensor_gps", "estimator_status", "home_position"),
    *("camera_capture", "camera_trigger"),
    *("gimbal_device_attitude_status", "vehicle_global_position_groundtruth"),
    *("aux_global_position", "vehicle_visual_odometry"),
]
_EPOCH_US = 10**15
"""A count of microseconds above this is since 1970."""
_BUS_MASK, _BUS_MAVLINK = 0x07, 6
"""Lowest bits of a device's number: the bus. A receiver on MAVLink is HIL_GPS."""
_SIMULATOR = "PX4_SITL"


def read_ulog(path: Path) -> FlightLog:
    """Everything of it that can be used.

    Raises:
        DataError: not a ULog, or one without attitude, position and height.
    """
    topics = read_topics(path, _TOPICS)
    found = Channels()
    _tell_state(topics, found)
    offset_ns, clock, source = _utc_offset_ns(topics)
    found.receivers = [
        _solutions(topic, topics, offset_ns)
        for name in ("sensor_gps", "vehicle_gps_position")
        for topic in topics.all(name)
    ]
    _take_attitude(topics, offset_ns, found)
    _take_position(topics, offset_ns, found)
    _take_heights(topics, offset_ns, found)
    found.camera_events = _camera_events(topics, offset_ns)
    _take_simulated(topics, offset_ns, found)
    _tell_feeds(topics, found.findings)
    return assemble(path, "ulog", clock, source, found)


def _tell_state(topics: Topics, found: Channels) -> None:
    if topics.is_damaged:
        found.findings.append("damaged; what can be read is used")
    if topics.is_appended:
        found.findings.append("data were appended after the log was closed, as after a crash")
    if topics.dropped_ms:
        count, total_s = len(topics.dropped_ms), sum(topics.dropped_ms) / 1e3
        found.findings.append(f"dropouts in it: {count}, {total_s:.3f} s in all")
    found.is_simulated = (
        topics.facts.get("ver_hw") == _SIMULATOR or topics.parameters.get("SYS_HITL", 0.0) > 0
    )
    if found.is_simulated:
        found.findings.append("simulated: the autopilot ran in SITL or HITL")


def _utc_offset_ns(topics: Topics) -> tuple[int, Clock, str]:
    for topic in (*topics.all("sensor_gps"), *topics.all("vehicle_gps_position")):
        utc_us = topic.cells("time_utc_usec")
        sound = np.isfinite(utc_us) & (utc_us > _EPOCH_US) & (utc_us < 4 * _EPOCH_US)
        if sound.any():
            offset_us = int(np.median(utc_us[sound].astype(np.int64) - topic.time_us[sound]))
            return offset_us * 1000, Clock.UTC, f"UTC by {topic.name}.time_utc_usec"
    if topics.start_us > _EPOCH_US:
        return 0, Clock.UTC, "UTC by the computer that logged: times since 1970 as written"
    return 0, Clock.BOOT, "since the autopilot started: no receiver tells the time of day"


def _times_ns(topic: Topic, offset_ns: int) -> Times:
    return topic.time_us * 1000 + offset_ns


def _solutions(topic: Topic, topics: Topics, offset_ns: int) -> Solutions:
    """Degrees and metres; before 1.14 they were 1e-7 degrees and millimetres."""
    is_new = "latitude_deg" in topic
    doubts = [_fed(each) for each in topics.all("sensor_gps")] + [_fed(topic)]
    doubt = _fed(topic) if topic.name == "sensor_gps" else next(filter(None, doubts), "")
    return Solutions(
        f"{topic.name} {topic.number}",
        _times_ns(topic, offset_ns),
        topic.cells("fix_type"),
        topic.cells("latitude_deg") if is_new else topic.cells("lat", scale=1e-7),
        topic.cells("longitude_deg") if is_new else topic.cells("lon", scale=1e-7),
        topic.cells("altitude_msl_m") if is_new else topic.cells("alt", scale=1e-3),
        topic.cells("satellites_used"),
        np.where(topic.cells("hdop") > 0, topic.cells("hdop"), np.nan),
        topic.cells("eph", scale=AXIS),
        doubt,
    )


def _fed(topic: Topic) -> str:
    numbers = topic.cells("device_id")
    on_mavlink = np.isfinite(numbers) & (np.nan_to_num(numbers).astype(np.int64) != 0)
    on_mavlink &= (np.nan_to_num(numbers).astype(np.int64) & _BUS_MASK) == _BUS_MAVLINK
    return "its device is MAVLink: it is fed by HIL_GPS" if on_mavlink.any() else ""


def _take_attitude(topics: Topics, offset_ns: int, found: Channels) -> None:
    topic = topics.first("vehicle_attitude")
    if topic is not None:
        angles = euler_deg(_quaternions(topic))
        times_ns, source = _times_ns(topic, offset_ns), "vehicle_attitude.q"
        found.attitude = series(times_ns, list(angles.T), source, found.findings)
    topic = topics.first("gimbal_device_attitude_status")
    if topic is None:
        return
    angles = euler_deg(_quaternions(topic))
    times_ns = _times_ns(topic, offset_ns)
    flags = np.nan_to_num(topic.cells("device_flags")).astype(np.int64)
    if found.attitude is not None:
        vehicle_deg = found.attitude.at(times_ns, turning=True)[:, 2]
        angles[:, 2] += np.where(counts_from_vehicle(flags), vehicle_deg, 0.0)
    source = "gimbal_device_attitude_status.q"
    found.gimbal = series(times_ns, list(angles.T), source, found.findings)


def _quaternions(topic: Topic) -> Floats:
    return np.column_stack([topic.cells(f"q[{number}]") for number in range(4)])


def _take_position(topics: Topics, offset_ns: int, found: Channels) -> None:
    topic = topics.first("vehicle_global_position")
    if topic is not None:
        times_ns = _times_ns(topic, offset_ns)
        valid = np.nan_to_num(topic.cells("lat_lon_valid"), nan=1.0) > 0
        accuracy = np.where(valid, np.maximum(topic.cells("eph", scale=AXIS), 0.1), np.nan)
        where = [topic.cells("lat"), topic.cells("lon"), accuracy]
        source = "vehicle_global_position, by EKF2; its eph"
        found.position = series(times_ns, where, source, found.findings)
        source = "vehicle_global_position.alt, metres above mean sea level"
        found.altitude = series(times_ns, [topic.cells("alt")], source, [])
    status = topics.first("estimator_status")
    if status is not None:
        ratio, source = [status.cells("pos_test_ratio")], "estimator_status.pos_test_ratio"
        found.test_ratio = series(_times_ns(status, offset_ns), ratio, source, [])
    local = topics.first("vehicle_local_position")
    if local is None:
        return
    times_ns = _times_ns(local, offset_ns)
    moving = local.cells("v_xy_valid") > 0
    velocity = [np.where(moving, local.cells(name), np.nan) for name in ("vx", "vy")]
    source = "vehicle_local_position.vx, vy"
    found.velocity = series(times_ns, velocity, source, found.findings)
    if found.position is None:
        found.position = _from_local(local, times_ns, found.findings)


def _from_local(local: Topic, times_ns: Times, findings: list[str]) -> Series | None:
    """Metres from a reference that has coordinates; without them they are nowhere on the globe."""
    valid = (local.cells("xy_valid") > 0) & (local.cells("xy_global") > 0)
    if not valid.any():
        findings.append("vehicle_local_position: its horizontal position is never valid; not used")
        return None
    first = int(np.argmax(valid))
    reference = float(local.cells("ref_lat")[first]), float(local.cells("ref_lon")[first])
    offsets = np.column_stack([local.cells("y"), local.cells("x")])
    lat_deg, lon_deg = LocalFrame(*reference).to_geodetic(np.nan_to_num(offsets))
    accuracy = np.where(valid, np.maximum(local.cells("eph", scale=AXIS), 0.1), np.nan)
    source = "vehicle_local_position from its reference; its eph"
    return series(times_ns, [lat_deg, lon_deg, accuracy], source, findings)


def _take_heights(topics: Topics, offset_ns: int, found: Channels) -> None:
    """As measured above the ground; above home, or above where the filter began."""
    local = topics.first("vehicle_local_position")
    began = None
    if local is not None:
        times_ns = _times_ns(local, offset_ns)
        bottom = np.where(local.cells("dist_bottom_valid") > 0, local.cells("dist_bottom"), np.nan)
        source = "vehicle_local_position.dist_bottom, above the ground as measured"
        found.height = above_ground(series(times_ns, [bottom], source, []), None)
        above = np.where(local.cells("z_valid") > 0, -local.cells("z"), np.nan)
        source = "vehicle_local_position.z, above where the filter began"
        began = series(times_ns, [above], source, [])
    candidates = [_above_home(topics, found), began]
    found.home_height = height_of(candidates, found.attitude or found.position)


def _above_home(topics: Topics, found: Channels) -> Series | None:
    home = topics.first("home_position")
    if found.altitude is None or home is None:
        return None
    known = home.cells("alt")[home.cells("valid_alt") > 0]
    if not len(known):
        return None
    above = found.altitude.values - known[-1]
    source = f"vehicle_global_position.alt, {ABOVE_HOME}"
    return Series(found.altitude.times_ns, above, source)


def _camera_events(topics: Topics, offset_ns: int) -> list[CameraEvent]:
    """Pictures that were taken; -1 in `result` is one that failed."""
    for name in ("camera_capture", "camera_trigger"):
        topic = topics.first(name)
        if topic is None:
            continue
        taken = ~(topic.cells("result") < 0)
        felt = topic.cells("feedback") if name == "camera_trigger" else np.ones(len(taken))
        return [
            CameraEvent(int(t_ns), name, int(number), bool(is_felt > 0))
            for t_ns, number, is_felt, is_taken in zip(
                _times_ns(topic, offset_ns), topic.cells("seq"), felt, taken, strict=True
            )
            if is_taken and np.isfinite(number)
        ]
    return []


def _take_simulated(topics: Topics, offset_ns: int, found: Channels) -> None:
    topic = topics.first("vehicle_global_position_groundtruth")
    if topic is not None:
        where = [topic.cells("lat"), topic.cells("lon")]
        times_ns = _times_ns(topic, offset_ns)
        found.simulated = series(times_ns, where, topic.name, found.findings)
        found.is_simulated = True


def _tell_feeds(topics: Topics, findings: list[str]) -> None:
    """Positions of the autopilot's own that follow what it was sent from outside."""
    told = {"aux_global_position": "GLOBAL_POSITION_SENSOR", "vehicle_visual_odometry": "ODOMETRY"}
    findings.extend(
        f"{name}: the autopilot was sent positions from outside ({message}), as ours; its own is"
        " its belief here, never truth"
        for name, message in told.items()
        if topics.all(name)
    )
