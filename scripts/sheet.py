"""A sheet of captioned pictures."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

import cv2
import numpy as np

from geobridge.onboard.records import Image

MARGIN_PX, CAPTION_PX = 6, 22
PAPER, INK = (250, 250, 248), (30, 30, 30)

Tile = tuple[str, Image]
"""A caption and its picture."""


def stack(rows: list[list[Tile]]) -> Image:
    """One sheet: every picture under its caption."""
    height = sum(max(image.shape[0] for _, image in row) + CAPTION_PX for row in rows)
    width = max(sum(image.shape[1] + MARGIN_PX for _, image in row) for row in rows)
    sheet = np.full((height + MARGIN_PX, width + MARGIN_PX, 3), PAPER, np.uint8)
    top = 0
    for row in rows:
        left = MARGIN_PX
        for caption, image in row:
            _write(sheet, caption, (left, top + CAPTION_PX - 6))
            below = top + CAPTION_PX
            sheet[below : below + image.shape[0], left : left + image.shape[1]] = image
            left += image.shape[1] + MARGIN_PX
        top += max(image.shape[0] for _, image in row) + CAPTION_PX
    return sheet


def page(text: str, size_px: tuple[int, int]) -> Image:
    """A text as a picture (width, height)."""
    sheet = np.full((size_px[1], size_px[0], 3), PAPER, np.uint8)
    for number, line in enumerate(textwrap.wrap(text, size_px[0] // 8)):
        _write(sheet, line, (4, 16 + 18 * number))
    return sheet


def wrapped(tiles: Iterable[Tile], across: int) -> list[list[Tile]]:
    """Rows of so many."""
    tiles = list(tiles)
    return [tiles[k : k + across] for k in range(0, len(tiles), across)]


def _write(sheet: Image, text: str, at_px: tuple[int, int]) -> None:
    cv2.putText(sheet, text, at_px, cv2.FONT_HERSHEY_SIMPLEX, 0.48, INK, 1, cv2.LINE_AA)
