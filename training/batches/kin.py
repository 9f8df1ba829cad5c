"""Which places of a data set are one place to the loss, and which are no negatives of each other.

Kin of a place are those whose ground overlaps its own, or that show the same picture. The relation
is symmetric; a place is not in its own lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..datasets.batch import NEITHER, POSITIVE

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_CANDIDATES = 1_000_000
"""Pairs that are looked at together."""


@dataclass(frozen=True)
class Lists:
    """A rising list of place numbers for every place: `items` from one of `offsets` to the next."""

    offsets: npt.NDArray[np.int64]
    items: npt.NDArray[np.int32]

    def of(self, place: int) -> npt.NDArray[np.int32]:
        """The list of one place."""
        return self.items[self.offsets[place] : self.offsets[place + 1]]

    def of_all(self, places: npt.NDArray[np.integer]) -> tuple[Ints, npt.NDArray[np.int32]]:
        """The lists of several places behind each other, and whose each item is, by position."""
        row, at = _spread(self.offsets[places], self.offsets[places + 1])
        return row, self.items[at]


@dataclass(frozen=True)
class Kin:
    """By place number: the places that are this one too, and those that are no negatives of it."""

    positive: Lists
    neither: Lists

    @property
    def places(self) -> int:
        """How many places there are."""
        return len(self.positive.offsets) - 1

    @property
    def counts(self) -> Ints:
        """[N] how many kin every place has."""
        return np.diff(self.positive.offsets) + np.diff(self.neither.offsets)


def kin_of(
    east_north_m: Floats,
    footprint_m: Floats,
    positive_iou: float,
    neither_iou: float,
    same_place: npt.NDArray[np.integer] | None = None,
    same_picture: Sequence[npt.NDArray[np.integer]] = (),
) -> Kin:
    """Kin by the overlap of the ground squares, by name, and by what they show.

    Two squares with sides to the east and north have the IoU (intersection over union) a /
    (s1^2 + s2^2 - a) with a the common ground. Time and memory grow with the number of pairs that
    overlap, not with the square of the number of places.

    Args:
        east_north_m: [N, 2] centres in one local frame; NaN where it is not known.
        footprint_m: [N] sides of the squares, above 0.
        positive_iou: so much overlap makes a pair positive; squares that only touch never are.
        neither_iou: below it, two places are negatives of each other.
        same_place: [N] numbers; places of one number are positive wherever they lie.
        same_picture: for every view [N] numbers; places of one number share a picture, and may well
            differ in others: they are neither.
    """
    count = len(east_north_m)
    low = min(positive_iou, neither_iou)
    positive, neither = [_same(same_place)], [_same(numbers) for numbers in same_picture]
    for a, b in _near(east_north_m, footprint_m, low):
        iou = _iou(east_north_m, footprint_m, a, b)
        keys = np.minimum(a, b) * count + np.maximum(a, b)
        is_positive = (iou > 0) & (iou >= positive_iou)
        positive.append(keys[is_positive])
        neither.append(keys[(iou > 0) & (iou >= neither_iou) & ~is_positive])
    ones = np.unique(np.concatenate(positive))
    others = np.setdiff1d(np.concatenate([np.empty(0, np.int64), *neither]), ones)
    return Kin(_lists(ones, count), _lists(others, count))


def with_pairs(kin: Kin, positive: Ints, neither: Ints) -> Kin:
    """Kin, and the [P, 2] pairs of numbers that are positive or no negatives besides."""
    keys = [_keys(kin.positive), _pair_keys(positive, kin.places)]
    ones = np.unique(np.concatenate(keys))
    others = [_keys(kin.neither), _pair_keys(neither, kin.places)]
    return Kin(
        _lists(ones, kin.places), _lists(np.setdiff1d(np.concatenate(others), ones), kin.places)
    )


def relation(
    kin: Kin, rows: npt.NDArray[np.integer], columns: npt.NDArray[np.integer]
) -> npt.NDArray[np.int8]:
    """[b, B] what each place of `columns` is to each place of `rows`; a place to itself POSITIVE.

    Args:
        rows, columns: [b] and [B] place numbers.
    """
    found, column = np.unique(columns, return_inverse=True)
    table = np.where(np.asarray(rows)[:, None] == found, POSITIVE, 0).astype(np.int8)
    for lists, value in ((kin.positive, POSITIVE), (kin.neither, NEITHER)):
        row, item = lists.of_all(rows)
        at = np.minimum(np.searchsorted(found, item), len(found) - 1)
        hit = found[at] == item
        table[row[hit], at[hit]] = value
    return table[:, column]


def _iou(east_north_m: Floats, side_m: Floats, a: Ints, b: Ints) -> Floats:
    apart_m = np.abs(east_north_m[a] - east_north_m[b])
    common_m = (side_m[a] + side_m[b])[:, None] / 2 - apart_m
    common_m = np.clip(common_m, 0.0, np.minimum(side_m[a], side_m[b])[:, None])
    common_m2 = common_m[:, 0] * common_m[:, 1]
    return np.asarray(common_m2 / (side_m[a] ** 2 + side_m[b] ** 2 - common_m2))


def _near(east_north_m: Floats, side_m: Floats, iou: float) -> Iterator[tuple[Ints, Ints]]:
    """Every pair whose overlap may reach `iou`, once or twice, and others that lie near.

    Places are taken by the octave of their size, each against those of its size or smaller, in a
    grid as wide as the octave's widest square: one huge square costs no more than its own ground.
    """
    known = np.flatnonzero(np.isfinite(east_north_m).all(axis=1))
    octave = np.ceil(np.log2(side_m[known]))
    for size in np.unique(octave):
        cell_m = 2.0**size
        rows = known[octave == size]
        # the smaller square is all that two can share: IoU <= (smaller side / larger side)^2
        smaller = known[(octave <= size) & (side_m[known] >= cell_m / 2 * np.sqrt(iou))]
        for a, b in _touching(east_north_m[rows], east_north_m[smaller], cell_m):
            other = rows[a] != smaller[b]
            yield rows[a][other], smaller[b][other]


def _touching(a_m: Floats, b_m: Floats, cell_m: float) -> Iterator[tuple[Ints, Ints]]:
    """Positions in a and b of all pairs whose grid cells are one or touch."""
    corner_m = np.minimum(a_m.min(axis=0), b_m.min(axis=0))
    a, b = (np.floor((each - corner_m) / cell_m).astype(np.int64) for each in (a_m, b_m))
    # cells numbered line after line, with room between: the three of one line follow each other
    width = max(a[:, 0].max(), b[:, 0].max()) + 3
    a, b = (each @ np.array([1, width]) for each in (a, b))
    order = np.argsort(b, kind="stable")
    middle = a[:, None] + width * np.array([-1, 0, 1])
    first = np.searchsorted(b, middle - 1, side="left", sorter=order)
    last = np.searchsorted(b, middle + 1, side="right", sorter=order)
    for part in _portions((last - first).sum(axis=1)):
        line, at = _spread(first[part].ravel(), last[part].ravel())
        yield part.start + line // 3, order[at]


def _portions(sizes: Ints) -> Iterator[slice]:
    """Runs of rows that together hold about `_CANDIDATES`, and at least one row each."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _CANDIDATES, side="right")))
        yield slice(start, stop)
        start = stop


def _spread(first: npt.NDArray[np.integer], last: npt.NDArray[np.integer]) -> tuple[Ints, Ints]:
    """The numbers of all ranges [first, last) behind each other, and which range each is of."""
    sizes = last - first
    row = np.repeat(np.arange(len(sizes)), sizes)
    within = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return row, first[row] + within


def _same(group: npt.NDArray[np.integer] | None) -> Ints:
    """Keys of all pairs of one group."""
    if group is None:
        return np.empty(0, np.int64)
    order = np.argsort(group, kind="stable")
    last = np.searchsorted(group[order], group[order], side="right")
    row, at = _spread(np.arange(1, len(group) + 1), last)
    return order[row] * len(group) + order[at]


def _keys(lists: Lists) -> Ints:
    """Of all pairs in lists, each once."""
    row = np.repeat(np.arange(len(lists.offsets) - 1), np.diff(lists.offsets))
    keep = row < lists.items
    return np.asarray(row[keep] * len(np.diff(lists.offsets)) + lists.items[keep])


def _pair_keys(pairs: Ints, count: int) -> Ints:
    return np.asarray(pairs.min(axis=1) * count + pairs.max(axis=1))


def _lists(keys: Ints, count: int) -> Lists:
    """Both directions of every pair; a key is the smaller number times `count` plus the larger."""
    a, b = np.divmod(keys, max(count, 1))
    rows, items = np.concatenate([a, b]), np.concatenate([b, a]).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))])
    return Lists(offsets.astype(np.int64), items[np.lexsort((items, rows))])
