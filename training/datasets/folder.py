"""The pictures of a split as files, `<split>/<view>/<id>.<suffix>`, and the lines beside them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from geobridge.onboard.errors import DataError
from geobridge.onboard.views import View

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"})
END_BYTES = 512
LAYOUT = "SPLIT/VIEW/ID.jpg, as GeoLoc and what geobridge dataset render writes"
"""What is expected of a folder of triples."""
TEXTS, METADATA = "text.jsonl", "metadata.jsonl"

Line = tuple[bytes, str]
"""A line without its end, and where it stands."""


class Store(Protocol):
    """Where the pictures of a split are."""

    def names(self, view: View) -> Sequence[str]:
        """The ids that have this view."""

    def where(self, view: View, name: str) -> str:
        """What to call a picture in a message."""

    def read(self, view: View, name: str) -> bytes:
        """The bytes of a picture.

        Raises:
            OSError: it cannot be read.
        """

    def end(self, view: View, name: str) -> tuple[int, bytes]:
        """The size of a picture and its last `END_BYTES`.

        Raises:
            OSError: it cannot be read.
        """

    def lines(self, name: str) -> Iterator[Line]:
        """Of `TEXTS` or `METADATA`; none if there is no such file.

        Raises:
            DataError: it is empty.
        """


class FolderStore:
    """Files.

    Raises:
        DataError: names the folder that is missing or empty, or the id that has two pictures.
    """

    def __init__(self, folder: Path, views: Sequence[View]) -> None:
        self.folder = folder
        self.suffixes = {view: _suffixes(folder / view.value) for view in views}

    def names(self, view: View) -> Sequence[str]:
        """The ids that have this view."""
        return list(self.suffixes[view])

    def where(self, view: View, name: str) -> str:
        """The path."""
        return str(self._path(view, name))

    def read(self, view: View, name: str) -> bytes:
        """The whole file."""
        return self._path(view, name).read_bytes()

    def end(self, view: View, name: str) -> tuple[int, bytes]:
        """Of the file."""
        return end_of(self._path(view, name))

    def lines(self, name: str) -> Iterator[Line]:
        """The lines of a file, which are counted from 1.

        Raises:
            DataError: it has none.
        """
        path = self.folder / name
        if not path.exists():
            return
        data = path.read_bytes()
        if not data.strip():
            raise DataError(f"{path}: is empty; expected a line for every place, or no such file")
        yield from numbered(data, str(path))

    def _path(self, view: View, name: str) -> Path:
        return self.folder / view.value / (name + self.suffixes[view][name])


def end_of(path: Path) -> tuple[int, bytes]:
    """The size of a file and its last `END_BYTES`."""
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - END_BYTES))
        return size, file.read(END_BYTES)


def numbered(data: bytes, where: str) -> Iterator[Line]:
    """Split at line feeds alone: JSON texts may hold other separators of lines."""
    for number, line in enumerate(data.removesuffix(b"\n").split(b"\n"), start=1):
        yield line, f"{where}, line {number}"


def _suffixes(folder: Path) -> dict[str, str]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected one folder per view there")
    found: dict[str, str] = {}
    for name in sorted(path.name for path in folder.iterdir()):
        stem, dot, ending = name.rpartition(".")
        if (dot + ending).lower() not in PICTURES:
            continue
        if stem in found:
            raise DataError(f"{folder}: {stem}{found[stem]} and {name} are pictures of one place")
        found[stem] = sys.intern(dot + ending)
    if not found:
        raise DataError(f"{folder}: holds no pictures; expected {LAYOUT}")
    return found
