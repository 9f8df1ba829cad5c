"""A few triples side by side, their texts below."""

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


def write_sheet(path: Path, triples: Path, split: str = "test") -> None:
    """Write `PLACES` places of a rendered data set that have every view."""
    lines = (triples / split / "text.jsonl").read_bytes().splitlines()
    entries = [json.loads(line) for line in lines]
    whole = [entry for entry in entries if _has_all(triples / split, entry["id"])]
    rows = [_row(triples / split, entry) for entry in whole[:PLACES]]
    if rows:
        cv2.imwrite(str(path), cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR))


def _has_all(folder: Path, name: str) -> bool:
    return all((folder / view / f"{name}.jpg").exists() for view in _VIEWS)


def _row(folder: Path, entry: dict[str, str]) -> Image:
    tiles = []
    for view in _VIEWS:
        picture = read_picture(folder / view / f"{entry['id']}.jpg")
        width_px = round(TILE_PX * picture.shape[1] / picture.shape[0])
        size = (width_px, TILE_PX)
        tiles.append(np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC), np.uint8))
    pictures = np.concatenate(tiles, axis=1)
    caption = np.full((TEXT_PX, pictures.shape[1], 3), 255, np.uint8)
    for line, words in enumerate(textwrap.wrap(entry["text"], 125)[:3]):
        at = (6, 15 + 14 * line)
        cv2.putText(caption, words, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (30, 40, 50), 1, cv2.LINE_AA)
    return np.concatenate([pictures, caption])
