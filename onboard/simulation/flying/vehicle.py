"""What flies: something that is told a velocity and does what its airframe lets it do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from ...records import Attitude
from ..state import State, Vector

GRAVITY_M_S2 = 9.80665


@dataclass(frozen=True)
class Start:
    """Level flight over a place (east, north, above sea), along a course, not yet turned by wind.

    The speed is over ground for what may hover, through the air for a wing.
    """

    place: Vector
    course_deg: float
    speed_m_s: float

    @property
    def velocity(self) -> Vector:
        """East, north, up along the course."""
        course_rad = math.radians(self.course_deg)
        return self.speed_m_s * math.sin(course_rad), self.speed_m_s * math.cos(course_rad), 0.0


class Vehicle(Protocol):
    """A multirotor or a fixed wing, stepped in time by at most 0.05 s.

    `lookahead_s` is how far ahead on its path it should aim; `may_hover` whether it can stand
    still in the air.
    """

    lookahead_s: float
    may_hover: bool

    @property
    def state(self) -> State:
        """The truth now."""
        ...

    def step(self, dt_s: float, demand_enu_m_s: Vector, wind_enu_m_s: Vector) -> State:
        """Follow a demanded velocity over ground for `dt_s`, in this wind; the truth then."""
        ...


def clip(value: float, low: float, high: float) -> float:
    """The nearest value within bounds."""
    return min(max(value, low), high)


def shorten(x: float, y: float, longest: float) -> tuple[float, float]:
    """The same direction, at most so long."""
    length = math.hypot(x, y)
    if length <= longest:
        return x, y
    return x * longest / length, y * longest / length


def followed(behind: Vector, target: Vector, share: float) -> Vector:
    """So much of the way from one vector to another."""
    east, north, up = (b + share * (t - b) for b, t in zip(behind, target, strict=True))
    return east, north, up


def rightward(east: float, north: float, course_rad: float) -> float:
    """The part of a vector that points to the right of a course."""
    return east * math.cos(course_rad) - north * math.sin(course_rad)


def half_turn(angle_rad: float) -> float:
    """The same angle from -pi to pi."""
    return math.remainder(angle_rad, 2.0 * math.pi)


def moved(state: State, dt_s: float, velocity: Vector, attitude: Attitude) -> State:
    """After a step whose velocity and attitude end as given."""
    before = state.velocity_enu_m_s
    east, north, up = (0.5 * dt_s * (a + b) for a, b in zip(before, velocity, strict=True))
    return State(
        state.time_s + dt_s,
        state.east_m + east,
        state.north_m + north,
        state.alt_amsl_m + up,
        attitude,
        velocity,
    )
