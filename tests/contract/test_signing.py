from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.bundle import MANIFEST, SEAL, SIGNATURE, Bundle
from geobridge.onboard.config import ReplayConfig, RunConfig, load
from geobridge.onboard.errors import BundleError, ConfigError
from geobridge.onboard.signing import (
    DOMAIN,
    SIGNATURE_BYTES,
    TrustedKey,
    fingerprint,
    read_public_key,
    signer_of,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = TrustedKey(KEY.public_key())
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
MANIFEST_BYTES = b'{"format_version": 1}\n'
SIGNED = bytes.fromhex(
    "adf77a7715f2ecba1ecc62e9405127865f1f0d8f69cbf9f1bb87de912b141a7f"
    "0733a6e0bf588d91bff94429d6febd893d38eeef861999238fd20293cb23660a"
)
"""What OpenSSL 3.0.19 answered: pkeyutl -sign -rawin over the prefix and the manifest."""
PUBLIC_PEM = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=
-----END PUBLIC KEY-----
"""


def public_pem(key: Ed25519PublicKey | ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def trusted(tmp_path: Path) -> Path:
    (tmp_path / "release.pub").write_bytes(PUBLIC_PEM)
    return tmp_path / "release.pub"


def sealed(folder: Path, manifest: bytes, signature: bytes | None) -> Path:
    folder.mkdir()
    (folder / MANIFEST).write_bytes(manifest)
    (folder / SEAL).write_text(hashlib.sha256(manifest).hexdigest() + "\n")
    if signature is not None:
        (folder / SIGNATURE).write_bytes(signature)
    return folder


def refusal(folder: Path, *keys: Path) -> str:
    with pytest.raises(BundleError) as error:
        Bundle.open(folder, keys)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_signature_made_elsewhere_is_accepted(trusted: Path) -> None:
    key = read_public_key(trusted)
    assert signer_of(MANIFEST_BYTES, SIGNED, [key]) is key
    assert len(SIGNED) == SIGNATURE_BYTES
    assert key.fingerprint == "56475aa75463474c" == fingerprint(KEY.public_key())


def test_the_signer_is_found_among_several() -> None:
    keys = [TrustedKey(OTHER.public_key()), PUBLIC]
    assert signer_of(MANIFEST_BYTES, SIGNED, keys) is PUBLIC
    assert signer_of(MANIFEST_BYTES, SIGNED, keys[:1]) is None
    assert signer_of(MANIFEST_BYTES, SIGNED, []) is None
    root = TrustedKey(KEY.public_key(), "root")
    assert signer_of(MANIFEST_BYTES, SIGNED, [root]) is None
    assert signer_of(MANIFEST_BYTES, SIGNED, [root, PUBLIC]) is PUBLIC


@given(st.integers(0, 8 * len(MANIFEST_BYTES + SIGNED) - 1))
def test_one_changed_bit_of_manifest_or_signature_is_refused(bit: int) -> None:
    changed = bytearray(MANIFEST_BYTES + SIGNED)
    changed[bit // 8] ^= 1 << bit % 8
    manifest, signature = changed[: len(MANIFEST_BYTES)], changed[len(MANIFEST_BYTES) :]
    assert signer_of(bytes(manifest), bytes(signature), [PUBLIC]) is None


@given(st.binary(max_size=200).filter(lambda text: text != SIGNED))
def test_what_is_no_signature_is_refused(signature: bytes) -> None:
    assert signer_of(MANIFEST_BYTES, signature, [PUBLIC]) is None


def test_a_signature_for_another_purpose_is_refused() -> None:
    assert signer_of(MANIFEST_BYTES, KEY.sign(MANIFEST_BYTES), [PUBLIC]) is None
    assert signer_of(MANIFEST_BYTES, KEY.sign(DOMAIN + MANIFEST_BYTES), [PUBLIC])


NO_PUBLIC_KEYS: dict[str, bytes] = {
    "empty": b"",
    "text": b"release key",
    "raw": KEY.public_key().public_bytes_raw(),
    "the private one": KEY.private_bytes(
        pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()
    ),
    "another algorithm": public_pem(ec.generate_private_key(ec.SECP256R1()).public_key()),
    "cut short": PUBLIC_PEM[:60],
    "for a purpose that nobody knows": b"purpose: anything\n" + PUBLIC_PEM,
    "longer than a key": PUBLIC_PEM.rjust(8194, b"\n"),
}


@pytest.mark.parametrize("name", NO_PUBLIC_KEYS)
def test_a_key_that_is_none(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.pub").write_bytes(NO_PUBLIC_KEYS[name])
    with pytest.raises(ConfigError) as error:
        read_public_key(tmp_path / "a.pub")
    assert str(error.value).startswith(f"{tmp_path / 'a.pub'}: expected an Ed25519 public key")
    assert "\n" not in str(error.value)


def test_a_key_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.pub: No such file"):
        read_public_key(tmp_path / "none.pub")
    with pytest.raises(ConfigError, match="Is a directory"):
        read_public_key(tmp_path)


UNREADABLE = b"\xff not JSON at all"
"""Were it parsed, the complaint would be about this."""


@pytest.mark.parametrize("damage", [b"", b"\x00" * 64, SIGNED[:63], SIGNED + b"\n", b"\x00" * 999])
def test_without_a_right_signature_nothing_is_parsed(
    trusted: Path, tmp_path: Path, damage: bytes
) -> None:
    folder = sealed(tmp_path / "bundle", UNREADABLE, damage)
    line = refusal(folder, trusted)
    assert f"{folder / SIGNATURE}: by an unknown key, or of another manifest" in line
    assert "56475aa75463474c" in line


def test_an_unsigned_bundle_is_not_parsed_either(trusted: Path, tmp_path: Path) -> None:
    folder = sealed(tmp_path / "bundle", UNREADABLE, None)
    assert f"{folder}: not signed" in refusal(folder, trusted)
    (folder / SIGNATURE).mkdir()
    assert f"{folder}: not signed" in refusal(folder, trusted)


def test_a_signed_manifest_is_parsed_like_any_other(trusted: Path, tmp_path: Path) -> None:
    folder = sealed(tmp_path / "bundle", UNREADABLE, KEY.sign(DOMAIN + UNREADABLE))
    assert "not strict JSON" in refusal(folder, trusted)


def test_trust_that_cannot_be_read_opens_nothing(trusted: Path, tmp_path: Path) -> None:
    folder = sealed(tmp_path / "bundle", UNREADABLE, KEY.sign(DOMAIN + UNREADABLE))
    with pytest.raises(ConfigError, match=r"lost\.pub: No such file"):
        Bundle.open(folder, [trusted, tmp_path / "lost.pub"])


Load = Callable[[str], ReplayConfig | RunConfig]
LOADS: list[Load] = [
    lambda keys: load(ReplayConfig, overrides=["camera.hfov_deg=60", f"trusted_keys={keys}"]),
    lambda keys: load(
        RunConfig,
        overrides=["camera.hfov_deg=60", "bundle=b", "source.frames=f", f"trusted_keys={keys}"],
    ),
]


@pytest.mark.parametrize("loaded", LOADS)
def test_trusted_keys_are_paths(loaded: Load) -> None:
    config = loaded('["a.pub", "keys/b.pub"]')
    assert config.trusted_keys == (Path("a.pub"), Path("keys/b.pub"))


@pytest.mark.parametrize("loaded", LOADS)
@pytest.mark.parametrize("keys", ["[]", '"a.pub"', "[3]", "true"])
def test_trust_in_nobody_is_no_trust_in_everybody(loaded: Load, keys: str) -> None:
    with pytest.raises(ConfigError, match=r"^configuration: trusted_keys"):
        loaded(keys)


def test_by_default_nobody_is_asked() -> None:
    assert load(ReplayConfig, overrides=["camera.hfov_deg=60"]).trusted_keys is None
