"""`geobridge keys`: pairs of keys, and lists of those that a fleet trusts. All of it on the ground.

NAME.key   private, PKCS #8 PEM without a password, readable by its owner alone
NAME.pub   public, for `trusted_keys` on the aircraft and `geobridge verify --trust`

Private keys are read from files alone: not from the environment, not from arguments; nothing of
them is printed or logged.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geobridge.onboard import durable
from geobridge.onboard.errors import ConfigError, DataError
from geobridge.onboard.signing import (
    KEYS_DOMAIN,
    MAX_KEY_BYTES,
    Purpose,
    fingerprint,
    purpose_line,
    purpose_of,
    read_public_key,
)
from geobridge.onboard.trust import (
    SIGNATURES_SUFFIX,
    keys_with,
    parse_key_list,
    read_bounded,
    read_key_list,
    signatures_of,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_FINGERPRINT = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class PrivateKey:
    """What signs; its fingerprint is that of its public half."""

    key: Ed25519PrivateKey
    purpose: Purpose

    def __repr__(self) -> str:
        return f"PrivateKey({self.fingerprint}, {self.purpose})"

    @property
    def fingerprint(self) -> str:
        """Of its public half."""
        return fingerprint(self.key.public_key())


def new_key(out: Path, purpose: Purpose = "release") -> dict[str, str]:
    """Make a pair of keys, `out`.key and `out`.pub; their paths and fingerprint.

    Raises:
        DataError: one of the files is there already, and no key is ever overwritten; a folder.
    """
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if out.is_dir():
        raise DataError(f"{out}: a folder; expected the name of a key, as {out / 'mine'}")
    private, public = Path(f"{out}.key"), Path(f"{out}.pub")
    for path in (private, public):
        if path.exists():
            raise DataError(f"{path}: exists, and a key is never overwritten; choose another name")
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    shown = key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    durable.make_folder(private.parent)
    durable.create(private, purpose_line(purpose) + secret, 0o600)
    durable.create(public, purpose_line(purpose) + shown, 0o644)
    return {
        "private key": str(private),
        "public key": str(public),
        "fingerprint": fingerprint(key.public_key()),
        "purpose": purpose,
    }


def read_private_key(path: Path) -> PrivateKey:
    """A key to sign with.

    Raises:
        DataError: it cannot be used, or others may read it.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        with path.open("rb") as file:
            mode, pem = os.fstat(file.fileno()).st_mode, file.read(MAX_KEY_BYTES)
        key = load_pem_private_key(pem, password=None)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except TypeError:
        raise DataError(f"{path}: expected a key without a password") from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    purpose = purpose_of(pem) if key else None
    if not isinstance(key, Ed25519PrivateKey) or purpose is None:
        raise DataError(f"{path}: expected an Ed25519 private key in PEM, as keys new writes it")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise DataError(f"{path}: others may read it; chmod 600 {path}")
    return PrivateKey(key, purpose)


def write_list(
    out: Path,
    version: int,
    release: Sequence[Path] = (),
    development: Sequence[Path] = (),
    revoked: Sequence[str] = (),
) -> dict[str, Any]:
    """Write a list that nobody has signed yet.

    Args:
        out: the file.
        version: higher than that of every list before.
        release, development: public keys of these purposes.
        revoked: fingerprints, or public keys.

    Raises:
        DataError: a key that is for something else, or nothing that is one; the file is there.
        ConfigError: a public key that is none.
    """
    if out.exists():
        raise DataError(f"{out}: exists; a list is not changed but followed by a newer one")
    tree = {
        "format_version": 1,
        "version": version,
        "release": _public(release, "release"),
        "development": _public(development, "development"),
        "revoked": [_fingerprint(each) for each in revoked],
    }
    raw = (json.dumps(tree, indent=1) + "\n").encode()
    parse_key_list(raw, str(out))
    durable.write_bytes(out, raw)
    return {"list": str(out), "version": version, "signed by": "nobody yet: geobridge keys sign"}


def sign_list(path: Path, key: Path) -> dict[str, str]:
    """Add the signature of a root key to those beside a list.

    Raises:
        DataError: not a root key.
        ConfigError: not a list of keys.
    """
    private = read_private_key(key)
    if private.purpose != "root":
        raise DataError(f"{key}: a {private.purpose} key; lists are signed by root keys")
    raw = read_bounded(path)
    parse_key_list(raw, str(path))
    signature = private.key.sign(KEYS_DOMAIN + raw)
    beside = path.with_name(path.name + SIGNATURES_SUFFIX)
    have = signatures_of(path) if beside.exists() else []
    if signature not in have:
        lines = "".join(f"{each.hex()}\n" for each in (*have, signature))
        durable.write_text(beside, lines)
    return {"list": str(path), "signed by": f"root key {private.fingerprint}"}


def show(path: Path, roots: Sequence[Path] = (), threshold: int = 2) -> dict[str, Any]:
    """What a key is for; or what a list says, and whether root keys stand behind it.

    Raises:
        DataError, ConfigError: neither of them; a list that too few of `roots` signed.
    """
    if path.suffix == ".pub":
        public = read_public_key(path)
        return {"fingerprint": public.fingerprint, "purpose": public.purpose, "half": "public"}
    if path.suffix == ".key":
        private = read_private_key(path)
        return {"fingerprint": private.fingerprint, "purpose": private.purpose, "half": "private"}
    listed = (
        read_key_list(path, roots, threshold)
        if roots
        else parse_key_list(read_bounded(path), str(path))
    )
    return {
        "version": listed.version,
        "signatures": f"at least {threshold} root keys" if roots else "not looked at; --root does",
        "trusted": [f"{key.fingerprint} {key.purpose}" for key in keys_with(listed)],
        "revoked": list(listed.revoked),
    }


def _public(paths: Sequence[Path], purpose: Purpose) -> list[str]:
    keys = [read_public_key(path) for path in paths]
    for path, key in zip(paths, keys, strict=True):
        if key.purpose != purpose:
            raise DataError(f"{path}: a {key.purpose} key, given as one for {purpose}")
    return [key.key.public_bytes_raw().hex() for key in keys]


def _fingerprint(text: str) -> str:
    if _FINGERPRINT.fullmatch(text):
        return text
    try:
        return read_public_key(Path(text)).fingerprint
    except ConfigError:
        raise DataError(f"{text}: expected a fingerprint of 16 hex digits, or a .pub") from None
