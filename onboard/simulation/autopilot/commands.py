"""Commands and targets as both autopilots read them."""

from __future__ import annotations

import math

from pymavlink.dialects.v20 import ardupilotmega as wire

from .vehicle import NO_DEGREES, Command, Message


def is_for(message: Message, system: int) -> bool:
    """Whether a message is for everyone, or for this system's autopilot."""
    target = getattr(message, "target_system", 0)
    component = getattr(message, "target_component", 0)
    return target in (0, system) and component in (0, wire.MAV_COMP_ID_AUTOPILOT1)


def as_command(message: Message) -> Command:
    """COMMAND_LONG carries degrees as 32-bit floats, which loses up to a metre."""
    params = (message.param1, message.param2, message.param3, message.param4)
    if message.get_type() == "COMMAND_INT":
        return Command(message.command, params, message.x, message.y, message.z)
    x, y = _degrees_e7(message.param5), _degrees_e7(message.param6)
    return Command(message.command, params, x, y, message.param7)


def mode_of(command: Command, identity: int) -> int:
    """MAV_CMD_DO_SET_MODE: PX4 has main and sub mode apart, ArduPilot one number."""
    _, main, sub, _ = (round(p) if math.isfinite(p) else 0 for p in command.params)
    return main << 16 | sub << 24 if identity == wire.MAV_AUTOPILOT_PX4 else main


def _degrees_e7(degrees: float) -> int:
    return round(degrees * 1e7) if abs(degrees) <= 180.0 else NO_DEGREES
