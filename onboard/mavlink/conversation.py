"""What is asked of the autopilot, and what it is answered, beside positions.

No clock and no socket: times are monotonic nanoseconds, messages come in decoded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from pymavlink.dialects.v20 import ardupilotmega as wire

from ..config import LinkConfig
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

_RATES_HZ = {
    wire.MAVLINK_MSG_ID_ATTITUDE: (50.0, 20.0),
    wire.MAVLINK_MSG_ID_GLOBAL_POSITION_INT: (10.0, 5.0),
    wire.MAVLINK_MSG_ID_GPS_RAW_INT: (5.0, 2.0),
    wire.MAVLINK_MSG_ID_SYSTEM_TIME: (1.0, 1.0),
}
"""On a fast link, and on a serial line slower than SLOW_BAUD, which has room for a third of it."""
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
    ) -> None:
        self.autopilot = Autopilot()
        self.telemetry, self.clock = telemetry, clock
        self._on_reboot = on_reboot
        self._target = config.autopilot_system, config.autopilot_component
        is_slow = config.address.startswith("/") and config.baud < SLOW_BAUD
        self._rates_hz = {number: hz[is_slow] for number, hz in _RATES_HZ.items()}
        self._ask_ns = self._sync_ns = self._attitude_ns = 0

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
        if kind == "TIMESYNC":
            return self._synchronise(message, now_ns)
        if hasattr(message, "time_boot_ms") and self.clock.note_boot_time(
            message.time_boot_ms * NS_PER_MS
        ):
            self._rebooted()
        if kind == "ATTITUDE":
            self._attitude_ns = now_ns
        was_heard = self.autopilot.is_heard(now_ns)
        self.autopilot.feed(message, now_ns)
        if self.autopilot.is_heard(now_ns) and not was_heard:
            log.info("autopilot heard: system %d", self._target[0])
            self._ask_ns = now_ns
        self.telemetry.feed(message, now_ns)
        return []

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
        self._ask_ns = 0
        self._on_reboot()

    def _questions(self, now_ns: int) -> list[Message]:
        found: list[Message] = []
        if self.autopilot.version is None:
            found.append(self._request(wire.MAVLINK_MSG_ID_AUTOPILOT_VERSION))
        if self.autopilot.origin is None:
            found.append(self._request(wire.MAVLINK_MSG_ID_GPS_GLOBAL_ORIGIN))
        if now_ns - self._attitude_ns > QUIET_NS:
            found += [self._interval(number, hz) for number, hz in self._rates_hz.items()]
        if self.autopilot.kind is not None and not self.autopilot.is_judging(now_ns):
            found.append(self._interval(*_FILTER_HZ[self.autopilot.kind.value]))
        return found

    def _request(self, number: int) -> Message:
        return self._command(wire.MAV_CMD_REQUEST_MESSAGE, number)

    def _interval(self, number: int, rate_hz: float) -> Message:
        return self._command(wire.MAV_CMD_SET_MESSAGE_INTERVAL, number, 1e6 / rate_hz)

    def _command(self, number: int, *params: float) -> Message:
        padded = [*params, *(0.0,) * (7 - len(params))]
        return wire.MAVLink_command_long_message(*self._target, number, 0, *padded)
