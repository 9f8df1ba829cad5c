"""Where a bundle comes from: a folder or a tar. Plain files of stated size, and nothing else.

Nothing here follows a link, opens a device, or reads on past what was announced. The tar is read
from its first byte to its last by the few rules that a bundle needs: plain POSIX (ustar) headers,
of files and folders; extended headers, links, devices and sparse files are refused.
`HOW` says what makes one.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from ..errors import BundleError

BLOCK_BYTES = 1 << 20
HEADER_BYTES = 512
MAX_MEMBERS = 1_000_000
HOW = "make it by: cd BUNDLE && tar --format=ustar -cf ../BUNDLE.tar manifest.* */"


@dataclass(frozen=True)
class Member:
    """A file that came, and its content piece by piece, which must be taken before the next one."""

    name: str
    size_bytes: int
    pieces: Iterator[bytes]


class Source(Protocol):
    """What `take_in` reads; `where` is the path that people know."""

    where: str

    def members(self, names: Iterable[str]) -> Iterator[Member]:
        """The files asked for; a tar gives whatever comes next, so many of them."""

    def end(self) -> None:
        """Nothing more may come.

        Raises:
            BundleError: something does.
        """


class FolderSource:
    """The files of a folder, each opened without following a link on the way."""

    def __init__(self, path: Path) -> None:
        self.path, self.where = path, str(path)

    def members(self, names: Iterable[str]) -> Iterator[Member]:
        """In the order asked for.

        Raises:
            BundleError: missing, or no plain file.
        """
        for name in names:
            with _opened(self.path, name) as file:
                size_bytes = os.fstat(file.fileno()).st_size
                yield Member(name, size_bytes, _pieces(file, size_bytes, f"{self.path}/{name}"))

    def end(self) -> None:
        """What nobody asked for stays where it is."""


class TarSource:
    """The files of a tar as they come."""

    def __init__(self, file: BinaryIO, where: str) -> None:
        self._file, self.where = file, where
        self._members = 0

    def members(self, names: Iterable[str]) -> Iterator[Member]:
        """As many as were asked for, if there are so many.

        Raises:
            BundleError: cut off, damaged, or with something in it that is no plain file.
        """
        for _ in names:
            member = self._next()
            if member is None:
                return
            yield member
            for _ in member.pieces:
                pass
            self._read(-member.size_bytes % HEADER_BYTES)

    def end(self) -> None:
        """Nothing but zeros may follow."""
        member = self._next()
        if member is not None:
            raise BundleError(f"{self.where}: {member.name!r} is not named, or is there twice")

    def _next(self) -> Member | None:
        while (header := self._file.read(HEADER_BYTES)) and header.strip(b"\0"):
            self._members += 1
            if self._members > MAX_MEMBERS:
                raise BundleError(f"{self.where}: without end")
            name, size_bytes, kind = parse_header(header, self.where)
            if kind == b"5":
                continue
            where = f"{self.where}: {name}"
            return Member(name, size_bytes, _pieces(self._file, size_bytes, where))
        return None

    def _read(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise BundleError(f"{self.where}: cut off")
        return data


def parse_header(header: bytes, where: str) -> tuple[str, int, bytes]:
    """Name, size and kind of a member, of 512 bytes.

    Raises:
        BundleError: damaged, not ustar, or a kind that has no place in a bundle.
    """
    if header[257:263] not in (b"ustar\0", b"ustar "):
        raise BundleError(f"{where}: neither a folder nor a POSIX tar; {HOW}")
    if len(header) < HEADER_BYTES:
        raise BundleError(f"{where}: cut off")
    kind = header[156:157].replace(b"\0", b"0")
    try:
        name, prefix = (_text(header[a:b]) for a, b in ((0, 100), (345, 500)))
        size, check = _octal(header[124:136]), _octal(header[148:156])
    except ValueError:
        raise BundleError(f"{where}: a damaged header") from None
    if check != sum(header) - sum(header[148:156]) + 8 * 0x20:
        raise BundleError(f"{where}: a damaged header")
    name = f"{prefix}/{name}" if prefix else name
    if kind not in (b"0", b"5") or (kind == b"5" and size):
        raise BundleError(f"{where}: {name!r} is neither file nor folder; {HOW}")
    return name.removeprefix("./"), size, kind


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """A folder, or a tar that is a plain file.

    Raises:
        BundleError: neither.
    """
    if path.is_dir():
        yield FolderSource(path)
        return
    with _opened(path.parent, path.name) as file:
        yield TarSource(file, str(path))


@contextmanager
def _opened(folder: Path, name: str) -> Iterator[BinaryIO]:
    where, *parts = f"{folder}/{name}", *Path(name).parts
    handles = [os.open(folder, os.O_RDONLY | os.O_DIRECTORY)]
    try:
        for depth, part in enumerate(parts, start=1):
            kind = os.O_NONBLOCK if depth == len(parts) else os.O_DIRECTORY
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | kind
            handles.append(os.open(part, flags, dir_fd=handles[-1]))
        if not stat.S_ISREG(os.fstat(handles[-1]).st_mode):
            raise BundleError(f"{where}: not a plain file")
        with os.fdopen(handles.pop(), "rb", buffering=0) as file:
            yield file
    except OSError as error:
        is_link = error.errno in (errno.ELOOP, errno.ENOTDIR)
        why = "not in a plain folder; links are not followed" if is_link else error.strerror
        raise BundleError(f"{where}: {why}") from None
    finally:
        for handle in handles:
            os.close(handle)


def _pieces(file: BinaryIO, size_bytes: int, where: str) -> Iterator[bytes]:
    left = size_bytes
    while left:
        piece = file.read(min(left, BLOCK_BYTES))
        if not piece:
            raise BundleError(f"{where}: cut off")
        left -= len(piece)
        yield piece


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("ascii")


def _octal(field: bytes) -> int:
    return int(field.strip(b" \0") or b"x", 8) if not field.startswith((b"-", b"+")) else int(b"x")
