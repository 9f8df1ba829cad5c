"""What an autopilot would put into a log, in degrees and metres, whatever the log's format."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ...geodesy import Floats, LocalFrame
from ..state import GnssReading, State
from .aircraft import Airframe
from .exposures import Exposure
from .sampling import state_at
from .simulate import STEP_S, Flight

T = TypeVar("T")

_BOOTED_S = 60.0
"""How long the autopilot had been running when the flight began."""
PARAMETERS = {"SYSID_THISMAV": 1.0, "GPS1_TYPE": 1.0, "CAM1_TYPE": 1.0, "RNGFND1_TYPE": 8.0}
"""GPS1_TYPE 1 is a real receiver: 14 would mean positions that came over MAVLink."""
FIRMWARES = {
    Airframe.MULTIROTOR: "ArduCopter V4.5.0 (simulated flight)",
    Airframe.FIXED_WING: "ArduPlane V4.5.0 (simulated flight)",
}
"""Begins as readers expect it, and says what it is."""


@dataclass(frozen=True)
class Placed:
    """A believed state with its place on Earth."""

    state: State
    lat_deg: float
    lon_deg: float


@dataclass(frozen=True)
class PlacedGnss:
    """A solution with its place on Earth."""

    reading: GnssReading
    lat_deg: float
    lon_deg: float

    @property
    def speed_m_s(self) -> float:
        """Over ground."""
        return math.hypot(*self.reading.velocity_enu_m_s[:2])

    @property
    def course_deg(self) -> float:
        """From true north, 0 to 360."""
        east, north, _ = self.reading.velocity_enu_m_s
        return math.degrees(math.atan2(east, north)) % 360.0


@dataclass(frozen=True)
class Picture:
    """What the autopilot noted down when the camera told of a picture."""

    number: int
    at: Placed


def boot_s(time_s: float) -> float:
    """A time of the flight on the clock of the autopilot."""
    return _BOOTED_S + time_s


def every(rows: Sequence[T], rate_hz: float) -> Sequence[T]:
    """So many of the instants of a flight."""
    return rows[:: round(1.0 / (rate_hz * STEP_S))]


def heights(flight: Flight, rate_hz: float) -> list[tuple[float, float]]:
    """[N] seconds, and metres above ground where the rangefinder measures any."""
    rows = every(flight.readings, rate_hz)
    return [(row.time_s, row.height_agl_m) for row in rows if row.height_agl_m is not None]


def placed(states: Sequence[State], frame: LocalFrame) -> list[Placed]:
    """[N] the same states, with latitudes and longitudes."""
    lat_deg, lon_deg = frame.to_geodetic(_enu(states))
    rows = zip(states, lat_deg.tolist(), lon_deg.tolist(), strict=True)
    return [Placed(*row) for row in rows]


def solutions(flight: Flight, frame: LocalFrame) -> list[PlacedGnss]:
    """[N] every solution of the flight, with or without a fix."""
    found = [r.gnss for r in flight.readings if r.gnss is not None]
    lat_deg, lon_deg = frame.to_geodetic(_enu(found))
    rows = zip(found, lat_deg.tolist(), lon_deg.tolist(), strict=True)
    return [PlacedGnss(*row) for row in rows]


def pictures(flight: Flight, shots: Sequence[Exposure], frame: LocalFrame) -> list[Picture]:
    """[N] what was believed at the exposures; the camera's pin tells the time of each truly."""
    states = placed([state_at(flight.believed, shot.time_s) for shot in shots], frame)
    return [Picture(shot.number, at) for shot, at in zip(shots, states, strict=True)]


def _enu(places: Sequence[State] | Sequence[GnssReading]) -> Floats:
    return np.array([(place.east_m, place.north_m) for place in places]).reshape(-1, 2)
