"""A multirotor: it accelerates by leaning, and leans against the wind."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ...records import Attitude
from ..state import State, Vector
from .noise import lag
from .vehicle import GRAVITY_M_S2, Start, clip, followed, half_turn, moved, rightward, shorten

_VELOCITY_S, _CLIMB_S, _LEAN_S, _DRAG_S, _YAW_S = 0.9, 0.6, 0.15, 0.8, 0.4
"""Time constants: velocity and climb loops, lean, learning of the drag, yaw."""
_TURNS_ABOVE_M_S = 1.0
_STEADY_S, _SHAKES_PER_S = 0.8, 0.7
"""A gust tilts the airframe, by so many m/s2 of lean for each m/s, until it is no news any more."""


@dataclass(frozen=True)
class MultirotorLimits:
    """What the airframe can do. Drag is linear, as rotors have it: m/s2 per m/s of airspeed."""

    max_speed_m_s: float = 18.0
    max_lean_deg: float = 30.0
    max_acceleration_m_s2: float = 3.0
    max_climb_m_s: float = 4.0
    max_descent_m_s: float = 2.5
    max_yaw_rate_deg_s: float = 60.0
    drag_per_s: float = 0.22


class Multirotor:
    """A vehicle whose nose turns to where it is told to go. See `Vehicle`."""

    lookahead_s = 2.0
    may_hover = True

    def __init__(
        self, start: Start, wind_enu_m_s: Vector, limits: MultirotorLimits | None = None
    ) -> None:
        self._limits = limits or MultirotorLimits()
        level = Attitude(0.0, 0.0, start.course_deg)
        self._state = State(0.0, *start.place, level, start.velocity)
        self._drag = self._drag_in(wind_enu_m_s)
        self._thrust = shorten(*self._drag, self._most_thrust())
        self._steady = wind_enu_m_s
        attitude = self._attitude(math.radians(start.course_deg), wind_enu_m_s)
        self._state = replace(self._state, attitude=attitude)

    @property
    def state(self) -> State:
        """The truth now."""
        return self._state

    def step(self, dt_s: float, demand_enu_m_s: Vector, wind_enu_m_s: Vector) -> State:
        """Lean, climb and turn for `dt_s`; the truth then."""
        east, north, up = self._state.velocity_enu_m_s
        drag = self._drag_in(wind_enu_m_s)
        goal = shorten(demand_enu_m_s[0], demand_enu_m_s[1], self._limits.max_speed_m_s)
        self._lean(dt_s, goal, drag)
        climb_m_s2 = self._climb(demand_enu_m_s[2]) + self._limits.drag_per_s * wind_enu_m_s[2]
        velocity = (
            east + dt_s * (self._thrust[0] - drag[0]),
            north + dt_s * (self._thrust[1] - drag[1]),
            up + dt_s * climb_m_s2,
        )
        heading_rad = self._turn(dt_s, *goal)
        attitude = self._attitude(heading_rad, wind_enu_m_s)
        self._steady = followed(self._steady, wind_enu_m_s, lag(dt_s, _STEADY_S))
        self._state = moved(self._state, dt_s, velocity, attitude)
        return self._state

    def _lean(self, dt_s: float, goal: tuple[float, float], drag: tuple[float, float]) -> None:
        """Turn the thrust towards the goal, against the drag as far as it has been noticed."""
        east, north, _ = self._state.velocity_enu_m_s
        push = shorten(
            (goal[0] - east) / _VELOCITY_S,
            (goal[1] - north) / _VELOCITY_S,
            self._limits.max_acceleration_m_s2,
        )
        noticed = lag(dt_s, _DRAG_S)
        self._drag = (
            self._drag[0] + noticed * (drag[0] - self._drag[0]),
            self._drag[1] + noticed * (drag[1] - self._drag[1]),
        )
        want = shorten(push[0] + self._drag[0], push[1] + self._drag[1], self._most_thrust())
        done = lag(dt_s, _LEAN_S)
        self._thrust = (
            self._thrust[0] + done * (want[0] - self._thrust[0]),
            self._thrust[1] + done * (want[1] - self._thrust[1]),
        )

    def _drag_in(self, wind_enu_m_s: Vector) -> tuple[float, float]:
        """Horizontal m/s2, positive where the vehicle flies faster than the air."""
        (east, north, _), per_s = self._state.velocity_enu_m_s, self._limits.drag_per_s
        return per_s * (east - wind_enu_m_s[0]), per_s * (north - wind_enu_m_s[1])

    def _most_thrust(self) -> float:
        """Horizontal m/s2 at the greatest lean."""
        return GRAVITY_M_S2 * math.tan(math.radians(self._limits.max_lean_deg))

    def _climb(self, demand_m_s: float) -> float:
        limits = self._limits
        goal = clip(demand_m_s, -limits.max_descent_m_s, limits.max_climb_m_s)
        push = (goal - self._state.velocity_enu_m_s[2]) / _CLIMB_S
        return clip(push, -limits.max_acceleration_m_s2, limits.max_acceleration_m_s2)

    def _turn(self, dt_s: float, east: float, north: float) -> float:
        """Heading in radians after a step towards the course demanded."""
        heading_rad = math.radians(self._state.attitude.heading_deg)
        if math.hypot(east, north) < _TURNS_ABOVE_M_S:
            return heading_rad
        fastest = math.radians(self._limits.max_yaw_rate_deg_s) * dt_s
        rest_rad = half_turn(math.atan2(east, north) - heading_rad)
        return heading_rad + clip(rest_rad * lag(dt_s, _YAW_S), -fastest, fastest)

    def _attitude(self, heading_rad: float, wind: Vector) -> Attitude:
        """Thrust stands on the rotor plane: forward pitches the nose down, right rolls right."""
        east, north = shorten(
            self._thrust[0] + _SHAKES_PER_S * (wind[0] - self._steady[0]),
            self._thrust[1] + _SHAKES_PER_S * (wind[1] - self._steady[1]),
            self._most_thrust(),
        )
        forward = east * math.sin(heading_rad) + north * math.cos(heading_rad)
        right = rightward(east, north, heading_rad)
        pitch_rad = -math.atan2(forward, GRAVITY_M_S2)
        roll_rad = math.atan2(right * math.cos(pitch_rad), GRAVITY_M_S2)
        return Attitude(
            math.degrees(roll_rad), math.degrees(pitch_rad), math.degrees(heading_rad) % 360.0
        )
