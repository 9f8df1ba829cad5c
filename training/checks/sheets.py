"""What a person looks at: where a data set lies, and samples of pairs that belong together."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from geobridge.onboard.records import Image

from ..datasets.layouts.task import Floats, Task
from ..evaluation.tiles import INK, RIGHT, tile, words
from .parts import Parts

PAIRS, REFERENCES = 6, 3
_COLOURS = {"train": "#0b6cff", "gallery": "#8d99a6", "query": "#c2410c"}


def pairs(task: Task) -> bytes:
    """A JPEG: some queries, always the same ones, each with its first right references."""
    names = task.queries.names
    chosen = sorted(range(len(names)), key=lambda at: _hash(names[at]))[:PAIRS]
    lines = [_line(task, at) for at in sorted(chosen)]
    width_px = max(line.shape[1] for line in lines)
    rows = [words(task.name, width_px), *(_widened(line, width_px) for line in lines)]
    picture = cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".jpg", picture)[1].tobytes())


def where(parts: Parts) -> bytes | None:
    """A PNG of all positions; None where there are none.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    groups = [("train", items.positions) for items in parts.train]
    for task in parts.tasks:
        groups += [("gallery", task.gallery.positions), ("query", task.queries.positions)]
    known = [(kind, at) for kind, at in groups if at is not None and np.isfinite(at).any()]
    if not known:
        return None
    figure = Figure(figsize=(8, 6), dpi=110, layout="constrained")
    axes = figure.subplots()
    for kind, colour in _COLOURS.items():
        some = [at for which, at in known if which == kind]
        if some:
            _scatter(axes, np.unique(np.concatenate(some), axis=0), kind, colour, parts)
    _dress(axes, parts, np.concatenate([at for _, at in known]))
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _scatter(axes: Any, at: Floats, kind: str, colour: str, parts: Parts) -> None:
    x, y = (at[:, 1], at[:, 0]) if parts.plane == "wgs84" else (at[:, 0], at[:, 1])
    size = float(np.clip(4000 / len(at), 1, 30))
    axes.scatter(x, y, s=size, color=colour, label=f"{kind}, {len(at)}", linewidths=0, alpha=0.7)


def _dress(axes: Any, parts: Parts, at: Floats) -> None:
    if parts.plane == "wgs84":
        axes.set_xlabel("longitude, degrees")
        axes.set_ylabel("latitude, degrees")
        axes.set_aspect(1 / np.cos(np.radians(np.nanmean(at[:, 0]))), adjustable="datalim")
    else:
        axes.set_xlabel("metres")
        axes.set_ylabel("metres")
        axes.set_aspect("equal", adjustable="datalim")
    axes.ticklabel_format(useOffset=False, style="plain")
    axes.tick_params(axis="x", labelrotation=30)
    axes.legend(frameon=False)


def _line(task: Task, at: int) -> Image:
    right = task.positive.of(at)
    tiles = [tile(task.queries, at, task.queries.places[at], INK)]
    tiles += [
        tile(task.gallery, int(number), task.gallery.places[number], RIGHT)
        for number in right[:REFERENCES]
    ]
    return np.concatenate(tiles, axis=1)


def _widened(line: Image, width_px: int) -> npt.NDArray[np.uint8]:
    missing = width_px - line.shape[1]
    return np.pad(line, ((0, 0), (0, missing), (0, 0)), constant_values=255)


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
