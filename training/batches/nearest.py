"""The places that lie nearest to each place, exactly, by a tree of bisected boxes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ..datasets.batch import NEGATIVE
from .kin import Floats, Ints, Kin, relation

_LEAF = 64
_CELLS = 4_000_000
"""Distances that are held together."""
_BITS = 24
"""Of a key, for the place; the rest is for the distance in mm."""
_NONE = np.iinfo(np.int64).max


def nearest_places(east_north_m: Floats, k: int, kin: Kin) -> npt.NDArray[np.int32]:
    """[N, K] the nearest places on the ground that are no kin, nearest first; -1 where there are
    fewer.

    At one distance (to the millimetre) the lower number comes first, so that the lists are the
    same on every machine.

    Args:
        east_north_m: [N, 2] in one local frame; NaN where it is not known: such a place has no
            neighbours and is none.
        k: neighbours of each place.
        kin: who is never a neighbour.
    """
    result = np.full((len(east_north_m), k), -1, np.int32)
    known = np.flatnonzero(np.isfinite(east_north_m).all(axis=1))
    if k == 0 or len(known) == 0:
        return result
    search = _Search(east_north_m, k, kin, list(_leaves(east_north_m, known)))
    for leaf in search.leaves:
        search.fill(leaf, result)
    return result


def _leaves(east_north_m: Floats, places: Ints) -> Iterator[Ints]:
    """The places in compact groups of at most `_LEAF`."""
    if len(places) <= _LEAF:
        yield places
    else:
        for half in _halves(east_north_m, places):
            yield from _leaves(east_north_m, half)


def _halves(east_north_m: Floats, places: Ints) -> tuple[Ints, Ints]:
    """Cut across the longer side of their box."""
    here_m = east_north_m[places]
    along = here_m[:, int(np.argmax(np.ptp(here_m, axis=0)))]
    order = places[np.argpartition(along, len(places) // 2)]
    return order[: len(places) // 2], order[len(places) // 2 :]


class _Search:
    """Places by the leaves of a tree, each a box that holds about `_LEAF` of them."""

    def __init__(self, east_north_m: Floats, k: int, kin: Kin, leaves: list[Ints]) -> None:
        self.east_north_m, self.k, self.kin, self.leaves = east_north_m, k, kin, leaves
        self.low_m = np.array([east_north_m[leaf].min(axis=0) for leaf in leaves])
        self.high_m = np.array([east_north_m[leaf].max(axis=0) for leaf in leaves])
        self.sizes = np.array([len(leaf) for leaf in leaves])

    def fill(self, rows: Ints, result: npt.NDArray[np.int32]) -> None:
        """Look in the nearest boxes, then in all that a nearer place may still hide in."""
        order, gap_m = self._by_distance(rows)
        held = np.cumsum(self.sizes[order])
        taken = min(int(np.searchsorted(held, 2 * self.k + len(rows))) + 1, len(order))
        while len(rows) == 1 or len(rows) * held[taken - 1] <= _CELLS:
            columns = np.sort(np.concatenate([self.leaves[leaf] for leaf in order[:taken]]))
            keys = self._keys(rows, columns)
            needed = self._needed(keys, gap_m, taken)
            if needed <= taken:
                numbers = columns[np.where(keys == _NONE, 0, keys & (2**_BITS - 1))]
                result[rows, : keys.shape[1]] = np.where(keys == _NONE, -1, numbers)
                return
            taken = needed
        for half in _halves(self.east_north_m, rows):
            self.fill(half, result)

    def _by_distance(self, rows: Ints) -> tuple[Ints, Floats]:
        """The leaves, and the gaps between their boxes and that of these places, rising."""
        here_m = self.east_north_m[rows]
        apart_m = np.maximum(self.low_m - here_m.max(axis=0), here_m.min(axis=0) - self.high_m)
        gap_m = np.sqrt((np.maximum(apart_m, 0.0) ** 2).sum(axis=1))
        order = np.argsort(gap_m, kind="stable")
        return order, gap_m[order]

    def _needed(self, keys: Ints, gap_m: Floats, taken: int) -> int:
        """How many of the nearest leaves must be looked at, as far as is known from `taken`."""
        farthest = int(keys[:, -1].max()) if keys.shape[1] == self.k else _NONE
        if farthest == _NONE:
            return min(2 * taken, len(gap_m))
        # a key's distance is rounded to the millimetre, a gap is not
        return int(np.searchsorted(gap_m, ((farthest >> _BITS) + 1) / 1000, side="right"))

    def _keys(self, rows: Ints, columns: Ints) -> Ints:
        """[b, <= K] the smallest, sorted: distance in mm, then the position in `columns`."""
        apart_m = self.east_north_m[rows][:, None] - self.east_north_m[columns]
        apart_mm = np.rint(1000 * np.sqrt(apart_m[..., 0] ** 2 + apart_m[..., 1] ** 2))
        keys = (apart_mm.astype(np.int64) << _BITS) | np.arange(len(columns))
        keys[relation(self.kin, rows, columns) != NEGATIVE] = _NONE
        if len(columns) > self.k:
            keys = np.partition(keys, self.k - 1, axis=1)[:, : self.k]
        return np.sort(keys, axis=1)
