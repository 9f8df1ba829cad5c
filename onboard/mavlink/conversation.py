"""What is asked of the autopilot, and what it is answered, beside positions.

No clock and no socket: times are monotonic nanoseconds, messages come in decoded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from pymavlink.dialects.v20 import ardupilotmega as wire

from ..config import LinkConfig
from . import gimbal
from .autopilot import Autopilot
from .signing import Message
from .telemetry import AutopilotTelemetry
from .timesync import NS_PER_S, Timesync

NS_PER_MS = 1_000_000
ASK_NS = 2 * NS_PER_S
SYNC_NS, SYNC_CONVERGED_NS = NS_PER_S // 10, NS_PER_S // 2
QUIET_NS = 2 * NS_PER_S
"""An attitude stream that is silent for so long is asked for again."""
SLOW_BAUD = 115_200
TIMED = frozenset({"ATTITUDE", "GLOBAL_POSITION_INT", "SYSTEM_TIME"})
"""By the autopilot's own clock; what drivers of sensors leave in there is nobody's."""

_RATES_HZ = {
    wire.MAVLINK_MSG_ID_ATTITUDE: (50.0, 20.0),
    wire.MAVLINK_MSG_ID_GLOBAL_POSITION_INT: (10.0, 5.0),
    wire.MAVLINK_MSG_ID_GPS_RAW_INT: (5.0, 2.0),
    wire.MAVLINK_MSG_ID_SYSTEM_TIME: (1.0, 1.0),
    wire.MAVLINK_MSG_ID_EXTENDED_SYS_STATE: (1.0, 0.5),
    wire.MAVLINK_MSG_ID_DISTANCE_SENSOR: (10.0, 5.0),
    wire.MAVLINK_MSG_ID_TERRAIN_REPORT: (2.0, 2.0),
}
"""On a fast link, and on a serial line slower than SLOW_BAUD, which has room for a third of it."""
_GIMBAL_HZ = {
    wire.MAVLINK_MSG_ID_GIMBAL_DEVICE_ATTITUDE_STATUS: (20.0, 10.0),
    wire.MAVLINK_MSG_ID_MOUNT_ORIENTATION: (20.0, 10.0),
}
"""In the same way; whoever has the one seldom has the other."""
_FILTER_HZ = {
    wire.MAV_AUTOPILOT_ARDUPILOTMEGA: (wire.MAVLINK_MSG_ID_EKF_STATUS_REPORT, 4.0),
    wire.MAV_AUTOPILOT_PX4: (wire.MAVLINK_MSG_ID_ESTIMATOR_STATUS, 4.0),
}

log = logging.getLogger(__name__)


class Conversation:
    """Keeps `autopilot`, `clock` and `telemetry` up to date with what is heard."""

    def __init__(
        self,
        config: LinkConfig,
        telemetry: AutopilotTelemetry,
        clock: Timesync,
        on_reboot: Callable[[], None] = lambda: None,
        *,
        has_gimbal: bool = False,
    ) -> None:
        """`has_gimbal`: the camera hangs on one, whose attitude is asked for."""
        self.autopilot = Autopilot()
        self.telemetry, self.clock = telemetry, clock
        self._on_reboot = on_reboot
        self._target = config.autopilot_system, config.autopilot_component
        self._own = config.source_component
        is_slow = config.address.startswith("/") and config.baud < SLOW_BAUD
        self._rates_hz = {number: hz[is_slow] for number, hz in _RATES_HZ.items()}
        self._gimbal = config.autopilot_system, config.gimbal_component or self._target[1]
        self._gimbal_hz = {number: hz[is_slow] for number, hz in _GIMBAL_HZ.items()}
        self._has_gimbal = self._wants_rate = has_gimbal
        self._ask_ns = self._sync_ns = self._attitude_ns = self._gimbal_ns = 0

    def lacks_gimbal(self, now_ns: int) -> bool:
        """Whether the camera hangs on a gimbal that is not heard."""
        return self._has_gimbal and now_ns - self._gimbal_ns > QUIET_NS

    def due(self, now_ns: int) -> list[Message]:
        """Questions whose time has come; none to an autopilot that is not there."""
        if not self.autopilot.is_heard(now_ns):
            return []
        found: list[Message] = []
        if now_ns >= self._sync_ns:
            pause_ns = SYNC_CONVERGED_NS if self.clock.is_converged else SYNC_NS
            self._sync_ns = now_ns + pause_ns
            found.append(wire.MAVLink_timesync_message(tc1=0, ts1=self.clock.ask(now_ns)))
        if now_ns >= self._ask_ns:
            self._ask_ns = now_ns + ASK_NS
            found += self._questions(now_ns)
        return found

    def feed(self, message: Message, now_ns: int) -> list[Message]:
        """Take a message of the autopilot in; the answers to it, which must not wait."""
        kind = message.get_type()
        if kind in gimbal.KINDS:
            self._feed_gimbal(message, now_ns)
            return []
        if kind == "TIMESYNC":
            return self._synchronise(message, now_ns)
        if kind in TIMED and self.clock.note_boot_time(message.time_boot_ms * NS_PER_MS):
            self._rebooted()
        if kind == "ATTITUDE":
            self._attitude_ns = now_ns
        if kind == "COMMAND_ACK" and message.target_component not in (0, self._own):
            return []  # the answer to somebody else
        was_heard = self.autopilot.is_heard(now_ns)
        self.autopilot.feed(message, now_ns)
        if self.autopilot.is_heard(now_ns) and not was_heard:
            log.info("autopilot heard: system %d", self._target[0])
            self._ask_ns = now_ns
        self.telemetry.feed(message, now_ns)
        return []

    def _feed_gimbal(self, message: Message, now_ns: int) -> None:
        """Of the one who is to tell it; a gimbal's own clock is not the autopilot's."""
        component = message.get_srcComponent()
        if not self._has_gimbal or component != self._gimbal[1]:
            return  # nobody waits for a gimbal that holds another camera
        self._gimbal_ns = now_ns
        if component == self._target[1]:
            self.telemetry.feed(message, now_ns)
        else:
            self.telemetry.feed_gimbal(message, now_ns)

    def _synchronise(self, message: Message, now_ns: int) -> list[Message]:
        if message.tc1 == 0:
            return [wire.MAVLink_timesync_message(tc1=now_ns, ts1=message.ts1)]
        was_converged, boots = self.clock.is_converged, self.clock.boots
        self.clock.take(message.tc1, message.ts1, now_ns)
        if self.clock.boots != boots:
            self._rebooted()
        if self.clock.is_converged and not was_converged:
            log.info("clocks compared, to %.1f ms", (self.clock.error_ns or 0) / NS_PER_MS)
        return []

    def _rebooted(self) -> None:
        log.warning("the autopilot began anew; so do we")
        self.autopilot.forget()
        self.telemetry.forget()
        self._ask_ns, self._wants_rate = 0, self._has_gimbal
        self._on_reboot()

    def _questions(self, now_ns: int) -> list[Message]:
        found: list[Message] = []
        if self.autopilot.version is None:
            found.append(self._request(wire.MAVLINK_MSG_ID_AUTOPILOT_VERSION))
        if self.autopilot.origin is None:
            found.append(self._request(wire.MAVLINK_MSG_ID_GPS_GLOBAL_ORIGIN))
        if now_ns - self._attitude_ns > QUIET_NS:
            found += [self._interval(number, hz) for number, hz in self._rates_hz.items()]
        if self.lacks_gimbal(now_ns) or self._wants_rate:
            self._wants_rate = False  # one that speaks by itself does so five times a second
            found += [
                self._interval(number, hz, self._gimbal) for number, hz in self._gimbal_hz.items()
            ]
        if self.autopilot.kind is not None and not self.autopilot.is_judging(now_ns):
            found.append(self._interval(*_FILTER_HZ[self.autopilot.kind.value]))
        return found

    def _request(self, number: int) -> Message:
        return _command(self._target, wire.MAV_CMD_REQUEST_MESSAGE, number)

    def _interval(
        self, number: int, rate_hz: float, target: tuple[int, int] | None = None
    ) -> Message:
        interval_us = 1e6 / rate_hz
        return _command(
            target or self._target, wire.MAV_CMD_SET_MESSAGE_INTERVAL, number, interval_us
        )


def _command(target: tuple[int, int], number: int, *params: float) -> Message:
    padded = [*params, *(0.0,) * (7 - len(params))]
    return wire.MAVLink_command_long_message(*target, number, 0, *padded)
