"""A fixed wing: it holds an airspeed, turns by banking, and is carried by the wind."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...records import Attitude
from ..state import State, Vector
from .noise import lag
from .vehicle import GRAVITY_M_S2, Start, clip, followed, half_turn, moved, rightward

_AIRSPEED_S, _BANK_S, _CLIMB_S, _CARRIED_S = 2.0, 0.3, 1.0, 0.8
"""Time constants: airspeed, bank and climb loops, and how soon a gust carries the vehicle along."""
_ROLLS_DEG_PER_M_S = 16.0
"""A gust from aside rolls the wing, until it carries it along."""


@dataclass(frozen=True)
class FixedWingLimits:
    """What the airframe can do; `trim_attack_deg` is its angle of attack level at trim speed."""

    min_airspeed_m_s: float = 13.0
    max_airspeed_m_s: float = 28.0
    trim_airspeed_m_s: float = 18.0
    trim_attack_deg: float = 3.0
    max_bank_deg: float = 35.0
    max_roll_rate_deg_s: float = 60.0
    max_acceleration_m_s2: float = 1.5
    max_climb_m_s: float = 3.0
    max_descent_m_s: float = 3.5


class FixedWing:
    """A vehicle to which the length of a demand is an airspeed. See `Vehicle`."""

    lookahead_s = 5.0
    may_hover = False

    def __init__(
        self, start: Start, wind_enu_m_s: Vector, limits: FixedWingLimits | None = None
    ) -> None:
        self._limits = limits or FixedWingLimits()
        self.airspeed_m_s = self._allowed(start.speed_m_s)
        self._bank_rad = self._climb_m_s = 0.0
        self._carried = wind_enu_m_s
        self._course_rad = math.radians(start.course_deg) - self._crab_rad(start.course_deg)
        velocity = self._velocity()
        attitude = self._attitude(velocity, wind_enu_m_s)
        self._state = State(0.0, *start.place, attitude, velocity)

    @property
    def state(self) -> State:
        """The truth now."""
        return self._state

    def step(self, dt_s: float, demand_enu_m_s: Vector, wind_enu_m_s: Vector) -> State:
        """Bank, climb and hold the airspeed for `dt_s`; the truth then."""
        self._hold_airspeed(dt_s, math.hypot(demand_enu_m_s[0], demand_enu_m_s[1]))
        self._bank(dt_s, demand_enu_m_s)
        self._climb(dt_s, demand_enu_m_s[2])
        rate_rad_s = GRAVITY_M_S2 * math.tan(self._bank_rad) / self.airspeed_m_s
        self._course_rad = half_turn(self._course_rad + rate_rad_s * dt_s)
        self._carried = followed(self._carried, wind_enu_m_s, lag(dt_s, _CARRIED_S))
        velocity = self._velocity()
        attitude = self._attitude(velocity, wind_enu_m_s)
        self._state = moved(self._state, dt_s, velocity, attitude)
        return self._state

    def _allowed(self, airspeed_m_s: float) -> float:
        return clip(airspeed_m_s, self._limits.min_airspeed_m_s, self._limits.max_airspeed_m_s)

    def _hold_airspeed(self, dt_s: float, demand_m_s: float) -> None:
        most = self._limits.max_acceleration_m_s2
        push = clip((self._allowed(demand_m_s) - self.airspeed_m_s) / _AIRSPEED_S, -most, most)
        self.airspeed_m_s += push * dt_s

    def _bank(self, dt_s: float, demand: Vector) -> None:
        """Nonlinear guidance (Park, Deyst, How 2004) with a reference point `lookahead_s` ahead."""
        east, north, _ = self._state.velocity_enu_m_s
        off_rad = half_turn(math.atan2(demand[0], demand[1]) - math.atan2(east, north))
        sine = math.sin(clip(off_rad, -math.pi / 2.0, math.pi / 2.0))
        aside_m_s2 = 2.0 * math.hypot(east, north) * sine / self.lookahead_s
        most = math.radians(self._limits.max_bank_deg)
        goal = clip(math.atan2(aside_m_s2, GRAVITY_M_S2), -most, most)
        fastest = math.radians(self._limits.max_roll_rate_deg_s) * dt_s
        change = (goal - self._bank_rad) * lag(dt_s, _BANK_S)
        self._bank_rad += clip(change, -fastest, fastest)

    def _climb(self, dt_s: float, demand_m_s: float) -> None:
        goal = clip(demand_m_s, -self._limits.max_descent_m_s, self._limits.max_climb_m_s)
        self._climb_m_s += (goal - self._climb_m_s) * lag(dt_s, _CLIMB_S)

    def _velocity(self) -> Vector:
        """Over ground: through the air, and with it."""
        level_m_s = math.sqrt(max(self.airspeed_m_s**2 - self._climb_m_s**2, 0.0))
        return (
            level_m_s * math.sin(self._course_rad) + self._carried[0],
            level_m_s * math.cos(self._course_rad) + self._carried[1],
            self._climb_m_s + self._carried[2],
        )

    def _crab_rad(self, course_deg: float) -> float:
        """How far the wind from aside turns the nose off a course over ground."""
        course_rad = math.radians(course_deg)
        aside_m_s = rightward(self._carried[0], self._carried[1], course_rad)
        return math.asin(clip(aside_m_s / self.airspeed_m_s, -1.0, 1.0))

    def _attitude(self, velocity: Vector, wind: Vector) -> Attitude:
        """The nose points into the air that comes, gusts and all, and above it by the attack."""
        east, north, up = (v - w for v, w in zip(velocity, wind, strict=True))
        level_m_s = math.hypot(east, north)
        lift = (self._limits.trim_airspeed_m_s / self.airspeed_m_s) ** 2 / math.cos(self._bank_rad)
        blown = wind[0] - self._carried[0], wind[1] - self._carried[1]
        blown_m_s = rightward(*blown, self._course_rad)
        most_deg = self._limits.max_bank_deg
        rolled_deg = math.degrees(self._bank_rad) + _ROLLS_DEG_PER_M_S * blown_m_s
        return Attitude(
            clip(rolled_deg, -most_deg, most_deg),
            math.degrees(math.atan2(up, level_m_s)) + self._limits.trim_attack_deg * lift,
            math.degrees(math.atan2(east, north)) % 360.0,
        )
