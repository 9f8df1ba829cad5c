"""Writes that survive a power cut: temporary file beside the target, fsync, rename, folder fsync.

A reader sees the old file or the new one, never a part of either. `held` keeps other writers out.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY_PREFIX = ".partial-"


def write_bytes(path: Path, data: bytes) -> Path:
    """Replace `path` with `data` as a whole."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(data)

    return write_file(path, write)


def write_text(path: Path, text: str) -> Path:
    """Replace `path` with UTF-8 `text` as a whole."""
    return write_bytes(path, text.encode())


def write_file(path: Path, write: Callable[[Path], None]) -> Path:
    """Let `write` make a file under a temporary name, then put it in the place of `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}")
    try:
        write(temporary)
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)
    return path


def publish_folder(temporary: Path, final: Path) -> Path:
    """Put a finished folder in the place of `final`; both must lie in the same parent folder.

    Two renames, because a folder cannot replace another in one: between them the old one stands
    beside under a temporary name, and comes back here if the second rename fails.
    """
    for file in sorted(temporary.rglob("*")):
        sync(file)
    sync(temporary)
    replaced = final.with_name(f"{TEMPORARY_PREFIX}replaced-{final.name}")
    if replaced.exists() and not final.exists():
        replaced.rename(final)  # an earlier publication was cut off between its renames
    shutil.rmtree(replaced, ignore_errors=True)
    if final.exists():
        final.rename(replaced)
    try:
        temporary.rename(final)
    except OSError:
        if replaced.exists():
            replaced.rename(final)
        raise
    sync(final.parent)
    shutil.rmtree(replaced, ignore_errors=True)
    return final


@contextmanager
def held(handle: int, refused: Exception) -> Iterator[None]:
    """Keep an open file or folder to this process, and close it; the lock goes with the process,
    however it ends.

    Raises:
        Exception: `refused`, when another process holds it.
    """
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise refused from None
        yield
    finally:
        os.close(handle)


def sync(path: Path) -> None:
    """Flush a file, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
