"""How a run learned: its figures by step, and the picture of them."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Row = dict[str, Any]
Points = npt.NDArray[np.float64]

INK, FAINT, GRID = "#1d2733", "#8d99a6", "#e6eaee"
COLOURS = {
    "drone-satellite": "#0b6cff",
    "satellite-street": "#c2410c",
    "street-drone": "#0f8f6b",
    "text-drone": "#8a4fff",
    "text-satellite": "#d1369b",
    "text-street": "#b58900",
}
"""By edge, whichever way it is asked."""
WINDOWS = 40
"""A curve is the running mean over this part of its points."""


def read_rows(path: Path) -> list[Row]:
    """The steps of a file of a JSON object a line, in order; no file is no steps.

    Lines of one step are one row, in which later figures replace earlier ones. A line that was cut
    off when a process ended is left out.
    """
    rows: dict[int, Row] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
            rows.setdefault(int(row["step"]), {}).update(row)
        except (ValueError, LookupError, TypeError):
            continue
    return [rows[step] for step in sorted(rows)]


def curve(rows: Sequence[Row], name: str) -> tuple[Points, Points]:
    """Steps and values of a figure, as running means over a `WINDOWS`th of them.

    What is missing or no finite number is left out.
    """
    pairs = [(row["step"], row[name]) for row in rows if isinstance(row.get(name), (int, float))]
    points = np.array(pairs, float).reshape(-1, 2)
    points = points[np.isfinite(points[:, 1])]
    window = max(1, len(points) // WINDOWS)
    sums = np.cumsum(np.insert(points, 0, 0.0, axis=0), axis=0)
    steps, values = ((sums[window:] - sums[:-window]) / window).T
    return steps, values


def draw(metrics: Sequence[Row], validation: Sequence[Row]) -> bytes:
    """The PNG of a run's curves: loss, share matched, validation, learning rate, gradient.

    Args:
        metrics: at least one row of `metrics.jsonl`.
        validation: rows of `validation.jsonl`, or none.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 7.2), dpi=120, layout="constrained")
    width = 2 if validation else 3
    below = ["learning_rate"] * width + ["gradient_norm"] * width
    rows = [["loss"] * 3 + ["accuracy"] * 3, ["validation"] * (6 - len(below)) + below]
    panels = figure.subplot_mosaic(rows, height_ratios=[1.25, 1])  # type: ignore[arg-type]
    _draw_edges(panels["loss"], metrics, "edges")
    _draw_all(panels["loss"], metrics)
    _dress(panels["loss"], "loss")
    _draw_edges(panels["accuracy"], metrics, "accuracy")
    _dress(panels["accuracy"], "share of a batch that finds its match", is_share=True)
    if validation:
        _draw_validation(panels["validation"], validation)
    _plot(panels["learning_rate"], *curve(metrics, "learning_rate"), color=INK)
    _dress(panels["learning_rate"], "learning rate")
    _draw_gradient(panels["gradient_norm"], metrics)
    figure.legend(
        *panels["loss"].get_legend_handles_labels(),
        loc="outside upper center",
        ncols=7,
        frameon=False,
    )
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw_edges(axes: Any, metrics: Sequence[Row], table: str) -> None:
    for edge, colour in COLOURS.items():
        rows = [{"step": row["step"], edge: row.get(table, {}).get(edge)} for row in metrics]
        steps, values = curve(rows, edge)
        if len(steps):
            _plot(axes, steps, values, color=colour, label=edge)


def _draw_all(axes: Any, metrics: Sequence[Row]) -> None:
    _plot(axes, *curve(metrics, "loss"), color=INK, linewidth=2.2, label="objective")


def _draw_gradient(axes: Any, metrics: Sequence[Row]) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    steps, norms = curve(metrics, "gradient_norm")
    _plot(axes, steps, norms, color=INK)
    _dress(axes, "gradient norm before clipping")
    if not np.any(norms > 0):
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _draw_validation(axes: Any, validation: Sequence[Row]) -> None:
    steps = np.array([row["step"] for row in validation], float)
    tables = [{row["direction"]: row for row in each["table"]} for each in validation]
    for direction in dict.fromkeys(name for table in tables for name in table):
        query, _, reference = direction.partition(" to ")
        colour = COLOURS.get(f"{query}-{reference}") or COLOURS.get(f"{reference}-{query}")
        values = np.array(
            [table[direction]["r1"] if direction in table else np.nan for table in tables]
        )
        _plot(axes, steps, values, color=colour or FAINT, linewidth=1.0, alpha=0.6)
    means = np.array([row["r1"] for row in validation], float)
    _plot(axes, steps, means, color=INK, linewidth=2.2)
    chances = [np.mean([row["chance"]["r1"] for row in table.values()]) for table in tables]
    axes.plot(steps, chances, color=FAINT, linestyle=":", linewidth=1.4)
    best = int(np.argmax(means))
    axes.plot(steps[best], means[best], "o", color=INK, markersize=6)
    _dress(axes, f"validation R@1, best {100 * means[best]:.1f} % at step {steps[best]:.0f}", True)


def _plot(axes: Any, steps: Points, values: Points, **look: Any) -> None:
    """A line, or a dot where there is one point alone."""
    axes.plot(steps, values, marker="o" if len(steps) == 1 else "", **{"linewidth": 1.4} | look)


def _dress(axes: Any, title: str, is_share: bool = False) -> None:
    axes.set_title(title, loc="left", color=INK, fontsize=11)
    axes.set_xlabel("step", color=FAINT)
    axes.set_xlim(left=0)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=FAINT, labelcolor=INK, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if is_share:
        axes.set_ylim(0, min(1.0, axes.get_ylim()[1]))
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
