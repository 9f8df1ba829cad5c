"""Training pairs and triples of a data set in a layout of its own, as `triples` reads them.

Where a data set has many pictures of a place, every row is one choice of them: of University-1652 a
building has 54 rows, each with a drone picture of its own and the one satellite picture. Rows of
one place are positives of each other and do not meet in a batch; so are those that `also` names;
what `neither` names is no negative.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.views import View

from ..folder import METADATA, TEXTS, Line, end_of
from .task import Plane

Ints = npt.NDArray[np.int64]

BLOCK_M = 500.0
"""Side of the blocks of land that are held out for choosing, where positions are known."""


@dataclass(frozen=True)
class Row:
    """Args:
    name: unlike that of every other row.
    pictures: paths below the data set's folder.
    place: what it shows; rows of one place are one place to the loss.
    text: empty where there is none.
    also: places that are this one too.
    neither: places that are neither this one nor negatives of it.
    position: latitude and longitude in degrees, or metres.
    footprint_m: side of the ground square that decides by overlap which places are kin.
    """

    name: str
    pictures: Mapping[View, str]
    place: str
    text: str = ""
    also: tuple[str, ...] = ()
    neither: tuple[str, ...] = ()
    position: tuple[float, float] | None = None
    footprint_m: float = 1.0


class RowStore:
    """Rows as a `Store`: every row is a place of its own to whoever reads it.

    Raises:
        DataError: names a row that is there twice.
    """

    def __init__(self, root: Path, rows: Sequence[Row], plane: Plane | None) -> None:
        self.root, self.plane = root, plane
        self.rows = {row.name: row for row in rows}
        if len(self.rows) < len(rows):
            twice, _ = Counter(row.name for row in rows).most_common(1)[0]
            raise DataError(f"{root}: {twice} is told twice")

    def names(self, view: View) -> Sequence[str]:
        """The rows that have this view."""
        return [name for name, row in self.rows.items() if view in row.pictures]

    def where(self, view: View, name: str) -> str:
        """The path of its picture."""
        return str(self.root / self.rows[name].pictures[view])

    def read(self, view: View, name: str) -> bytes:
        """The whole file."""
        return (self.root / self.rows[name].pictures[view]).read_bytes()

    def end(self, view: View, name: str) -> tuple[int, bytes]:
        """Of the file."""
        return end_of(self.root / self.rows[name].pictures[view])

    def lines(self, name: str) -> Iterator[Line]:
        """What `text.jsonl` and `metadata.jsonl` would say."""
        for row in self.rows.values():
            where = f"{self.root}: {row.name}"
            if name == TEXTS and row.text:
                yield json.dumps({"id": row.name, "text": row.text}).encode(), where
            if name == METADATA and row.position is not None:
                east_m, north_m = self.metres[row.name]
                told = {"east_m": east_m, "north_m": north_m, "footprint_m": row.footprint_m}
                yield json.dumps({"id": row.name} | told).encode(), where

    @cached_property
    def metres(self) -> dict[str, tuple[float, float]]:
        """East and north of every row that has a position, on one plane."""
        return dict(zip(*positions_m(list(self.rows.values()), self.plane), strict=True))

    def groups(self, names: Sequence[str]) -> Ints:
        """[N] a number for every row; rows of one place have the same."""
        return _numbers([self.rows[name].place for name in names])

    def pairs(self, names: Sequence[str]) -> tuple[Ints, Ints]:
        """[P, 2] pairs of numbers along `names` that are one place besides, and no negatives."""
        rows = [self.rows[name] for name in names]
        places = [row.place for row in rows]
        return _joined([row.also for row in rows], places), _joined(
            [row.neither for row in rows], places
        )


def held_out(rows: Sequence[Row], share: float, plane: Plane | None) -> tuple[list[Row], list[Row]]:
    """Rows to train on, and one row of every place that is held out to choose a checkpoint by, no
    two of which share a picture.

    Whole blocks of land are held out where positions are known, else whole places; which ones, the
    hash of their name decides.
    """
    names, metres = positions_m(rows, plane)
    block = {
        name: f"{east_m // BLOCK_M:.0f} {north_m // BLOCK_M:.0f}"
        for name, (east_m, north_m) in zip(names, metres, strict=True)
    }
    chosen = [_fraction(block.get(row.name, row.place)) < share for row in rows]
    train = [row for row, out in zip(rows, chosen, strict=True) if not out]
    seen = {row.place for row in train}
    val = []
    for row in (row for row, out in zip(rows, chosen, strict=True) if out):
        shown = {row.place, *row.pictures.values()}
        if seen.isdisjoint(shown):
            val.append(row)
            seen |= shown
    return train, val


def positions_m(
    rows: Sequence[Row], plane: Plane | None
) -> tuple[list[str], list[tuple[float, float]]]:
    """Names of the rows with a position, and metres east and north around the first of them."""
    known = [(row.name, row.position) for row in rows if row.position is not None]
    names, positions = [name for name, _ in known], np.array([at for _, at in known])
    if plane == "wgs84" and len(positions):
        frame = LocalFrame(*map(float, positions[0]))
        positions = frame.to_enu(positions[:, 0], positions[:, 1])
    return names, [(float(east), float(north)) for east, north in positions]


def _numbers(labels: Sequence[str]) -> Ints:
    known = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return np.array([known[label] for label in labels], np.int64)


def _joined(told: Sequence[tuple[str, ...]], places: Sequence[str]) -> Ints:
    """[P, 2] every row with the rows of the places that it tells of."""
    known = {place: number for number, place in enumerate(dict.fromkeys(places))}
    pairs = [(row, known[each]) for row, some in enumerate(told) for each in some if each in known]
    row, place = np.array(pairs, np.int64).reshape(-1, 2).T
    of_row = _numbers(places)
    order = np.argsort(of_row, kind="stable")
    first, last = (np.searchsorted(of_row[order], place, side=side) for side in ("left", "right"))
    sizes = last - first
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    joined = np.stack([np.repeat(row, sizes), order[np.repeat(first, sizes) + within]], axis=1)
    return np.asarray(joined[joined[:, 0] != joined[:, 1]])


def _fraction(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
