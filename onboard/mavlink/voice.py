"""What the pilot sees of us in QGroundControl, Mission Planner and MAVProxy."""

from __future__ import annotations

import math

from pymavlink.dialects.v20 import ardupilotmega as wire

from .signing import Message

TEXT_BYTES = 50
MAX_BYTES = 200
ERROR, WARNING, NOTICE, INFO = (
    wire.MAV_SEVERITY_ERROR,
    wire.MAV_SEVERITY_WARNING,
    wire.MAV_SEVERITY_NOTICE,
    wire.MAV_SEVERITY_INFO,
)


class Voice:
    """Makes texts, numbers and heartbeats; times are monotonic nanoseconds."""

    def __init__(self) -> None:
        self._texts = 0

    def text(self, severity: int, words: str) -> list[Message]:
        """STATUSTEXT, in numbered pieces where it is longer than one."""
        data = words.encode()[:MAX_BYTES]
        starts = range(0, len(data), TEXT_BYTES)
        self._texts = self._texts % 65_535 + 1
        return [
            wire.MAVLink_statustext_message(
                severity=severity,
                text=data[start : start + TEXT_BYTES],
                id=self._texts if len(starts) > 1 else 0,
                chunk_seq=piece,
            )
            for piece, start in enumerate(starts)
        ]

    def number(self, name: str, value: float | None, now_ns: int) -> Message:
        """NAMED_VALUE_FLOAT; `name` has up to 10 letters, None is sent as NaN."""
        value = math.nan if value is None else value
        boot_ms = now_ns // 1_000_000 % 2**32
        return wire.MAVLink_named_value_float_message(boot_ms, name.encode(), value)

    def heartbeat(self, system_status: int) -> Message:
        """Of a companion computer; `system_status` is MAV_STATE."""
        return wire.MAVLink_heartbeat_message(
            type=wire.MAV_TYPE_ONBOARD_CONTROLLER,
            autopilot=wire.MAV_AUTOPILOT_INVALID,
            base_mode=0,
            custom_mode=0,
            system_status=system_status,
            mavlink_version=3,
        )
