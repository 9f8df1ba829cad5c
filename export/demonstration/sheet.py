"""A few triples side by side: the views named above, the texts below."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import cv2
import numpy as np

from geobridge.onboard.frames.picture import read_picture
from geobridge.onboard.records import Image

PLACES, TILE_PX, TEXT_PX = 4, 220, 46
_VIEWS = ("satellite", "drone", "street")
_INK = (30, 40, 50)


def write_sheet(path: Path, triples: Path, split: str = "test") -> None:
    """Write `PLACES` places of a rendered data set that have every view."""
    lines = (triples / split / "text.jsonl").read_bytes().splitlines()
    entries = [json.loads(line) for line in lines]
    whole = [entry for entry in entries if _has_all(triples / split, entry["id"])][:PLACES]
    rows = [
        _row(triples / split, entry, is_named=number == 0) for number, entry in enumerate(whole)
    ]
    if rows:
        cv2.imwrite(str(path), cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR))


def _has_all(folder: Path, name: str) -> bool:
    return all((folder / view / f"{name}.jpg").exists() for view in _VIEWS)


def _row(folder: Path, entry: dict[str, str], is_named: bool) -> Image:
    tiles = []
    for view in _VIEWS:
        picture = read_picture(folder / view / f"{entry['id']}.jpg")
        size = (round(TILE_PX * picture.shape[1] / picture.shape[0]), TILE_PX)
        tile = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), np.uint8)
        if is_named:
            _name(tile, view)
        tiles.append(tile)
    pictures = np.concatenate(tiles, axis=1)
    return np.concatenate([pictures, _caption(entry["text"], pictures.shape[1])])


def _name(tile: Image, view: str) -> None:
    """The name of a column on a plate in the corner of its first tile."""
    font, scale, edge = cv2.FONT_HERSHEY_SIMPLEX, 0.6, 7
    (width, height), _ = cv2.getTextSize(view, font, scale, 1)
    corner = (width + 2 * edge, height + 2 * edge)
    cv2.rectangle(tile, (0, 0), corner, _INK, cv2.FILLED)
    cv2.putText(tile, view, (edge, height + edge), font, scale, (255, 255, 255), 1, cv2.LINE_AA)


def _caption(text: str, width_px: int) -> Image:
    caption = np.full((TEXT_PX, width_px, 3), 255, np.uint8)
    for line, words in enumerate(textwrap.wrap(text, 125)[:3]):
        at = (6, 15 + 14 * line)
        cv2.putText(caption, words, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, _INK, 1, cv2.LINE_AA)
    return caption
