"""Proof that splits do not leak: by distance on the ground and by likeness of the pictures.

It knows nothing of blocks, so it finds what dealing them got wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
ROWS = 256
"""Prints are compared in pieces: all at once would not fit into memory."""


@dataclass(frozen=True)
class Alike:
    """Two places of different splits: ids, view, and the cosine of their prints."""

    one: str
    other: str
    view: str
    cosine: float


REACH_M = 2000.0
"""Gaps between squares whose middles lie farther apart are not measured one by one."""


def nearest_m(places: Sequence[Line]) -> float:
    """The smallest gap between squares of different splits, in metres; infinite with one split.

    Where all lie farther apart than `REACH_M` it is that.
    """
    if len({place["split"] for place in places}) < 2:
        return np.inf
    return min((gap_m for _, _, gap_m in near_pairs(places)), default=REACH_M)


def near_pairs(places: Sequence[Line]) -> Iterator[tuple[int, int, float]]:
    """Rows of two squares of different splits, and the gap between them in metres, 0 where they
    meet; of each square the nearest one of another split, and all that are nearer than 100 m."""
    splits = np.array([place["split"] for place in places])
    lat = np.array([place["lat_deg"] for place in places])
    lon = np.array([place["lon_deg"] for place in places])
    side_m = np.array([place["side_m"] for place in places])
    at = points(places)
    tree = cKDTree(at)
    for row in range(len(places)):
        near = np.asarray(tree.query_ball_point(at[row], REACH_M))
        near = near[splits[near] != splits[row]]
        if not near.size:
            continue
        east_m, north_m = offset_m(lat[near], lon[near], lat[row], lon[row])
        both_m = (side_m[near] + side_m[row]) / 2.0
        gaps_m = np.hypot(
            np.maximum(0.0, np.abs(east_m) - both_m), np.maximum(0.0, np.abs(north_m) - both_m)
        )
        for column in np.flatnonzero((gaps_m < 100.0) | (gaps_m == gaps_m.min())):
            yield row, int(near[column]), float(gaps_m[column])


def too_near(places: Sequence[Line], margin_m: float) -> list[str]:
    """Ids of places to leave out so that no two of different splits come nearer than that: never
    one to train on where the other is not. Squares may meet beyond their blocks, in one that holds
    no place."""
    dropped: set[str] = set()
    for row, other, gap_m in near_pairs(places):
        one, two = places[row], places[other]
        if gap_m < margin_m and not {one["id"], two["id"]} & dropped:
            dropped.add(two["id"] if one["split"] == "train" else one["id"])
    return sorted(dropped)


def printed(pictures: Path, view: str, places: Sequence[Line]) -> Prints:
    """[N, D] unit vectors: pictures made tiny and grey, without their mean; cosines between them
    tell copies, whatever their size, compression or brightness."""
    rows = np.zeros((len(places), PRINT_PX * PRINT_PX), np.float32)
    for row, place in zip(rows, places, strict=True):
        grey = cv2.cvtColor(read_view(pictures, view, place), cv2.COLOR_RGB2GRAY)
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
    asked = np.flatnonzero(splits != "train")
    found: list[Alike] = []
    largest = -1.0
    for view, rows in prints.items():
        for first in range(0, len(asked), ROWS):
            some = asked[first : first + ROWS]
            cosines = rows[some] @ rows.T
            cosines[splits[some, None] == splits[None, :]] = -1.0
            largest = max(largest, float(cosines.max(initial=-1.0)))
            for at, other in np.argwhere(cosines >= least):
                one, two = int(some[at]), int(other)
                if splits[two] == "train" or one < two:
                    pair = (places[two]["id"], places[one]["id"])
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
