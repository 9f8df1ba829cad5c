"""Pictures and captions: RSIEval, RSICap, and any list of one's own.

    captions.csv|jsonl|json|parquet    columns image and caption; view (default satellite), split
    images/<image>, or <image> beside the list

A picture may have several captions, a row each.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from geobridge.onboard.errors import DataError
from geobridge.onboard.views import View

from ..batch import TEXT
from .rows import Row
from .tables import ENDINGS, read_table
from .task import Files, Items, Plane, Task, Texts, both_ways

STEM = "captions"
_NAMES = {"image": ("image", "filename", "file"), "caption": ("caption", "text_output", "text")}


@dataclass(frozen=True)
class Captions:
    """A list of captions; `table` is its path."""

    root: Path
    table: Path
    plane: Plane | None = None
    expected: ClassVar[dict[str, int]] = {}

    def counts(self) -> dict[str, int]:
        """Pictures and captions."""
        return {
            "pictures": len({image for image, *_ in self._told}),
            "captions": len(self._told),
        }

    def tasks(self) -> list[Task]:
        """Words to pictures and back, for every view."""
        return [task for view in View for task in self._of_view(view)]

    def rows(self) -> list[Row]:
        """One for every caption."""
        return [
            Row(f"{number:06d}", {view: image}, image, caption)
            for number, (image, caption, view, split) in enumerate(self._told)
            if split in ("", "train")
        ]

    def _of_view(self, view: View) -> list[Task]:
        told = [
            (f"{number:06d}", image, caption)
            for number, (image, caption, of_view, split) in enumerate(self._told)
            if of_view is view and split in ("", "test")
        ]
        if not told:
            return []
        names, images, _ = zip(*told, strict=True)
        texts = Texts(self.table, {name: caption for name, _, caption in told})
        unique = tuple(dict.fromkeys(images))
        words = Items(TEXT, names, images, texts)
        return both_ways(words, Items(view.value, unique, unique, Files(self.root)))

    @cached_property
    def _told(self) -> list[tuple[str, str, View, str]]:
        """Path below the root, caption, view and split of every row."""
        rows = read_table(self.table, ())
        image, caption = (_column(self.table, rows[0][0], wanted) for wanted in _NAMES)
        found = []
        for row, where in rows:
            view = row.get("view") or View.SATELLITE.value
            if view not in {each.value for each in View}:
                raise DataError(f"{where}: view {view!r}: expected {', '.join(View)}")
            if not row[image] or not row[caption]:
                raise DataError(f"{where}: expected an image and a caption")
            path = self._path(row[image], where)
            found.append((path, row[caption], View(view), row.get("split", "")))
        return found

    def _path(self, image: str, where: str) -> str:
        for path in (image, f"images/{image}"):
            if (self.root / path).is_file():
                return path
        raise DataError(f"{where}: {image} is neither in {self.root} nor in its folder images")


def captions_of(folder: Path) -> Path | None:
    """The list in a folder, or the list itself."""
    if folder.is_file():
        named = folder.suffix.lower() in ENDINGS and not _tells_views(folder)
        return folder if named else None
    there = [folder / f"{STEM}{ending}" for ending in ENDINGS]
    return next((path for path in there if path.is_file()), None)


def _tells_views(path: Path) -> bool:
    """A table of one's own pictures has paths."""
    return "path" in read_table(path, ())[0][0]


def _column(path: Path, columns: dict[str, str], wanted: str) -> str:
    for name in _NAMES[wanted]:
        if name in columns:
            return name
    raise DataError(
        f"{path}: has no column {wanted!r} (or {', '.join(_NAMES[wanted][1:])});"
        f" it has {', '.join(columns)}"
    )
