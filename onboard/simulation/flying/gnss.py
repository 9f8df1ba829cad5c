"""A GNSS receiver: solutions at a steady rate, errors that wander, faults when told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import DataError
from ...geodesy import Floats
from ..state import GnssReading, State
from .faults import Fault, FaultKind
from .noise import Wander

_VERTICAL = 1.6
"""Vertical error over the horizontal one per axis, as the sky above and none below makes it."""
_WANDERS_S = 40.0
_LOST_SATELLITES, _LOST_HDOP = 0, 99.99
"""What a receiver without a fix reports."""
_TICK_S = 1e-6


@dataclass(frozen=True)
class GnssErrors:
    """1-sigma errors: what wanders and what is new in every solution, per horizontal axis.

    Raises:
        DataError: a rate that is not above 0.
    """

    rate_hz: float = 5.0
    wander_m: float = 0.9
    noise_m: float = 0.15
    velocity_noise_m_s: float = 0.1
    satellites: int = 16

    def __post_init__(self) -> None:
        if not 0.0 < self.rate_hz < math.inf:
            raise DataError(f"GNSS rate_hz {self.rate_hz}: expected more than 0")


class Receiver:
    """Turns the truth into solutions, one per period."""

    def __init__(self, errors: GnssErrors, faults: Sequence[Fault], seed: int) -> None:
        self._errors = errors
        self._faults = tuple(faults)
        self._rng = np.random.default_rng([seed, 21])
        self._wander = Wander(self._rng, errors.wander_m, _WANDERS_S, 3)
        self._sky = Wander(self._rng, 1.2, 60.0)
        self._solutions = 0
        self._start_s: float | None = None
        self._last: tuple[float, float, float] | None = None

    def sense(self, state: State) -> GnssReading | None:
        """A solution where one is due, else None; times must not run backwards."""
        if self._start_s is None:
            self._start_s = state.time_s
        period_s = 1.0 / self._errors.rate_hz
        if state.time_s < self._start_s + self._solutions * period_s - _TICK_S:
            return None
        self._solutions += 1
        wander = self._wander.step(period_s)
        sky = round(float(self._sky.step(period_s)[0]))
        noise = self._rng.standard_normal(6)
        if self._is_out(state.time_s):
            return self._without_fix(state)
        return self._with_fix(state, wander, noise, max(self._errors.satellites + sky, 6))

    def _is_out(self, time_s: float) -> bool:
        return any(f.kind is FaultKind.OUTAGE and f.is_active(time_s) for f in self._faults)

    def _with_fix(
        self, state: State, wander: Floats, noise: Floats, satellites: int
    ) -> GnssReading:
        errors = self._errors
        east_m, north_m, up_m = (wander + errors.noise_m * noise[:3]).tolist()
        drift = (errors.velocity_noise_m_s * noise[3:]).tolist()
        velocity = [v + d for v, d in zip(state.velocity_enu_m_s, drift, strict=True)]
        for fault in self._faults:
            moved = fault.offset_m(state.time_s)
            east_m, north_m = east_m + moved[0], north_m + moved[1]
            astray = fault.velocity_m_s(state.time_s)
            velocity[0], velocity[1] = velocity[0] + astray[0], velocity[1] + astray[1]
        axis_m = math.hypot(errors.wander_m, errors.noise_m)
        self._last = (
            state.east_m + east_m,
            state.north_m + north_m,
            state.alt_amsl_m + _VERTICAL * up_m,
        )
        return GnssReading(
            state.time_s,
            fix_type=3,
            satellites=satellites,
            hdop=round(2.8 / math.sqrt(satellites), 2),
            east_m=self._last[0],
            north_m=self._last[1],
            alt_amsl_m=self._last[2],
            velocity_enu_m_s=(velocity[0], velocity[1], velocity[2]),
            horiz_accuracy_m=math.sqrt(2.0) * axis_m,
            vert_accuracy_m=_VERTICAL * axis_m,
            speed_accuracy_m_s=math.sqrt(3.0) * errors.velocity_noise_m_s,
        )

    def _without_fix(self, state: State) -> GnssReading:
        """The last position stands, and is said to be worthless."""
        last = self._last or (0.0, 0.0, 0.0)
        return GnssReading(
            state.time_s,
            fix_type=1,
            satellites=_LOST_SATELLITES,
            hdop=_LOST_HDOP,
            east_m=last[0],
            north_m=last[1],
            alt_amsl_m=last[2],
            velocity_enu_m_s=(0.0, 0.0, 0.0),
            horiz_accuracy_m=1000.0,
            vert_accuracy_m=1000.0,
            speed_accuracy_m_s=100.0,
        )
