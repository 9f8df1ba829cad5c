from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.export.keys import new_key, read_private_key, show, sign_list, write_list
from geobridge.onboard.bundle import MANIFEST, SEAL, SIGNATURE, check_signature
from geobridge.onboard.config import RunConfig, TrustConfig, load
from geobridge.onboard.errors import BundleError, ConfigError, DataError
from geobridge.onboard.signing import (
    BUNDLE_DOMAINS,
    DOMAIN,
    DOWNGRADE_DOMAIN,
    KEYS_DOMAIN,
    signer_of,
)
from geobridge.onboard.store.downgrade import check_downgrade, downgrade_bytes
from geobridge.onboard.trust import Trust, parse_key_list, read_key_list

Complaint = Callable[..., str]
RAW = b'{"format_version": 2}\n'


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with a pair of every kind."""
    folder = tmp_path / "keys"
    for name, purpose in (
        ("mine", "release"),
        ("lost", "release"),
        ("bench", "development"),
        ("root_a", "root"),
        ("root_b", "root"),
        ("stranger", "root"),
    ):
        new_key(folder / name, purpose)
    return folder


@pytest.fixture
def listed(keys: Path) -> Path:
    """A list of two release keys, one of them revoked, and one for development; signed twice."""
    path = keys / "keys.json"
    write_list(
        path,
        3,
        [keys / "mine.pub", keys / "lost.pub"],
        [keys / "bench.pub"],
        [str(keys / "lost.pub")],
    )
    for root in ("root_a", "root_b"):
        sign_list(path, keys / f"{root}.key")
    return path


def roots(keys: Path) -> tuple[Path, ...]:
    return keys / "root_a.pub", keys / "root_b.pub"


def trust_of(keys: Path, **more: object) -> TrustConfig:
    return TrustConfig(key_list=keys / "keys.json", root_keys=roots(keys), **more)


def signed_by(keys: Path, name: str) -> bytes:
    private = read_private_key(keys / f"{name}.key")
    return private.key.sign(BUNDLE_DOMAINS[private.purpose] + RAW)


def test_a_list_trusts_what_it_names_less_what_it_revokes(keys: Path, listed: Path) -> None:
    trust = Trust.of_device(None, trust_of(keys))
    assert trust is not None
    assert trust.list_version == 3
    assert signer_of(RAW, signed_by(keys, "mine"), trust.keys) is not None
    assert signer_of(RAW, signed_by(keys, "lost"), trust.keys) is None
    assert signer_of(RAW, signed_by(keys, "bench"), trust.keys) is None


def test_what_is_revoked_is_not_trusted_by_another_way(keys: Path, listed: Path) -> None:
    trust = Trust.of_device((keys / "lost.pub",), trust_of(keys))
    assert trust is not None
    assert signer_of(RAW, signed_by(keys, "lost"), trust.keys) is None


def test_development_keys_sign_for_devices_that_were_told_so(keys: Path, listed: Path) -> None:
    trust = Trust.of_device(None, trust_of(keys, development=True))
    assert trust is not None
    signer = signer_of(RAW, signed_by(keys, "bench"), trust.keys)
    assert signer is not None
    assert signer.purpose == "development"
    with pytest.raises(ConfigError, match=r"bench\.pub: a development key"):
        Trust.of_device((keys / "bench.pub",), TrustConfig())
    assert Trust.of_device((keys / "bench.pub",), TrustConfig(development=True)) is not None


def test_purposes_do_not_stand_in_for_each_other(keys: Path) -> None:
    release, bench = (Trust.of_files([keys / f"{name}.pub"]) for name in ("mine", "bench"))
    mine = read_private_key(keys / "mine.key").key
    assert signer_of(RAW, mine.sign(DOMAIN + RAW), release.keys) is not None
    for domain in (b"", KEYS_DOMAIN, DOWNGRADE_DOMAIN, BUNDLE_DOMAINS["development"]):
        assert signer_of(RAW, mine.sign(domain + RAW), release.keys) is None
    as_release = read_private_key(keys / "bench.key").key.sign(DOMAIN + RAW)
    assert signer_of(RAW, as_release, bench.keys) is None


@pytest.mark.parametrize("who", [("root_a",), ("root_a", "root_a"), ("root_a", "stranger"), ()])
def test_too_few_root_keys(keys: Path, who: tuple[str, ...]) -> None:
    path = keys / "keys.json"
    write_list(path, 1, [keys / "mine.pub"])
    (keys / "keys.json.sigs").write_text("")
    for name in who:
        sign_list(path, keys / f"{name}.key")
    with pytest.raises(ConfigError, match="of this device's 2 root keys signed it, 2 must"):
        read_key_list(path, roots(keys), 2)
    if who:
        assert read_key_list(path, roots(keys), 1).version == 1


def test_a_list_is_not_parsed_before_it_is_believed(keys: Path, listed: Path) -> None:
    listed.write_bytes(b"\xff no JSON")
    with pytest.raises(ConfigError, match="0 of this device's 2 root keys"):
        read_key_list(listed, roots(keys), 2)


def test_a_missing_or_endless_list(keys: Path, listed: Path) -> None:
    listed.write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(ConfigError, match="more than"):
        read_key_list(listed, roots(keys), 2)
    listed.write_bytes(b" " * (1 << 20))
    with pytest.raises(ConfigError, match="0 of this device's 2 root keys"):
        read_key_list(listed, roots(keys), 2)
    listed.unlink()
    with pytest.raises(ConfigError, match="No such file"):
        read_key_list(listed, roots(keys), 2)


def test_signatures_without_end(keys: Path, listed: Path) -> None:
    beside = keys / "keys.json.sigs"
    enough = beside.read_text()
    beside.write_text("0\n" * 61 + enough)
    assert read_key_list(listed, roots(keys), 2).version == 3
    beside.write_text("0\n" * 62 + enough)
    with pytest.raises(ConfigError, match="more than 64 lines"):
        read_key_list(listed, roots(keys), 2)


def test_nobody_left_to_trust_is_an_error(keys: Path) -> None:
    path = keys / "keys.json"
    write_list(path, 1, [keys / "mine.pub"], revoked=[str(keys / "mine.pub")])
    for root in ("root_a", "root_b"):
        sign_list(path, keys / f"{root}.key")
    with pytest.raises(ConfigError, match="nobody is trusted"):
        Trust.of_device(None, trust_of(keys))


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"format_version": 2}',
        '{"format_version": 1, "version": 1, "version": 2}',
        '{"format_version": 1, "version": NaN, "release": [], "development": [], "revoked": []}',
        '{"format_version": 1, "version": 0, "release": [], "development": [], "revoked": []}',
        '{"format_version": 1, "version": 1, "release": ["ab"], "development": [], "revoked": []}',
        '{"format_version": 1, "version": 1, "release": [], "development": [], "more": []}',
        "[" * 100_000,
    ],
)
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_key_list(text.encode(), "keys.json")
    assert "\n" not in str(error.value)


@given(st.binary(max_size=300))
def test_bytes_that_happen_to_come_are_an_error_of_one_line(raw: bytes) -> None:
    with pytest.raises(ConfigError) as error:
        parse_key_list(raw, "keys.json")
    assert "\n" not in str(error.value)


def test_a_key_in_two_purposes_is_refused(keys: Path) -> None:
    raw = read_private_key(keys / "mine.key").key.public_key().public_bytes_raw().hex()
    tree = {"format_version": 1, "version": 1, "release": [raw], "development": [raw]}
    with pytest.raises(ConfigError, match="stands twice"):
        parse_key_list(json.dumps({**tree, "revoked": []}).encode(), "keys.json")


@pytest.mark.parametrize(
    ("trust", "complaint"),
    [
        ("trust={key_list='a'}", "expected both or neither"),
        ("trust={root_keys=['a']}", "expected both or neither"),
        ("trust={key_list='k', root_keys=['a']}", "threshold: 2 of 1 root keys"),
        ("trust={threshold=0}", "trust.threshold"),
    ],
)
def test_a_trust_that_cannot_be_meant(trust: str, complaint: str) -> None:
    keys = ["camera.hfov_deg=60", "bundle=b", "source.frames=f", trust]
    with pytest.raises(ConfigError, match=complaint):
        load(RunConfig, overrides=keys)


def test_root_keys_vouch_for_no_bundle_and_others_for_no_list(
    keys: Path, listed: Path, complaint: Complaint
) -> None:
    with pytest.raises(ConfigError, match="a root key vouches for lists"):
        Trust.of_files([keys / "root_a.pub"])
    with pytest.raises(ConfigError, match="a release key, not a root key"):
        read_key_list(listed, [keys / "mine.pub"], 1)
    assert "lists are signed by root keys" in complaint(
        "keys", "sign", listed, "--key", keys / "mine.key"
    )
    assert "a root key signs lists" in complaint("sign", keys, "--key", keys / "root_a.key")
    assert "given as one for release" in complaint(
        "keys",
        "list",
        "-o",
        keys / "b.json",
        "--list-version",
        "1",
        "--release",
        keys / "bench.pub",
    )


def test_a_signature_says_whose_it_is(keys: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / MANIFEST).write_bytes(RAW)
    (folder / SEAL).write_text("")
    (folder / SIGNATURE).write_bytes(signed_by(keys, "mine"))
    signer = check_signature(folder, RAW, [keys / "mine.pub"])
    assert signer.fingerprint == read_private_key(keys / "mine.key").fingerprint
    with pytest.raises(BundleError, match="by an unknown key"):
        check_signature(folder, RAW, Trust(()))


def test_what_others_may_read_signs_nothing(keys: Path) -> None:
    (keys / "mine.key").chmod(0o640)
    with pytest.raises(DataError, match="others may read it"):
        read_private_key(keys / "mine.key")


def test_nothing_of_a_private_key_is_told(
    keys: Path, listed: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    from geobridge.onboard.cli import main

    with caplog.at_level(logging.DEBUG):
        assert main(["keys", "show", str(keys / "mine.key")]) == 0
        assert main(["keys", "sign", str(listed), "--key", str(keys / "root_b.key")]) == 0
        told = repr(read_private_key(keys / "mine.key")) + caplog.text + capsys.readouterr().out
    for name in ("mine", "root_b"):
        assert stat.S_IMODE((keys / f"{name}.key").stat().st_mode) == 0o600
        secret = read_private_key(keys / f"{name}.key").key.private_bytes_raw()
        body = (keys / f"{name}.key").read_text().splitlines()[-2]
        for form in (secret.hex(), repr(secret), body):
            assert form not in told
            assert form not in str(os.environ)


def test_what_is_neither_key_nor_list(keys: Path, complaint: Complaint) -> None:
    assert f"{keys}: Is a directory" in complaint("keys", "show", keys)
    line = complaint("keys", "sign", keys, "--key", keys / "root_a.key")
    assert f"{keys}: Is a directory" in line
    (keys / "keys.txt").write_text("no list")
    (keys / "long").write_bytes(b" " * ((1 << 20) + 1))
    assert "more than 1048576 bytes" in complaint("keys", "show", keys / "long")
    assert "no list of keys" in complaint("keys", "show", keys / "keys.txt")


def test_show_tells_a_list(keys: Path, listed: Path) -> None:
    told = show(listed, roots(keys))
    assert told["version"] == 3
    assert len(told["trusted"]) == 2
    assert told["revoked"] == [read_private_key(keys / "lost.key").fingerprint]
    with pytest.raises(ConfigError, match="0 of this device's 1 root keys"):
        show(listed, [keys / "stranger.pub"], 1)


def test_a_word_for_going_back_holds_for_one_bundle_and_one_floor(
    keys: Path, tmp_path: Path
) -> None:
    private, trust = read_private_key(keys / "mine.key").key, Trust.of_files([keys / "mine.pub"])
    word = downgrade_bytes(RAW, 7)
    path = tmp_path / "bundle.downgrade"
    path.write_bytes(private.sign(DOWNGRADE_DOMAIN + word) + word)
    check_downgrade(path, RAW, 7, trust)
    with pytest.raises(BundleError, match="from version 7, but 8 is the newest here"):
        check_downgrade(path, RAW, 8, trust)
    with pytest.raises(BundleError, match="about another bundle"):
        check_downgrade(path, RAW + b" ", 7, trust)
    for forged in (
        private.sign(DOMAIN + word) + word,
        bytes(64) + word,
        word,
        b"",
        private.sign(DOWNGRADE_DOMAIN + word) + word + b" ",
        bytes(5000),
        private.sign(DOWNGRADE_DOMAIN + bytes(4033)) + bytes(4033),
    ):
        path.write_bytes(forged)
        with pytest.raises(BundleError, match="no word of a trusted key"):
            check_downgrade(path, RAW, 7, trust)
    for said, complaint in (
        (b" " * 4032, "not strict JSON"),
        (b"{}", "Field required"),
        (b'{"format_version": 1, "format_version": 1}', "stands twice"),
    ):
        path.write_bytes(private.sign(DOWNGRADE_DOMAIN + said) + said)
        with pytest.raises(BundleError, match=complaint):
            check_downgrade(path, RAW, 7, trust)
    path.unlink()
    with pytest.raises(BundleError, match="No such file"):
        check_downgrade(path, RAW, 7, trust)
