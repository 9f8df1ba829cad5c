"""`triples`: a folder in the layout that GeoBridge published, with texts beside it.

    <folder>/train/{drone,satellite,street}/<id>.<jpg|png|webp|tif>
    <folder>/train/text.jsonl       {"id": "<id>", "text": "..."} a line; optional

A place is an id; it may lack any view or its text. A place with one of them alone is left out:
there is nothing to compare it with.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence, Set
from pathlib import Path

import numpy as np

from geobridge.onboard.errors import DataError
from geobridge.onboard.frames.picture import read_picture
from geobridge.onboard.preprocess import Preprocess, apply
from geobridge.onboard.records import Image
from geobridge.onboard.views import View

from .batch import Batch

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"})


class TriplesSource:
    """Batches of distinct places, every place once an epoch in an order drawn from the seed.

    Raises:
        DataError: names the folder or file that is missing or broken.
    """

    def __init__(
        self,
        folder: Path,
        views: Sequence[View],
        preprocess: Preprocess,
        batch_size: int,
        seed: int,
        split: str = "train",
        with_texts: bool = True,
    ) -> None:
        self.preprocess = preprocess
        self.batch_size = batch_size
        self.seed = seed
        self.pictures = {view: _pictures(folder / split / view.value) for view in views}
        pictured = set().union(*self.pictures.values())
        self.texts = _texts(folder / split / "text.jsonl", pictured) if with_texts else {}
        sides = Counter(self.texts.keys())
        for pictures in self.pictures.values():
            sides.update(pictures.keys())
        self.places = sorted(place for place in pictured if sides[place] > 1)
        if len(self.places) < batch_size:
            raise DataError(
                f"{folder / split}: {len(self.places)} places with two views or a text,"
                f" batch_size is {batch_size}"
            )

    def batch(self, step: int) -> Batch:
        """Places `step` of the endless sequence of epochs; an epoch's remainder is dropped."""
        per_epoch = len(self.places) // self.batch_size
        epoch, position = divmod(step, per_epoch)
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.places))
        rows = order[position * self.batch_size : (position + 1) * self.batch_size]
        places = [self.places[row] for row in rows]
        images = {view: np.stack([self.read(view, p) for p in places]) for view in self.pictures}
        present = {
            view: np.array([place in self.pictures[view] for place in places])
            for view in self.pictures
        }
        return Batch(images, present, tuple(self.texts.get(place, "") for place in places))

    def read(self, view: View, place: str) -> Image:
        """[H, W, 3] encoder input; black where the place lacks the view."""
        path = self.pictures[view].get(place)
        if path is None:
            return np.zeros((self.preprocess.height_px, self.preprocess.width_px, 3), np.uint8)
        return apply(read_picture(path), self.preprocess)


def _pictures(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected one folder per view there")
    found = {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in PICTURES}
    if not found:
        raise DataError(f"{folder}: holds no pictures")
    return found


def _texts(path: Path, places: Set[str]) -> dict[str, str]:
    if not path.exists():
        return {}
    # split at line feeds alone: JSON texts may hold other separators of lines
    lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
    texts = dict(_text(line, f"{path}, line {n}") for n, line in enumerate(lines, start=1))
    if not places & texts.keys():
        raise DataError(f"{path}: none of its ids is the name of a picture, as {min(places)!r}")
    return {place: text for place, text in texts.items() if text}


def _text(line: bytes, where: str) -> tuple[str, str]:
    try:
        entry = json.loads(line)
        place, text = str(entry["id"]), entry["text"]
    except (ValueError, KeyError, TypeError):
        place, text = "", None
    if not isinstance(text, str):
        raise DataError(f'{where}: expected {{"id": "...", "text": "..."}}')
    return place, text
