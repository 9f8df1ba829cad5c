"""A flight as a ground station's `.tlog`: MAVLink 2 frames, each after its time of receipt.

Before every frame stand 8 bytes: microseconds since 1970, big-endian. The messages and their units
are ArduPilot's: https://mavlink.io/en/messages/ardupilotmega.html
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from ...geodesy import LocalFrame
from ..state import State
from . import logged
from .aircraft import Airframe
from .exposures import Exposure
from .logged import Picture, Placed, PlacedGnss
from .simulate import Flight
from .vehicle import half_turn

_LINK_S = 0.03
"""From the autopilot to the ground station."""
_ATTITUDE_HZ, _POSITION_HZ, _SLOW_HZ = 10.0, 5.0, 1.0
_KINDS = {
    Airframe.MULTIROTOR: (mavlink.MAV_TYPE_QUADROTOR, mavlink.COPTER_MODE_AUTO),
    Airframe.FIXED_WING: (mavlink.MAV_TYPE_FIXED_WING, mavlink.PLANE_MODE_AUTO),
}
_AUTO = (
    mavlink.MAV_MODE_FLAG_SAFETY_ARMED
    | mavlink.MAV_MODE_FLAG_AUTO_ENABLED
    | mavlink.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED
)
_LOWEST_CM, _HIGHEST_CM = 20, 65000
_UNKNOWN = 65535

Sent = tuple[float, Any]
"""Seconds since the flight began, and a message of pymavlink's."""


def tlog(
    flight: Flight, shots: Sequence[Exposure], frame: LocalFrame, start_unix_s: float
) -> bytes:
    """The log of a flight that began at `start_unix_s`, one CAMERA_FEEDBACK per picture."""
    home_m = flight.home_alt_amsl_m
    believed = logged.placed(logged.every(flight.believed, _POSITION_HZ), frame)
    sent = [
        *((0.0, message) for message in _first_words(flight)),
        *_slow(flight, start_unix_s),
        *_attitudes(logged.every(flight.believed, _ATTITUDE_HZ)),
        *((at.state.time_s, _position(at, home_m)) for at in believed),
        *((time_s, _height(time_s, m)) for time_s, m in logged.heights(flight, _POSITION_HZ)),
        *((s.reading.time_s, _gnss(s)) for s in logged.solutions(flight, frame)),
        *(
            (picture.at.state.time_s, _feedback(picture, home_m, start_unix_s))
            for picture in logged.pictures(flight, shots, frame)
        ),
    ]
    link = mavlink.MAVLink(None, srcSystem=1, srcComponent=mavlink.MAV_COMP_ID_AUTOPILOT1)
    parts: list[bytes] = []
    for number, (time_s, message) in enumerate(sorted(sent, key=lambda pair: pair[0])):
        link.seq = number % 256
        received_us = round((start_unix_s + time_s + _LINK_S) * 1e6)
        parts += [struct.pack(">Q", received_us), message.pack(link)]
    return b"".join(parts)


def _boot_ms(time_s: float) -> int:
    return round(logged.boot_s(time_s) * 1e3)


def _first_words(flight: Flight) -> Iterator[Any]:
    """What flies, and its parameters."""
    text = logged.FIRMWARES[flight.airframe].encode()
    yield mavlink.MAVLink_statustext_message(severity=mavlink.MAV_SEVERITY_INFO, text=text)
    for number, (name, value) in enumerate(logged.PARAMETERS.items()):
        yield mavlink.MAVLink_param_value_message(
            param_id=name.encode(),
            param_value=value,
            param_type=mavlink.MAV_PARAM_TYPE_REAL32,
            param_count=len(logged.PARAMETERS),
            param_index=number,
        )


def _slow(flight: Flight, start_unix_s: float) -> Iterator[Sent]:
    """Heartbeats and the time of day."""
    kind, mode = _KINDS[flight.airframe]
    for state in logged.every(flight.believed, _SLOW_HZ):
        yield (
            state.time_s,
            mavlink.MAVLink_heartbeat_message(
                type=kind,
                autopilot=mavlink.MAV_AUTOPILOT_ARDUPILOTMEGA,
                base_mode=_AUTO,
                custom_mode=mode,
                system_status=mavlink.MAV_STATE_ACTIVE,
                mavlink_version=3,
            ),
        )
        yield (
            state.time_s,
            mavlink.MAVLink_system_time_message(
                time_unix_usec=round((start_unix_s + state.time_s) * 1e6),
                time_boot_ms=_boot_ms(state.time_s),
            ),
        )


def _attitudes(states: Sequence[State]) -> Iterator[Sent]:
    """Radians, and the rates since the message before."""
    for before, state in pairwise(states):
        then, now = _radians(before), _radians(state)
        dt_s = state.time_s - before.time_s
        rates = [half_turn(b - a) / dt_s for a, b in zip(then, now, strict=True)]
        message = mavlink.MAVLink_attitude_message(_boot_ms(state.time_s), *now, *rates)
        yield state.time_s, message


def _radians(state: State) -> tuple[float, float, float]:
    attitude = state.attitude
    yaw_rad = half_turn(math.radians(attitude.heading_deg))
    return math.radians(attitude.roll_deg), math.radians(attitude.pitch_deg), yaw_rad


def _position(at: Placed, home_alt_amsl_m: float) -> Any:
    state = at.state
    east, north, up = state.velocity_enu_m_s
    return mavlink.MAVLink_global_position_int_message(
        time_boot_ms=_boot_ms(state.time_s),
        lat=round(at.lat_deg * 1e7),
        lon=round(at.lon_deg * 1e7),
        alt=round(state.alt_amsl_m * 1e3),
        relative_alt=round((state.alt_amsl_m - home_alt_amsl_m) * 1e3),
        vx=round(north * 1e2),
        vy=round(east * 1e2),
        vz=round(-up * 1e2),
        hdg=round(state.attitude.heading_deg * 1e2) % 36000,
    )


def _height(time_s: float, height_agl_m: float) -> Any:
    """Of a rangefinder that looks down, centimetres."""
    return mavlink.MAVLink_distance_sensor_message(
        time_boot_ms=_boot_ms(time_s),
        min_distance=_LOWEST_CM,
        max_distance=_HIGHEST_CM,
        current_distance=min(round(height_agl_m * 1e2), _HIGHEST_CM),
        type=mavlink.MAV_DISTANCE_SENSOR_LASER,
        id=0,
        orientation=mavlink.MAV_SENSOR_ROTATION_PITCH_270,
        covariance=255,
    )


def _gnss(solution: PlacedGnss) -> Any:
    """Millimetres, and DOP in hundredths."""
    reading = solution.reading
    return mavlink.MAVLink_gps_raw_int_message(
        time_usec=round(logged.boot_s(reading.time_s) * 1e6),
        fix_type=reading.fix_type,
        lat=round(solution.lat_deg * 1e7),
        lon=round(solution.lon_deg * 1e7),
        alt=round(reading.alt_amsl_m * 1e3),
        eph=round(reading.hdop * 1e2),
        epv=_UNKNOWN,
        vel=round(solution.speed_m_s * 1e2),
        cog=round(solution.course_deg * 1e2) % 36000,
        satellites_visible=reading.satellites,
        h_acc=round(reading.horiz_accuracy_m * 1e3),
        v_acc=round(reading.vert_accuracy_m * 1e3),
        vel_acc=round(reading.speed_accuracy_m_s * 1e3),
    )


def _feedback(picture: Picture, home_alt_amsl_m: float, start_unix_s: float) -> Any:
    """Degrees here; the attitude is the vehicle's."""
    state = picture.at.state
    return mavlink.MAVLink_camera_feedback_message(
        time_usec=round((start_unix_s + state.time_s) * 1e6),
        target_system=0,
        cam_idx=0,
        img_idx=picture.number,
        lat=round(picture.at.lat_deg * 1e7),
        lng=round(picture.at.lon_deg * 1e7),
        alt_msl=state.alt_amsl_m,
        alt_rel=state.alt_amsl_m - home_alt_amsl_m,
        roll=state.attitude.roll_deg,
        pitch=state.attitude.pitch_deg,
        yaw=state.attitude.heading_deg,
        foc_len=0.0,
        flags=mavlink.CAMERA_FEEDBACK_PHOTO,
        completed_captures=picture.number,
    )
