"""The pilot's commands to this component, each answered by a COMMAND_ACK.

MAV_CMD_USER_1                         param1 1: give positions, 0: hold them back
MAV_CMD_USER_2                         forget the track and look for it anew
MAV_CMD_EXTERNAL_POSITION_ESTIMATE     a place on the map to look at first; param3 its accuracy
"""

from __future__ import annotations

import math
from typing import Protocol

from pymavlink.dialects.v20 import ardupilotmega as wire

from ..records import Prior
from .signing import Message

ACCEPTED: int = wire.MAV_RESULT_ACCEPTED
DENIED: int = wire.MAV_RESULT_DENIED
UNSUPPORTED: int = wire.MAV_RESULT_UNSUPPORTED
DEFAULT_ACCURACY_M, MAX_ACCURACY_M = 100.0, 5000.0
NO_DEGREES = 2**31 - 1


class Orders(Protocol):
    """Who carries the pilot's commands out."""

    def publish(self, *, is_on: bool) -> None:
        """Give positions, or hold them back."""

    def look_at(self, prior: Prior) -> None:
        """Where the vehicle may be."""

    def reset(self) -> None:
        """Forget the track."""


class Pilot:
    """Obeys commands that name our system and component, and nobody else's."""

    def __init__(self, system: int, component: int, orders: Orders) -> None:
        self._own = system, component
        self._orders = orders

    def answer(self, message: Message) -> Message | None:
        """COMMAND_ACK to a command for us, which has been carried out; None to all else."""
        if message.get_type() not in ("COMMAND_INT", "COMMAND_LONG"):
            return None
        if (message.target_system, message.target_component) != self._own:
            return None
        return wire.MAVLink_command_ack_message(
            command=message.command,
            result=self._obey(message),
            target_system=message.get_srcSystem(),
            target_component=message.get_srcComponent(),
        )

    def _obey(self, message: Message) -> int:
        if message.command == wire.MAV_CMD_USER_1:
            if message.param1 not in (0.0, 1.0):
                return DENIED
            self._orders.publish(is_on=message.param1 == 1.0)
        elif message.command == wire.MAV_CMD_USER_2:
            self._orders.reset()
        elif message.command == wire.MAV_CMD_EXTERNAL_POSITION_ESTIMATE:
            prior = _prior(message)
            if prior is None:
                return DENIED
            self._orders.look_at(prior)
        else:
            return UNSUPPORTED
        return ACCEPTED


def _prior(message: Message) -> Prior | None:
    """COMMAND_LONG has degrees, COMMAND_INT degrees x 1e7; an accuracy not given is a wide one."""
    if message.get_type() == "COMMAND_INT":
        if NO_DEGREES in (message.x, message.y):
            return None
        lat_deg, lon_deg = message.x / 1e7, message.y / 1e7
    else:
        lat_deg, lon_deg = message.param5, message.param6
    accuracy_m = message.param3
    if not (math.isfinite(accuracy_m) and accuracy_m > 0.0):
        accuracy_m = DEFAULT_ACCURACY_M
    if not (abs(lat_deg) <= 90.0 and abs(lon_deg) <= 180.0 and accuracy_m <= MAX_ACCURACY_M):
        return None
    return Prior(lat_deg, lon_deg, accuracy_m)
