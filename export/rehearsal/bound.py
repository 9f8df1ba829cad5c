"""How frequent what was rarely seen may be."""

from __future__ import annotations

import math


def upper_bound(events: int, samples: int, confidence: float = 0.95) -> float | None:
    """The largest probability under which so few events are not rarer than 1 - confidence
    (Clopper and Pearson); None without samples."""
    if not samples:
        return None
    if events >= samples:
        return 1.0
    low, high = events / samples, 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        if _at_most(events, samples, middle) > 1.0 - confidence:
            low = middle
        else:
            high = middle
    return high


def _at_most(events: int, samples: int, probability: float) -> float:
    """P(no more than so many events)."""
    p, q = math.log(probability), math.log1p(-probability)
    return sum(
        math.exp(_log_choose(samples, k) + k * p + (samples - k) * q) for k in range(events + 1)
    )


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
