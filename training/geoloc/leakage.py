"""Proof that splits do not leak: by distance on the ground and by likeness of the pictures.

It knows nothing of blocks, so it finds what dealing them got wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from .near import points
from .pictures import read_view
from .squares import offset_m
from .stage import Line

Prints = npt.NDArray[np.float32]
PRINT_PX = 16
ROWS = 2048
"""Prints are compared in pieces: all at once would not fit into memory."""


@dataclass(frozen=True)
class Alike:
    """Two places of different splits: ids, view, and the cosine of their prints."""

    one: str
    other: str
    view: str
    cosine: float


def nearest_m(places: Sequence[Line]) -> float:
    """The smallest gap between squares of different splits, in metres; infinite with one split."""
    smallest = np.inf
    splits = sorted({place["split"] for place in places})
    for number, split in enumerate(splits):
        here = [place for place in places if place["split"] == split]
        there = [place for place in places if place["split"] in splits[number + 1 :]]
        if not here or not there:
            continue
        tree, reach_m = cKDTree(points(there)), 2000.0
        for place, rows in zip(here, tree.query_ball_point(points(here), reach_m), strict=True):
            for row in rows:
                smallest = min(smallest, gap_m(place, there[row]))
        if not np.isfinite(smallest):
            smallest = float(min(tree.query(points(here))[0]))
    return float(smallest)


def gap_m(one: Line, other: Line) -> float:
    """Between the edges of two squares; 0 where they meet."""
    east_m, north_m = offset_m(one["lat_deg"], one["lon_deg"], other["lat_deg"], other["lon_deg"])
    both = (one["side_m"] + other["side_m"]) / 2.0
    apart = max(0.0, abs(float(east_m)) - both), max(0.0, abs(float(north_m)) - both)
    return float(np.hypot(*apart))


def printed(pictures: Path, view: str, names: Sequence[str]) -> Prints:
    """[N, D] unit vectors: pictures made tiny and grey, without their mean; cosines between them
    tell copies, whatever their size, compression or brightness."""
    rows = np.zeros((len(names), PRINT_PX * PRINT_PX), np.float32)
    for row, name in zip(rows, names, strict=True):
        grey = cv2.cvtColor(read_view(pictures, view, name), cv2.COLOR_RGB2GRAY)
        tiny = cv2.resize(grey, (PRINT_PX, PRINT_PX), interpolation=cv2.INTER_AREA)
        flat = tiny.astype(np.float32).ravel()
        flat -= flat.mean()
        row[:] = flat / max(float(np.linalg.norm(flat)), 1e-6)
    return rows


def most_alike(
    places: Sequence[Line], prints: Mapping[str, Prints], least: float
) -> tuple[list[Alike], float]:
    """Pairs of different splits with a cosine of `least` or more, and the largest of all cosines.

    `prints` by view, a row for every place.
    """
    splits = np.array([place["split"] for place in places])
    found: list[Alike] = []
    largest = -1.0
    for view, rows in prints.items():
        for first in range(0, len(rows), ROWS):
            cosines = rows[first : first + ROWS] @ rows.T
            cosines[splits[first : first + ROWS, None] == splits[None, :]] = -1.0
            largest = max(largest, float(cosines.max(initial=-1.0)))
            for at, other in np.argwhere(cosines >= least):
                if first + at < other:
                    pair = places[first + at]["id"], places[other]["id"]
                    found.append(Alike(*pair, view, float(cosines[at, other])))
    return found, largest


def to_drop(alike: Sequence[Alike], splits: Mapping[str, str]) -> list[str]:
    """One of every pair that is too much alike: never the one to train on."""
    dropped: set[str] = set()
    for pair in sorted(alike, key=lambda each: (each.one, each.other)):
        if pair.one in dropped or pair.other in dropped:
            continue
        dropped.add(pair.other if splits[pair.one] == "train" else pair.one)
    return sorted(dropped)
