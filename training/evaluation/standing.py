"""Where chosen references stand among all others for every query: exact, and in pieces.

A score is the inner product of two float32 descriptors, added up in float64. Most comparisons are
decided by a float32 product, whose error is bounded; only pairs that it leaves undecided are added
up again. So nothing here depends on how the work is cut, on the device, or on threads, and equal
descriptors tie. Nothing is as large as queries times references: 100,000 of each with 768 numbers
are 0.6 GB of descriptors and a few pieces.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from geobridge.onboard.errors import DataError

from ..batches.kin import Lists
from .ranking import exact_products

log = logging.getLogger(__name__)

Descriptors = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

QUERIES, REFERENCES = 1024, 8192
"""A piece: so many queries against so many references."""
_SLACK = 8.0 * 2.0**-24
"""Times the square root of the length and both norms: what rounding in float32 moves a product by
at most, but for once in 1e13 (Higham and Mary 2019, lambda = 8)."""
_PAIRS = 1 << 13
"""So many undecided pairs are added up together."""
_SPARE = 16
"""So many more than the best wanted are kept, of which rounding may have changed the order."""
_TELL_S = 20.0


@dataclass(frozen=True)
class Standing:
    """Where the references in a `Lists` of every query stand; arrays go along its items.

    `above` counts references of a higher score, `tied_before` and `tied_behind` others of the same
    score with a smaller and a larger number. `top` and `top_score` are [Q, K] the best references,
    best first, of equal ones the larger number first (`numpy.argsort(scores)[::-1]`, were it
    stable); -1 and -inf where there are fewer.
    """

    score: Floats
    above: Ints
    tied_before: Ints
    tied_behind: Ints
    top: Ints
    top_score: Floats


def stand(
    queries: Descriptors,
    references: Descriptors,
    listed: Lists,
    top: int = 0,
    device: torch.device | None = None,
) -> Standing:
    """Compare every query with every reference.

    Args:
        queries: [Q, D] finite.
        references: [R, D] finite.
        listed: for every query the references whose standing is wanted.
        top: how many of the best to name.
        device: where products are computed; a piece at a time goes there.

    Raises:
        DataError: a descriptor is not finite.
    """
    for name, side in (("query", queries), ("reference", references)):
        bad = np.flatnonzero(~np.isfinite(side).all(axis=1))
        if len(bad):
            raise DataError(f"the descriptor of {name} {bad[0]} is not finite")
    search = _Search(queries, references, listed, min(top, len(references)), device)
    with exact_products():
        parts = [search.piece(rows) for rows in _told(len(queries))]
    return Standing(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _told(count: int) -> Iterator[Ints]:
    """The numbers of all queries in pieces, saying now and then how long it will take."""
    started = told = time.monotonic()
    for first in range(0, max(count, 1), QUERIES):
        rows = np.arange(first, min(first + QUERIES, count))
        yield rows
        now, done = time.monotonic(), first + len(rows)
        if now - told > _TELL_S and done < count:
            told = now
            left_s = (now - started) * (count / done - 1)
            log.info("ranked %d of %d queries, %.0f s to go", done, count, left_s)


class _Best:
    """[n, K] scores in float32 and numbers of the best references so far, in no order."""

    def __init__(self, rows: int, count: int) -> None:
        self.score = np.full((rows, count), -np.inf, np.float32)
        self.item = np.full((rows, count), -1)

    def take(self, scores: Descriptors, first: int) -> None:
        """Those of [n, r] scores of the references that begin with number `first`."""
        count = self.score.shape[1]
        if not first:
            best = torch.from_numpy(scores).topk(min(count, scores.shape[1]))
            self._keep(best.values.numpy(), best.indices.numpy())
            return
        row, column = np.nonzero(scores > self.score.min(axis=1)[:, None])
        rank = _within(row)
        better = np.full((len(scores), int(rank.max(initial=-1)) + 1), -np.inf, np.float32)
        item = np.full(better.shape, -1)
        better[row, rank], item[row, rank] = scores[row, column], column + first
        self._keep(better, item)

    def _keep(self, score: Descriptors, item: Ints) -> None:
        count = self.score.shape[1]
        score = np.concatenate([self.score, score], axis=1)
        item = np.concatenate([self.item, item], axis=1)
        at = np.argpartition(-score, count - 1, axis=1)[:, :count]
        self.score = np.take_along_axis(score, at, 1)
        self.item = np.take_along_axis(item, at, 1)


class _Search:
    """Both sides, and what was asked for."""

    def __init__(
        self,
        queries: Descriptors,
        references: Descriptors,
        listed: Lists,
        top: int,
        device: torch.device | None,
    ) -> None:
        self.queries, self.references, self.listed = queries, references, listed
        self.top, self.device = top, device
        longest = float(np.linalg.norm(references, axis=1).max(initial=0.0))
        self.slack = _SLACK * np.sqrt(queries.shape[1]) * longest * np.linalg.norm(queries, axis=1)

    def piece(self, rows: Ints) -> tuple[Floats, Ints, Ints, Ints, Ints, Floats]:
        """The arrays of `Standing` for some queries."""
        owner, listed = self.listed.of_all(rows)
        item = listed.astype(np.int64)
        score = self._exact(rows[owner], item)
        above = np.zeros(len(item), np.int64)
        rank = _within(owner)
        limits = _table(owner, rank, score, len(rows))
        slack = self.slack[rows]
        asked = torch.from_numpy(self.queries[rows]).to(self.device)
        kept = min(self.top + _SPARE, len(self.references)) if self.top else 0
        best = _Best(len(rows), kept)
        doubtful = []
        for first in range(0, len(self.references), REFERENCES):
            part = torch.from_numpy(self.references[first : first + REFERENCES]).to(self.device)
            scores = (asked @ part.T).cpu().numpy()
            if kept:
                best.take(scores, first)
            for column in range(limits.shape[1]):
                ahead, row, at = _decided(scores, limits[:, column], slack)
                whose = np.flatnonzero(rank == column)
                above[whose] += ahead[owner[whose]]
                where = np.full(len(rows), -1)
                where[owner[whose]] = whose
                doubtful.append((where[row], at + first))
        tied = self._settled(rows[owner], item, score, above, doubtful)
        return score, above, *tied, *self._top(rows, best)

    def _settled(
        self, query: Ints, item: Ints, score: Floats, above: Ints, doubtful: list[tuple[Ints, Ints]]
    ) -> tuple[Ints, Ints]:
        """Add the undecided pairs to `above`; how many tie before and behind."""
        before, behind = np.zeros_like(above), np.zeros_like(above)
        if doubtful:
            whose, other = (np.concatenate(each) for each in zip(*doubtful, strict=True))
            exact = self._exact(query[whose], other)
            np.add.at(above, whose[exact > score[whose]], 1)
            tied = exact == score[whose]
            np.add.at(before, whose[tied & (other < item[whose])], 1)
            np.add.at(behind, whose[tied & (other > item[whose])], 1)
        return before, behind

    def _exact(self, query: Ints, item: npt.NDArray[np.integer]) -> Floats:
        """[P] scores of pairs, each added up in one order."""
        scores = np.empty(len(query))
        for first in range(0, len(query), _PAIRS):
            part = slice(first, first + _PAIRS)
            a = self.queries[query[part]].astype(np.float64)
            scores[part] = (a * self.references[item[part]]).sum(axis=1)
        return scores

    def _top(self, rows: Ints, best: _Best) -> tuple[Ints, Floats]:
        """[n, K] in order; a row in which others might belong there is searched as a whole."""
        item, rough = best.item, best.score
        kept = item.shape[1]
        if not kept:
            return np.empty((len(rows), 0), np.int64), np.empty((len(rows), 0))
        score = self._exact(np.repeat(rows, kept), item.ravel()).reshape(item.shape)
        item, score = _ordered(item, score, self.top)
        open_ = score[:, -1] <= rough.min(axis=1) + self.slack[rows]
        if kept < len(self.references):
            everything = np.arange(len(self.references))
            for row in np.flatnonzero(open_):
                whole = self._exact(np.full(len(everything), rows[row]), everything)
                found = _ordered(everything[None], whole[None], self.top)
                item[row], score[row] = found[0][0], found[1][0]
        return item, score


def _decided(scores: Descriptors, limit: Floats, slack: Floats) -> tuple[Ints, Ints, Ints]:
    """[n] how many surely exceed the limit, and row and column of those that may."""
    low, high = (
        np.nextafter(edge.astype(np.float32), np.float32(outward))[:, None]
        for edge, outward in ((limit - slack, -np.inf), (limit + slack, np.inf))
    )
    ahead = np.count_nonzero(scores > high, axis=1)
    rows = np.flatnonzero(np.count_nonzero(scores >= low, axis=1) > ahead)
    near = scores[rows]
    row, column = np.nonzero((near >= low[rows]) & (near <= high[rows]))
    return ahead, rows[row], column


def _ordered(item: Ints, score: Floats, count: int) -> tuple[Ints, Floats]:
    """The first `count` of every row, the highest score first, of equal ones the larger number."""
    order = np.lexsort((-item, -score), axis=1)[:, :count]
    return np.take_along_axis(item, order, 1), np.take_along_axis(score, order, 1)


def _table(owner: Ints, rank: Ints, score: Floats, rows: int) -> Floats:
    """[n, most] scores by query; infinite where a query has fewer."""
    table = np.full((rows, int(rank.max(initial=-1)) + 1), np.inf)
    table[owner, rank] = score
    return table


def _within(owner: Ints) -> Ints:
    """0, 1, 2 for the items of one owner; owners rise."""
    return np.arange(len(owner)) - np.searchsorted(owner, owner)
