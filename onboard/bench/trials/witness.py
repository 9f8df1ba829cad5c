"""What came over the wire from the daemon, beside where the vehicle was: judged afterwards."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from pymavlink.dialects.v20 import ardupilotmega as wire

from ...geodesy import LocalFrame
from ...simulation.autopilot.autopilot import Autopilot
from ...simulation.autopilot.estimator import Floats
from ...simulation.autopilot.vehicle import Message
from ...simulation.state import Readings, State

DAEMON = 197
NO_DEGREES = 2**31 - 1


@dataclass(frozen=True)
class Said:
    """A position on the wire; None is the word that there is none. Errors in metres."""

    t_ns: int
    error_m: float | None
    accuracy_m: float | None


class Witness:
    """In the place of an `Autopilot`: passes everything on and writes positions down."""

    def __init__(self, autopilot: Autopilot, frame: LocalFrame) -> None:
        self.autopilot, self.frame = autopilot, frame
        self.said: list[Said] = []
        self.texts: list[tuple[int, str]] = []
        self.heard = 0
        self.truth: State | None = None

    @property
    def system(self) -> int:
        """MAVLink system id."""
        return self.autopilot.system

    def step(self, readings: Readings, t_ns: int) -> list[Message]:
        """As the autopilot."""
        return self.autopilot.step(readings, t_ns)

    def receive(self, message: Message, t_ns: int) -> list[Message]:
        """As the autopilot, after a look at it."""
        if message.get_srcComponent() == DAEMON:
            self.heard += 1
            self._note(message, t_ns)
        return self.autopilot.receive(message, t_ns)

    def _note(self, message: Message, t_ns: int) -> None:
        kind = message.get_type()
        if kind == "STATUSTEXT":
            self.texts.append((t_ns, message.text))
        elif kind == "GPS_INPUT":
            has_fix = message.fix_type >= wire.GPS_FIX_TYPE_3D_FIX
            place = (message.lat, message.lon) if has_fix else None
            self._say(t_ns, place, message.horiz_accuracy)
        elif kind == "GLOBAL_POSITION_SENSOR":
            has_fix = message.lat != NO_DEGREES and not message.flags & 1
            self._say(t_ns, (message.lat, message.lon) if has_fix else None, message.eph)
        elif kind == "ODOMETRY":
            origin, has_fix = self.autopilot.firmware.origin, message.quality >= 0
            place_m = origin.plus(np.array([message.y, message.x])) if origin and has_fix else None
            self._judge(t_ns, place_m, math.sqrt(max(0.0, message.pose_covariance[0])))

    def _say(self, t_ns: int, place: tuple[int, int] | None, accuracy_m: float) -> None:
        """A place in degrees x 1e7."""
        place_m = self.frame.to_enu(place[0] / 1e7, place[1] / 1e7) if place else None
        self._judge(t_ns, place_m, accuracy_m)

    def _judge(self, t_ns: int, place_m: Floats | None, accuracy_m: float) -> None:
        """A place [2] on the plane of the world."""
        if place_m is None or self.truth is None:
            self.said.append(Said(t_ns, None, None))
            return
        here_m = self.truth.east_m, self.truth.north_m
        self.said.append(Said(t_ns, math.dist(place_m.tolist(), here_m), accuracy_m))
