"""A bundle comes in: signature first, then the manifest, then every file hashed while it is copied.

What is hashed is what is kept: the copy in the private store, and not what the source may hold a
moment later.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import durable
from ..bundle import MANIFEST, MAX_MANIFEST_BYTES, SEAL, SIGNATURE, seal_of
from ..errors import BundleError
from ..manifest import FileEntry, Manifest, parse_manifest
from ..signing import SIGNATURE_BYTES, TrustedKey, signer_of
from ..trust import Trust
from .sources import Member, Source

HEAD = {MANIFEST: MAX_MANIFEST_BYTES, SEAL: 65, SIGNATURE: SIGNATURE_BYTES}
"""What comes first, and how large it may be."""
RESERVE_BYTES = 64 << 20
"""Left free on the disk."""
READ_ONLY = 0o440


@dataclass(frozen=True)
class Arrived:
    """A bundle whose signature and manifest were looked at."""

    raw: bytes
    manifest: Manifest
    signer: TrustedKey

    @property
    def sha256(self) -> str:
        """Of the manifest, which has that of everything else."""
        return hashlib.sha256(self.raw).hexdigest()


def take_in(
    source: Source, folder: Path, trust: Trust, accept: Callable[[Arrived], bool]
) -> Arrived:
    """Copy a bundle into a folder that is not there yet; all of it is on the disk afterwards.

    `accept` sees what the manifest says before anything is copied; where it says no, nothing is.

    Raises:
        BundleError: not signed, not whole, too large, anything but plain files; nothing is left.
    """
    head = _head(source)
    arrived = _believed(head, trust, str(folder))
    if not accept(arrived):
        return arrived
    _check_room(arrived.manifest, folder.parent)
    try:
        folder.mkdir(mode=0o700)
        for name, content in head.items():
            _write(folder / name, iter([content]))
        _copy(source, arrived.manifest, folder)
        for path in (folder, *folder.rglob("*")):
            if path.is_dir():
                durable.sync(path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return arrived


def _head(source: Source) -> dict[str, bytes]:
    head: dict[str, bytes] = {}
    for member in source.members(HEAD):
        limit = HEAD.get(member.name)
        if limit is None or member.name in head:
            raise BundleError(f"{member.name!r}: expected {', '.join(HEAD)} before anything else")
        if member.size_bytes > limit:
            raise BundleError(f"{member.name}: {member.size_bytes} bytes, at most {limit} expected")
        head[member.name] = b"".join(member.pieces)
    missing = [name for name in HEAD if name not in head]
    if missing:
        raise BundleError(f"{missing[0]}: missing")
    return head


def _believed(head: dict[str, bytes], trust: Trust, where: str) -> Arrived:
    raw = head[MANIFEST]
    if head[SEAL] != seal_of(raw):
        raise BundleError(f"{MANIFEST}: changed since it was packed, {SEAL} differs")
    signer = signer_of(raw, head[SIGNATURE], trust.keys)
    if signer is None:
        trusted = ", ".join(key.fingerprint for key in trust.keys)
        raise BundleError(
            f"{SIGNATURE}: by an unknown key, or of another manifest; trusted: {trusted}"
        )
    return Arrived(raw, parse_manifest(raw, MANIFEST), signer)


def _check_room(manifest: Manifest, where: Path) -> None:
    needed = sum(entry.size_bytes for entry in manifest.files) + RESERVE_BYTES
    free = shutil.disk_usage(where).free
    if needed > free:
        raise BundleError(f"{where}: {needed} bytes are needed, {free} are free")


def _copy(source: Source, manifest: Manifest, folder: Path) -> None:
    left = {entry.path: entry for entry in manifest.files}
    for member in source.members(list(left)):
        entry = left.pop(member.name, None)
        if entry is None:
            raise BundleError(f"{member.name!r}: not named in {MANIFEST}, or there twice")
        if member.size_bytes != entry.size_bytes:
            raise BundleError(
                f"{entry.path}: {member.size_bytes} bytes, the manifest says {entry.size_bytes}"
            )
        path = folder / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, _hashed(member, entry))
    if left:
        raise BundleError(f"{next(iter(left))}: missing")
    source.end()


def _hashed(member: Member, entry: FileEntry) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for piece in member.pieces:
        digest.update(piece)
        yield piece
    if digest.hexdigest() != entry.sha256:
        raise BundleError(f"{entry.path}: changed since it was packed (sha256 differs)")


def _write(path: Path, pieces: Iterator[bytes]) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(path, "wb", opener=lambda name, _: os.open(name, flags, READ_ONLY)) as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
