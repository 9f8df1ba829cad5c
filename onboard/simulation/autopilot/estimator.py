"""Position, velocity and accelerometer bias by a Kalman filter: what both autopilots build on.

No clock, no gate, no rule of either autopilot. Every axis has the same noise, so that one
covariance serves all of them. Metres, m/s, m/s2; times are seconds since boot.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

POSITION, VELOCITY, BIAS = 0, 1, 2

_STEP_S = 0.01
"""Both autopilots give process noise per step of a filter that runs at 100 Hz."""


@dataclass(frozen=True)
class Noise:
    """Process noise as EK3_ACC_P_NSE and EK3_ABIAS_P_NSE, or EKF2_ACC_NOISE and _B_NOISE, have it.

    `start_*` are the 1-sigma uncertainties at boot and of a vehicle held in place; the 5 m/s are
    those of EKF2 (ekf_helper.cpp resetHorizontalVelocityToZero), so that a moving one is caught.
    """

    acceleration_m_s2: float
    bias_m_s3: float
    start_velocity_m_s: float = 5.0
    start_bias_m_s2: float = 0.2


@dataclass(frozen=True)
class Innovation:
    """What a measurement says beyond the prediction: residual [axes] and its variance per axis."""

    row: int
    residual: Floats
    variance: float
    measurement_variance: float

    def ratio(self, gate_sigmas: float) -> float:
        """Of the summed squares against the gate, as EKF3 tests: above 1 is outside."""
        squares = float(np.sum(self.residual**2))
        return squares / (gate_sigmas**2 * len(self.residual) * self.variance)

    def worst_ratio(self, gate_sigmas: float) -> float:
        """Of the worst axis against the gate, as EKF2 tests: above 1 is outside."""
        return float(np.max(self.residual**2)) / (gate_sigmas**2 * self.variance)

    def clipped(self, gate_sigmas: float) -> Innovation:
        """The same, drawn in to the gate."""
        scale = 1.0 / math.sqrt(max(1.0, self.ratio(gate_sigmas)))
        return Innovation(self.row, self.residual * scale, self.variance, self.measurement_variance)


class Estimator:
    """`state` is [3, axes]; `covariance` [3, 3] holds for every axis.

    Measurements of the past are compared with the state of then and correct the state of now;
    those older than `memory_s` with the oldest one kept.
    """

    def __init__(self, axes: int, noise: Noise, memory_s: float) -> None:
        self.state: Floats = np.zeros((3, axes))
        start = (1.0, noise.start_velocity_m_s, noise.start_bias_m_s2)
        self.covariance: Floats = np.diag(np.square(start))
        self.t_s = math.nan
        self._noise = noise
        self._memory_s = memory_s
        self._past: deque[tuple[float, Floats]] = deque()
        self._corrections: Floats = np.zeros((2, axes))

    @property
    def position_variance_m2(self) -> float:
        """Per axis."""
        return float(self.covariance[POSITION, POSITION])

    def predict(self, acceleration_m_s2: npt.ArrayLike, t_s: float) -> None:
        """Move on to `t_s` under an acceleration [axes] felt since the last step."""
        dt_s = 0.0 if math.isnan(self.t_s) else max(0.0, t_s - self.t_s)
        self.t_s = t_s
        move = np.array([[1.0, dt_s, -0.5 * dt_s**2], [0.0, 1.0, -dt_s], [0.0, 0.0, 1.0]])
        felt = np.asarray(acceleration_m_s2, float)
        self.state = move @ self.state + np.outer([0.5 * dt_s**2, dt_s, 0.0], felt)
        self.covariance = move @ self.covariance @ move.T
        self.covariance[VELOCITY, VELOCITY] += self._noise.acceleration_m_s2**2 * _STEP_S * dt_s
        self.covariance[BIAS, BIAS] += self._noise.bias_m_s3**2 * _STEP_S * dt_s
        self._past.append((t_s, self.state[:BIAS] - self._corrections))
        while t_s - self._past[0][0] > self._memory_s:
            self._past.popleft()

    def turn(self, clockwise_rad: float) -> None:
        """The bias is fixed to the vehicle: turn it with the heading (two axes, east and north)."""
        cos, sin = math.cos(clockwise_rad), math.sin(clockwise_rad)
        self.state[BIAS] = np.array([[cos, sin], [-sin, cos]]) @ self.state[BIAS]
        self.covariance[:BIAS, BIAS] *= cos
        self.covariance[BIAS, :BIAS] *= cos

    def innovation(
        self, row: int, measured: npt.ArrayLike, variance: float, t_s: float
    ) -> Innovation:
        """A position or velocity [axes] measured at `t_s` against the state of then."""
        residual = np.asarray(measured, float) - self.at(t_s)[row]
        return Innovation(row, residual, float(self.covariance[row, row]) + variance, variance)

    def at(self, t_s: float) -> Floats:
        """[2, axes] position and velocity nearest to `t_s` among those kept."""
        if not self._past:
            return self.state[:BIAS].copy()
        _, past = min(self._past, key=lambda kept: abs(kept[0] - t_s))
        return past + self._corrections

    def fuse(self, innovation: Innovation) -> None:
        """Take a measurement in."""
        row = innovation.row
        gain = self.covariance[:, row] / innovation.variance
        self._shift(np.outer(gain, innovation.residual))
        keep = np.eye(3)
        keep[:, row] -= gain
        self.covariance = (
            keep @ self.covariance @ keep.T + np.outer(gain, gain) * innovation.measurement_variance
        )

    def reset(self, innovation: Innovation) -> None:
        """Jump onto a measurement and forget how its quantity hung together with the others."""
        row = innovation.row
        change = np.zeros_like(self.state)
        change[row] = innovation.residual
        self._shift(change)
        self.covariance[row, :] = self.covariance[:, row] = 0.0
        self.covariance[row, row] = innovation.measurement_variance

    def teach(self, innovation: Innovation) -> None:
        """Jump onto a measurement and move velocity and bias by what they hang together with it."""
        certain = Innovation(
            innovation.row,
            innovation.residual,
            float(self.covariance[innovation.row, innovation.row]),
            0.0,
        )
        self.fuse(certain)
        self.covariance[innovation.row, innovation.row] = innovation.measurement_variance

    def settle(self, position_m: npt.ArrayLike) -> None:
        """Stand still at a position [axes], as unsure of it as at boot; the bias stays."""
        change = np.zeros_like(self.state)
        change[POSITION] = np.asarray(position_m, float) - self.state[POSITION]
        change[VELOCITY] = -self.state[VELOCITY]
        self._shift(change)
        kept = self.covariance[BIAS, BIAS]
        self.covariance = np.diag([1.0, self._noise.start_velocity_m_s**2, kept])

    def _shift(self, change: Floats) -> None:
        self.state = self.state + change
        self._corrections = self._corrections + change[:BIAS]
