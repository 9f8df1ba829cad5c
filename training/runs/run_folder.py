"""The folder of a run: whose it is, what happens when its disk is full, and what it tells.

<run>/config.toml            the whole configuration; `geobridge train` takes it
<run>/unreadable.txt         a line for every picture that could not be read
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from geobridge.onboard.durable import held
from geobridge.onboard.errors import ConfigError, DataError

from ..distributed import World, any_of
from .agreement import on_first
from .stopping import Stop

log = logging.getLogger(__name__)

T = TypeVar("T")
CONFIG, LOCK, UNREADABLE = "config.toml", ".lock", "unreadable.txt"
RETRY_S = 30.0
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Keep a folder to this process; the lock goes with the process, however it ends.

    What fails before anything is written leaves neither the lock nor folders that were made for it.

    Raises:
        ConfigError: another one trains in it, or it cannot be made.
    """
    refused = ConfigError(f"run.folder: another process trains in {run}")
    made = [folder for folder in (run, *run.parents) if not folder.exists()]
    try:
        try:
            run.mkdir(parents=True, exist_ok=True)
            handle = os.open(run / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigError(f"run.folder: {run}: {error.strerror}") from None
        with held(handle, refused):
            if not _is_at(handle, run / LOCK):  # the one that held it has withdrawn it meanwhile
                raise refused
            with _withdrawn(run):
                yield
    except BaseException:
        with suppress(OSError):  # what others have put there stays
            for folder in made:
                folder.rmdir()
        raise


@contextmanager
def _withdrawn(run: Path) -> Iterator[None]:
    """Take the lock away, while it is held, after a failure that left nothing beside it."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            if [path.name for path in run.iterdir()] == [LOCK]:
                (run / LOCK).unlink()
        raise


def _is_at(handle: int, path: Path) -> bool:
    """Whether an open file still is the one of this path."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def patiently(write: Callable[[], T], folder: Path, world: World, stop: Stop) -> T | None:
    """Let the first process write; while its disk is full, all wait and try again.

    Raises:
        KeyboardInterrupt: asked to stop meanwhile.
        DataError, OSError: what the first one cannot write for another reason.
    """
    full: list[OSError] = []
    while True:
        full.clear()
        result = on_first(world, partial(_attempt, write, full))
        if not any_of(bool(full), world):
            return result
        for error in full:
            log.warning(
                "%s: %s; training pauses, free some space: next try in %.0f s",
                folder,
                error.strerror,
                RETRY_S,
            )
        stop.wait(RETRY_S)
        if any_of(stop.asked.is_set(), world):
            raise KeyboardInterrupt


def _attempt(write: Callable[[], T], full: list[OSError]) -> T | None:
    try:
        return write()
    except OSError as error:
        if error.errno not in _FULL:
            raise
        full.append(error)
        return None


def append(path: Path, lines: Iterable[str]) -> None:
    """Add whole lines to a file; a full disk costs the lines, not the run.

    Raises:
        OSError: it cannot be written for another reason; names it.
    """
    data = "".join(f"{line}\n" for line in lines).encode()
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        try:
            while data:
                data = data[file.write(data) :]
        except OSError as error:
            file.truncate(before)
            if error.errno not in _FULL:
                raise OSError(error.errno, error.strerror, str(path)) from None
            log.warning("%s: %s; figures of this moment are lost", path, error.strerror)


class Unreadable:
    """The pictures that could not be read so far, each once, on the disk beside the run."""

    def __init__(self, run: Path, limit: int) -> None:
        self.path, self.limit = run / UNREADABLE, limit
        there = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        self.lines = dict.fromkeys(there.splitlines())

    def add(self, lines: Iterable[str], write: bool) -> None:
        """Count what a batch could not read.

        Raises:
            DataError: these are more pictures than may be.
        """
        new = [line for line in dict.fromkeys(lines) if line not in self.lines]
        self.lines |= dict.fromkeys(new)
        if write and new:
            append(self.path, new)
            log.warning("%d pictures cannot be read so far, last %s", len(self.lines), new[-1])
        if len(self.lines) > self.limit:
            raise DataError(
                f"{self.path}: {len(self.lines)} pictures cannot be read, data.max_unreadable is"
                f" {self.limit}; the first: {next(iter(self.lines))}"
            )
