"""How long every stage of every frame took."""

from __future__ import annotations

import time
from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np


class StageTimes:
    """Milliseconds by stage, from marks set at the end of each."""

    def __init__(self) -> None:
        self.stages_ms: dict[str, array[float]] = {}
        self._since_ns = 0

    def start(self) -> None:
        """A frame begins."""
        self._since_ns = time.perf_counter_ns()

    def mark(self, stage: str) -> None:
        """A stage ends."""
        now = time.perf_counter_ns()
        self.stages_ms.setdefault(stage, array("d")).append((now - self._since_ns) * 1e-6)
        self._since_ns = now

    def add(self, took_ms: float) -> None:
        """The stage under way took so much longer when it was done first."""
        self._since_ns -= round(took_ms * 1e6)


def quantiles_ms(stages_ms: Mapping[str, array[float]]) -> dict[str, Any]:
    """Median and 99 % by stage."""
    return {
        stage: {
            "p50": round(float(np.quantile(times, 0.5)), 3),
            "p99": round(float(np.quantile(times, 0.99)), 3),
        }
        for stage, times in stages_ms.items()
    }
