"""Figures of others, each with its source, and which of them cannot be."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PATH = Path(__file__).with_name("published.toml")
_ROUNDING = 0.015
"""Percent: of two figures that were rounded to a hundredth, and of what is computed of them."""
MARK = "!"


@dataclass(frozen=True)
class Published:
    """What a method is said to reach in a task; figures are percent, by name.

    Args:
        layout, task: of the benchmark.
        reading: the protocol that it was counted by; empty where the source does not say.
        single: every query has one right reference.
        note: that belongs beside it.
    """

    layout: str
    task: str
    method: str
    figures: dict[str, float]
    source: str
    reading: str = ""
    single: bool = True
    note: str = ""

    @property
    def impossible(self) -> str:
        """Why its figures contradict each other under the official evaluator; empty if not.

        With one right reference at rank r the trapezoid AP is 1 at the first rank and 1 / 2r
        behind it, a quarter at most: R@1 <= AP <= R@1 + (1 - R@1) / 4.
        """
        r1, ap = self.figures.get("r1"), self.figures.get("ap")
        if not self.single or r1 is None or ap is None:
            return ""
        most = r1 + (100.0 - r1) / 4
        if ap > most + _ROUNDING:
            return f"AP {ap:g} with R@1 {r1:g}: at most {most:.2f} with one right reference"
        if ap < r1 - _ROUNDING:
            return f"AP {ap:g} below R@1 {r1:g}: never with one right reference"
        return ""


@lru_cache(maxsize=1)
def published() -> tuple[Published, ...]:
    """All that is written down."""
    table = tomllib.loads(_PATH.read_text(encoding="utf-8"))
    return tuple(
        Published(
            block["layout"],
            task["task"],
            method,
            dict(zip(task["figures"], map(float, values), strict=True)),
            task.get("sources", {}).get(method, block["source"]),
            task.get("readings", {}).get(method, ""),
            task.get("single", True),
            task.get("notes", {}).get(method, ""),
        )
        for block in table["benchmark"]
        for task in block["task"]
        for method, values in task["methods"].items()
    )


def beside(layout: str, task: str) -> list[Published]:
    """Those of a task, worst R@1 first."""
    found = [each for each in published() if (each.layout, each.task) == (layout, task)]
    return sorted(found, key=lambda each: each.figures.get("r1", -1.0))
