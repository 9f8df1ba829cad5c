"""The picture of a rehearsal, made for a pilot."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from geobridge.onboard.geodesy import Floats, LocalFrame

from .flight import Rig
from .localizability import Localizability
from .verdict import SILENT_BELOW, STEADY_FROM, Say, Stretch

COLOURS = {
    Say.STEADY: "#00a651",
    Say.PATCHY: "#ffb000",
    Say.SILENCE: "#e4002b",
    Say.UNKNOWN: "#8a8f98",
}
WORDS = {
    Say.STEADY: f"steady fixes ({STEADY_FROM:.0%} of frames and more)",
    Say.PATCHY: f"patchy ({SILENT_BELOW:.0%} to {STEADY_FROM:.0%})",
    Say.SILENCE: f"expect silence (below {SILENT_BELOW:.0%})",
    Say.UNKNOWN: "unknown",
}
INK = "#1d2733"
_MARGIN_M, _MAX_PX = 60.0, 2400
_LINE_CHARACTERS = 118


def draw_picture(
    path: Path, found: Localizability, parts: Sequence[Stretch], verdict: str, rig: Rig
) -> None:
    """Write a PNG: the bundle's imagery, the cells by availability, the route, the verdict."""
    from matplotlib.figure import Figure

    lines = [
        short
        for line in verdict.splitlines()
        for short in textwrap.wrap(line, _LINE_CHARACTERS, subsequent_indent="   ")
    ]
    outlines = _outlines(found, rig.manifest.coverage.frame)
    low, high = _shown(found, parts, outlines, rig.manifest.coverage.frame)
    across_m, up_m = high - low
    map_in = min(max(9.0 * up_m / across_m, 4.0), 11.0)
    text_in = 0.5 + 0.19 * len(lines)
    figure = Figure(figsize=(10.5, map_in + text_in), dpi=130, layout="constrained", facecolor="w")
    axes, words = figure.subplots(2, 1, height_ratios=[map_in, text_in])
    _draw_imagery(axes, rig, low, high)
    _draw_cells(figure, axes, found, outlines)
    for part in parts:
        _draw_stretch(axes, part, rig.manifest.coverage.frame)
    _draw_scale(axes, low, high)
    _draw_legend(axes, parts)
    words.axis("off")
    words.text(0.0, 1.0, "\n".join(lines), va="top", fontsize=9, color=INK, linespacing=1.35)
    figure.savefig(path, format="png")


def _outlines(found: Localizability, frame: LocalFrame) -> Floats:
    """[cells, 5, 2] on the plane of the bundle."""
    return frame.to_enu(*found.grid.corners())


def _shown(
    found: Localizability, parts: Sequence[Stretch], outlines: Floats, frame: LocalFrame
) -> tuple[Floats, Floats]:
    """South-west and north-east corners of what the picture shows."""
    points = outlines[found.passes.ravel() > 0].reshape(-1, 2)
    lines = [frame.to_enu(part.lat_deg, part.lon_deg) for part in parts]
    points = np.concatenate([points, *lines])
    return points.min(axis=0) - _MARGIN_M, points.max(axis=0) + _MARGIN_M


def _draw_imagery(axes: Any, rig: Rig, low: Floats, high: Floats) -> None:
    gsd_m = rig.manifest.reference_imagery.gsd_m
    middle, side_m = (low + high) / 2.0, float((high - low).max())
    side_px = max(2, int(side_m / gsd_m))
    centre = float(middle[0]), float(middle[1])
    image, valid, (east_m, north_m) = rig.imagery.read(*centre, side_px)
    grey = image.mean(axis=2, keepdims=True)
    faded = 255.0 - 0.7 * (255.0 - (0.45 * image + 0.55 * grey))
    picture = np.where(valid[..., None] > 0, faded, 255.0).astype(np.uint8)
    if side_px > _MAX_PX:
        small = cv2.resize(picture, (_MAX_PX, _MAX_PX), interpolation=cv2.INTER_AREA)
        picture = np.asarray(small, np.uint8)
    half_m = side_px * gsd_m / 2.0
    extent = (east_m - half_m, east_m + half_m, north_m - half_m, north_m + half_m)
    axes.imshow(picture, extent=extent, interpolation="bilinear")
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])


def _draw_cells(figure: Any, axes: Any, found: Localizability, outlines: Floats) -> None:
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import LinearSegmentedColormap

    known = found.passes.ravel() > 0
    order = (Say.SILENCE, Say.PATCHY, Say.STEADY)
    stops = list(zip((0.0, 0.6, 1.0), [COLOURS[each] for each in order], strict=True))
    colours = LinearSegmentedColormap.from_list("availability", stops)
    cells = PolyCollection(
        list(outlines[known]), cmap=colours, alpha=0.42, edgecolors="white", linewidths=0.3
    )
    cells.set_array(found.availability.ravel()[known])
    cells.set_clim(0.0, 1.0)
    axes.add_collection(cells)
    bar = figure.colorbar(cells, ax=axes, shrink=0.6, pad=0.01)
    bar.set_label("expected share of frames with a fix", color=INK)
    middles = outlines[found.wrong_fixes.ravel() > 0, :4].mean(axis=1)
    if len(middles):
        axes.plot(*middles.T, "x", color="black", markersize=6, markeredgewidth=1.8, zorder=4)


def _draw_stretch(axes: Any, part: Stretch, frame: LocalFrame) -> None:
    line = frame.to_enu(part.lat_deg, part.lon_deg)
    axes.plot(*line.T, color="white", linewidth=5.5, solid_capstyle="butt", zorder=2)
    style = (0, (1.2, 0.6)) if part.say is Say.SILENCE else "-"
    axes.plot(*line.T, color=COLOURS[part.say], linewidth=3.5, linestyle=style, zorder=3)
    if part.begin_m == 0.0:
        axes.plot(*line[0], "o", color=INK, markersize=8, zorder=5)
        axes.annotate("start", line[0], (8, 6), textcoords="offset points", color=INK, zorder=5)
    if part.say is Say.SILENCE:
        label = f"{part.begin_m:.0f} to {part.end_m:.0f} m"
        box = {"facecolor": "white", "edgecolor": COLOURS[part.say], "boxstyle": "round,pad=0.2"}
        place = {"textcoords": "offset points", "fontsize": 7, "color": INK, "zorder": 6}
        axes.annotate(label, line[len(line) // 2], (9, 9), bbox=box, **place)


def _draw_scale(axes: Any, low: Floats, high: Floats) -> None:
    """A bar of a round length, about a fifth of the width."""
    wanted_m = 0.2 * float(high[0] - low[0])
    power = 10.0 ** np.floor(np.log10(wanted_m))
    length_m = float(power * max(step for step in (1, 2, 5) if step * power <= wanted_m))
    at = low + 0.03 * (high - low)
    axes.plot([at[0], at[0] + length_m], [at[1], at[1]], color="white", linewidth=7, zorder=6)
    axes.plot([at[0], at[0] + length_m], [at[1], at[1]], color=INK, linewidth=4, zorder=7)
    place = {"textcoords": "offset points", "color": INK, "fontweight": "bold", "zorder": 7}
    axes.annotate(f"{length_m:g} m, north up", at, (0, 7), **place)


def _draw_legend(axes: Any, parts: Sequence[Stretch]) -> None:
    from matplotlib.lines import Line2D

    says = [each for each in Say if any(part.say is each for part in parts)]
    handles = [Line2D([], [], color=COLOURS[s], linewidth=4, label=WORDS[s]) for s in says]
    wrong = "wrong fixes seen here"
    handles.append(Line2D([], [], color="black", marker="x", linestyle="", label=wrong))
    handles.append(Line2D([], [], linestyle="", label="cells without colour: unknown"))
    axes.legend(handles=handles, loc="upper right", framealpha=0.92, fontsize=8)
