"""A bundle comes in: signature first, then the manifest, then every file hashed while it is copied.

What is hashed is what is kept: the copy in the private store, and not what the source may hold a
moment later.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import durable
from ..bundle import MANIFEST, MAX_MANIFEST_BYTES, SEAL, SIGNATURE, seal_of
from ..errors import BundleError
from ..manifest import Manifest, parse_manifest
from ..manifest_entries import FileEntry
from ..signing import SIGNATURE_BYTES, TrustedKey, signer_of
from ..trust import Trust
from .sources import HOW, Member, Source
from .state import SlotEntry

HEAD = {MANIFEST: MAX_MANIFEST_BYTES, SEAL: 65, SIGNATURE: SIGNATURE_BYTES}
"""What comes first, and how large it may be."""
RESERVE_BYTES = 64 << 20
"""Left free on the disk."""
READ_ONLY = 0o440


@dataclass(frozen=True)
class Arrived:
    """A bundle whose signature and manifest were looked at."""

    where: str
    raw: bytes
    manifest: Manifest
    signer: TrustedKey

    @property
    def sha256(self) -> str:
        """Of the manifest, which has that of everything else."""
        return hashlib.sha256(self.raw).hexdigest()

    def is_in(self, entry: SlotEntry) -> bool:
        """Whether a slot tells of this very bundle."""
        return entry.manifest_sha256 == self.sha256


def take_in(
    source: Source, folder: Path, trust: Trust, accept: Callable[[Arrived], bool]
) -> Arrived:
    """Copy a bundle into a folder that is not there yet; all of it is on the disk afterwards.

    `accept` sees what the manifest says before anything is copied; where it says no, nothing is.

    Raises:
        BundleError: not signed, not whole, too large, anything but plain files; nothing is left.
    """
    head = _head(source)
    arrived = _believed(head, trust, source.where)
    if not accept(arrived):
        return arrived
    _check_room(arrived.manifest, folder.parent)
    try:
        folder.mkdir(mode=0o700)
        for name, content in head.items():
            durable.write_new(folder / name, [content], READ_ONLY)
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
            raise BundleError(
                f"{source.where}: {member.name!r}: expected {', '.join(HEAD)} before anything else;"
                f" {HOW}"
            )
        if member.size_bytes > limit:
            raise BundleError(
                f"{source.where}: {member.name}: {member.size_bytes} bytes,"
                f" at most {limit} expected"
            )
        head[member.name] = b"".join(member.pieces)
    missing = [name for name in HEAD if name not in head]
    if missing:
        raise BundleError(f"{source.where}: {missing[0]}: missing")
    return head


def _believed(head: dict[str, bytes], trust: Trust, where: str) -> Arrived:
    raw = head[MANIFEST]
    if head[SEAL] != seal_of(raw):
        raise BundleError(f"{where}: {MANIFEST}: changed since it was packed, {SEAL} differs")
    signer = signer_of(raw, head[SIGNATURE], trust.keys)
    if signer is None:
        trusted = ", ".join(key.fingerprint for key in trust.keys)
        raise BundleError(
            f"{where}: {SIGNATURE}: by an unknown key, or of another manifest; trusted: {trusted}"
        )
    return Arrived(where, raw, parse_manifest(raw, f"{where}: {MANIFEST}"), signer)


def _check_room(manifest: Manifest, where: Path) -> None:
    needed = sum(entry.size_bytes for entry in manifest.files) + RESERVE_BYTES
    free = shutil.disk_usage(where).free
    if needed > free:
        raise BundleError(f"{where}: {needed} bytes are needed, {free} are free")


def _copy(source: Source, manifest: Manifest, folder: Path) -> None:
    left, where = {entry.path: entry for entry in manifest.files}, source.where
    for member in source.members(list(left)):
        entry = left.pop(member.name, None)
        if entry is None:
            raise BundleError(f"{where}: {member.name!r}: not named in {MANIFEST}, or there twice")
        if member.size_bytes != entry.size_bytes:
            raise BundleError(
                f"{where}: {entry.path}: {member.size_bytes} bytes,"
                f" the manifest says {entry.size_bytes}"
            )
        path = folder / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write_new(path, _hashed(member, entry, where), READ_ONLY)
    if left:
        raise BundleError(f"{where}: {next(iter(left))}: missing")
    source.end()


def _hashed(member: Member, entry: FileEntry, where: str) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for piece in member.pieces:
        digest.update(piece)
        yield piece
    if digest.hexdigest() != entry.sha256:
        raise BundleError(f"{where}: {entry.path}: changed since it was packed (sha256 differs)")
