"""The pictures of a split, wherever they are: views as folders, shards, or a public layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from geobridge.onboard.errors import DataError
from geobridge.onboard.views import View

from .folder import FolderStore, Store
from .layouts.layout import VAL_SHARE
from .layouts.recognise import opened, recognise
from .layouts.rows import Row, RowStore, held_out
from .layouts.triples import offered
from .shards import ShardStore, is_sharded

GEOLOC = "geoloc"


def is_public(folder: Path) -> bool:
    """Whether a folder holds a data set in a layout of its own, and not splits of triples.

    Splits that lack their views are splits all the same, which reading them will tell.
    """
    try:
        return recognise(folder) != GEOLOC
    except DataError:
        return False


def has_split(folder: Path, split: str, variant: str = "") -> bool:
    """Whether there is something to read; the test part of a public data set has protocols."""
    if is_public(folder):
        return split in ("train", "val") and bool(_rows(folder, split, variant))
    return (folder / split).is_dir()


def views_of(folder: Path, split: str, variant: str = "") -> list[View]:
    """The views that a split has."""
    if not is_public(folder):
        where = folder / split
        return offered(where) if is_sharded(where) else _folders(where)
    shown = {view for row in _rows(folder, split, variant) for view in row.pictures}
    return [view for view in View if view in shown]


def open_store(folder: Path, split: str, views: Sequence[View], variant: str = "") -> Store:
    """The pictures of these views.

    Raises:
        DataError: names the folder or file that is missing or broken.
    """
    if is_public(folder):
        _, layout = opened(folder, variant)
        rows = _rows(folder, split, variant)
        kept = [
            Row(**vars(row) | {"pictures": {v: p for v, p in row.pictures.items() if v in views}})
            for row in rows
        ]
        return RowStore(layout.root, kept, layout.plane)
    where = folder / split
    return ShardStore(where, views) if is_sharded(where) else FolderStore(where, views)


def _rows(folder: Path, split: str, variant: str) -> Sequence[Row]:
    name, layout = opened(folder, variant)
    rows = layout.rows()
    if not rows:
        raise DataError(f"{folder}: has nothing to train on as {name}")
    train, val = held_out(rows, VAL_SHARE, layout.plane)
    return train if split == "train" else val


def _folders(split: Path) -> list[View]:
    return [view for view in View if (split / view.value).is_dir()]
