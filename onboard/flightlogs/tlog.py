"""A .tlog, as ground stations record MAVLink, to telemetry on UTC.

Each message stands behind the microseconds since 1970 at which it was received. Attitude comes from
ATTITUDE, height and velocity from GLOBAL_POSITION_INT, whose height is above home: above the ground
only where the ground is as high as home.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pymavlink import mavutil

from ..errors import DataError
from ..records import Attitude, Prior, Telemetry
from .interpolation import between
from .table import NS_PER_S
from .telemetry_csv import TelemetryLog

POSITION_ACCURACY_M = 3.0
"""1-sigma per axis that the autopilot's own position is taken to have; the log does not say."""
MAX_GAP_NS = 2 * NS_PER_S
_TYPES = ["ATTITUDE", "GLOBAL_POSITION_INT"]


def read_tlog(path: Path) -> TelemetryLog:
    """Attitude, height, velocity and position of the vehicle, `t_ns` since 1970.

    Of several vehicles it is the first that tells a position. Samples are those of the attitude
    between two positions no more than 2 s apart.

    Raises:
        DataError: unreadable, or without attitude and position.
    """
    attitudes: list[tuple[int, Attitude]] = []
    positions: list[Telemetry] = []
    system = None
    for t_ns, message in _messages(path):
        if system is None and message.get_type() == "GLOBAL_POSITION_INT":
            system = message.get_srcSystem()
        if message.get_srcSystem() != system:
            continue
        if message.get_type() == "ATTITUDE":
            attitudes.append((t_ns, _attitude(message)))
        elif not positions or t_ns > positions[-1].t_ns:
            positions.append(_position(t_ns, message))
    samples = _joined(attitudes, positions)
    if not samples:
        raise DataError(f"{path}: no attitude between two positions of one vehicle")
    return TelemetryLog(tuple(samples))


def _messages(path: Path) -> Any:
    try:
        log = mavutil.mavlink_connection(str(path), robust_parsing=True)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except Exception as error:  # pymavlink's guess at what a file is fails in many ways
        raise DataError(f"{path}: not a .tlog: {error}") from None
    try:
        while (message := log.recv_match(type=_TYPES)) is not None:
            yield round(message._timestamp * 1e6) * 1000, message
    except (OverflowError, ValueError, TypeError) as error:
        raise DataError(f"{path}: not a .tlog: {error}") from None
    finally:
        log.close()


def _attitude(message: Any) -> Attitude:
    return Attitude(
        math.degrees(message.roll), math.degrees(message.pitch), math.degrees(message.yaw) % 360.0
    )


def _position(t_ns: int, message: Any) -> Telemetry:
    return Telemetry(
        t_ns=t_ns,
        height_agl_m=message.relative_alt / 1e3,
        alt_amsl_m=message.alt / 1e3,
        velocity_north_m_s=message.vx / 1e2,
        velocity_east_m_s=message.vy / 1e2,
        prior=Prior(message.lat / 1e7, message.lon / 1e7, POSITION_ACCURACY_M),
    )


def _joined(attitudes: list[tuple[int, Attitude]], positions: list[Telemetry]) -> list[Telemetry]:
    """Positions moved to the times of attitudes, both in the order in which they were received."""
    samples: list[Telemetry] = []
    at = 0
    for t_ns, attitude in attitudes:
        while at + 1 < len(positions) and positions[at + 1].t_ns <= t_ns:
            at += 1
        if at + 1 >= len(positions) or positions[at].t_ns > t_ns:
            continue
        earlier, later = positions[at], positions[at + 1]
        sound = later.t_ns - earlier.t_ns <= MAX_GAP_NS
        if sound and (not samples or t_ns > samples[-1].t_ns):
            moved = between(earlier, later, t_ns)
            samples.append(Telemetry(**{**vars(moved), "attitude": attitude}))
    return samples
