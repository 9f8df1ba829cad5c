from __future__ import annotations

import json
import logging
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")

from geobridge.export.keys import new_key
from geobridge.export.signing import sign
from geobridge.onboard import durable
from geobridge.onboard.bundle import MANIFEST, SEAL, SIGNATURE, Bundle, sha256, write_manifest
from geobridge.onboard.camera import Camera
from geobridge.onboard.config import LocalizerConfig
from geobridge.onboard.errors import BundleError, DataError
from geobridge.onboard.localization.opened import open_localizer
from geobridge.onboard.verify_bundle import verify

Complaint = Callable[..., str]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return Path(new_key(tmp_path / "keys/release")["private key"])


@pytest.fixture
def bundle(rehearsal: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(rehearsal / "bundle", tmp_path / "bundle"))


def trusting(key: Path) -> list[Path]:
    return [key.with_suffix(".pub")]


def test_the_private_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = new_key(tmp_path / "a.release")
    finally:
        os.umask(before)
    assert made["private key"] == str(tmp_path / "a.release.key")
    assert stat.S_IMODE((tmp_path / "a.release.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "a.release.pub").stat().st_mode) == 0o644
    assert new_key(tmp_path / "b")["fingerprint"] != made["fingerprint"]


@pytest.mark.parametrize("there", ["a.key", "a.pub"])
def test_a_key_is_never_overwritten(tmp_path: Path, complaint: Complaint, there: str) -> None:
    (tmp_path / there).write_text("precious")
    assert f"{tmp_path / there}: exists" in complaint("keys", "new", "-o", tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "precious"


def test_a_folder_is_no_name_of_a_key(tmp_path: Path, complaint: Complaint) -> None:
    line = complaint("keys", "new", "-o", f"{tmp_path}/")
    assert f"{tmp_path}: a folder; expected the name of a key" in line


def test_a_signed_bundle_opens_for_whoever_trusts_the_key(bundle: Path, key: Path) -> None:
    said = sign(bundle, key)
    opened = Bundle.open(bundle, trusting(key))
    assert said["signed by"] == f"key {opened.signed_by}"
    assert Bundle.open(bundle).signed_by is None
    assert (bundle / SIGNATURE).stat().st_size == 64


def test_signing_twice_gives_the_same_and_another_key_takes_over(
    bundle: Path, key: Path, tmp_path: Path
) -> None:
    sign(bundle, key)
    before = (bundle / SIGNATURE).read_bytes()
    sign(bundle, key)
    assert (bundle / SIGNATURE).read_bytes() == before
    other = Path(new_key(tmp_path / "keys/other")["private key"])
    sign(bundle, other)
    assert Bundle.open(bundle, trusting(key) + trusting(other)).signed_by is not None
    with pytest.raises(BundleError, match="by an unknown key"):
        Bundle.open(bundle, trusting(key))


def test_a_manifest_changed_after_signing_is_refused(bundle: Path, key: Path) -> None:
    sign(bundle, key)
    changed = Bundle.open(bundle).manifest.model_copy(update={"bundle_version": 99})
    write_manifest(bundle, changed)  # with the digest that belongs to it
    with pytest.raises(BundleError, match=r"manifest\.sig: by an unknown key, or of another"):
        Bundle.open(bundle, trusting(key))


def test_a_file_changed_after_signing_is_refused(bundle: Path, key: Path) -> None:
    sign(bundle, key)
    path = bundle / "reference/descriptors.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="changed since it was packed"):
        Bundle.open(bundle, trusting(key))
    manifest = json.loads((bundle / MANIFEST).read_text())
    [entry] = [e for e in manifest["files"] if e["role"] == "descriptors"]
    entry["sha256"] = sha256(path)
    raw = json.dumps(manifest).encode()
    (bundle / MANIFEST).write_bytes(raw)
    (bundle / SEAL).write_text(sha256(bundle / MANIFEST) + "\n")
    Bundle.open(bundle)  # nothing but the signature tells
    with pytest.raises(BundleError, match=r"manifest\.sig"):
        Bundle.open(bundle, trusting(key))


def test_what_is_no_bundle_or_not_older_is_not_signed(
    bundle: Path, key: Path, complaint: Complaint
) -> None:
    assert f"{key}: not a bundle" in complaint("sign", key, "--key", key)
    line = complaint("sign", bundle, "--key", key, "--downgrade-from", 1)
    assert "--downgrade-from 1: the bundle has version 1" in line
    assert not (bundle / SIGNATURE).exists()


def test_a_word_lies_beside_the_bundle_in_which_one_stands(
    bundle: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle)
    assert sign(Path(), key, 7)["downgrade"] == f"{bundle}.downgrade"
    monkeypatch.chdir(bundle / "reference")
    assert sign(Path(".."), key, 7)["downgrade"] == f"{bundle}.downgrade"
    assert f"{bundle}.downgrade" in map(str, bundle.parent.iterdir())


def test_nobody_vouches_for_a_damaged_bundle(bundle: Path, key: Path, complaint: Complaint) -> None:
    (bundle / "reference/places.npy").write_bytes(b"")
    assert "places.npy: 0 bytes, the manifest says" in complaint("sign", bundle, "--key", key)
    assert not (bundle / SIGNATURE).exists()


def test_signing_that_was_cut_off_is_mended_by_signing_again(bundle: Path, key: Path) -> None:
    (bundle / f"{durable.TEMPORARY_PREFIX}{SIGNATURE}").write_bytes(b"half")
    with pytest.raises(BundleError, match="not named in"):
        Bundle.open(bundle)
    sign(bundle, key)
    Bundle.open(bundle, trusting(key))


def test_packing_again_leaves_no_signature(
    rehearsal: Path, bundle: Path, key: Path, complaint: Complaint
) -> None:
    from geobridge.export.pack import pack

    sign(bundle, key)
    pack(rehearsal / "map.tif", rehearsal / "encoders", bundle, spacing_m=50.0)
    assert f"{bundle}: not signed" in complaint("verify", bundle, "--trust", *trusting(key))


@pytest.mark.parametrize("content", [b"", b"no key"])
def test_a_private_key_that_is_none(
    bundle: Path, tmp_path: Path, complaint: Complaint, content: bytes
) -> None:
    (tmp_path / "a.key").write_bytes(content)
    line = complaint("sign", bundle, "--key", tmp_path / "a.key")
    assert f"{tmp_path / 'a.key'}: expected an Ed25519 private key" in line


def test_the_public_key_signs_nothing(bundle: Path, key: Path, complaint: Complaint) -> None:
    line = complaint("sign", bundle, "--key", *trusting(key))
    assert f"{key.with_suffix('.pub')}: expected an Ed25519 private key" in line


def test_a_key_with_a_password(bundle: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    locked = Ed25519PrivateKey.generate().private_bytes(
        pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.BestAvailableEncryption(b"secret")
    )
    (tmp_path / "a.key").write_bytes(locked)
    with pytest.raises(DataError, match=r"a\.key: expected a key without a password"):
        sign(bundle, tmp_path / "a.key")


def test_verify_says_who_signed(bundle: Path, key: Path, complaint: Complaint) -> None:
    assert verify(bundle)["signature"] == "not signed"
    assert "not signed" in complaint("verify", bundle, "--trust", *trusting(key))
    signer = sign(bundle, key)["signed by"]
    assert verify(bundle)["signature"].startswith("by a key unknown here")
    assert verify(bundle, trusting(key))["signature"] == f"by {signer}, which is trusted"


def test_flying_without_trust_warns_and_with_it_says_whose(
    bundle: Path, key: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config, camera = LocalizerConfig(), Camera.from_hfov(320, 240, 70.0)
    with caplog.at_level(logging.INFO):
        open_localizer(bundle, config, camera)
    [warning] = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "nobody vouches for it" in warning.getMessage()
    caplog.clear()
    signer = sign(bundle, key)["signed by"]
    with caplog.at_level(logging.INFO):
        open_localizer(bundle, config, camera, trusted_keys=trusting(key))
    assert f"{bundle}: signed by {signer}" in [r.getMessage() for r in caplog.records]
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


def test_a_flight_that_trusts_a_key_refuses_the_rest(
    rehearsal: Path, key: Path, tmp_path: Path, complaint: Complaint
) -> None:
    trust = f'trusted_keys=["{key.with_suffix(".pub")}"]'
    flight, bundle = rehearsal / "flight", rehearsal / "bundle"
    words = ["--telemetry", flight / "telemetry.csv", "--bundle", bundle, "-o", tmp_path / "out"]
    more = ["camera.hfov_deg=70", trust]
    assert f"{bundle}: not signed" in complaint("replay", flight / "flight.mp4", *words, *more)
    assert not (tmp_path / "out").exists()
    config = tmp_path / "onboard.toml"
    config.write_text(
        f'bundle = "{bundle}"\n{trust}\n[camera]\nhfov_deg = 70.0\n'
        f'[source]\nframes = "{flight / "flight.mp4"}"\ntelemetry = "{flight / "telemetry.csv"}"\n'
    )
    assert f"{bundle}: not signed" in complaint("run", config)
