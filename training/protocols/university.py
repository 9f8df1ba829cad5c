"""University-1652 and SUES-200, each in the two readings of the gallery that are published.

The benchmark's own evaluator keeps every gallery picture. Sample4Geo and DAC, and what was derived
from them, label the gallery pictures of places without a query -1 and remove these as junk: the 250
distractors of University-1652, the 120 training places of SUES-200 never compete. The size of the
gallery that R@1 % is taken of counts them all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..batches.kin import Lists
from ..datasets.layouts.task import Task
from .protocol import Protocol

_SAME = "pictures of the same place"


def without_junk(tasks: Sequence[Task]) -> list[Task]:
    """Galleries without the places that no query shows."""
    return [_without_junk(task) for task in tasks]


def _without_junk(task: Task) -> Task:
    asked = set(task.queries.places)
    kept = np.flatnonzero([place in asked for place in task.gallery.places])
    number = np.full(len(task.gallery), -1, np.int32)
    number[kept] = np.arange(len(kept))
    positive = Lists(task.positive.offsets, number[task.positive.items])
    gallery = task.gallery.only(kept)
    return replace(task, gallery=gallery, positive=positive, counted=len(task.gallery))


def _pair(layout: str, everything: str, queried: str) -> tuple[Protocol, Protocol]:
    full = Protocol(
        layout,
        layout,
        "layumi/University1652-Baseline evaluate_gpu.py, test.py",
        everything,
        _SAME,
        ties="argsort",
        one_percent="layumi",
        ap="trapezoid",
        flips=True,
        row=("r1", "ap"),
    )
    return full, replace(
        full,
        name=f"{layout}-sample4geo",
        source="Skyy93/Sample4Geo and SummerpanKing/DAC evaluate/university.py",
        gallery=queried,
        flips=False,
        tasks=without_junk,
    )


PROTOCOLS = (
    *_pair(
        "university1652",
        "all gallery pictures: 951 buildings, 250 of them without a query",
        "the 701 buildings that have a query; R@1 % counts all 951",
    ),
    *_pair(
        "sues200",
        "all 200 places of the height, 120 of them from training",
        "the 80 test places; R@1 % counts all 200",
    ),
)
