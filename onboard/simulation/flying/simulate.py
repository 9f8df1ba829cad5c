"""A whole flight without an autopilot beside it: the truth, the readings, what was believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from ..state import Readings, State
from .aircraft import Aircraft, Airframe
from .belief import Belief
from .faults import Fault
from .gnss import GnssErrors
from .guidance import Guidance
from .route import Route
from .sensors import SensorErrors
from .terrain import Terrain
from .wind import Weather

STEP_S = 0.02


class Steering(str, Enum):
    """The position that guidance takes for the vehicle's own."""

    TRUTH = "truth"
    BELIEF = "belief"


class Ending(str, Enum):
    """How a flight ended; `FAILSAFE` is the autopilot's, where there is one beside it."""

    ARRIVED = "arrived"
    LEFT_MAP = "left_map"
    HIT_GROUND = "hit_ground"
    OUT_OF_TIME = "out_of_time"
    FAILSAFE = "failsafe"


@dataclass(frozen=True)
class Flight:
    """[N] instants, `STEP_S` apart: the truth, the readings then, and what the autopilot believed.

    `home_alt_amsl_m` is what the autopilot takes for the altitude of the ground where the flight
    began: wrong by what the barometer was wrong by then.
    """

    airframe: Airframe
    truth: tuple[State, ...]
    readings: tuple[Readings, ...]
    believed: tuple[State, ...]
    ending: Ending
    home_alt_amsl_m: float

    def height_agl_m(self, time_s: float) -> float:
        """As believed: the rangefinder's, beyond its reach the height above home."""
        row = min(max(round(time_s / STEP_S), 0), len(self.readings) - 1)
        measured_m = self.readings[row].height_agl_m
        if measured_m is not None:
            return measured_m
        return self.believed[row].alt_amsl_m - self.home_alt_amsl_m


def simulate(
    route: Route,
    terrain: Terrain,
    airframe: Airframe = Airframe.MULTIROTOR,
    *,
    weather: Weather | None = None,
    errors: SensorErrors | None = None,
    gnss: GnssErrors | None = None,
    faults: Sequence[Fault] = (),
    steering: Steering = Steering.TRUTH,
    seed: int = 0,
    limit_s: float | None = None,
) -> Flight:
    """Fly a route to its end, or to where the flight ends otherwise.

    Without `limit_s` a flight may take three times as long as its legs would in still air, and a
    minute.
    """
    aircraft = Aircraft(
        route,
        terrain,
        airframe,
        weather=weather,
        errors=errors,
        gnss=gnss,
        faults=faults,
        seed=seed,
    )
    guidance = aircraft.guidance(route)
    belief = Belief(aircraft.state, aircraft.readings)
    limit_s = 3.0 * route.duration_s + 60.0 if limit_s is None else limit_s
    truth, readings, believed = [aircraft.state], [aircraft.readings], [belief.state]
    while (ending := ended(aircraft, guidance, limit_s)) is None:
        here = belief.state if steering is Steering.BELIEF else aircraft.state
        demand = guidance.steer(here.east_m, here.north_m, here.alt_amsl_m)
        state, sensed = aircraft.step(STEP_S, demand)
        truth.append(state)
        readings.append(sensed)
        believed.append(belief.step(sensed, aircraft.flow_m_s()))
    ground_m = terrain.ground_at(truth[0].east_m, truth[0].north_m)
    home_m = ground_m + readings[0].alt_baro_amsl_m - truth[0].alt_amsl_m
    return Flight(airframe, tuple(truth), tuple(readings), tuple(believed), ending, home_m)


def ended(aircraft: Aircraft, guidance: Guidance, limit_s: float) -> Ending | None:
    """How a flight that has come so far has ended; None where it goes on."""
    if guidance.has_arrived:
        return Ending.ARRIVED
    if not aircraft.is_on_map:
        return Ending.LEFT_MAP
    if not aircraft.height_agl_m > 0.0:
        return Ending.HIT_GROUND
    return Ending.OUT_OF_TIME if aircraft.state.time_s >= limit_s else None
