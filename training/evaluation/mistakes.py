"""Which queries of a task to look at: best, worst, and wrong with confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from geobridge.onboard.preprocess import resize
from geobridge.onboard.records import Image

from ..datasets.batch import TEXT
from ..datasets.decode import UnreadableError, decode
from ..datasets.layouts.task import Items
from ..protocols.figures import owners
from ..protocols.protocol import Scored

SHOWN, BEST = 8, 5
_TILE_PX, _EDGE_PX, _GAP_PX, _LINE_PX = 150, 5, 10, 20
_RIGHT, _WRONG, _INK, _PAPER = (15, 143, 107), (194, 65, 12), (29, 39, 51), (255, 255, 255)


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
    title = _words(f"{found.task.name}: {looked.told}", lines[0].shape[1])
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
        _tile(task.queries, query, f"rank {found.rank[query]}", _INK),
        _tile(task.gallery, right, "right", _RIGHT),
    ]
    for number, score in zip(found.top[query][:BEST], found.top_score[query], strict=False):
        colour = _RIGHT if number in positive else _WRONG
        tiles.append(_tile(task.gallery, int(number), f"{score:.3f}", colour))
    return np.concatenate(tiles, axis=1)


def _tile(items: Items, number: int, told: str, colour: Sequence[int]) -> Image:
    """A picture in a frame, what is told above it."""
    inside = _TILE_PX - 2 * _EDGE_PX
    tile = np.full((_TILE_PX, _TILE_PX, 3), colour, np.uint8)
    tile[_EDGE_PX:-_EDGE_PX, _EDGE_PX:-_EDGE_PX] = _shown(items, number, inside)
    tile = np.concatenate([_words(told, _TILE_PX), tile])
    return cv2.copyMakeBorder(  # type: ignore[return-value]
        tile, 0, _GAP_PX, 0, _GAP_PX, cv2.BORDER_CONSTANT, value=_PAPER
    )


def _shown(items: Items, number: int, side_px: int) -> Image:
    """The whole picture in a square, or the beginning of a text."""
    canvas = np.full((side_px, side_px, 3), 238, np.uint8)
    data = items.reader.read(items.names[number])
    if items.side == TEXT:
        return _written(canvas, data.decode())
    try:
        picture = decode(data, side_px, side_px)
    except UnreadableError:
        return canvas
    height, width = picture.shape[:2]
    scale = side_px / max(height, width)
    small = resize(picture, max(1, round(height * scale)), max(1, round(width * scale)), "box")
    top, left = (side_px - small.shape[0]) // 2, (side_px - small.shape[1]) // 2
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas


def _written(canvas: Image, text: str) -> Image:
    words, lines = text.encode("ascii", "replace").decode().split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 20:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    for at, line in enumerate(lines[:9]):
        _put(canvas, line, 4, 15 + 15 * at)
    return canvas


def _words(text: str, width_px: int) -> Image:
    canvas = np.full((_LINE_PX, width_px, 3), _PAPER, np.uint8)
    _put(canvas, text.encode("ascii", "replace").decode(), 2, 14)
    return canvas


def _put(canvas: Image, text: str, x: int, y: int) -> None:
    cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.38, _INK, 1, cv2.LINE_AA)
