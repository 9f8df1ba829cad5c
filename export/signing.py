"""`geobridge sign`: the private half of signing bundles, which stays on the ground."""

from __future__ import annotations

from pathlib import Path

from geobridge.onboard import durable
from geobridge.onboard.bundle import SIGNATURE, Bundle, read_manifest
from geobridge.onboard.errors import DataError
from geobridge.onboard.signing import BUNDLE_DOMAINS, DOWNGRADE_DOMAIN
from geobridge.onboard.store.downgrade import downgrade_bytes, downgrade_path

from .keys import read_private_key


def sign(bundle: Path, key: Path, downgrade_from: int | None = None) -> dict[str, str]:
    """Sign a bundle that is whole, in place of a signature it may have; whose it is now.

    Args:
        bundle: the folder.
        key: private, for release or development.
        downgrade_from: also let stores whose newest version this is install the older bundle.

    Raises:
        BundleError: a bundle that nobody should vouch for.
        DataError: the key cannot be used; the bundle is not older.
    """
    private = read_private_key(key)
    if private.purpose not in BUNDLE_DOMAINS:
        raise DataError(f"{key}: a root key signs lists of keys and no bundles")
    raw = read_manifest(bundle)
    # what a signing that was cut off left would make the bundle look tampered with
    (bundle / f"{durable.TEMPORARY_PREFIX}{SIGNATURE}").unlink(missing_ok=True)
    version = Bundle.open(bundle).manifest.bundle_version
    if downgrade_from is not None and downgrade_from <= version:
        raise DataError(f"--downgrade-from {downgrade_from}: the bundle has version {version}")
    durable.write_bytes(bundle / SIGNATURE, private.key.sign(BUNDLE_DOMAINS[private.purpose] + raw))
    told = {"bundle": str(bundle), "signed by": f"key {private.fingerprint}"}
    if downgrade_from is None:
        return told
    permit = downgrade_bytes(raw, downgrade_from)
    path = downgrade_path(bundle)
    durable.write_bytes(path, private.key.sign(DOWNGRADE_DOMAIN + permit) + permit)
    return {**told, "downgrade": str(path)}
