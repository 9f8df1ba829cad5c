"""A split in a few large files instead of very many small ones.

    <split>/000000.tar   <id>.<view>.<suffix> in order of the ids, then text.jsonl, metadata.jsonl:
                         the lines of these places; uncompressed, any tar can read it
    <split>/000000.json  {"bytes": size of the tar, "members": {"<name>": [offset, size]}}
    <split>/shards.json  {"format": 1, "views": [...], "shards": ["000000", ...]}

Opening a split compares the size of every shard with its index, and looks for the last member where
the index has it. Every picture is read together with the tar header before it, whose name must be
its own: an index of another shard is found out at once, and at no cost.
"""

from __future__ import annotations

import json
import os
import sys
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from geobridge.onboard.errors import DataError
from geobridge.onboard.views import View

from .folder import END_BYTES, METADATA, TEXTS, Line, numbered

FORMAT = 1
CATALOGUE = "shards.json"
HEADER_BYTES = 512
NAME_BYTES = 100
"""Of a header, with the beginning of the name."""

Place = tuple[int, int, int]
"""Shard, offset and size."""


def is_sharded(split: Path) -> bool:
    """Whether a split is there as shards.

    Raises:
        DataError: it was not sharded to the end.
    """
    if (split / CATALOGUE).exists():
        return True
    if any(split.glob("*.tar")):
        raise DataError(
            f"{split}: holds shards and no {CATALOGUE}; let geobridge dataset shard finish"
        )
    return False


class ShardStore:
    """Reads by offset, through one file descriptor of a shard in every process.

    Raises:
        DataError: names the shard or index that is missing, cut short or of another one.
    """

    def __init__(self, split: Path, views: Sequence[View]) -> None:
        self.split = split
        path = split / CATALOGUE
        catalogue = _read(path, {"format": int, "views": list, "shards": list})
        if catalogue["format"] != FORMAT:
            raise DataError(f"{path}: format {catalogue['format']}, expected {FORMAT}")
        for view in views:
            if view not in catalogue["views"]:
                raise DataError(f"{path}: these shards have no view {view}")
        self._shards = tuple(map(str, catalogue["shards"]))
        self._places: dict[View, dict[str, tuple[str, Place]]] = {view: {} for view in views}
        self._lines: dict[str, list[Place]] = {TEXTS: [], METADATA: []}
        self._open: dict[int, int] = {}
        for shard in range(len(self._shards)):
            self._take(shard)

    def names(self, view: View) -> Sequence[str]:
        """The ids that have this view."""
        return list(self._places[view])

    def where(self, view: View, name: str) -> str:
        """The shard, and what the picture is called in it."""
        suffix, (shard, _, _) = self._places[view][name]
        return f"{self._path(shard)}: {name}.{view}{suffix}"

    def read(self, view: View, name: str) -> bytes:
        """The bytes of a picture.

        Raises:
            DataError: the shard does not hold it where the index has it.
            OSError: the disk fails.
        """
        suffix, place = self._places[view][name]
        return self._member(f"{name}.{view}{suffix}", place)

    def end(self, view: View, name: str) -> tuple[int, bytes]:
        """Of a picture where the index has it.

        Raises:
            OSError: the disk fails.
        """
        _, (shard, offset, size) = self._places[view][name]
        count = min(size, END_BYTES)
        return size, os.pread(self._descriptor(shard), count, offset + size - count)

    def lines(self, name: str) -> Iterator[Line]:
        """Of all shards in order."""
        for place in self._lines[name]:
            yield from numbered(self._member(name, place), f"{self._path(place[0])}: {name}")

    def _take(self, shard: int) -> None:
        """Note what a shard holds, after a look whether it is the index's."""
        path, index = self._path(shard), self._path(shard).with_suffix(".json")
        entry = _read(index, {"bytes": int, "members": dict})
        size = path.stat().st_size if path.exists() else None
        if size is None:
            raise DataError(f"{path}: no such file, but {index.name} is there")
        if size != entry["bytes"]:
            raise DataError(f"{path}: has {size} bytes, {index.name} says {entry['bytes']}")
        member, place = "", (shard, 0, 0)
        for member, at in entry["members"].items():
            if not _is_span(at, size):
                raise DataError(f"{index}: {member}: expected [offset, size] within the shard")
            place = shard, at[0], at[1]
            self._note(member, place)
        if member:
            self._member(member, place)

    def _note(self, member: str, place: Place) -> None:
        if member in self._lines:
            self._lines[member].append(place)
            return
        stem, dot, ending = member.rpartition(".")
        name, _, view = stem.rpartition(".")
        for known, places in self._places.items():
            if known == view:
                places[name] = sys.intern(dot + ending), place

    def _member(self, name: str, place: Place) -> bytes:
        shard, offset, size = place
        data = os.pread(self._descriptor(shard), HEADER_BYTES + size, offset - HEADER_BYTES)
        path = self._path(shard)
        if len(data) < HEADER_BYTES + size:
            raise DataError(f"{path}: ends within {name}")
        expected = name.encode("utf-8", "surrogateescape")[:NAME_BYTES]
        if data[:NAME_BYTES].rstrip(b"\0") != expected:
            raise DataError(
                f"{path}: has no {name} at byte {offset}, where {path.stem}.json has it;"
                " the two are not of one making"
            )
        return data[HEADER_BYTES:]

    def _descriptor(self, shard: int) -> int:
        if shard not in self._open:
            try:
                opened = os.open(self._path(shard), os.O_RDONLY)
            except OSError as error:
                raise DataError(f"{self._path(shard)}: {error.strerror}") from None
            weakref.finalize(self, os.close, opened)  # also that of a thread which came second
            self._open.setdefault(shard, opened)
        return self._open[shard]

    def _path(self, shard: int) -> Path:
        return self.split / f"{self._shards[shard]}.tar"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": {}}


def _is_span(at: Any, size: int) -> bool:
    if not isinstance(at, list) or len(at) != 2 or not all(type(value) is int for value in at):
        return False
    return bool(at[0] >= HEADER_BYTES and at[1] >= 0 and sum(at) <= size)


def _read(path: Path, keys: dict[str, type]) -> dict[str, Any]:
    try:
        entry = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except ValueError:
        entry = None
    if not isinstance(entry, dict):
        raise DataError(f"{path}: expected JSON as geobridge dataset shard writes it")
    for key, kind in keys.items():
        if not isinstance(entry.get(key), kind):
            raise DataError(f"{path}: {key}: expected {_KINDS[kind]}")
    return entry


_KINDS = {int: "a whole number", list: "a list", dict: "a table"}
