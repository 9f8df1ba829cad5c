"""The demo's flight as one picture: the map, the paths, the fixes, the silence, the errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from geobridge.onboard.records import Image

from .story import Story

TRUE, FIX, SILENT, ALONE, INK = "#ffd21f", "#1177ff", "#e4002b", "#ff7a00", "#1d2733"
_SIGMAS_95 = 2.45
"""Sigmas per axis that hold 95 % of a circular error in the plane."""


def draw(path: Path, story: Story, ground: Image, half_m: float) -> None:
    """Write a PNG over `ground`, a picture of the whole map that reaches `half_m` to every side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 9), dpi=120, layout="constrained")
    grid = figure.add_gridspec(3, 2, width_ratios=[1.45, 1.0])
    _draw_map(figure.add_subplot(grid[:, 0]), story, ground, half_m)
    panels = [figure.add_subplot(grid[row, 1]) for row in range(3)]
    _draw_autopilot(panels[0], story)
    _draw_fixes(panels[1], story)
    _draw_frames(panels[2], story)
    for panel in panels:
        panel.axvline(story.cut_s, color=INK, linestyle=":")
        panel.set_xlim(0.0, story.track.time_s[-1])
        panel.set_ylim(0.0, 1.3 * panel.get_ylim()[1])  # room for the legend
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("seconds of flight; dotted: GNSS is cut")
    figure.savefig(path, format="png")


def _draw_map(axes: Any, story: Story, ground: Image, half_m: float) -> None:
    from matplotlib.patches import Circle

    faded = (255 - 0.8 * (255 - ground.astype(np.float32))).astype(np.uint8)
    axes.imshow(faded, extent=(-half_m, half_m, -half_m, half_m), interpolation="bilinear")
    track, alone = story.track, story.unaided
    axes.plot(*track.true_m.T, color="black", linewidth=4.5, alpha=0.55)
    axes.plot(*track.true_m.T, color=TRUE, linewidth=2.2, label="flown with GeoBridge (truth)")
    after = alone.time_s >= story.cut_s
    axes.plot(*alone.true_m[after].T, "--", color=ALONE, linewidth=2, label="without it (truth)")
    if after.any():
        axes.plot(*alone.true_m[-1], "X", color=ALONE, markersize=11, markeredgecolor="white")
        axes.annotate(
            "without: gives up",
            alone.true_m[-1],
            (10, 6),
            textcoords="offset points",
            weight="bold",
            color=ALONE,
        )
    for centre, sigma_m in list(zip(story.fixes_m, story.accuracy_m, strict=True))[::4]:
        axes.add_patch(
            Circle(tuple(centre), _SIGMAS_95 * sigma_m, fill=False, color=FIX, alpha=0.45)
        )
    axes.plot(*story.fixes_m.T, ".", color=FIX, markersize=4, label="fix, with its stated 95 %")
    axes.plot(*story.withheld_m.T, "x", color=SILENT, markersize=5, label="frame withheld")
    cut = track.at(np.array([story.cut_s]))[0]
    axes.plot(*track.true_m[0], "o", color="white", markeredgecolor=INK, markersize=9)
    axes.annotate("start", track.true_m[0], (8, 8), textcoords="offset points", weight="bold")
    axes.plot(*cut, "D", color="white", markeredgecolor=SILENT, markersize=9)
    axes.annotate("GNSS cut", cut, (10, -4), textcoords="offset points", weight="bold")
    axes.plot(*track.true_m[-1], "s", color="white", markeredgecolor=INK, markersize=9)
    axes.annotate("end", track.true_m[-1], (8, 8), textcoords="offset points", weight="bold")
    axes.set_xlabel("east, m")
    axes.set_ylabel("north, m")
    axes.legend(loc="lower left", framealpha=0.9, fontsize=9)
    axes.set_title(_title(story), loc="left", color=INK, fontsize=11)


def _title(story: Story) -> str:
    summary = story.summary
    ending = "route completed" if summary["arrived"] else "route NOT completed"
    return (
        f"{ending}: {summary['without_gnss_m']:.0f} m without GNSS;"
        f" {summary['fixes']} fixes of {summary['frames']} frames, {summary['wrong_fixes']} wrong"
    )


def _draw_autopilot(axes: Any, story: Story) -> None:
    axes.plot(story.track.time_s, story.track.error_m, color=INK, label="with GeoBridge")
    alone = story.unaided
    axes.plot(alone.time_s, alone.error_m, "--", color=ALONE, label="without, until it gives up")
    axes.plot(alone.time_s[-1], alone.error_m[-1], "X", color=ALONE, markersize=9)
    axes.set_ylabel("autopilot's error, m")
    axes.legend(loc="upper right", ncols=2, fontsize=9, frameon=False)


def _draw_fixes(axes: Any, story: Story) -> None:
    axes.plot(story.fix_time_s, story.fix_error_m, ".", color=FIX, label="error of a fix")
    stated = _SIGMAS_95 * story.accuracy_m
    axes.plot(story.fix_time_s, stated, "_", color=INK, alpha=0.6, label="its stated 95 %")
    axes.set_ylabel("fixes, m")
    axes.legend(loc="upper right", ncols=2, fontsize=9, frameon=False)


def _draw_frames(axes: Any, story: Story) -> None:
    """Per five seconds: how many frames became fixes, how many were withheld."""
    edges = np.arange(0.0, story.track.time_s[-1] + 5.0, 5.0)
    fixes, _ = np.histogram(story.fix_time_s, edges)
    silent, _ = np.histogram(story.withheld_time_s, edges)
    axes.bar(edges[:-1], fixes, 4.6, align="edge", color=FIX, label="fixes")
    axes.bar(edges[:-1], silent, 4.6, fixes, align="edge", color=SILENT, label="withheld")
    axes.set_ylabel("frames in 5 s")
    axes.legend(loc="upper right", ncols=2, fontsize=9, frameon=False)
