"""What is flown: a route over a place on a day, by an aircraft with a camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from geobridge.onboard.camera import Camera
from geobridge.onboard.records import Image
from geobridge.onboard.simulation.flying.aircraft import Aircraft, Airframe
from geobridge.onboard.simulation.flying.exposures import Shutter
from geobridge.onboard.simulation.flying.faults import Fault
from geobridge.onboard.simulation.flying.gnss import GnssErrors
from geobridge.onboard.simulation.flying.route import Route
from geobridge.onboard.simulation.flying.sensors import SensorErrors
from geobridge.onboard.simulation.flying.simulate import Flight, Steering, simulate
from geobridge.onboard.simulation.flying.terrain import Terrain
from geobridge.onboard.simulation.flying.wind import Weather
from geobridge.onboard.simulation.render.optics import Optics
from geobridge.onboard.simulation.render.scenery import Setting
from geobridge.onboard.simulation.render.views import drone
from geobridge.onboard.simulation.state import State

Eye = Callable[[State], Image]
"""The camera's picture of a true state."""


@dataclass(frozen=True)
class Mission:
    """Everything that decides a flight; `seed` draws its gusts, errors and noise."""

    setting: Setting
    terrain: Terrain
    route: Route
    camera: Camera
    shutter: Shutter
    airframe: Airframe = Airframe.MULTIROTOR
    weather: Weather = field(default_factory=Weather)
    optics: Optics = field(default_factory=Optics)
    errors: SensorErrors = field(default_factory=SensorErrors)
    gnss: GnssErrors = field(default_factory=GnssErrors)
    faults: tuple[Fault, ...] = ()
    seed: int = 0

    @property
    def limit_s(self) -> float:
        """Longest time in the air: strong wind, or an autopilot astray, must end some time."""
        return 3.0 * self.route.duration_s + 60.0

    def aircraft(self) -> Aircraft:
        """At the beginning of the route."""
        return Aircraft(
            self.route,
            self.terrain,
            self.airframe,
            weather=self.weather,
            errors=self.errors,
            gnss=self.gnss,
            faults=self.faults,
            seed=self.seed,
        )

    def flown(self, steering: Steering) -> Flight:
        """The whole flight at once, without an autopilot beside it."""
        return simulate(
            self.route,
            self.terrain,
            self.airframe,
            weather=self.weather,
            errors=self.errors,
            gnss=self.gnss,
            faults=self.faults,
            steering=steering,
            seed=self.seed,
            limit_s=self.limit_s,
        )

    def eye(self, threads: int | None = None) -> Eye:
        """The camera; every exposure has noise of its own."""
        numbers = count(self.seed)

        def picture(state: State) -> Image:
            number = next(numbers)
            return drone(
                self.setting, self.camera, state, self.optics, number, threads=threads
            ).image

        return picture
