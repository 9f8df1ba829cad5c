"""What a protocol is: the choices that published evaluators make silently, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from geobridge.onboard.metrics import AveragePrecision, OnePercent

from ..datasets.layouts.task import Floats, Task
from ..evaluation.standing import Standing
from .figures import Ints, Ties

TOP = 10
"""So many of the best references are named for every query."""


@dataclass(frozen=True)
class Scored:
    """What became of every query of a task.

    Args:
        rank: [Q] of the first right reference, from 1.
        precision: [Q] average precision, in the protocol's kind or else the trapezoid.
        top, top_score: [Q, K] numbers of the best references, and their scores.
        distance_m: [Q, K] how far these are from the query; None without coordinates.
        standing: of the right references.
        figures: of the whole task, by name, in the order of the benchmark's own table.
    """

    task: Task
    rank: Ints
    precision: Floats
    top: Ints
    top_score: Floats
    distance_m: Floats | None
    standing: Standing
    figures: dict[str, float]


Extra = Callable[[Scored, "Protocol"], dict[str, float]]


@dataclass(frozen=True)
class Protocol:
    """How a benchmark is counted.

    Args:
        name: by which it is asked for.
        layout: of the data sets that it is of.
        source: whose evaluator or text it is.
        gallery, positives: what is searched and what is right, in words.
        ties: which of equal scores comes first.
        one_percent: how the k of R@1 % is rounded.
        ap: kind of average precision; None where the benchmark has none.
        flips: the descriptor is that of the picture and of its mirror image, added up.
        recalls: the k of R@k.
        row: the figures that papers print for every task.
        tasks: of all that the data set asks, what the protocol asks.
        extra: figures that only this benchmark has.
        single: coordinates are taken in float32, as the published evaluator takes them.
    """

    name: str
    layout: str
    source: str
    gallery: str
    positives: str
    ties: Ties
    one_percent: OnePercent
    ap: AveragePrecision | None = None
    flips: bool = False
    recalls: tuple[int, ...] = (1, 5, 10)
    row: tuple[str, ...] = ("r1", "r5", "r10", "r1_percent")
    tasks: Callable[[Sequence[Task]], list[Task]] = list
    extra: Extra | None = None
    single: bool = False

    def rules(self) -> dict[str, Any]:
        """All of it in words, to stand beside the figures."""
        return {
            "protocol": self.name,
            "source": self.source,
            "gallery": self.gallery,
            "positives": self.positives,
            "ties": _TIES[self.ties],
            "r1_percent": _ONE_PERCENT[self.one_percent],
            "ap": _AP[self.ap],
            "flips": "picture and mirror image added up" if self.flips else "none",
        }


_TIES = {
    "argsort": "argsort: the larger number in the gallery first",
    "optimistic": "optimistic: only what scores strictly higher stands before the right one",
    "pessimistic": "pessimistic: what ties with the right one stands before it",
}
_ONE_PERCENT = {"layumi": "layumi: k = round(0.01 N) + 1", "floor": "floor: k = N // 100"}
_AP = {
    "trapezoid": "trapezoid (University-1652)",
    "step": "step (scikit-learn's average_precision_score)",
    None: "none",
}
