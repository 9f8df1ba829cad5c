"""Pictures and texts of a data set as tiles of a sheet, each in a frame with a word above it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from geobridge.onboard.preprocess import resize
from geobridge.onboard.records import Image

from ..datasets.batch import TEXT
from ..datasets.decode import UnreadableError, decode
from ..datasets.layouts.task import Items

_TILE_PX, _EDGE_PX, _GAP_PX, _LINE_PX = 150, 5, 10, 20
RIGHT, WRONG, INK = (15, 143, 107), (194, 65, 12), (29, 39, 51)
_PAPER = (255, 255, 255)


def tile(items: Items, number: int, told: str, colour: Sequence[int]) -> Image:
    """A picture in a frame, what is told above it."""
    inside = _TILE_PX - 2 * _EDGE_PX
    framed = np.full((_TILE_PX, _TILE_PX, 3), colour, np.uint8)
    framed[_EDGE_PX:-_EDGE_PX, _EDGE_PX:-_EDGE_PX] = _shown(items, number, inside)
    whole = np.concatenate([words(told, _TILE_PX), framed])
    return np.pad(whole, ((0, _GAP_PX), (0, _GAP_PX), (0, 0)), constant_values=255)


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
    lines = [""]
    for word in text.encode("ascii", "replace").decode().split():
        if len(lines[-1]) + len(word) > 20:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    for at, line in enumerate(lines[:9]):
        _put(canvas, line, 4, 15 + 15 * at)
    return canvas


def words(text: str, width_px: int) -> Image:
    """A line of text on white."""
    canvas = np.full((_LINE_PX, width_px, 3), _PAPER, np.uint8)
    _put(canvas, text.encode("ascii", "replace").decode(), 2, 14)
    return canvas


def _put(canvas: Image, text: str, x: int, y: int) -> None:
    cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.38, INK, 1, cv2.LINE_AA)
