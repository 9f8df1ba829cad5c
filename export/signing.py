"""`geobridge keygen` and `geobridge sign`: the private half of signing, which stays on the ground.

NAME.key   private, PKCS #8 PEM without a password, readable by its owner alone
NAME.pub   public, for `trusted_keys` on the aircraft and `geobridge verify --trust`
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from geobridge.onboard import durable
from geobridge.onboard.bundle import SIGNATURE, Bundle, read_manifest
from geobridge.onboard.errors import DataError
from geobridge.onboard.signing import DOMAIN, fingerprint

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def keygen(out: Path) -> dict[str, str]:
    """Make a pair of keys, `out`.key and `out`.pub; their paths and fingerprint.

    Raises:
        DataError: one of the files is there already; no key is ever overwritten.
    """
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private, public = Path(f"{out}.key"), Path(f"{out}.pub")
    for path in (private, public):
        if path.exists():
            raise DataError(f"{path}: exists, and a key is never overwritten; choose another name")
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    shown = key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    private.parent.mkdir(parents=True, exist_ok=True)
    _create(private, secret, 0o600)
    _create(public, shown, 0o644)
    return {
        "private key": str(private),
        "public key": str(public),
        "fingerprint": fingerprint(key.public_key()),
    }


def sign(bundle: Path, key: Path) -> dict[str, str]:
    """Sign a bundle that is whole, in place of a signature it may have; whose it is now.

    Raises:
        BundleError: a bundle that nobody should vouch for.
        DataError: the key cannot be used.
    """
    private = _read_private_key(key)
    # what a signing that was cut off left would make the bundle look tampered with
    (bundle / f"{durable.TEMPORARY_PREFIX}{SIGNATURE}").unlink(missing_ok=True)
    raw = read_manifest(bundle)
    Bundle.open(bundle)
    durable.write_bytes(bundle / SIGNATURE, private.sign(DOMAIN + raw))
    return {"bundle": str(bundle), "signed by": f"key {fingerprint(private.public_key())}"}


def _read_private_key(path: Path) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except TypeError:
        raise DataError(f"{path}: expected a key without a password") from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise DataError(f"{path}: expected an Ed25519 private key in PEM, as keygen writes it")
    return key


def _create(path: Path, data: bytes, mode: int) -> None:
    """A new file, on the disk when this returns; never in the place of another."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with open(path, "wb", opener=lambda name, _: os.open(name, flags, mode)) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    durable.sync(path.parent)
