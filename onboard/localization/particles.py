"""Where the vehicle may be while it is lost: places that looked right, carried along by its motion.

One picture of fields looks like a hundred places. Those that are no more than alike do not move as
the vehicle does; the right one is alike again where the motion leads. What gathers here is one more
place to look at and nothing else: it confines no search and passes no gate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Place = tuple[float, float]

COUNT = 600
FRESH = 0.15
"""Share of the particles that every picture draws anew: the vehicle may be nowhere we thought."""
ELSEWHERE = 0.02
"""Likelihood of a place that no candidate is near, against that of the best one."""
MIN_PICTURES, MIN_SHARE = 3, 0.25
"""What one picture says is known without particles; so much of them must have gathered."""
MAX_GAP_S = 5.0


@dataclass
class Particles:
    """A cloud on the map; the same pictures give the same cloud to the last bit.

    Args:
        velocity_accuracy_m_s: 1-sigma per axis of the motion that is told.
        unknown_speed_m_s: how fast the vehicle may be where none is.
    """

    velocity_accuracy_m_s: float
    unknown_speed_m_s: float

    def __post_init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Nothing is known, or nothing needs to be guessed."""
        self._rng = np.random.default_rng(0)
        self._at_m: Floats = np.zeros((0, 2))
        self._t_ns, self._pictures, self._spread_m = 0, 0, 1.0
        self._velocity: Place | None = None

    def see(
        self,
        t_ns: int,
        velocity_m_s: Place | None,
        places_m: Floats,
        scores: Floats,
        spread_m: float,
    ) -> None:
        """Take in a picture.

        Args:
            t_ns: its exposure, later than the last one's.
            velocity_m_s: east and north, then; None where that is not known.
            places_m: [K, 2] east and north, where the vehicle would be if it were of a candidate.
            scores: [K] of the candidates, on any scale.
            spread_m: how far from its candidate the right place may be, 1-sigma.
        """
        if not len(places_m):
            return
        likely = _likelihoods(scores)
        fresh = self._drawn(places_m, likely, COUNT, spread_m)
        moved = self._moved_to(t_ns)
        self._t_ns, self._velocity, self._spread_m = t_ns, velocity_m_s, spread_m
        if moved is None:
            self._at_m, self._pictures = fresh, 1
            return
        keep = COUNT - round(FRESH * COUNT)
        away_m2 = ((moved[:, None] - places_m[None]) ** 2).sum(axis=2)
        near = np.exp(-0.5 * away_m2 / spread_m**2) * likely
        weights = near.max(axis=1) + ELSEWHERE * likely.max()
        self._at_m = np.vstack([moved[_resampled(weights, keep, self._rng)], fresh[keep:]])
        self._pictures += 1

    def gathered_m(self, t_ns: int) -> Place | None:
        """Where enough particles have gathered to be worth a look, at a later time."""
        moved = self._moved_to(t_ns)
        if moved is None or self._pictures < MIN_PICTURES:
            return None
        reach_m = 2.0 * self._spread_m
        some = moved[:: COUNT // 100]
        near = np.hypot(*(some[:, None] - moved[None]).transpose(2, 0, 1)) <= reach_m
        densest = near[int(np.argmax(near.sum(axis=1)))]
        if densest.mean() < MIN_SHARE:
            return None
        east_m, north_m = np.median(moved[densest], axis=0)
        return float(east_m), float(north_m)

    def _moved_to(self, t_ns: int) -> Floats | None:
        """[N, 2] the cloud at a later time; None without one, or after too long."""
        elapsed_s = (t_ns - self._t_ns) * 1e-9
        if not len(self._at_m) or not 0.0 < elapsed_s <= MAX_GAP_S:
            return None
        known = self._velocity is not None
        spread_m_s = self.velocity_accuracy_m_s if known else self.unknown_speed_m_s
        # of its own, so that asking where it is changes nothing
        rng = np.random.default_rng([self._pictures, self._t_ns % 2**32])
        noise = rng.normal(0.0, spread_m_s * elapsed_s, self._at_m.shape)
        return np.asarray(self._at_m + np.array(self._velocity or (0.0, 0.0)) * elapsed_s + noise)

    def _drawn(self, places_m: Floats, likely: Floats, count: int, spread_m: float) -> Floats:
        chosen = self._rng.choice(len(places_m), count, p=likely / likely.sum())
        return np.asarray(places_m[chosen] + self._rng.normal(0.0, spread_m, (count, 2)))


def _likelihoods(scores: Floats) -> Floats:
    """[K] relative ones: how far a score stands out of the others, whatever their scale."""
    spread = float(np.std(scores))
    return np.asarray(np.exp((scores - scores.max()) / spread if spread > 0.0 else 0.0 * scores))


def _resampled(weights: Floats, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """[count] rows, each as often as its weight says, evenly drawn."""
    steps = (rng.random() + np.arange(count)) / count * math.fsum(weights)
    return np.minimum(np.searchsorted(np.cumsum(weights), steps), len(weights) - 1)
