"""Street panoramas to satellite pictures: CVUSA, CVACT and VIGOR, as Sample4Geo counts them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..datasets.layouts.task import Task
from .protocol import Protocol


def named(*names: str) -> Callable[[Sequence[Task]], list[Task]]:
    """The tasks of these names alone."""

    def chosen(tasks: Sequence[Task]) -> list[Task]:
        return [task for task in tasks if task.name in names]

    return chosen


_CVUSA = Protocol(
    "cvusa",
    "cvusa",
    "Skyy93/Sample4Geo evaluate/cvusa_and_cvact.py",
    "the satellite pictures of all test pairs",
    "the picture of the same pair",
    ties="optimistic",
    one_percent="floor",
)

_VIGOR = replace(
    _CVUSA,
    source="Skyy93/Sample4Geo evaluate/vigor.py; the paper's hit rate by its wording",
    positives="the one positive; semi-positives that score higher cost R@k, but no hit",
    row=("r1", "r5", "r10", "r1_percent", "hit_code"),
)

PROTOCOLS = (
    _CVUSA,
    replace(_CVUSA, name="cvact-val", layout="cvact", tasks=named("street to satellite, val")),
    replace(_CVUSA, name="cvact-test", layout="cvact", tasks=named("street to satellite, test")),
    replace(
        _CVUSA,
        name="cvact-test-5m",
        layout="cvact",
        source="CVACT's own rule as it is told; its evaluator was not at hand",
        positives="every picture within 5 m of the query (UTM)",
        tasks=named("street to satellite, test within 5 m"),
    ),
    replace(
        _VIGOR,
        name="vigor-same",
        layout="vigor",
        gallery="all satellite tiles of the four cities",
        tasks=named("street to satellite, same area"),
    ),
    replace(
        _VIGOR,
        name="vigor-cross",
        layout="vigor",
        gallery="all satellite tiles of Chicago and San Francisco",
        tasks=named("street to satellite, cross area"),
    ),
)
