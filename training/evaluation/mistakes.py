"""Which queries of a task to look at: best, worst, and wrong with confidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geobridge.onboard.records import Image

from ..protocols.figures import owners
from ..protocols.protocol import Scored
from .tiles import INK, RIGHT, WRONG, tile, words

SHOWN, BEST = 8, 5


@dataclass(frozen=True)
class Looked:
    """[n] queries of a kind, in the order in which they are shown."""

    kind: str
    told: str
    queries: npt.NDArray[np.int64]


def looked_at(found: Scored) -> list[Looked]:
    """The surest right answers, the right references found last, and the surest wrong answers."""
    right = _right_score(found)
    ahead = found.top_score[:, 0] - right
    margin = right - _best_wrong(found)
    hit = found.rank == 1
    surest = np.argsort(np.where(hit, -margin, np.inf), kind="stable")[: min(SHOWN, hit.sum())]
    worst = np.argsort(-found.rank, kind="stable")[: min(SHOWN, (~hit).sum())]
    wrong = np.argsort(np.where(hit, np.inf, -ahead), kind="stable")[: min(SHOWN, (~hit).sum())]
    return [
        Looked("best", "right, and by the widest margin", surest),
        Looked("worst", "whose right reference comes last", worst),
        Looked("confident", "wrong, and by the widest margin", wrong),
    ]


def sheet(found: Scored, looked: Looked) -> Image:
    """For every query: it, the right reference, and the best found, framed as right or wrong.

    Above each stands its score; above the query the rank of the right reference.
    """
    lines = [_line(found, int(query)) for query in looked.queries]
    title = words(f"{found.task.name}: {looked.told}", lines[0].shape[1])
    return np.concatenate([title, *lines])


def rank_lists(found: Scored) -> list[dict[str, object]]:
    """Of every query its name, the rank of the right one, and the best found with their scores."""
    queries, gallery = found.task.queries.names, found.task.gallery.names
    return [
        {
            "query": name,
            "rank": int(found.rank[at]),
            "ap": float(found.precision[at]),
            "right": [gallery[int(number)] for number in found.task.positive.of(at)],
            "found": [gallery[int(number)] for number in found.top[at] if number >= 0],
            "scores": [round(float(score), 6) for score in found.top_score[at]],
        }
        for at, name in enumerate(queries)
    ]


def _right_score(found: Scored) -> npt.NDArray[np.float64]:
    """[Q] of the best right reference."""
    score = np.full(len(found.rank), -np.inf)
    np.maximum.at(score, owners(found.task.positive), found.standing.score)
    return score


def _best_wrong(found: Scored) -> npt.NDArray[np.float64]:
    """[Q] of the best reference that is not right, as far as it is among those named."""
    score = np.full(len(found.rank), -1.0)
    for at, row in enumerate(found.top):
        wrong = ~np.isin(row, found.task.positive.of(at))
        if wrong.any():
            score[at] = found.top_score[at][np.argmax(wrong)]
    return score


def _line(found: Scored, query: int) -> Image:
    task = found.task
    positive = task.positive.of(query)
    right = int(positive[0])
    tiles = [
        tile(task.queries, query, f"rank {found.rank[query]}", INK),
        tile(task.gallery, right, "right", RIGHT),
    ]
    for number, score in zip(found.top[query][:BEST], found.top_score[query], strict=False):
        colour = RIGHT if number in positive else WRONG
        tiles.append(tile(task.gallery, int(number), f"{score:.3f}", colour))
    return np.concatenate(tiles, axis=1)
