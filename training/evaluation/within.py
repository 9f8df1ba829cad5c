"""Standing where every query is looked for on its own map alone.

As GTA-UAV's evaluator does it for UAV-VisLoc: the scores of references on other maps are multiplied
by 0. They stay in the gallery, so one with a negative score on the query's own map stands behind
all of theirs.
"""

from __future__ import annotations

import numpy as np
import torch

from ..batches.kin import Lists
from .standing import Descriptors, Floats, Ints, Standing, stand


def stand_within(
    queries: Descriptors,
    references: Descriptors,
    listed: Lists,
    top: int,
    maps: tuple[Ints, Ints] | None = None,
    device: torch.device | None = None,
) -> Standing:
    """`stand`, with the score 0 for references of another map than the query's.

    Args:
        maps: [Q] and [R] numbers of maps; None where all are on one. References that are listed
            for a query must be on its map.
    """
    if maps is None:
        return stand(queries, references, listed, top, device)
    of_query, of_reference = maps
    count = min(top, len(references))
    items = len(listed.items)
    whole = Standing(
        np.zeros(items),
        np.zeros(items, np.int64),
        np.zeros(items, np.int64),
        np.zeros(items, np.int64),
        np.full((len(queries), count), -1),
        np.full((len(queries), count), -np.inf),
    )
    for number in np.unique(of_query):
        rows, here = np.flatnonzero(of_query == number), np.flatnonzero(of_reference == number)
        elsewhere = np.flatnonzero(of_reference != number)
        at, part = _restricted(listed, rows, here)
        found = stand(queries[rows], references[here], part, top, device)
        _put(whole, at, listed.items[at].astype(np.int64), found, elsewhere)
        whole.top[rows], whole.top_score[rows] = _merged(found, here, elsewhere, count)
    return whole


def _restricted(listed: Lists, rows: Ints, here: Ints) -> tuple[Ints, Lists]:
    """Positions of the rows' items, and the same lists with numbers along `here`."""
    positions = Lists(listed.offsets, np.arange(len(listed.items), dtype=np.int32))
    _, at = positions.of_all(rows)
    sizes = np.diff(listed.offsets)[rows]
    items = np.searchsorted(here, listed.items[at]).astype(np.int32)
    return at.astype(np.int64), Lists(np.concatenate([[0], np.cumsum(sizes)]), items)


def _put(whole: Standing, at: Ints, item: Ints, found: Standing, elsewhere: Ints) -> None:
    """Counts on the map, and all of the others where they are above or tie."""
    before = np.searchsorted(elsewhere, item)
    ties = found.score == 0
    whole.score[at] = found.score
    whole.above[at] = found.above + np.where(found.score < 0, len(elsewhere), 0)
    whole.tied_before[at] = found.tied_before + np.where(ties, before, 0)
    whole.tied_behind[at] = found.tied_behind + np.where(ties, len(elsewhere) - before, 0)


def _merged(found: Standing, here: Ints, elsewhere: Ints, count: int) -> tuple[Ints, Floats]:
    """[n, count] the best of the map and of the others, whose scores are 0."""
    others = elsewhere[::-1][:count]
    rows = len(found.top)
    item = np.concatenate([here[found.top], np.broadcast_to(others, (rows, len(others)))], axis=1)
    score = np.concatenate([found.top_score, np.zeros((rows, len(others)))], axis=1)
    order = np.lexsort((-item, -score), axis=1)[:, :count]
    return np.take_along_axis(item, order, 1), np.take_along_axis(score, order, 1)
