"""Who vouches for a bundle: Ed25519 (RFC 8032) over the raw bytes of its manifest.

Algorithm and keys come from the device, never from the bundle: `manifest.sig` is 64 bytes and says
nothing about itself. Keys are PEM files as `geobridge keys new` and OpenSSL write them, with one
line before the PEM where a key is for something else than release:

    purpose: development       bundles that are tried; a device must have been told to fly them
    purpose: root              lists of keys, and nothing else

Each purpose signs under a prefix of its own, so that no signature passes for one of another kind.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from .errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Purpose = Literal["release", "development", "root"]
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)

DOMAIN = b"geobridge-bundle-v1\0"
"""Stands before the manifest in what is signed: no signature of anything else passes for one."""
DEVELOPMENT_DOMAIN = b"geobridge-development-bundle-v1\0"
KEYS_DOMAIN = b"geobridge-keys-v1\0"
DOWNGRADE_DOMAIN = b"geobridge-downgrade-v1\0"
BUNDLE_DOMAINS: dict[Purpose, bytes] = {"release": DOMAIN, "development": DEVELOPMENT_DOMAIN}
SIGNATURE_BYTES = 64
MAX_KEY_BYTES = 8192
_PURPOSE_LINE = re.compile(rb"purpose: ([a-z]+)\r?\n")


@dataclass(frozen=True)
class TrustedKey:
    """A public key, and what it may vouch for."""

    key: Ed25519PublicKey
    purpose: Purpose = "release"

    @property
    def fingerprint(self) -> str:
        """Of its bytes."""
        return fingerprint(self.key)

    def signed(self, domain: bytes, message: bytes, signature: bytes) -> bool:
        """Whether this key made the signature, of this message and for this purpose."""
        from cryptography.exceptions import InvalidSignature

        try:
            self.key.verify(signature, domain + message)
        except InvalidSignature:
            return False
        return True


def signer_of(manifest: bytes, signature: bytes, keys: Sequence[TrustedKey]) -> TrustedKey | None:
    """The key that signed these very bytes as a bundle's manifest, None if it is not in `keys`."""
    for key in keys:
        domain = BUNDLE_DOMAINS.get(key.purpose)
        if domain is not None and key.signed(domain, manifest, signature):
            return key
    return None


def fingerprint(key: Ed25519PublicKey) -> str:
    """16 hex digits by which people tell keys apart: the start of the SHA-256 of its 32 bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def purpose_line(purpose: Purpose) -> bytes:
    """What stands before the PEM of a key; nothing for release."""
    return b"" if purpose == "release" else f"purpose: {purpose}\n".encode()


def purpose_of(pem: bytes) -> Purpose | None:
    """What a key is for, by the line before its PEM; None where that names no purpose."""
    line = _PURPOSE_LINE.match(pem)
    named = line[1].decode() if line else "release"
    return next((purpose for purpose in PURPOSES if purpose == named), None)


def read_public_key(path: Path) -> TrustedKey:
    """A key to trust.

    Raises:
        ConfigError: names the file; it cannot be read, or holds something else.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        with path.open("rb") as file:
            pem = file.read(MAX_KEY_BYTES)
        key = load_pem_public_key(pem)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    purpose = purpose_of(pem) if key else None
    if not isinstance(key, Ed25519PublicKey) or purpose is None:
        raise ConfigError(f"{path}: expected an Ed25519 public key in PEM, as keys new writes it")
    return TrustedKey(key, purpose)
