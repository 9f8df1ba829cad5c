"""What both filters share: dead reckoning by the inertial unit, height by the barometer."""

from __future__ import annotations

import math

import numpy as np

from ..state import Readings
from .estimator import POSITION, VELOCITY, Estimator, Noise
from .vehicle import Estimate, Origin

BARO_INTERVAL_S = 0.05
HOLD_INTERVAL_S = 0.2


class Inertial:
    """`horizontal` has the axes east and north, `vertical` the one up, metres above sea level."""

    def __init__(self, noise: Noise, memory_s: float) -> None:
        self.horizontal = Estimator(2, noise, memory_s)
        self.vertical = Estimator(1, noise, memory_s)
        self._baro_s = self._held_s = -math.inf
        self._readings: Readings | None = None
        self._baro_offset_m = 0.0

    @property
    def t_s(self) -> float:
        """Of the last step; NaN before the first one."""
        return self.horizontal.t_s

    def step(self, readings: Readings, t_s: float, baro_noise_m: float) -> None:
        """Predict to `t_s`."""
        before, self._readings = self._readings, readings
        if before is None:
            self.vertical.settle([readings.alt_baro_amsl_m])
        else:
            turned_deg = readings.attitude.heading_deg - before.attitude.heading_deg
            self.horizontal.turn(math.radians(turned_deg))
        self.horizontal.predict(readings.acceleration_enu_m_s2[:2], t_s)
        self.vertical.predict(readings.acceleration_enu_m_s2[2:], t_s)
        if t_s - self._baro_s >= BARO_INTERVAL_S:
            self._baro_s = t_s
            measured = [readings.alt_baro_amsl_m + self._baro_offset_m]
            self.vertical.fuse(self.vertical.innovation(POSITION, measured, baro_noise_m**2, t_s))

    def hold(self) -> None:
        """Stay where it was, standing: what both filters assume while nothing aids them."""
        if self.t_s - self._held_s >= HOLD_INTERVAL_S:
            self._held_s = self.t_s
            self.horizontal.settle(self.horizontal.state[POSITION].copy())

    def reset_height(self, alt_amsl_m: float) -> None:
        """Jump to a height, and take the barometer to be off by as much."""
        seen = self.vertical.innovation(POSITION, [alt_amsl_m], 1.0, self.t_s)
        self._baro_offset_m += float(seen.residual[0])
        self.vertical.reset(seen)

    def here(self) -> Origin:
        """The present place."""
        places = (self.horizontal, self.vertical)
        east_m, north_m, alt_amsl_m = (p for e in places for p in e.state[POSITION].tolist())
        return Origin(east_m, north_m, alt_amsl_m)

    def estimate(self, *, is_valid: bool) -> Estimate:
        """After the last step, of which there must have been one."""
        assert self._readings is not None
        place = self.here()
        velocity = np.concatenate([self.horizontal.state[VELOCITY], self.vertical.state[VELOCITY]])
        east_m_s, north_m_s, up_m_s = velocity.tolist()
        return Estimate(
            place.east_m,
            place.north_m,
            place.alt_amsl_m,
            (east_m_s, north_m_s, up_m_s),
            self._readings.attitude,
            math.sqrt(self.horizontal.position_variance_m2),
            is_valid,
        )
