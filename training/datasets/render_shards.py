"""A data set on disk that is written in units of work, each there as a whole or not at all.

    <folder>/dataset.json            what it was made from
    <folder>/shards/<name>.jsonl     the lines of one unit; that it exists says that it is finished
    <folder>/<split>/<view>/*        as `triples` reads them
    <folder>/<split>/text.jsonl      {"id": ..., "text": ...}
    <folder>/<split>/metadata.jsonl  everything else that is known of each place

The last two are put together from the shards when all of them are there.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from geobridge.onboard.durable import TEMPORARY_PREFIX, held, sync, write_file, write_text
from geobridge.onboard.errors import DataError

RECORD = "dataset.json"

Lines = list[dict[str, Any]]


class ShardedFolder:
    """A folder that grows by shards.

    Args:
        folder: new, empty, or begun with the same parameters.
        parameters: everything that its bytes depend on, as JSON values by option.
        record: name of the file that keeps them.

    Raises:
        DataError: the folder holds something else, was begun with other parameters, or cannot be
            written.
    """

    def __init__(self, folder: Path, parameters: Mapping[str, Any], record: str = RECORD) -> None:
        self.folder = folder
        self._parameters = parameters
        self._record = record
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._check()
        except OSError as error:
            raise DataError(f"{error.filename or folder}: {error.strerror}") from None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Alone with the folder, which does not stay where nothing came of it.

        Raises:
            DataError: another run writes to it.
        """
        refused = DataError(f"{self.folder}: another run is writing to it")
        with held(os.open(self.folder, os.O_RDONLY), refused):
            try:
                yield
            except DataError:
                with contextlib.suppress(OSError):  # there is something in it
                    self.folder.rmdir()
                raise

    def begin(self) -> None:
        """Keep what it is made from: from now on it takes no other parameters.

        Raises:
            DataError: meanwhile begun with others, or it cannot be written.
        """
        try:
            self._check()
            if not (self.folder / self._record).exists():
                write_text(
                    self.folder / self._record, json.dumps(self._parameters, indent=1) + "\n"
                )
        except OSError as error:
            raise DataError(f"{error.filename or self.folder}: {error.strerror}") from None

    def has(self, shard: str) -> bool:
        """Whether a shard is finished."""
        return self._lines_of(shard).exists()

    def write(self, shard: str, split: str, make: Callable[[Path], Lines]) -> None:
        """Let `make` fill a folder with files, then move them to their split, then say so."""
        staging = self.folder / f"{TEMPORARY_PREFIX}{shard}"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        lines = make(staging)
        for file in sorted(path for path in staging.rglob("*") if path.is_file()):
            sync(file)
            target = self.folder / split / file.relative_to(staging)
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)
        for view in sorted(path for path in staging.rglob("*") if path.is_dir()):
            sync(self.folder / split / view.relative_to(staging))
        shutil.rmtree(staging)
        write_text(self._lines_of(shard), "".join(_line(line) for line in lines))

    def lines(self, shard: str) -> Lines:
        """What was written of a shard.

        Raises:
            DataError: it is damaged.
        """
        path = self._lines_of(shard)
        try:
            return [json.loads(line) for line in path.read_bytes().splitlines()]
        except ValueError:
            raise DataError(f"{path}: damaged; delete it and run the command again") from None

    def finish(self, shards: Mapping[str, list[str]]) -> None:
        """Put together the texts and the metadata of each split from its shards, in order."""
        for split, names in shards.items():
            if names:
                write_file(
                    self.folder / split / "metadata.jsonl", partial(self._join, names, _metadata)
                )
            if any(_text(line) for name in names for line in self.lines(name)):
                write_file(self.folder / split / "text.jsonl", partial(self._join, names, _text))

    def _check(self) -> None:
        if (self.folder / self._record).exists():
            self._compare(self._parameters)
            return
        (self.folder / f"{TEMPORARY_PREFIX}{self._record}").unlink(missing_ok=True)
        for other in self.folder.iterdir():
            raise DataError(f"{self.folder}: holds {other.name!r} and is no data set; take another")

    def _compare(self, parameters: Mapping[str, Any]) -> None:
        path = self.folder / self._record
        try:
            begun = json.loads(path.read_text())
        except (OSError, ValueError):
            begun = None
        if not isinstance(begun, dict):
            raise DataError(f"{path}: not the record of a data set; take another folder")
        for name in (*parameters, *begun):
            if begun.get(name) != parameters.get(name):
                raise DataError(
                    f"{self.folder}: was begun with {name} {_shown(begun.get(name))}, now it is"
                    f" {_shown(parameters.get(name))}; take another folder"
                )

    def _lines_of(self, shard: str) -> Path:
        return self.folder / "shards" / f"{shard}.jsonl"

    def _join(
        self, names: list[str], part: Callable[[dict[str, Any]], dict[str, Any]], path: Path
    ) -> None:
        with path.open("w", encoding="utf-8") as file:
            for name in names:
                file.writelines(_line(part(line)) for line in self.lines(name) if part(line))


def _metadata(line: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key != "text"}


def _text(line: dict[str, Any]) -> dict[str, Any]:
    return {"id": line["id"], "text": line["text"]} if line["text"] else {}


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry, allow_nan=False) + "\n"


def _shown(value: Any) -> str:
    return "nothing" if value is None else str(value)
