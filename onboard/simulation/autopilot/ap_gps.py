"""ArduPilot's receivers (libraries/AP_GPS): GPS_INPUT, health, and which of two is used."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pymavlink.dialects.v20 import ardupilotmega as wire

from ...geodesy import LocalFrame
from .gnss import FIX_3D, Solution
from .jitter import JitterCorrection
from .parameters import Parameters
from .vehicle import Message, Voice

TYPE_NONE, TYPE_MAV = 0, 14
USE_PRIMARY, USE_PRIMARY_IF_3D = 0, 4
"""Of GPS_AUTO_SWITCH; the rest take the best one."""

TIMEOUT_S = 4.0  # AP_GPS.cpp: a silent receiver counts as absent
MAX_AVERAGE_INTERVAL_S = 0.215  # AP_GPS.cpp is_healthy
DELAYED_S = 0.245  # AP_GPS.cpp: a message later than this is a delayed one
MAX_DELAYED = 2  # AP_GPS.cpp is_healthy
DEFAULT_LAG_S = 0.2  # GPS_Backend.h get_lag: GPSn_DELAY_MS is 0 and the driver knows no better
EXPECTED_INTERVAL_S = 0.2  # GPSn_RATE_MS: what the average begins with

_NOTHING = Solution(-math.inf, 0, 0, 99.99, 0.0, 0.0, 0.0, 0.0, 0.0, (0.0, 0.0, 0.0))


@dataclass
class Receiver:
    """One of the two instances."""

    number: int
    kind: int
    last: Solution | None = None
    average_interval_s: float = EXPECTED_INTERVAL_S
    delayed: int = 0
    arrival_s: float = -math.inf

    def take(self, solution: Solution, arrival_s: float) -> None:
        """The next solution, and the pace at which they come."""
        if self.last is not None:
            interval_s = arrival_s - self.arrival_s
            self.average_interval_s += 0.02 * (interval_s - self.average_interval_s)
            self.delayed = self.delayed + 1 if interval_s > DELAYED_S else 0
        self.last, self.arrival_s = solution, arrival_s

    def fix_type(self, t_s: float) -> int:
        """GPS_FIX_TYPE, 0 for a receiver that is silent."""
        return self.last.fix_type if self.last and t_s - self.arrival_s < TIMEOUT_S else 0

    def is_healthy(self, t_s: float) -> bool:
        """Whether messages come often enough and steadily: 5 Hz is, 4 Hz is not."""
        return (
            self.fix_type(t_s) > 0
            and self.delayed < MAX_DELAYED
            and self.average_interval_s < MAX_AVERAGE_INTERVAL_S
        )


class Receivers:
    """GPS1 and GPS2 by their GPSn_TYPE; a type that is neither none nor MAV is the one on board."""

    def __init__(self, parameters: Parameters, frame: LocalFrame, voice: Voice) -> None:
        self._parameters, self._frame, self._voice = parameters, frame, voice
        self._jitter = {0: JitterCorrection(), 1: JitterCorrection()}
        self._used = parameters.integer("GPS_PRIMARY")
        self.instances = [Receiver(number, self._kind(number)) for number in (0, 1)]

    def take_reading(self, solution: Solution) -> Receiver | None:
        """A solution of the receiver on board, to the first instance of such a type."""
        for receiver in self._configured():
            if receiver.kind != TYPE_MAV:
                return self._taken(receiver, solution, solution.t_s)
        return None

    def take_gps_input(self, message: Message, t_s: float) -> Receiver | None:
        """GPS_INPUT to the instance of type MAV whose number it carries; else nobody hears it."""
        if not all(map(math.isfinite, (message.alt, message.vn, message.ve, message.vd))):
            return None
        for receiver in self._configured():
            if receiver.kind == TYPE_MAV and receiver.number == message.gps_id:
                return self._taken(receiver, self._decode(message, receiver, t_s), t_s)
        return None

    def lag_s(self, receiver: Receiver) -> float:
        """How old its solutions are taken to be on arrival."""
        delay_ms = self._parameters[f"GPS{receiver.number + 1}_DELAY_MS"]
        if delay_ms > 0.0:
            return delay_ms / 1000.0
        known_s = receiver.last.age_s if receiver.last else None
        return DEFAULT_LAG_S if known_s is None else known_s

    def used(self, t_s: float) -> Receiver | None:
        """The one that the filter listens to: by GPS_AUTO_SWITCH, status, then satellites."""
        configured = self._configured()
        if not configured:
            return None
        primary = min(self._parameters.integer("GPS_PRIMARY"), 1)
        by_number = {receiver.number: receiver for receiver in configured}
        chosen = by_number.get(primary, configured[0])
        rule = self._parameters.integer("GPS_AUTO_SWITCH")
        keeps_primary = rule == USE_PRIMARY or (
            rule == USE_PRIMARY_IF_3D and chosen.fix_type(t_s) >= FIX_3D
        )
        if not keeps_primary:
            chosen = max(
                configured, key=lambda each: (*_rank(each, t_s), each.number == self._used)
            )
        self._used = chosen.number
        return chosen

    def complaints(self, t_s: float) -> list[str]:
        """What stands against arming (AP_GPS::pre_arm_checks, AP_Arming::gps_checks)."""
        found = []
        for receiver in self._configured():
            name = f"GPS {receiver.number + 1}"
            if receiver.fix_type(t_s) < FIX_3D:
                found.append(f"{name}: Bad fix")
            elif not receiver.is_healthy(t_s):
                found.append(f"{name}: not healthy")
        used = self.used(t_s)
        if used and used.last and 100.0 * used.last.hdop > self._parameters["GPS_HDOP_GOOD"]:
            found.append("High GPS HDOP")
        return found

    def _kind(self, number: int) -> int:
        return self._parameters.integer(f"GPS{number + 1}_TYPE")

    def _configured(self) -> list[Receiver]:
        for receiver in self.instances:
            receiver.kind = self._kind(receiver.number)
        return [receiver for receiver in self.instances if receiver.kind != TYPE_NONE]

    def _taken(self, receiver: Receiver, solution: Solution, arrival_s: float) -> Receiver:
        if receiver.last is None:
            name = "MAV" if receiver.kind == TYPE_MAV else "u-blox"
            self._voice.say(f"GPS {receiver.number + 1}: detected {name}")
        receiver.take(solution, arrival_s)
        return receiver

    def _decode(self, message: Message, receiver: Receiver, t_s: float) -> Solution:
        """AP_GPS_MAV.cpp: what is ignored keeps its last value, or zero; the altitude is zero."""
        if message.fix_type >= FIX_3D and message.time_week > 0:
            sent_s = message.time_week * 604_800.0 + message.time_week_ms / 1000.0
            t_s = self._jitter[receiver.number].correct(sent_s, t_s)
        lat_deg, lon_deg = message.lat / 1e7, message.lon / 1e7
        east_m, north_m = self._frame.to_enu(lat_deg, lon_deg)
        before = receiver.last or _NOTHING

        def given(flag: int) -> bool:
            return not message.ignore_flags & flag

        east_m_s, north_m_s, up_m_s = before.velocity_enu_m_s
        if given(wire.GPS_INPUT_IGNORE_FLAG_VEL_HORIZ):
            east_m_s, north_m_s = message.ve, message.vn
        if given(wire.GPS_INPUT_IGNORE_FLAG_VEL_VERT):
            up_m_s = -message.vd
        solution = replace(
            before,
            t_s=t_s,
            fix_type=message.fix_type,
            satellites=message.satellites_visible,
            lat_deg=lat_deg,
            lon_deg=lon_deg,
            east_m=float(east_m),
            north_m=float(north_m),
            alt_amsl_m=message.alt if given(wire.GPS_INPUT_IGNORE_FLAG_ALT) else 0.0,
            velocity_enu_m_s=(east_m_s, north_m_s, up_m_s),
        )
        sticky = (
            ("hdop", wire.GPS_INPUT_IGNORE_FLAG_HDOP, message.hdop),
            (
                "horiz_accuracy_m",
                wire.GPS_INPUT_IGNORE_FLAG_HORIZONTAL_ACCURACY,
                message.horiz_accuracy,
            ),
            (
                "vert_accuracy_m",
                wire.GPS_INPUT_IGNORE_FLAG_VERTICAL_ACCURACY,
                message.vert_accuracy,
            ),
            (
                "speed_accuracy_m_s",
                wire.GPS_INPUT_IGNORE_FLAG_SPEED_ACCURACY,
                message.speed_accuracy,
            ),
        )
        return replace(solution, **{name: value for name, flag, value in sticky if given(flag)})


def _rank(receiver: Receiver, t_s: float) -> tuple[int, int]:
    return receiver.fix_type(t_s), receiver.last.satellites if receiver.last else 0
