"""Where the vehicle may be while it is lost: a cloud on the map that moves as it flies.

One picture looks like many places. Over a few of them only one way over the map looks right all
along, even where the right place is never the first of a picture's candidates. The cloud points at
places to look at and at nothing else: it confines no search and passes no gate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .filter import Position

Floats = npt.NDArray[np.float64]
Place = tuple[float, float]

COUNT = 600
BORN_ANEW = 0.2
"""Share that is drawn from the newest picture alone: whoever is carried off is found again."""
SHARPNESS = 0.08
"""Difference of cosines that makes a place e times as likely. Scores of neighbouring pictures share
their errors, so one of them must not decide."""
ELSEWHERE = 0.02
"""How likely a place that is no candidate is, against the best one."""


@dataclass(frozen=True, eq=False)
class Looks:
    """Where a picture may have been taken from: [N, 2] metres east and north of the vehicle, [N]
    cosines, and how far around such a place they speak for."""

    vehicle_m: Floats
    scores: Floats
    reach_m: float

    @property
    def likelihood(self) -> Floats:
        """[N], 1 for the best."""
        return np.asarray(np.exp((self.scores - self.scores.max()) / SHARPNESS))


class Particles:
    """Feed what pictures look like and how the vehicle moved between them, in order.

    The same pictures give the same cloud: its draws come from a seed.
    """

    def __init__(self) -> None:
        self._rng = np.random.default_rng(8)
        self._at_m: Floats | None = None

    def forget(self) -> None:
        """Begin anew with the next picture."""
        self._at_m = None

    def start(self, last: Position) -> None:
        """Begin around where the vehicle was lost."""
        spread_m = self._rng.standard_normal((COUNT, 2)) * last.sigma_m
        self._at_m = np.array([last.east_m, last.north_m]) + spread_m

    def move(self, way_m: Place, spread_m: float) -> None:
        """Fly on by metres east and north that are off by `spread_m`, 1-sigma per axis."""
        if self._at_m is not None:
            off_m = self._rng.standard_normal(self._at_m.shape) * spread_m
            self._at_m = self._at_m + np.array(way_m) + off_m

    def look(self, looks: Looks) -> None:
        """Keep those particles that are where the picture may have been taken."""
        born = round(BORN_ANEW * COUNT) if self._at_m is not None else COUNT
        anew = self._drawn(looks, born)
        if self._at_m is None:
            self._at_m = anew
            return
        kept = self._systematic(_weights(self._at_m, looks), COUNT - born)
        self._at_m = np.concatenate([self._at_m[kept], anew])

    def modes_m(self, apart_m: float, at_most: int) -> list[Place]:
        """The places with most particles around them, none nearer to another than `apart_m`."""
        found: list[Place] = []
        left = np.empty((0, 2)) if self._at_m is None else self._at_m
        while len(left) and len(found) < at_most:
            cells, where = np.unique(np.floor(left / apart_m), axis=0, return_inverse=True)
            fullest = int(np.argmax(np.bincount(where.ravel(), minlength=len(cells))))
            middle = np.median(left[where.ravel() == fullest], axis=0)
            near = np.hypot(*(left - middle).T) < apart_m
            if all(math.dist(middle, other) >= apart_m for other in found):
                found.append((float(middle[0]), float(middle[1])))
            left = left[~near]
        return found

    def _drawn(self, looks: Looks, count: int) -> Floats:
        chosen = self._systematic(looks.likelihood, count)
        off_m = self._rng.uniform(-looks.reach_m, looks.reach_m, (count, 2))
        return np.asarray(looks.vehicle_m[chosen] + off_m)

    def _systematic(self, weights: Floats, count: int) -> npt.NDArray[np.intp]:
        """[count] rows, each about as often as its weight says."""
        ends = np.cumsum(weights) / np.sum(weights)
        steps = (np.arange(count) + self._rng.random()) / count
        return np.minimum(np.searchsorted(ends, steps), len(weights) - 1)


def _weights(at_m: Floats, looks: Looks) -> Floats:
    """[M] of particles: the likelihood of the best candidate that speaks for their place."""
    away_m = np.abs(at_m[:, None] - looks.vehicle_m[None]).max(axis=2)
    spoken = np.where(away_m <= looks.reach_m, looks.likelihood[None], ELSEWHERE)
    return np.asarray(np.maximum(spoken.max(axis=1), ELSEWHERE))
