"""Dead reckoning between frames, and agreement of verified positions before anything is published.

Consecutive frames share the errors of the map, so averaging them would promise an accuracy that
nobody has: the filter predicts and compares, and leaves the measurement as it is.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from ..config import FilterConfig
from .motion import Motion

_NS = 1e-9


@dataclass(frozen=True)
class Position:
    """A place of the local plane at a time, 1-sigma per axis, and how fast it moves if known."""

    t_ns: int
    east_m: float
    north_m: float
    sigma_m: float
    velocity_east_m_s: float | None
    velocity_north_m_s: float | None


@dataclass(frozen=True)
class _Way:
    """How far dead reckoning alone has come since the filter began, and how far it may be off."""

    t_ns: int
    east_m: float = 0.0
    north_m: float = 0.0
    drift_m: float = 0.0


@dataclass(frozen=True)
class _Step:
    """An agreed position, and how far dead reckoning alone had come by then."""

    position: Position
    way: _Way


class MotionFilter:
    """The positions that agreed with each other lately, and how many did."""

    def __init__(self, config: FilterConfig) -> None:
        self.config = config
        self._steps: deque[_Step] = deque()
        self._way = _Way(0)
        self._agreed = 0
        self._since_ns = 0
        self._first_m = 0.0, 0.0

    def advance(self, motion: Motion | None) -> None:
        """Take how far the vehicle flew between two frames; None where nobody knows.

        Time that no motion covers is flown on as before, at any speed where the last position
        came without a velocity.
        """
        if motion is None or not self._steps or motion.t1_ns <= self._way.t_ns:
            return
        start = self._travelled(motion.t0_ns) if motion.t0_ns > self._way.t_ns else self._way
        elapsed_s = (motion.t1_ns - motion.t0_ns) * _NS
        spread_m = math.sqrt(float(np.trace(motion.covariance_m2)) / 2.0)
        self._way = _Way(
            motion.t1_ns,
            start.east_m + motion.east_m,
            start.north_m + motion.north_m,
            start.drift_m + self.config.velocity_accuracy_m_s * elapsed_s + spread_m,
        )

    def predict(self, t_ns: int) -> Position | None:
        """Where the vehicle should be now; None when nothing is known any more."""
        if not self._steps:
            return None
        elapsed_s = (t_ns - self._steps[-1].position.t_ns) * _NS
        if not 0.0 <= elapsed_s <= self.config.max_coast_s:
            self.reset()
            return None
        return self._reckon(self._steps[-1], t_ns)

    def innovation(self, measured: Position) -> float | None:
        """Distance from dead reckoning in common sigmas, or None when nothing is known.

        The larger of two: from the last position, and from the oldest of the baseline. A picture
        that stands still while the vehicle flies passes the first for ever and fails the second.
        """
        if self.predict(measured.t_ns) is None:
            return None
        oldest = self._reckon(self._steps[0], measured.t_ns)
        latest = self._reckon(self._steps[-1], measured.t_ns)
        # unlike max, numpy's keeps NaN, and NaN is not consistent with anything
        return float(np.max([_sigmas(measured, oldest), _sigmas(measured, latest)]))

    def agree(self, measured: Position, may_confirm: bool = True) -> bool:
        """Take a consistent measurement; True once enough have agreed for long enough, the last
        of them one that may confirm."""
        if not self._steps:
            self._since_ns = measured.t_ns
            self._first_m = measured.east_m, measured.north_m
        self._way = self._travelled(measured.t_ns)
        self._steps.append(_Step(measured, self._way))
        baseline_ns = self.config.baseline_s / _NS
        while measured.t_ns - self._steps[0].position.t_ns > baseline_ns:
            self._steps.popleft()
        self._agreed += 1
        if not may_confirm:
            self._agreed = min(self._agreed, self.config.confirmations - 1)
        return self.confirmed

    def disagree(self, measured: Position) -> None:
        """Before confirmation, an inconsistent measurement starts the count anew."""
        if not self.confirmed:
            self.reset()
            self.agree(measured)

    @property
    def confirmed(self) -> bool:
        """Whether positions may be published."""
        if not self._steps:
            return False
        span_s = (self._steps[-1].position.t_ns - self._since_ns) * _NS
        enough = self._agreed >= self.config.confirmations
        return enough and span_s >= self.config.confirmation_span_s

    def flown_m(self, measured: Position) -> float:
        """How far a measurement lies from the first one that it agrees with."""
        if not self._steps:
            return 0.0
        first_east_m, first_north_m = self._first_m
        return math.hypot(measured.east_m - first_east_m, measured.north_m - first_north_m)

    def reset(self) -> None:
        """Forget everything."""
        self._steps.clear()
        self._way = _Way(0)
        self._agreed, self._since_ns = 0, 0

    def _travelled(self, t_ns: int) -> _Way:
        """Dead reckoning up to a time: by motion as far as it was told, from there on by the
        velocity of the last position."""
        way = self._way
        if not self._steps:
            return replace(way, t_ns=t_ns)
        if t_ns < way.t_ns:
            return way
        newest, elapsed_s = self._steps[-1].position, (t_ns - way.t_ns) * _NS
        known = newest.velocity_east_m_s is not None and newest.velocity_north_m_s is not None
        spread_m_s = self.config.velocity_accuracy_m_s if known else self.config.unknown_speed_m_s
        return _Way(
            t_ns,
            way.east_m + (newest.velocity_east_m_s or 0.0) * elapsed_s,
            way.north_m + (newest.velocity_north_m_s or 0.0) * elapsed_s,
            way.drift_m + spread_m_s * elapsed_s,
        )

    def _reckon(self, start: _Step, t_ns: int) -> Position:
        """Dead reckoning from an earlier position over all that was flown since."""
        at, newest, way = start.position, self._steps[-1].position, self._travelled(t_ns)
        return Position(
            t_ns,
            at.east_m + way.east_m - start.way.east_m,
            at.north_m + way.north_m - start.way.north_m,
            math.hypot(at.sigma_m, way.drift_m - start.way.drift_m),
            newest.velocity_east_m_s,
            newest.velocity_north_m_s,
        )


def _sigmas(measured: Position, predicted: Position) -> float:
    distance_m = math.hypot(
        measured.east_m - predicted.east_m, measured.north_m - predicted.north_m
    )
    return distance_m / math.hypot(measured.sigma_m, predicted.sigma_m)
