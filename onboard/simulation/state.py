"""The truth about a simulated vehicle, and what its sensors make of it.

Positions are metres east and north on the plane of the world's `LocalFrame`; heights are metres
above mean sea level, as the world's ground has them; velocities are metres per second east, north,
up. Time is seconds since the flight began.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..records import Attitude

Vector = tuple[float, float, float]
"""East, north, up."""


@dataclass(frozen=True)
class State:
    """Where the vehicle truly is at one instant, how it is turned, how it moves."""

    time_s: float
    east_m: float
    north_m: float
    alt_amsl_m: float
    attitude: Attitude
    velocity_enu_m_s: Vector


@dataclass(frozen=True)
class GnssReading:
    """One solution of a GNSS receiver; accuracies are 1-sigma, horizontal ones radial.

    `fix_type` is MAVLink's GPS_FIX_TYPE: 1 no fix, 3 a 3D fix.
    """

    time_s: float
    fix_type: int
    satellites: int
    hdop: float
    east_m: float
    north_m: float
    alt_amsl_m: float
    velocity_enu_m_s: Vector
    horiz_accuracy_m: float
    vert_accuracy_m: float
    speed_accuracy_m_s: float


@dataclass(frozen=True)
class Readings:
    """What the sensors say at one instant, errors included.

    `attitude` is as the attitude filter has it; `acceleration_enu_m_s2` is what the inertial unit
    feels without gravity, turned by that attitude: integrated alone it drifts away.
    `height_agl_m` is a rangefinder's; None beyond its range. `gnss` is None between solutions.
    """

    time_s: float
    attitude: Attitude
    acceleration_enu_m_s2: Vector
    alt_baro_amsl_m: float
    height_agl_m: float | None = None
    gnss: GnssReading | None = None
