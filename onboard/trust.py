"""Whose bundles fly on this device: keys that lie there, and a list of keys that root keys signed.

KEYS.json        strict JSON, see `KeyList`
KEYS.json.sigs   signatures of its raw bytes, 128 hex digits a line, in any order

The list is not parsed before enough different root keys of the device have signed these very
bytes. How many are enough, the device says and not the list. What the list revokes is not trusted,
wherever else it is named.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from .config import TrustConfig
from .config_file import Section, first_problem
from .errors import ConfigError
from .signing import KEYS_DOMAIN, Purpose, TrustedKey, read_public_key
from .strict_json import strict_json

MAX_LIST_BYTES, MAX_SIGNATURES = 1 << 20, 64
SIGNATURES_SUFFIX = ".sigs"
_SIGNATURE_LINE = re.compile(r"[0-9a-f]{128}")

PublicBytes = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Fingerprint = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class KeyList(Section):
    """Public keys by what they vouch for, 32 bytes in hex each; fingerprints of lost ones."""

    format_version: Literal[1]
    version: Annotated[int, Field(ge=1)]
    """Rises with every list; a store takes no older one than it has seen."""
    release: tuple[PublicBytes, ...]
    development: tuple[PublicBytes, ...]
    revoked: tuple[Fingerprint, ...]


@dataclass(frozen=True)
class Trust:
    """The keys that may vouch for a bundle here; `list_version` of the list they came from."""

    keys: tuple[TrustedKey, ...]
    list_version: int = 0

    @classmethod
    def of_files(cls, paths: Sequence[Path]) -> Trust:
        """Every key of some PEM files.

        Raises:
            ConfigError: one that is none, or a root key.
        """
        keys = tuple(read_public_key(path) for path in paths)
        for path, key in zip(paths, keys, strict=True):
            if key.purpose == "root":
                raise ConfigError(f"{path}: a root key vouches for lists of keys, not for bundles")
        return cls(keys)

    @classmethod
    def of_device(cls, paths: Sequence[Path] | None, config: TrustConfig) -> Trust | None:
        """What a configuration trusts; None where it says nothing about it.

        Raises:
            ConfigError: a key or list that cannot be used; a development key on a device that is
                not for development; nobody who is trusted.
        """
        if paths is None and config.key_list is None:
            return None
        keys, version = cls.of_files(paths or ()).keys, 0
        for path, key in zip(paths or (), keys, strict=True):
            if key.purpose == "development" and not config.development:
                raise ConfigError(
                    f"trusted_keys: {path}: a development key; trust.development = true flies"
                    " what it signed"
                )
        if config.key_list is not None:
            listed = read_key_list(config.key_list, config.root_keys or (), config.threshold)
            keys, version = keys_with(listed, keys), listed.version
            if not config.development:
                keys = tuple(key for key in keys if key.purpose == "release")
        if not keys:
            raise ConfigError("trust: every key is revoked, or for development: nobody is trusted")
        return cls(keys, version)


def keys_with(listed: KeyList, others: Sequence[TrustedKey] = ()) -> tuple[TrustedKey, ...]:
    """The keys of a list and others, less those that the list revokes."""
    purposes: tuple[tuple[Purpose, tuple[str, ...]], ...] = (
        ("release", listed.release),
        ("development", listed.development),
    )
    named = [_listed_key(key, purpose) for purpose, keys in purposes for key in keys]
    return tuple(key for key in (*others, *named) if key.fingerprint not in listed.revoked)


def read_key_list(path: Path, root_keys: Sequence[Path], threshold: int) -> KeyList:
    """A list that at least `threshold` of the root keys have signed.

    Raises:
        ConfigError: names the file; too few have signed it, or it is no list.
    """
    roots = [read_public_key(root) for root in root_keys]
    for root_path, root in zip(root_keys, roots, strict=True):
        if root.purpose != "root":
            raise ConfigError(f"trust.root_keys: {root_path}: a {root.purpose} key, not a root key")
    raw = read_bounded(path)
    signed = {root.fingerprint for root in roots if _has_signed(root, raw, signatures_of(path))}
    if len(signed) < max(1, threshold):
        raise ConfigError(
            f"{path}: {len(signed)} of this device's {len(roots)} root keys signed it,"
            f" {threshold} must"
        )
    return parse_key_list(raw, str(path))


def parse_key_list(raw: bytes, where: str) -> KeyList:
    """Strict JSON to a list of keys; whoever calls this has looked at the signatures.

    Raises:
        ConfigError: names the key; not a list, or a key that is none or stands twice.
    """
    try:
        strict_json(raw)
        listed = TypeAdapter(KeyList).validate_json(raw)
    except ValidationError as error:
        raise ConfigError(f"{where}: {first_problem(error)}") from None
    except ValueError as error:
        raise ConfigError(f"{where}: no list of keys: not strict JSON: {error}") from None
    keys = (*listed.release, *listed.development)
    if len(set(keys)) < len(keys):
        raise ConfigError(f"{where}: a key stands twice; release and development are kept apart")
    return listed


def signatures_of(path: Path) -> list[bytes]:
    """Those beside a list, as far as they are any.

    Raises:
        ConfigError: there are none, or too many.
    """
    beside = path.with_name(path.name + SIGNATURES_SUFFIX)
    lines = read_bounded(beside).decode("ascii", "replace").split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise ConfigError(f"{beside}: more than {MAX_SIGNATURES} lines")
    return [bytes.fromhex(line) for line in lines if _SIGNATURE_LINE.fullmatch(line)]


def read_bounded(path: Path) -> bytes:
    """A list of keys, or what was signed beside it, before anything of it is believed.

    Raises:
        ConfigError: it cannot be read, or is larger than any list.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_LIST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    if len(raw) > MAX_LIST_BYTES:
        raise ConfigError(f"{path}: more than {MAX_LIST_BYTES} bytes")
    return raw


def _has_signed(root: TrustedKey, raw: bytes, signatures: Sequence[bytes]) -> bool:
    return any(root.signed(KEYS_DOMAIN, raw, signature) for signature in signatures)


def _listed_key(key: str, purpose: Purpose) -> TrustedKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return TrustedKey(Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)), purpose)
