"""What the sensors make of the truth. Biases are drawn once per flight, from a seed.

The board sits a little askew in the airframe, its accelerometers with it: that bias of the attitude
costs the camera, not the navigation. What the attitude filter adds by wandering, and the compass,
does: gravity leaks into the accelerations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...camera import enu_from_body
from ...geodesy import Floats
from ...records import Attitude
from ..state import Readings, State, Vector
from .faults import Fault
from .gnss import GnssErrors, Receiver
from .noise import Wander
from .terrain import Terrain
from .vehicle import GRAVITY_M_S2

_GRAVITY: Floats = np.array([0.0, 0.0, GRAVITY_M_S2])


@dataclass(frozen=True)
class SensorErrors:
    """1-sigma errors, and the rangefinder's reach; the velocity is that of flow or of air data.

    Attitude noise wanders within `attitude_forgets_s`, the barometer within `baro_forgets_s`.
    """

    attitude_bias_deg: float = 0.7
    attitude_noise_deg: float = 0.4
    attitude_forgets_s: float = 2.0
    heading_bias_deg: float = 2.0
    heading_noise_deg: float = 0.4
    acceleration_bias_m_s2: float = 0.03
    acceleration_noise_m_s2: float = 0.1
    height_scale: float = 0.02
    height_noise_m: float = 0.3
    rangefinder_max_m: float = 200.0
    alt_bias_m: float = 2.0
    baro_drift_m: float = 1.0
    baro_forgets_s: float = 300.0
    velocity_bias_m_s: float = 0.5
    velocity_noise_m_s: float = 0.2


class Sensors:
    """Every sensor of a vehicle, asked in increasing time."""

    def __init__(
        self,
        terrain: Terrain,
        seed: int,
        *,
        errors: SensorErrors | None = None,
        gnss: GnssErrors | None = None,
        faults: Sequence[Fault] = (),
    ) -> None:
        self._errors = errors = errors or SensorErrors()
        self._terrain = terrain
        self._receiver = Receiver(gnss or GnssErrors(), faults, seed)
        self._rng = rng = np.random.default_rng([seed, 22])
        bias = rng.standard_normal(8)
        self._tilt_bias_deg = errors.attitude_bias_deg * bias[:2]
        self._heading_bias_deg = errors.heading_bias_deg * float(bias[2])
        self._acceleration_bias = errors.acceleration_bias_m_s2 * bias[3:6]
        self._height_scale = 1.0 + errors.height_scale * float(bias[6])
        self._alt_bias_m = errors.alt_bias_m * float(bias[7])
        self._tilt = Wander(rng, errors.attitude_noise_deg, errors.attitude_forgets_s, 2)
        self._heading = Wander(rng, errors.heading_noise_deg, errors.attitude_forgets_s)
        self._baro = Wander(rng, errors.baro_drift_m, errors.baro_forgets_s)
        self._velocity_bias = errors.velocity_bias_m_s * rng.standard_normal(2)
        self._before: State | None = None

    def sense(self, state: State) -> Readings:
        """Readings at a state later than the one before."""
        before, self._before = self._before or state, state
        dt_s = state.time_s - before.time_s
        board, attitude = self._attitudes(state.attitude, dt_s)
        height_m, alt_m = self._heights(state, dt_s)
        return Readings(
            state.time_s,
            attitude,
            self._acceleration(before, state, board, attitude),
            alt_m,
            height_m,
            self._receiver.sense(state),
        )

    def velocity(self, state: State) -> tuple[float, float]:
        """East and north over ground in m/s, as flow or air data have it without GNSS."""
        noise = self._errors.velocity_noise_m_s * self._rng.standard_normal(2)
        east, north = (self._velocity_bias + noise).tolist()
        return state.velocity_enu_m_s[0] + east, state.velocity_enu_m_s[1] + north

    def _attitudes(self, true: Attitude, dt_s: float) -> tuple[Attitude, Attitude]:
        """Of the board, truly, and as its filter has it."""
        roll_deg, pitch_deg = self._tilt_bias_deg.tolist()
        board = Attitude(true.roll_deg + roll_deg, true.pitch_deg + pitch_deg, true.heading_deg)
        roll_deg, pitch_deg = self._tilt.step(dt_s).tolist()
        heading_deg = self._heading_bias_deg + float(self._heading.step(dt_s)[0])
        return board, Attitude(
            board.roll_deg + roll_deg,
            board.pitch_deg + pitch_deg,
            (board.heading_deg + heading_deg) % 360.0,
        )

    def _acceleration(
        self, before: State, state: State, board: Attitude, attitude: Attitude
    ) -> Vector:
        """What the accelerometers feel, turned by the attitude believed, without gravity."""
        dt_s = state.time_s - before.time_s
        change = np.subtract(state.velocity_enu_m_s, before.velocity_enu_m_s)
        true = change / dt_s if dt_s > 0.0 else np.zeros(3)
        felt = enu_from_body(board).T @ (true + _GRAVITY)
        noise = self._errors.acceleration_noise_m_s2 * self._rng.standard_normal(3)
        believed = enu_from_body(attitude) @ (felt + self._acceleration_bias + noise) - _GRAVITY
        east, north, up = believed.tolist()
        return east, north, up

    def _heights(self, state: State, dt_s: float) -> tuple[float | None, float]:
        """Above ground by the rangefinder, None beyond its reach; above sea by the barometer."""
        noise_m = (self._errors.height_noise_m * self._rng.standard_normal(2)).tolist()
        drift_m = self._alt_bias_m + float(self._baro.step(dt_s)[0])
        alt_m = state.alt_amsl_m + drift_m + noise_m[0]
        true_m = state.alt_amsl_m - self._terrain.ground_at(state.east_m, state.north_m)
        height_m = self._height_scale * true_m + noise_m[1]
        in_reach = 0.0 < height_m <= self._errors.rangefinder_max_m
        return (height_m if in_reach else None), alt_m
