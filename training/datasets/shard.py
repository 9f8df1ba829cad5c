"""`geobridge dataset shard`: the same data set in a few large files, as `shards` reads them.

Pictures are copied byte for byte. A run that was stopped goes on when the same command is given
again, and ends with the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import shutil
import tarfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from geobridge.onboard.durable import write_text
from geobridge.onboard.errors import DataError
from geobridge.onboard.views import View

from .folder import LAYOUT, METADATA, TEXTS, FolderStore
from .render_blocks import SPLITS
from .render_shards import Lines, ShardedFolder
from .shards import CATALOGUE, FORMAT, is_sharded

log = logging.getLogger(__name__)

MEGABYTE = 1_000_000


def shard(folder: Path, out: Path, shard_mb: int = 512) -> dict[str, Any]:
    """Copy a data set into shards, or go on with it; what there is now.

    Args:
        folder: holds the splits, each with a folder for every view.
        out: new, empty, or begun by the same command.
        shard_mb: a shard is full when its pictures have so many megabytes.

    Raises:
        DataError: names what is missing or broken in the data set, or cannot be written.
    """
    splits = [_Split(folder / name, shard_mb) for name in SPLITS if (folder / name).is_dir()]
    if not splits:
        raise DataError(
            f"{folder}: holds none of the folders {', '.join(SPLITS)}; expected {LAYOUT}"
        )
    if out.resolve() == folder.resolve():
        raise DataError(f"{out}: holds the data set itself; take another folder")
    digest = hashlib.sha256()
    for split in splits:
        split.add_to(digest)
    record = {"shards": FORMAT, "shard-mb": shard_mb, "of": f"sha256:{digest.hexdigest()}"}
    target = ShardedFolder(out, record)
    with target.held():
        target.begin()
        try:
            for split in splits:
                _write_split(target, split)
        except OSError as error:
            raise DataError(f"{error.filename or out}: {error.strerror}") from None
    counts = {split.name: len(split.ids) for split in splits}
    return {"folder": str(out)} | counts | {"shards": sum(len(split.shards) for split in splits)}


class _Split:
    """What is to be copied: pictures and the lines beside them, by id and in their order."""

    def __init__(self, folder: Path, shard_mb: int) -> None:
        self.name = folder.name
        self.views = [view for view in View if (folder / view.value).is_dir()]
        if is_sharded(folder):
            raise DataError(f"{folder}: is sharded already")
        if not self.views:
            raise DataError(
                f"{folder}: holds none of the folders {', '.join(View)}; expected {LAYOUT}"
            )
        self.store = FolderStore(folder, self.views)
        self.ids = sorted({name for view in self.views for name in self.store.names(view)})
        self.lines = {name: _by_id(self.store, name) for name in (TEXTS, METADATA)}
        self.shard_bytes = shard_mb * MEGABYTE

    @cached_property
    def sizes(self) -> dict[tuple[str, View], int]:
        """Bytes of every picture."""
        return {
            (name, view): Path(self.store.where(view, name)).stat().st_size
            for name in self.ids
            for view in self.views
            if name in self.store.suffixes[view]
        }

    @cached_property
    def shards(self) -> list[list[str]]:
        """The ids of each, in order."""
        shards: list[list[str]] = []
        held = self.shard_bytes
        for name in self.ids:
            if held >= self.shard_bytes:
                shards.append([])
                held = 0
            shards[-1].append(name)
            held += sum(self.sizes.get((name, view), 0) for view in self.views)
        return shards

    def members(self, name: str) -> list[tuple[str, View]]:
        """What the pictures of a place are called in a shard."""
        return [
            (f"{name}.{view}{self.store.suffixes[view][name]}", view)
            for view in self.views
            if name in self.store.suffixes[view]
        ]

    def add_to(self, digest: Any) -> None:
        """All that the shards depend on: names and sizes of the pictures, and the lines."""
        for name in self.ids:
            sizes = [(member, self.sizes[name, view]) for member, view in self.members(name)]
            lines = [self.lines[kind].get(name, []) for kind in (TEXTS, METADATA)]
            digest.update(repr((self.name, sizes, lines)).encode())


def _write_split(target: ShardedFolder, split: _Split) -> None:
    left = sum(split.sizes.values())
    for number, ids in enumerate(split.shards):
        name = f"{number:06d}"
        unit = f"{split.name}-{name}"
        size = sum(split.sizes[i, view] for i in ids for _, view in split.members(i))
        if not target.has(unit):
            if shutil.disk_usage(target.folder).free < left:
                raise DataError(f"{target.folder}: needs {left / 1e9:.1f} GB more than are free")

            def make(staging: Path, name: str = name, ids: list[str] = ids) -> Lines:
                _write_shard(staging / name, split, ids)
                return []

            target.write(unit, split.name, make)
            log.info("%s/%s.tar: %d places, %.0f MB", split.name, name, len(ids), size / 1e6)
        left -= size
    names = [f"{number:06d}" for number in range(len(split.shards))]
    views = [view.value for view in split.views]
    catalogue = {"format": FORMAT, "views": views, "shards": names}
    write_text(target.folder / split.name / CATALOGUE, json.dumps(catalogue, indent=1) + "\n")


def _write_shard(stem: Path, split: _Split, ids: list[str]) -> None:
    """`stem`.tar, and its index beside it."""
    members: dict[str, tuple[int, int]] = {}
    path = stem.with_suffix(".tar")
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name in ids:
            for member, view in split.members(name):
                members[member] = _add(tar, member, split.store.read(view, name))
        for kind, lines in split.lines.items():
            data = b"".join(line + b"\n" for name in ids for line in lines.get(name, []))
            if data:
                members[kind] = _add(tar, kind, data)
    index = {"bytes": path.stat().st_size, "members": members}
    stem.with_suffix(".json").write_text(json.dumps(index) + "\n")


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> tuple[int, int]:
    """Offset and size of the member's data."""
    entry = tarfile.TarInfo(name)  # no owner, no time: the same data set gives the same bytes
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))
    padded = -(-len(data) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    return tar.offset - padded, len(data)


def _by_id(store: FolderStore, kind: str) -> Mapping[str, list[bytes]]:
    lines: dict[str, list[bytes]] = {}
    for line, where in store.lines(kind):
        try:
            name = str(json.loads(line)["id"])
        except (ValueError, KeyError, TypeError):
            raise DataError(f'{where}: expected {{"id": "...", ...}}') from None
        lines.setdefault(name, []).append(line)
    return lines
