"""MAV_CMD_EXTERNAL_POSITION_ESTIMATE (43003), for autopilots that fly by dead reckoning.

ArduPilot (from 4.5) sets its position to every one of them, without a gate; PX4 (from 1.15) behind
one of five sigmas. So a fix goes out once, as measured, seldom, and with its age.
"""

from __future__ import annotations

import math

from pymavlink.dialects.v20 import ardupilotmega as wire

from ..signing import Message
from .moved import NS_PER_S, Moved
from .wanted import Wanted

WRAP_S = 250.0
"""A 32-bit float of seconds has 10 microseconds up to here."""
MIN_ACCURACY_M = 1.0
"""PX4 takes less for an order to reset."""
NOT_NOW = (wire.MAV_RESULT_FAILED, wire.MAV_RESULT_TEMPORARILY_REJECTED)
"""ArduPilot's and PX4's answer while they do not fly by dead reckoning."""


class ExternalPosition:
    """At most once a second, whatever the answer: what was refused has moved nothing, and the next
    one may be taken. There is no negative but silence.
    """

    name = "external_position_estimate"
    wanted: tuple[Wanted, ...] = ()

    def __init__(self, target_system: int, target_component: int, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self._target = target_system, target_component
        self._sent_ns, self._fix_ns = -NS_PER_S, -1

    def position(self, moved: Moved) -> list[Message]:
        """The fix itself, dated back by its age."""
        fix = moved.fix
        if moved.now_ns - self._sent_ns < NS_PER_S or fix.t_capture_ns == self._fix_ns:
            return []
        self._sent_ns, self._fix_ns = moved.now_ns, fix.t_capture_ns
        return [
            wire.MAVLink_command_int_message(
                *self._target,
                frame=wire.MAV_FRAME_GLOBAL,
                command=wire.MAV_CMD_EXTERNAL_POSITION_ESTIMATE,
                current=0,
                autocontinue=0,
                param1=moved.now_ns / NS_PER_S % WRAP_S,
                param2=moved.age_s,
                param3=max(math.sqrt(2.0) * fix.horiz_accuracy_m, MIN_ACCURACY_M),
                param4=0.0,
                x=round(fix.lat_deg * 1e7),
                y=round(fix.lon_deg * 1e7),
                z=math.nan,  # a height would be taken for one
            )
        ]

    def negative(self, now_ns: int, unix_ns: int) -> list[Message]:
        """Nothing."""
        return []


def objection(answer: int | None, *, has_own_fix: bool) -> str | None:
    """What stands against the last position, by the MAV_RESULT it was answered with.

    An autopilot whose own receiver has a fix takes none, and nothing is wrong then.
    """
    if answer in (None, wire.MAV_RESULT_ACCEPTED):
        return None
    if answer in NOT_NOW:
        return None if has_own_fix else "positions not taken for now"
    return "positions denied by the autopilot"
