"""Dead reckoning between frames, and agreement of verified positions before anything is published.

Consecutive frames share the errors of the map, so averaging them would promise an accuracy that
nobody has: the filter predicts and compares, and leaves the measurement as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..config import FilterConfig

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


class MotionFilter:
    """The last position that agreed with those before it, and how many agreed."""

    def __init__(self, config: FilterConfig) -> None:
        self.config = config
        self._last: Position | None = None
        self._agreed = 0
        self._since_ns = 0

    def predict(self, t_ns: int) -> Position | None:
        """Where the vehicle should be now; None when nothing is known any more."""
        if self._last is None:
            return None
        elapsed_s = (t_ns - self._last.t_ns) * _NS
        if not 0.0 <= elapsed_s <= self.config.max_coast_s:
            self.reset()
            return None
        east, north = self._last.velocity_east_m_s, self._last.velocity_north_m_s
        known = east is not None and north is not None
        spread = self.config.velocity_accuracy_m_s if known else self.config.unknown_speed_m_s
        return Position(
            t_ns,
            self._last.east_m + (east or 0.0) * elapsed_s,
            self._last.north_m + (north or 0.0) * elapsed_s,
            math.hypot(self._last.sigma_m, spread * elapsed_s),
            east,
            north,
        )

    def innovation(self, measured: Position) -> float | None:
        """Distance between measurement and prediction in their common sigmas, or None."""
        predicted = self.predict(measured.t_ns)
        if predicted is None:
            return None
        distance_m = math.hypot(
            measured.east_m - predicted.east_m, measured.north_m - predicted.north_m
        )
        return distance_m / math.hypot(measured.sigma_m, predicted.sigma_m)

    def agree(self, measured: Position) -> bool:
        """Take a consistent measurement; True once enough have agreed for long enough."""
        if self._agreed == 0:
            self._since_ns = measured.t_ns
        self._last, self._agreed = measured, self._agreed + 1
        return self.confirmed

    def disagree(self, measured: Position) -> None:
        """Before confirmation, an inconsistent measurement starts the count anew."""
        if not self.confirmed:
            self.reset()
            self.agree(measured)

    @property
    def confirmed(self) -> bool:
        """Whether positions may be published."""
        span_s = 0.0 if self._last is None else (self._last.t_ns - self._since_ns) * _NS
        enough = self._agreed >= self.config.confirmations
        return enough and span_s >= self.config.confirmation_span_s

    def reset(self) -> None:
        """Forget everything."""
        self._last, self._agreed, self._since_ns = None, 0, 0
