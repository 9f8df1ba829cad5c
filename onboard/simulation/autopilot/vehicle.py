"""What an autopilot thinks and says, whichever it is: the contract of `ArduCopter` and `Px4`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from pymavlink.dialects.v20 import ardupilotmega as wire

from ...geodesy import MAX_RADIUS_M, LocalFrame
from ...records import Attitude
from ..state import Readings, Vector
from .estimator import Floats
from .parameters import Parameters

Message = Any
"""A decoded message of pymavlink's `ardupilotmega` dialect, which has no types."""

ACCEPTED: int = wire.MAV_RESULT_ACCEPTED
REJECTED_FOR_NOW: int = wire.MAV_RESULT_TEMPORARILY_REJECTED
DENIED: int = wire.MAV_RESULT_DENIED
UNSUPPORTED: int = wire.MAV_RESULT_UNSUPPORTED
FAILED: int = wire.MAV_RESULT_FAILED

NO_DEGREES = 2**31 - 1
"""INT32_MAX: a latitude or longitude that was not given."""

FORCE = 21196
"""In param2 of MAV_CMD_COMPONENT_ARM_DISARM: arm whatever the checks say."""


@dataclass(frozen=True)
class Estimate:
    """Where the autopilot believes to be, east and north on the plane of the world's `LocalFrame`.

    `is_valid` says whether it would steer by the horizontal part; `horiz_accuracy_m` is 1-sigma per
    axis by its own opinion.
    """

    east_m: float
    north_m: float
    alt_amsl_m: float
    velocity_enu_m_s: Vector
    attitude: Attitude
    horiz_accuracy_m: float
    is_valid: bool


@dataclass(frozen=True)
class Origin:
    """Where the autopilot's local frame begins, on the plane of the world's `LocalFrame`."""

    east_m: float
    north_m: float
    alt_amsl_m: float

    def plus(self, offset_enu_m: Floats) -> Floats:
        """[2] east and north on the plane of a place given from here."""
        return np.array([self.east_m, self.north_m]) + offset_enu_m


@dataclass(frozen=True)
class Command:
    """COMMAND_INT, or COMMAND_LONG made into one; `x` and `y` are degrees x 1e7."""

    number: int
    params: tuple[float, float, float, float]
    x: int
    y: int
    z: float


@dataclass(frozen=True)
class ExternalPosition:
    """The wishes of MAV_CMD_EXTERNAL_POSITION_ESTIMATE (43003); NaN is what was not said.

    `t_sent_s` is on the sender's clock.
    """

    east_m: float
    north_m: float
    t_sent_s: float
    processing_s: float
    accuracy_m: float
    alt_amsl_m: float


@dataclass(frozen=True)
class Text:
    """A STATUSTEXT to be; `severity` is MAV_SEVERITY."""

    text: str
    severity: int = wire.MAV_SEVERITY_INFO


@dataclass
class Voice:
    """STATUSTEXTs waiting to be sent, oldest first."""

    waiting: list[Text] = field(default_factory=list)

    def say(self, text: str, severity: int = wire.MAV_SEVERITY_INFO) -> None:
        """Queue a text."""
        self.waiting.append(Text(text, severity))

    def complain(self, prefix: str, complaints: Sequence[str]) -> bool:
        """Queue what stands against arming; whether there is anything."""
        for complaint in complaints:
            self.say(f"{prefix}: {complaint}", wire.MAV_SEVERITY_CRITICAL)
        return bool(complaints)

    def drain(self) -> list[Text]:
        """Everything said since the last time."""
        said, self.waiting = self.waiting, []
        return said


class Firmware(Protocol):
    """An autopilot without its wire: time is seconds since boot, messages come in decoded."""

    voice: Voice
    parameters: Parameters
    is_armed: bool

    @property
    def identity(self) -> int:
        """MAV_AUTOPILOT."""

    @property
    def system(self) -> int:
        """MAVLink system id, a parameter."""

    @property
    def capabilities(self) -> int:
        """MAV_PROTOCOL_CAPABILITY."""

    @property
    def version(self) -> int:
        """As AUTOPILOT_VERSION has it: major, minor, patch and type, a byte each."""

    @property
    def custom_mode(self) -> int:
        """The flight mode as HEARTBEAT carries it."""

    @property
    def mode(self) -> str:
        """The flight mode by its name in capitals, for whoever steers."""

    @property
    def estimate(self) -> Estimate:
        """Where it believes to be after the last step."""

    @property
    def origin(self) -> Origin | None:
        """Of its local frame, once known."""

    def step(self, readings: Readings, t_s: float) -> None:
        """Take in what the sensors say."""

    def receive(self, message: Message, t_s: float) -> None:
        """Take in a position from outside, or pass the message over."""

    def command(self, command: Command, t_s: float) -> int:
        """MAV_RESULT of a command that concerns position, mode or arming."""

    def set_origin(self, origin: Origin) -> bool:
        """Whether SET_GPS_GLOBAL_ORIGIN was taken."""

    def set_mode(self, custom_mode: int) -> bool:
        """Whether the mode exists."""

    def status(self, number: int, t_s: float) -> Message | None:
        """One of its own telemetry messages by its number, where there is something to say."""

    def streams(self) -> dict[int, float]:
        """Message number to rate in Hz, before anyone asked for another one."""

    def stream_group(self, group: int) -> tuple[int, ...]:
        """The messages of a MAV_DATA_STREAM."""


def external_position(command: Command, frame: LocalFrame) -> ExternalPosition | None:
    """What MAV_CMD_EXTERNAL_POSITION_ESTIMATE asks, or None where it names no place here."""
    if command.x == NO_DEGREES or command.y == NO_DEGREES:
        return None
    lat_deg, lon_deg = command.x / 1e7, command.y / 1e7
    if not (abs(lat_deg) <= 90.0 and abs(lon_deg) <= 180.0):
        return None
    east_m, north_m = frame.to_enu(lat_deg, lon_deg)
    if math.hypot(east_m, north_m) > MAX_RADIUS_M:
        return None
    sent_s, processing_s, accuracy_m, _ = command.params
    return ExternalPosition(
        float(east_m), float(north_m), sent_s, processing_s, accuracy_m, command.z
    )
