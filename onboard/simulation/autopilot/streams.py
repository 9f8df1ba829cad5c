"""Which messages are due, and those that both autopilots fill alike."""

from __future__ import annotations

import math

from pymavlink.dialects.v20 import ardupilotmega as wire

from ...geodesy import MAX_RADIUS_M, LocalFrame
from ...records import Attitude
from .integers import int16, int32
from .vehicle import Estimate, Message, Origin, Text

NS_PER_S = 1_000_000_000
TEXT_BYTES = 50


class Schedule:
    """Intervals of messages by their numbers."""

    def __init__(self) -> None:
        self._intervals_ns: dict[int, int] = {}
        self._due_ns: dict[int, int] = {}

    def set_rate(self, number: int, rate_hz: float) -> None:
        """0 or less ends a stream."""
        self._intervals_ns[number] = max(1, round(NS_PER_S / rate_hz)) if rate_hz > 0.0 else 0

    def interval_us(self, number: int) -> int:
        """As MESSAGE_INTERVAL has it; -1 for a message that is not streamed."""
        return min(self._intervals_ns.get(number, 0) // 1000, 2**31 - 1) or -1

    def due(self, t_ns: int) -> list[int]:
        """The messages to send now; beats that were missed are not made up for."""
        found = []
        for number, interval_ns in self._intervals_ns.items():
            due_ns = self._due_ns.get(number, t_ns)
            if interval_ns and t_ns >= due_ns:
                self._due_ns[number] = max(due_ns + interval_ns, t_ns)
                found.append(number)
        return found


def status_text(text: Text, number: int) -> list[Message]:
    """STATUSTEXT, in numbered pieces where it is longer than one."""
    data = text.text.encode()
    starts = range(0, len(data), TEXT_BYTES)
    return [
        wire.MAVLink_statustext_message(
            severity=text.severity,
            text=data[start : start + TEXT_BYTES],
            id=number if len(starts) > 1 else 0,
            chunk_seq=piece,
        )
        for piece, start in enumerate(starts)
    ]


def attitude(attitude: Attitude, boot_ms: int) -> Message:
    """ATTITUDE; the rates are not known here."""
    roll, pitch, yaw = _radians(attitude)
    return wire.MAVLink_attitude_message(boot_ms, roll, pitch, yaw, 0.0, 0.0, 0.0)


def attitude_quaternion(attitude: Attitude, boot_ms: int) -> Message:
    """ATTITUDE_QUATERNION, w x y z, body to north-east-down."""
    (cr, sr), (cp, sp), (cy, sy) = (
        (math.cos(angle / 2.0), math.sin(angle / 2.0)) for angle in _radians(attitude)
    )
    return wire.MAVLink_attitude_quaternion_message(
        boot_ms,
        cr * cp * cy + sr * sp * sy,
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
        0.0,
        0.0,
        0.0,
    )


def global_position(
    estimate: Estimate, frame: LocalFrame, home_alt_m: float, boot_ms: int
) -> Message | None:
    """GLOBAL_POSITION_INT; None where the estimate has left the plane of the world."""
    if not math.hypot(estimate.east_m, estimate.north_m) <= MAX_RADIUS_M:
        return None
    lat_deg, lon_deg = frame.to_geodetic([estimate.east_m, estimate.north_m])
    east_m_s, north_m_s, up_m_s = estimate.velocity_enu_m_s
    return wire.MAVLink_global_position_int_message(
        time_boot_ms=boot_ms,
        lat=round(float(lat_deg) * 1e7),
        lon=round(float(lon_deg) * 1e7),
        alt=int32(1e3 * estimate.alt_amsl_m),
        relative_alt=int32(1e3 * (estimate.alt_amsl_m - home_alt_m)),
        vx=int16(100.0 * north_m_s),
        vy=int16(100.0 * east_m_s),
        vz=int16(-100.0 * up_m_s),
        hdg=round(100.0 * estimate.attitude.heading_deg) % 36_000,
    )


def local_position(estimate: Estimate, origin: Origin, boot_ms: int) -> Message | None:
    """LOCAL_POSITION_NED, metres from the origin; None where it has left the plane of the world."""
    if not math.hypot(estimate.east_m, estimate.north_m) <= MAX_RADIUS_M:
        return None
    east_m_s, north_m_s, up_m_s = estimate.velocity_enu_m_s
    return wire.MAVLink_local_position_ned_message(
        time_boot_ms=boot_ms,
        x=estimate.north_m - origin.north_m,
        y=estimate.east_m - origin.east_m,
        z=origin.alt_amsl_m - estimate.alt_amsl_m,
        vx=north_m_s,
        vy=east_m_s,
        vz=-up_m_s,
    )


def _radians(attitude: Attitude) -> tuple[float, float, float]:
    """Roll, pitch and a yaw between -pi and pi."""
    yaw_deg = (attitude.heading_deg + 180.0) % 360.0 - 180.0
    return math.radians(attitude.roll_deg), math.radians(attitude.pitch_deg), math.radians(yaw_deg)
