"""Who vouches for a bundle: Ed25519 (RFC 8032) over the raw bytes of its manifest.

Algorithm and keys come from the device, never from the bundle: `manifest.sig` is 64 bytes and says
nothing about itself. Keys are PEM files as `geobridge keygen` and OpenSSL write them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

DOMAIN = b"geobridge-bundle-v1\0"
"""Stands before the manifest in what is signed: no signature of anything else passes for one."""
SIGNATURE_BYTES = 64


def signer_of(manifest: bytes, signature: bytes, keys: Sequence[Ed25519PublicKey]) -> str | None:
    """The fingerprint of the key that signed these very bytes, None if it is not among `keys`."""
    from cryptography.exceptions import InvalidSignature

    for key in keys:
        try:
            key.verify(signature, DOMAIN + manifest)
        except InvalidSignature:
            continue
        return fingerprint(key)
    return None


def fingerprint(key: Ed25519PublicKey) -> str:
    """16 hex digits by which people tell keys apart: the start of the SHA-256 of its 32 bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def read_public_key(path: Path) -> Ed25519PublicKey:
    """A key to trust.

    Raises:
        ConfigError: names the file; it cannot be read, or holds something else.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{path}: expected an Ed25519 public key in PEM, as keygen writes it")
    return key
