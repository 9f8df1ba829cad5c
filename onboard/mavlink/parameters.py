"""The autopilot's parameters, read one by one, and held against what an output wants."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from pymavlink.dialects.v20 import ardupilotmega as wire

from .autopilot import Kind
from .outputs.wanted import Wanted, difference
from .signing import Message

ASK_EVERY_NS, TRIES = 1_000_000_000, 4
NOT_AN_INDEX = -1


class ParameterCheck:
    """Asks for every name that a wanted parameter has had; to an unknown one there is silence."""

    def __init__(self, wanted: Sequence[Wanted], target: tuple[int, int]) -> None:
        self._wanted, self._target = wanted, target
        self._values: dict[str, float] = {}
        self._tries, self._due_ns = 0, 0

    @property
    def is_done(self) -> bool:
        """Whether all that is there has been read."""
        return not self._missing() or self._tries > TRIES

    @property
    def was_heard(self) -> bool:
        """Whether the autopilot answered at all."""
        return bool(self._values) or not self._wanted

    def differences(self) -> list[str]:
        """A line for each parameter that is not as wanted."""
        found = (difference(wanted, self._values) for wanted in self._wanted)
        return [line for line in found if line is not None]

    def due(self, now_ns: int) -> list[Message]:
        """What to ask now."""
        if self.is_done or now_ns < self._due_ns:
            return []
        self._due_ns, self._tries = now_ns + ASK_EVERY_NS, self._tries + 1
        return [
            wire.MAVLink_param_request_read_message(*self._target, name.encode(), NOT_AN_INDEX)
            for name in self._missing()
        ]

    def feed(self, message: Message, kind: Kind | None) -> None:
        """Take a PARAM_VALUE in."""
        if message.get_type() == "PARAM_VALUE":
            value = _value(message, is_bytewise=kind is Kind.PX4)
            if math.isfinite(value):
                self._values[message.param_id] = value

    def _missing(self) -> list[str]:
        unread = (each for each in self._wanted if not self._values.keys() & set(each.names))
        return [name for wanted in unread for name in wanted.names]


def _value(message: Message, *, is_bytewise: bool) -> float:
    """PX4 lays the four bytes of an integer into the float, ArduPilot casts it."""
    if is_bytewise and message.param_type != wire.MAV_PARAM_TYPE_REAL32:
        return float(struct.unpack("<i", struct.pack("<f", message.param_value))[0])
    return float(message.param_value)
