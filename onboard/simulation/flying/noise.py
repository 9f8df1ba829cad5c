"""Errors that wander: a first-order Gauss-Markov process, the model behind gusts and sensors."""

from __future__ import annotations

import math

import numpy as np

from ...geodesy import Floats


class Wander:
    """[N] independent values of a 1-sigma size, forgotten over a correlation time.

    Starts anywhere in its range, as an instrument does that has been on for a while.
    """

    def __init__(
        self, rng: np.random.Generator, sigma: float, correlation_s: float, size: int = 1
    ) -> None:
        self._rng = rng
        self._sigma = sigma
        self._correlation_s = correlation_s
        self.values: Floats = sigma * rng.standard_normal(size)

    def step(self, dt_s: float) -> Floats:
        """[N] the values `dt_s` later; exact for any step."""
        kept = math.exp(-dt_s / self._correlation_s)
        fresh = self._sigma * math.sqrt(1.0 - kept * kept)
        self.values = kept * self.values + fresh * self._rng.standard_normal(len(self.values))
        return self.values


def lag(dt_s: float, time_constant_s: float) -> float:
    """How much of the way to its target a first-order lag goes in `dt_s`, 0 to 1."""
    return 1.0 - math.exp(-dt_s / time_constant_s)
