"""GeoLoc's layout, `{train,val,test}/{drone,satellite,street}/<id>.*` with `text.jsonl`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from geobridge.onboard.errors import DataError
from geobridge.onboard.views import View

from ..batch import TEXT
from ..folder import METADATA, TEXTS, FolderStore, Store
from ..shards import CATALOGUE, ShardStore, is_sharded
from ..told import positions_of, texts_of
from .folders import pictures
from .rows import Row
from .task import Items, Plane, Task, Texts, both_ways

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class StoredView:
    """The pictures of a view in a folder or in shards."""

    store: Store
    view: View

    def read(self, name: str) -> bytes:
        """The whole picture."""
        return self.store.read(self.view, name)

    def where(self, name: str) -> str:
        """As the store calls it."""
        return self.store.where(self.view, name)


@dataclass(frozen=True)
class Triples:
    """A folder of triples; `split` is the one that is asked about."""

    root: Path
    split: str = "test"
    plane: Plane | None = "metres"
    expected: ClassVar[dict[str, int]] = {}

    def counts(self) -> dict[str, int]:
        """Pictures by split and view, and texts."""
        found = {}
        for split in SPLITS:
            if not (self.root / split).is_dir():
                continue
            store = _store(self.root / split)
            for view in offered(self.root / split):
                found[f"{split} {view}"] = len(store.names(view))
            found[f"{split} {TEXT}"] = sum(1 for _ in store.lines(TEXTS))
        return found

    def tasks(self) -> list[Task]:
        """Every view to every other one, and words to every view and back."""
        sides = self.sides(self.split)
        tasks = []
        for at, one in enumerate(sides):
            for other in sides[at + 1 :]:
                shared = set(one.places) & set(other.places)
                a, b = (
                    side.only(np.flatnonzero([place in shared for place in side.places]))
                    for side in (one, other)
                )
                tasks += both_ways(a, b, self.plane) if shared else []
        return tasks

    def rows(self) -> Sequence[Row]:
        """None: `TriplesSource` reads the folder itself."""
        return []

    def sides(self, split: str) -> list[Items]:
        """The pictures of every view of a split, and its texts; none where there is no split."""
        folder = self.root / split
        if not offered(folder):
            return []
        store = _store(folder)
        sides = [
            (view.value, sorted(store.names(view)), StoredView(store, view))
            for view in offered(folder)
        ]
        pictured = sorted({name for _, names, _ in sides for name in names})
        where = dict(zip(pictured, positions_of(store.lines(METADATA), pictured)[0], strict=True))
        texts = texts_of(store.lines(TEXTS), set(pictured))
        read = [Items(side, tuple(names), tuple(names), at) for side, names, at in sides]
        if texts:
            told = tuple(sorted(texts))
            read.append(Items(TEXT, told, told, Texts(folder / TEXTS, texts)))
        return [_placed(items, where) for items in read]


def is_triples(folder: Path) -> bool:
    """By a split that has a view, as pictures or as shards."""
    return any(offered(folder / split) for split in SPLITS)


def offered(split: Path) -> list[View]:
    """The views that a split has, as pictures or as its shards tell."""
    if not split.is_dir() or not is_sharded(split):
        return [view for view in View if pictures(split / view.value)]
    try:
        named = json.loads((split / CATALOGUE).read_bytes())["views"]
        return [view for view in View if view.value in named]
    except (ValueError, LookupError, TypeError):
        raise DataError(f"{split / CATALOGUE}: not a catalogue of shards") from None


def _placed(items: Items, where: dict[str, npt.NDArray[np.float64]]) -> Items:
    """With positions, if any of them is known."""
    metres = np.array([where[name] for name in items.names]).reshape(-1, 2)
    return replace(items, positions=metres) if np.isfinite(metres).any() else items


def _store(split: Path) -> Store:
    views = offered(split)
    return ShardStore(split, views) if is_sharded(split) else FolderStore(split, views)
