"""Writes that survive a power cut: temporary file beside the target, fsync, rename, folder fsync.

A reader sees the old file or the new one, never a part of either. `held` keeps other writers out.
After an fsync that failed nothing is tried again with the same file: its pages may count as clean.
An OSError names the file, also that of a write, which does not by itself.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY_PREFIX = ".partial-"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


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
    make_folder(path.parent)
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{path.name}")
    try:
        with naming(path):
            write(temporary)
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)
    return path


def create(path: Path, data: bytes, mode: int) -> Path:
    """A new file with these permissions, never in the place of another.

    Raises:
        FileExistsError: there is one.
    """
    write_new(path, [data], mode)
    sync(path.parent)
    return path


def write_new(path: Path, pieces: Iterable[bytes], mode: int) -> None:
    """A new file with these permissions, its content on the disk; its name only once the folder is
    synced."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with (
        naming(path),
        open(path, "wb", opener=lambda name, _: os.open(name, flags, mode)) as file,
    ):
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def make_folder(path: Path) -> Path:
    """A folder and those above it, whose names are on the disk when this returns."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        sync(folder.parent)
    return missing[0] if missing else path


def publish_folder(temporary: Path, final: Path) -> Path:
    """Put a finished folder in the place of `final`; both must lie in the same parent folder.

    The two change places in one step, where the file system can do that. Elsewhere it takes two
    renames: between them the old one stands beside under a temporary name, and comes back here if
    the second rename fails.
    """
    for file in sorted(temporary.rglob("*")):
        sync(file)
    sync(temporary)
    replaced = final.with_name(f"{TEMPORARY_PREFIX}replaced-{final.name}")
    if replaced.exists() and not final.exists():
        replaced.rename(final)  # an earlier publication was cut off between its renames
    shutil.rmtree(replaced, ignore_errors=True)
    if not final.exists():
        temporary.rename(final)
    elif exchange(temporary, final):
        replaced = temporary
    else:
        _swap(temporary, final, replaced)
    sync(final.parent)
    shutil.rmtree(replaced, ignore_errors=True)
    return final


def exchange(one: Path, other: Path) -> bool:
    """Let two names change places in one step; False where that cannot be done."""
    if sys.platform != "linux":
        return False
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    if function(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(other))


def _swap(temporary: Path, final: Path, replaced: Path) -> None:
    final.rename(replaced)
    try:
        temporary.rename(final)
    except OSError:
        replaced.rename(final)
        raise


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
        with naming(path):
            os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Take away a file, a link, or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """An OSError that names no file is about this one."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise
