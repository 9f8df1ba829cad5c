"""ODOMETRY (#331) and VISION_POSITION_ESTIMATE (#102): metres from the autopilot's own origin.

The origin is set where the autopilot has none, and always read back: what we believe it to be does
not count. Attitude and height go back as the autopilot gave them, so neither may be fused.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

from pymavlink.dialects.v20 import ardupilotmega as wire

from ...geodesy import LocalFrame
from ...records import Attitude
from ..autopilot import Autopilot, Kind, Origin
from ..quaternion import of_attitude
from ..signing import Message
from .moved import NS_PER_S, Moved
from .wanted import Wanted, between, bits, exactly

NS_PER_US = 1_000
ORIGIN_EVERY_NS = 2 * NS_PER_S
COVARIANCE = 21
"""Upper triangle of x, y, z, roll, pitch, yaw, row by row."""
X, Y, Z, ROLL, PITCH, YAW = 0, 6, 11, 15, 18, 20
NOT_MEASURED = 1e4
"""Variance of what goes back as it came: whoever fuses it all the same does no harm."""
GOOD, FAILED = 100, -1

PX4_WANTED = (
    bits("EKF2_EV_CTRL", 1, 14, "horizontal position only: the rest is the autopilot's own"),
    between("EKF2_EV_DELAY", 0, 50, "we send no old positions"),
    exactly("EKF2_EV_NOISE_MD", 0, "else our accuracy is not read"),
)


@dataclass
class _Local(ABC):
    """What both have in common. `attitude_at` is asked with monotonic nanoseconds."""

    autopilot: Autopilot
    target: tuple[int, int]
    attitude_at: Callable[[int], Attitude | None]
    rate_hz: float
    source_set: int = 1
    _asked_ns: int = field(default=-ORIGIN_EVERY_NS, init=False)

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        """By the kind of autopilot."""
        is_px4 = self.autopilot.kind is Kind.PX4
        return PX4_WANTED if is_px4 else _ardupilot_wanted(f"EK3_SRC{self.source_set}")

    def position(self, moved: Moved) -> list[Message]:
        """Nothing without an attitude or a height; first of all the origin, where there is none."""
        attitude, alt_m = self.attitude_at(moved.now_ns), moved.alt_amsl_m
        if attitude is None or alt_m is None:
            return []
        if self.autopilot.origin is None:
            return self._origin(moved, alt_m)
        place_m = _ned_m(moved, alt_m, self.autopilot.origin)
        return [self._message(moved, place_m, attitude)]

    @abstractmethod
    def _message(
        self, moved: Moved, ned_m: tuple[float, float, float], attitude: Attitude
    ) -> Message: ...

    def _origin(self, moved: Moved, alt_m: float) -> list[Message]:
        if moved.now_ns - self._asked_ns < ORIGIN_EVERY_NS:
            return []
        self._asked_ns = moved.now_ns
        read_back = wire.MAVLink_command_long_message(
            *(*self.target, wire.MAV_CMD_REQUEST_MESSAGE, 0),
            *(wire.MAVLINK_MSG_ID_GPS_GLOBAL_ORIGIN, 0, 0, 0, 0, 0, 0),
        )
        origin = wire.MAVLink_set_gps_global_origin_message(
            target_system=self.target[0],
            latitude=round(moved.fix.lat_deg * 1e7),
            longitude=round(moved.fix.lon_deg * 1e7),
            altitude=round(alt_m * 1000.0),
            time_usec=moved.now_ns // NS_PER_US,
        )
        return [origin, read_back]


class Odometry(_Local):
    """ArduPilot takes LOCAL_FRD with BODY_FRD alone; to PX4 north is north in LOCAL_NED.

    The negative is quality -1.
    """

    name = "odometry"

    def negative(self, now_ns: int, unix_ns: int) -> list[Message]:
        """Quality -1, and no position."""
        return [self._odometry(now_ns, [math.nan] * 3, [math.nan] * 4, [math.nan] * 2, FAILED)]

    def _message(
        self, moved: Moved, ned_m: tuple[float, float, float], attitude: Attitude
    ) -> Message:
        quaternion = list(of_attitude(attitude))
        forward_right = _in_body(moved.velocity_ne_m_s, quaternion)
        variance_m2 = moved.horiz_accuracy_m**2
        return self._odometry(
            moved.now_ns, list(ned_m), quaternion, forward_right, GOOD, variance_m2
        )

    def _odometry(
        self,
        now_ns: int,
        ned_m: list[float],
        quaternion: list[float],
        forward_right_m_s: list[float],
        quality: int,
        variance_m2: float = math.nan,
    ) -> Message:
        is_px4 = self.autopilot.kind is Kind.PX4
        return wire.MAVLink_odometry_message(
            time_usec=now_ns // NS_PER_US,
            frame_id=wire.MAV_FRAME_LOCAL_NED if is_px4 else wire.MAV_FRAME_LOCAL_FRD,
            child_frame_id=wire.MAV_FRAME_BODY_FRD,
            x=ned_m[0],
            y=ned_m[1],
            z=ned_m[2],
            q=quaternion,
            vx=forward_right_m_s[0],
            vy=forward_right_m_s[1],
            vz=0.0,
            rollspeed=math.nan,
            pitchspeed=math.nan,
            yawspeed=math.nan,
            pose_covariance=_covariance(variance_m2),
            velocity_covariance=[math.nan] * COVARIANCE,
            reset_counter=0,
            estimator_type=wire.MAV_ESTIMATOR_TYPE_VISION,
            quality=quality,
        )


class VisionPosition(_Local):
    """Has no word for a failure: the negative is a position that is no number, which both drop."""

    name = "vision_position_estimate"

    def negative(self, now_ns: int, unix_ns: int) -> list[Message]:
        """No position."""
        nan = math.nan
        return [self._vision(now_ns, (nan, nan, nan), (nan, nan, nan), nan)]

    def _message(
        self, moved: Moved, ned_m: tuple[float, float, float], attitude: Attitude
    ) -> Message:
        heading_deg = (attitude.heading_deg + 180.0) % 360.0 - 180.0
        angles = (
            math.radians(attitude.roll_deg),
            math.radians(attitude.pitch_deg),
            math.radians(heading_deg),
        )
        return self._vision(moved.now_ns, ned_m, angles, moved.horiz_accuracy_m**2)

    def _vision(
        self,
        now_ns: int,
        ned_m: tuple[float, float, float],
        angles_rad: tuple[float, float, float],
        variance_m2: float,
    ) -> Message:
        return wire.MAVLink_vision_position_estimate_message(
            now_ns // NS_PER_US, *ned_m, *angles_rad, _covariance(variance_m2), 0
        )


def _ardupilot_wanted(source: str) -> tuple[Wanted, ...]:
    return (
        exactly(
            "VISO_TYPE", 1, "raw MAVLink; 2 and 3 would shift us onto the autopilot's position"
        ),
        between("VISO_DELAY_MS", 1, 50, "we send no old positions"),
        exactly(f"{source}_POSXY", 6, "positions come as external navigation"),
        exactly(f"{source}_VELXY", 0, "the velocity is the autopilot's own"),
        exactly(f"{source}_VELZ", 0, "we send none, and zero is fused"),
        exactly(f"{source}_POSZ", 1, "our altitude is the autopilot's own"),
        exactly(f"{source}_YAW", 1, "our heading is the autopilot's own"),
    )


def _in_body(velocity_ne_m_s: tuple[float, float] | None, q: list[float]) -> list[float]:
    """Forward and right, of a body that is level enough for the rest to be no matter."""
    if velocity_ne_m_s is None:
        return [math.nan, math.nan]
    north, east = velocity_ne_m_s
    w, x, y, z = q
    forward = (1 - 2 * (y * y + z * z)) * north + 2 * (x * y + w * z) * east
    right = 2 * (x * y - w * z) * north + (1 - 2 * (x * x + z * z)) * east
    return [forward, right]


def _covariance(variance_m2: float) -> list[float]:
    """Off the diagonal nothing is known to be related."""
    found = [0.0] * COVARIANCE
    found[X] = found[Y] = variance_m2
    found[Z] = variance_m2  # ArduPilot makes one accuracy of all three
    found[ROLL] = found[PITCH] = found[YAW] = NOT_MEASURED
    return found


def _ned_m(moved: Moved, alt_m: float, origin: Origin) -> tuple[float, float, float]:
    east_m, north_m = LocalFrame(origin.lat_deg, origin.lon_deg).to_enu(
        moved.lat_deg, moved.lon_deg
    )
    return float(north_m), float(east_m), origin.alt_amsl_m - alt_m
