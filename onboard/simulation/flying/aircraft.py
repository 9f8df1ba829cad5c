"""A vehicle in its weather with its sensors: told a velocity, it gives the truth and readings.

This is the part of a flight that both a closed loop with an autopilot and a recorded one share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum

from ...errors import DataError
from ..state import Readings, State, Vector
from .faults import Fault
from .fixed_wing import FixedWing
from .gnss import GnssErrors
from .guidance import Guidance
from .multirotor import Multirotor
from .route import Route
from .sensors import SensorErrors, Sensors
from .terrain import Terrain
from .vehicle import Start, Vehicle
from .wind import Weather, Wind


class Airframe(str, Enum):
    """The kinds of vehicle that fly here."""

    MULTIROTOR = "multirotor"
    FIXED_WING = "fixed_wing"


_VEHICLES = {Airframe.MULTIROTOR: Multirotor, Airframe.FIXED_WING: FixedWing}


class Aircraft:
    """Begins over the first place of a route, under way along its first leg.

    Everything random follows from `seed`; the gusts of a flight are the same whatever its sensors.

    Raises:
        DataError: a negative seed.
    """

    def __init__(
        self,
        route: Route,
        terrain: Terrain,
        airframe: Airframe = Airframe.MULTIROTOR,
        *,
        weather: Weather | None = None,
        errors: SensorErrors | None = None,
        gnss: GnssErrors | None = None,
        faults: Sequence[Fault] = (),
        seed: int = 0,
    ) -> None:
        if seed < 0:
            raise DataError(f"seed {seed}: expected 0 or more")
        self._terrain = terrain
        self._wind = Wind(weather or Weather(), seed)
        self._sensors = Sensors(terrain, seed, errors=errors, gnss=gnss, faults=faults)
        start = beginning(route)
        height_m = start.place[2] - terrain.ground_at(*start.place[:2])
        self._air = self._wind.step(0.0, height_m, start.speed_m_s)
        self.vehicle: Vehicle = _VEHICLES[airframe](start, self._air)
        self.readings: Readings = self._sensors.sense(self.vehicle.state)

    @property
    def state(self) -> State:
        """The truth now."""
        return self.vehicle.state

    @property
    def height_agl_m(self) -> float:
        """Above the ground below, truly."""
        return self.state.alt_amsl_m - self._terrain.ground_at(
            self.state.east_m, self.state.north_m
        )

    @property
    def is_on_map(self) -> bool:
        """Whether the vehicle has ground below."""
        return self._terrain.outside_m(self.state.east_m, self.state.north_m) <= 0.0

    def guidance(self, route: Route) -> Guidance:
        """A guidance along a route that suits the vehicle."""
        return Guidance(
            route, lookahead_s=self.vehicle.lookahead_s, may_hover=self.vehicle.may_hover
        )

    def step(self, dt_s: float, demand_enu_m_s: Vector) -> tuple[State, Readings]:
        """Fly for at most 0.05 s; the truth then, and what the sensors say."""
        relative = (v - w for v, w in zip(self.state.velocity_enu_m_s, self._air, strict=True))
        airspeed_m_s = math.hypot(*relative)
        self._air = self._wind.step(dt_s, self.height_agl_m, airspeed_m_s)
        state = self.vehicle.step(dt_s, demand_enu_m_s, self._air)
        self.readings = self._sensors.sense(state)
        return state, self.readings

    def flow_m_s(self) -> tuple[float, float]:
        """East and north over ground, as measured without GNSS."""
        return self._sensors.velocity(self.state)


def beginning(route: Route) -> Start:
    """Over the first place, at the speed of the first leg and along it."""
    first, second = route.points[0].tolist(), route.points[1].tolist()
    course_rad = math.atan2(second[0] - first[0], second[1] - first[1])
    place = first[0], first[1], first[2]
    return Start(place, math.degrees(course_rad) % 360.0, route.waypoints[1].speed_m_s)
