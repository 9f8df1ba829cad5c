"""Who is at the other end of the link, and what it thinks of itself: identity, filter, origin."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from pymavlink.dialects.v20 import ardupilotmega as wire

from .signing import Message

NS_PER_S = 1_000_000_000
SILENT_NS = 3 * NS_PER_S
"""Heartbeats come every second."""
REJECTING_RATIO = 1.0
"""Of ESTIMATOR_STATUS.pos_horiz_ratio; innovations over their gate."""
REJECTING_VARIANCE = 0.8
"""Of EKF_STATUS_REPORT.pos_horiz_variance: FS_EKF_THRESH by default."""


class Kind(Enum):
    """Whose rules hold."""

    ARDUPILOT = wire.MAV_AUTOPILOT_ARDUPILOTMEGA
    PX4 = wire.MAV_AUTOPILOT_PX4


@dataclass(frozen=True)
class Origin:
    """Where the autopilot's local frame begins, as the autopilot itself said."""

    lat_deg: float
    lon_deg: float
    alt_amsl_m: float


class Autopilot:
    """What is known of the autopilot; one thread feeds it, others read."""

    def __init__(self) -> None:
        self.heartbeat_ns: int | None = None
        self.forget()

    def forget(self) -> None:
        """It began anew: nothing that it said before holds."""
        self.kind: Kind | None = None
        self.version: tuple[int, int] | None = None
        self.is_armed = False
        self.is_landed: bool | None = None
        """Whether it says that it stands on the ground; None while it says nothing about it."""
        self.origin: Origin | None = None
        self.rejects_since_ns: int | None = None
        self.judged_ns: int | None = None
        """When its filter was last heard of."""
        self.answer: int | None = None
        """MAV_RESULT of the last position that was sent as a command."""

    def is_heard(self, now_ns: int) -> bool:
        """Whether it is there."""
        return self.heartbeat_ns is not None and now_ns - self.heartbeat_ns < SILENT_NS

    def rejects_for_s(self, now_ns: int) -> float:
        """How long its filter has been refusing horizontal positions; 0 while it takes them."""
        if self.rejects_since_ns is None or not self.is_judging(now_ns):
            return 0.0
        return (now_ns - self.rejects_since_ns) / NS_PER_S

    def is_judging(self, now_ns: int) -> bool:
        """Whether its filter was heard of a moment ago."""
        return self.judged_ns is not None and now_ns - self.judged_ns < SILENT_NS

    def feed(self, message: Message, now_ns: int) -> None:
        """Take a message in, or pass it over."""
        take = _TAKES.get(message.get_type())
        if take is not None:
            take(self, message, now_ns)

    def _heartbeat(self, message: Message, now_ns: int) -> None:
        self.heartbeat_ns = now_ns
        self.is_armed = bool(message.base_mode & wire.MAV_MODE_FLAG_SAFETY_ARMED)
        if message.autopilot in (kind.value for kind in Kind):
            self.kind = Kind(message.autopilot)

    def _landed(self, message: Message, now_ns: int) -> None:
        state = message.landed_state
        known = state != wire.MAV_LANDED_STATE_UNDEFINED
        self.is_landed = state == wire.MAV_LANDED_STATE_ON_GROUND if known else None

    def _version(self, message: Message, now_ns: int) -> None:
        sw = message.flight_sw_version
        self.version = sw >> 24 & 0xFF, sw >> 16 & 0xFF

    def _origin(self, message: Message, now_ns: int) -> None:
        lat_deg, lon_deg = message.latitude / 1e7, message.longitude / 1e7
        if abs(lat_deg) <= 90.0 and abs(lon_deg) <= 180.0:
            self.origin = Origin(lat_deg, lon_deg, message.altitude / 1000.0)

    def _estimator_status(self, message: Message, now_ns: int) -> None:
        self._judge(message.pos_horiz_ratio, REJECTING_RATIO, now_ns)

    def _ekf_status(self, message: Message, now_ns: int) -> None:
        self._judge(message.pos_horiz_variance, REJECTING_VARIANCE, now_ns)

    def _judge(self, ratio: float, limit: float, now_ns: int) -> None:
        self.judged_ns = now_ns
        if math.isfinite(ratio) and ratio <= limit:
            self.rejects_since_ns = None
        elif self.rejects_since_ns is None:
            self.rejects_since_ns = now_ns

    def _ack(self, message: Message, now_ns: int) -> None:
        is_final = message.result != wire.MAV_RESULT_IN_PROGRESS
        if message.command == wire.MAV_CMD_EXTERNAL_POSITION_ESTIMATE and is_final:
            self.answer = message.result


_TAKES: dict[str, Callable[[Autopilot, Message, int], None]] = {
    "EXTENDED_SYS_STATE": Autopilot._landed,
    "HEARTBEAT": Autopilot._heartbeat,
    "AUTOPILOT_VERSION": Autopilot._version,
    "GPS_GLOBAL_ORIGIN": Autopilot._origin,
    "ESTIMATOR_STATUS": Autopilot._estimator_status,
    "EKF_STATUS_REPORT": Autopilot._ekf_status,
    "COMMAND_ACK": Autopilot._ack,
}
