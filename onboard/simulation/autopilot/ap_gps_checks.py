"""Whether EKF3 takes a GPS: before alignment and in flight (AP_NavEKF3_VehicleStatus.cpp)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .gnss import FIX_3D, PeakHold, Solution
from .parameters import Parameters

SATELLITES, HDOP, SPEED, POSITION, YAW, DRIFT, VERTICAL, HORIZONTAL = (1 << n for n in range(8))
"""Bits of EK3_GPS_CHECK."""

GOOD_FOR_S = 10.0
BAD_FOR_S = 5.0
DRIFT_S = 10.0
"""Time constant of the filters behind the drift and the speed of a vehicle that stands."""


class AlignmentChecks:
    """calcGpsGoodToAlign: good after 10 s without a failure, bad after 5 s without a pass."""

    def __init__(self, parameters: Parameters, *, is_good: bool = False) -> None:
        self._parameters = parameters
        self._failed_s = self._passed_s = math.nan
        self._speed = PeakHold(most=50.0)
        self._last: Solution | None = None
        self._drift_m = (0.0, 0.0)
        self._slow_velocity_m_s = (0.0, 0.0, 0.0)
        self.is_good = is_good

    def take(self, solution: Solution) -> list[str]:
        """The checks that this solution fails, by their names."""
        t_s = solution.t_s
        if math.isnan(self._failed_s):
            self._failed_s = self._passed_s = t_s
        self._follow(solution)
        failures = self._failures(solution)
        if failures:
            self._failed_s = t_s
        else:
            self._passed_s = t_s
        if not self.is_good and t_s - self._failed_s > GOOD_FOR_S:
            self.is_good = True
        elif self.is_good and t_s - self._passed_s > BAD_FOR_S:
            self.is_good = False
        return failures

    def _follow(self, solution: Solution) -> None:
        """How far and how fast a vehicle that should stand has gone, slowly forgotten."""
        last, self._last = self._last, solution
        if last is None:
            return
        dt_s = min(max(solution.t_s - last.t_s, 0.01), 10.0)
        self._speed.take(solution.speed_accuracy_m_s, dt_s)
        keep = 1.0 - dt_s / DRIFT_S
        east_m, north_m = self._drift_m
        self._drift_m = (
            (east_m + solution.east_m - last.east_m) * keep,
            (north_m + solution.north_m - last.north_m) * keep,
        )
        east_m_s, north_m_s, up_m_s = (
            before * keep + now * (1.0 - keep)
            for before, now in zip(self._slow_velocity_m_s, solution.velocity_enu_m_s, strict=True)
        )
        self._slow_velocity_m_s = (east_m_s, north_m_s, up_m_s)

    def _failures(self, solution: Solution) -> list[str]:
        mask = self._parameters.integer("EK3_GPS_CHECK")
        scale = self._parameters["EK3_CHECK_SCALE"] / 100.0
        east_m_s, north_m_s, up_m_s = self._slow_velocity_m_s
        speed_accuracy_m_s = max(self._speed.value, solution.speed_accuracy_m_s or 0.0)
        checks = (
            (True, "fix", solution.fix_type < FIX_3D),
            (mask & SATELLITES, "numsats", solution.satellites < 6),
            (mask & HDOP, "hdop", solution.hdop > 2.5),
            (mask & SPEED, "speed error", speed_accuracy_m_s > 1.0 * scale),
            (mask & POSITION, "horiz error", (solution.horiz_accuracy_m or 0.0) > 5.0 * scale),
            (mask & POSITION, "vert error", (solution.vert_accuracy_m or 0.0) > 7.5 * scale),
            (mask & DRIFT, "drift", math.hypot(*self._drift_m) > 3.0 * scale),
            (mask & VERTICAL, "vert vel", abs(up_m_s) > 0.3 * scale),
            (mask & HORIZONTAL, "horiz vel", math.hypot(east_m_s, north_m_s) > 0.3 * scale),
        )
        return [name for is_asked, name, is_failed in checks if is_asked and is_failed]


@dataclass
class FlightChecks:
    """calcGpsGoodForFlight: the stated speed accuracy and the innovations, with hysteresis.

    GPS_GLITCHING in EKF_STATUS_REPORT is the opposite of `is_good`, while GPS is used.
    """

    is_good: bool = True
    _speed_is_good: bool = True
    _innovations_are_good: bool = True
    _passed_s: float = math.nan
    _failed_s: float = math.nan

    def take(self, speed_accuracy_m_s: float, worst_ratio: float, t_s: float) -> None:
        """`worst_ratio` is the larger test ratio of position and velocity."""
        if speed_accuracy_m_s > 1.5:
            self._speed_is_good = False
        elif speed_accuracy_m_s < 1.0:
            self._speed_is_good = True
        if math.isnan(self._passed_s):
            self._passed_s = self._failed_s = t_s
        if worst_ratio < 1.0:
            self._passed_s = t_s
        else:
            self._failed_s = t_s
        if t_s - self._passed_s > 1.0:
            self._innovations_are_good = False
        elif t_s - self._failed_s > 10.0:
            self._innovations_are_good = True
        self.is_good = self._speed_is_good and self._innovations_are_good
