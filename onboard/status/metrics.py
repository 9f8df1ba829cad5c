"""Prometheus' text format (version 0.0.4), which is a few lines of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

PREFIX = "geobridge_"


@dataclass(frozen=True)
class Metric:
    """`values` by their labels, written as they stand between the braces; no labels is ""."""

    name: str
    kind: str
    help: str
    values: Mapping[str, float] = field(default_factory=dict)


def gauge(name: str, help_: str, value: float | None) -> Metric:
    """Goes up and down; unknown is NaN."""
    return Metric(name, "gauge", help_, {"": math.nan if value is None else value})


def counter(name: str, help_: str, values: Mapping[str, float]) -> Metric:
    """Only rises."""
    return Metric(f"{name}_total", "counter", help_, values)


def labelled(label: str, values: Mapping[str, float]) -> dict[str, float]:
    """Values by one label."""
    return {f'{label}="{_escaped(name)}"': value for name, value in values.items()}


def exposition(metrics: list[Metric]) -> str:
    """All of them as text."""
    lines = []
    for metric in metrics:
        name = PREFIX + metric.name
        lines += [f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.kind}"]
        for labels, value in metric.values.items():
            lines.append(f"{name}{{{labels}}} {value:g}" if labels else f"{name} {value:g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
