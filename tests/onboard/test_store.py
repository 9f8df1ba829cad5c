"""`geobridge install`: what comes in, what does not, and what flies then."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from geobridge.export.keys import new_key, sign_list, write_list
from geobridge.export.signing import sign
from geobridge.onboard.bundle import MANIFEST, Bundle, sha256, write_manifest
from geobridge.onboard.cli import main
from geobridge.onboard.errors import BundleError
from geobridge.onboard.store import install as installing
from geobridge.onboard.store import probe as probing
from geobridge.onboard.store.aboard import fallen_back
from geobridge.onboard.store.install import install
from geobridge.onboard.store.intake import take_in
from geobridge.onboard.store.sources import HOW, TarSource, open_source, parse_header
from geobridge.onboard.store.state import FILES, SlotEntry, State, read_state, write_state
from geobridge.onboard.store.status import told
from geobridge.onboard.store.store import DAEMON, FLIGHT, Lock, Store
from geobridge.onboard.trust import Trust
from tests.small_bundle import signed_bundle

Complaint = Callable[..., str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two signed bundles, versions 1 and 2, and the key; nobody changes them."""
    folder = tmp_path_factory.mktemp("made")
    signed_bundle(folder / "one", 1)
    signed_bundle(folder / "two", 2, seed=1)
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path) -> Path:
    """Copies of them, and the configuration of a daemon with an empty store."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    (tmp_path / "onboard.toml").write_text(
        f'bundle = "store:{tmp_path}/store"\ntrusted_keys = ["{tmp_path}/release.pub"]\n'
        '[camera]\nhfov_deg = 70.0\n[source]\nframes = "camera:0"\n'
    )
    return tmp_path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe in this process, for tests that are not about it."""
    monkeypatch.setattr(installing, "probe", probing.try_out)


def installed(here: Path, name: str, **more: Any) -> dict[str, Any]:
    return install(here / name, here / "onboard.toml", on_the_bench=True, **more)


def refusal(here: Path, name: str, **more: Any) -> str:
    before = Store(here / "store").state()
    with pytest.raises(BundleError) as error:
        installed(here, name, **more)
    after = Store(here / "store").state()
    assert "\n" not in str(error.value)
    assert (after.active, after.slots) == (before.active, before.slots)
    assert not list((here / "store").glob(".partial-*"))
    return str(error.value)


def test_a_bundle_comes_in_by_the_command_and_its_probe(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(here / "one"), "--config", str(here / "onboard.toml"), "--on-the-bench"]
    assert main(["install", *words, "--json"]) == 0
    told_now = json.loads(capsys.readouterr().out)
    assert told_now["active"] == "slot a"
    assert main(["status", "--config", str(here / "onboard.toml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == told_now
    kept = Bundle.open(here / "store/a", [here / "release.pub"])
    assert kept.manifest == Bundle.open(here / "one").manifest
    modes = {stat.S_IMODE(path.stat().st_mode) for path in kept.path.rglob("*") if path.is_file()}
    assert modes == {0o440}
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o700


def test_the_next_one_goes_into_the_other_slot(here: Path, quick: None) -> None:
    installed(here, "one")
    facts = installed(here, "two")
    assert facts["active"] == "slot b"
    assert facts["newest version"] == 2
    assert (here / "store/a" / MANIFEST).exists()
    assert installed(here, "two") == facts


def tar_of(folder: Path, out: Path, names: Iterator[str] | None = None) -> Path:
    head = ["manifest.json", "manifest.sha256", "manifest.sig"]
    with tarfile.open(out, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name in names or [*head, "encoders", "known_answers", "reference"]:
            tar.add(folder / name, name)
    return out


def test_a_tar_is_as_good_as_a_folder(here: Path, quick: None) -> None:
    tar_of(here / "one", here / "one.tar")
    installed(here, "one.tar")
    assert Bundle.open(here / "store/a").manifest == Bundle.open(here / "one").manifest


def in_tar(here: Path, change: Callable[[tarfile.TarInfo], tarfile.TarInfo | None]) -> str:
    with tarfile.open(here / "bad.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        head = ["manifest.json", "manifest.sha256", "manifest.sig"]
        for name in [*head, "encoders", "known_answers", "reference"]:
            tar.add(here / "one" / name, name, filter=change)
    return refusal(here, "bad.tar")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
@pytest.mark.fault("B5", "links and devices in a tar", "refused")
def test_links_and_devices_in_a_tar(here: Path, kind: bytes) -> None:
    def change(info: tarfile.TarInfo) -> tarfile.TarInfo:
        if info.name.endswith("places.npy"):
            info.type, info.linkname, info.size = kind, "/etc/passwd", 0
        return info

    assert "is neither file nor folder" in in_tar(here, change)


@pytest.mark.parametrize("name", ["../places.npy", "/etc/places.npy", "reference/./../x", "x" * 90])
@pytest.mark.fault("B5", "paths that lead elsewhere", "refused")
def test_other_paths_in_a_tar(here: Path, name: str) -> None:
    def change(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.name = name if info.name.endswith("places.npy") else info.name
        return info

    assert "not named in manifest.json" in in_tar(here, change)
    assert not (here / "places.npy").exists()


def test_what_is_missing_or_more_or_not_first_in_a_tar(here: Path) -> None:
    def without(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if info.name.endswith("places.npy") else info

    assert "bad.tar: reference/places.npy: missing" in in_tar(here, without)
    (here / "one/reference/more.npy").write_bytes(b"more")
    assert "not named in manifest.json" in in_tar(here, lambda info: info)
    tar_of(here / "one", here / "bad.tar", iter(["reference", "manifest.json"]))
    assert "before anything else" in refusal(here, "bad.tar")
    with tarfile.open(here / "pax.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("manifest.json")
        info.pax_headers = {"comment": "x" * 9000}
        tar.addfile(info, io.BytesIO())
    assert "is neither file nor folder" in refusal(here, "pax.tar")


def test_the_tar_that_is_advised_comes_in_and_others_are_told_of_it(
    here: Path, quick: None
) -> None:
    assert "cd BUNDLE && tar " in HOW
    command = HOW.partition(": ")[2].replace("BUNDLE", "one")
    (here / "one.tar.gz").write_bytes(b"\x1f\x8b" * 400)
    (here / "one.txt").write_text("no tar at all")
    for name in ("one.tar.gz", "one.txt"):
        assert f"{name}: neither a folder nor a POSIX tar; {HOW}" in refusal(here, name)
    tar_of(here, here / "around.tar", iter(["one"]))
    assert f"before anything else; {HOW}" in refusal(here, "around.tar")
    subprocess.run(["bash", "-c", command], cwd=here, check=True)
    installed(here, "one.tar")


def test_a_tar_cut_anywhere(here: Path, quick: None) -> None:
    """Also within the header of a file without content, which nothing but its length tells."""
    content = tar_of(here / "one", here / "one.tar").read_bytes()
    for size in (511, 512, 700, 100_000):
        (here / "cut.tar").write_bytes(content[:size])
        assert "cut.tar" in refusal(here, "cut.tar")
    header = tarfile.TarInfo("places.npy").tobuf(tarfile.USTAR_FORMAT)
    with pytest.raises(BundleError, match="cut off"):
        parse_header(header[:500], "x.tar")


def test_a_file_twice_in_a_tar(here: Path) -> None:
    tar_of(here / "one", here / "bad.tar")
    with tarfile.open(here / "bad.tar", "a", format=tarfile.USTAR_FORMAT) as tar:
        tar.add(here / "one/reference/places.npy", "reference/places.npy")
    assert "not named, or is there twice" in refusal(here, "bad.tar")


@given(st.binary(max_size=1500))
def test_any_bytes_are_no_tar_and_no_crash(content: bytes) -> None:
    source = TarSource(io.BytesIO(content), "x.tar")
    try:
        names = [member.name for member in source.members(["a", "b"])]
    except BundleError:
        return
    assert not names or content.strip(b"\0")


@given(st.integers(0, 511), st.integers(1, 255))
def test_a_damaged_header_is_seen(at: int, change: int) -> None:
    header = bytearray(tarfile.TarInfo("reference/places.npy").tobuf(tarfile.USTAR_FORMAT))
    header[at] ^= change
    with pytest.raises(BundleError):
        parse_header(bytes(header), "x.tar")


@pytest.mark.fault("B5", "links, devices and folders for files", "refused")
def test_a_folder_with_links_or_devices(here: Path, quick: None) -> None:
    place = here / "one/reference/places.npy"
    content = place.read_bytes()
    (here / "elsewhere").write_bytes(content)
    place.unlink()
    place.symlink_to(here / "elsewhere")
    assert "links are not followed" in refusal(here, "one")
    place.unlink()
    assert refusal(here, "one").endswith("places.npy: No such file or directory")
    os.mkfifo(place)
    assert "not a plain file" in refusal(here, "one")
    place.unlink()
    place.mkdir()
    assert "not a plain file" in refusal(here, "one")
    shutil.move(here / "one/reference", here / "moved")
    (here / "one/reference").symlink_to(here / "moved")
    assert "links are not followed" in refusal(here, "one")


@pytest.mark.parametrize("damage", ["longer", "shorter", "other"])
def test_a_file_that_is_not_what_was_signed(here: Path, damage: str) -> None:
    path = here / "one/reference/places.npy"
    content = path.read_bytes()
    other = {"longer": content + b"\0", "shorter": content[:-1], "other": b"\1" + content[1:]}
    path.write_bytes(other[damage])
    wanted = "sha256 differs" if damage == "other" else "bytes, the manifest says"
    assert wanted in refusal(here, "one")


def test_nothing_is_copied_of_what_nobody_signed(here: Path) -> None:
    (here / "one/manifest.sig").unlink()
    assert "manifest.sig" in refusal(here, "one")
    new_key(here / "stranger")
    sign(here / "one", here / "stranger.key")
    assert "by an unknown key" in refusal(here, "one")


def test_what_comes_first_is_whole_and_small(here: Path) -> None:
    tar_of(here / "one", here / "bad.tar", iter(["manifest.json", "manifest.sha256"]))
    assert "manifest.sig: missing" in refusal(here, "bad.tar")
    seal = here / "one/manifest.sha256"
    text = seal.read_text()
    seal.write_text(text + "\n")
    assert "manifest.sha256: 66 bytes, at most 65 expected" in refusal(here, "one")
    seal.write_text("0" + text[1:] if text[0] != "0" else "1" + text[1:])
    assert f"{here / 'one'}: manifest.json: changed since it was packed" in refusal(here, "one")
    tar_of(here / "one", here / "bad.tar", iter(["manifest.json"] * 2))
    assert "'manifest.json': expected" in refusal(here, "bad.tar")


def test_a_refusal_names_the_bundle(here: Path, quick: None) -> None:
    new_key(here / "stranger")
    sign(here / "two", here / "stranger.key")
    assert refusal(here, "two").startswith(f"{here / 'two'}: manifest.sig: by an unknown key")
    sign(here / "two", here / "release.key")
    installed(here, "two")
    assert refusal(here, "one").startswith(f"{here / 'one'}: bundle_version 1: 2 was installed")
    tar_of(here / "one", here / "bad.tar", iter(["manifest.json"]))
    assert refusal(here, "bad.tar").startswith(f"{here / 'bad.tar'}: manifest.sha256: missing")


def test_no_room(here: Path, monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    """64 MiB are left free, and not a byte less."""
    usage, needed = shutil.disk_usage(here), Bundle.open(here / "one").size_bytes + 67_108_864
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed - 1))
    assert f"{needed - 1} are free" in refusal(here, "one")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=needed))
    installed(here, "one")


@pytest.mark.fault("B8", "no space while installing", "the old bundle, whole")
def test_a_full_disk_ends_clean(here: Path, monkeypatch: pytest.MonkeyPatch, quick: None) -> None:
    installed(here, "one")
    synced = os.fsync
    left = [12]

    def full(handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        synced(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left.*store/\.partial-b"):
        installed(here, "two")
    monkeypatch.undo()
    assert read_state(here / "store").active == "a"
    Bundle.open(here / "store/a", [here / "release.pub"])


@pytest.mark.parametrize("engine", ["crash", "hang", "memory"])
def test_a_probe_that_does_not_end_well_is_a_refusal(
    here: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """Real processes that do what a native library might."""
    code = {
        "crash": "import os; os.kill(os.getpid(), 11)",
        "hang": "import time; time.sleep(60)",
        "memory": "import sys; sys.exit('no memory')",
    }[engine]
    run = subprocess.run

    def instead(command: list[str], **more: Any) -> Any:
        return run([sys.executable, "-c", code], **{**more, "timeout": 2.0})

    monkeypatch.setattr(subprocess, "run", instead)
    wanted = {"crash": "ended by SIGSEGV", "hang": "without an end", "memory": "no memory"}
    assert wanted[engine] in refusal(here, "one")


@pytest.mark.fault("P3", "more memory than there is", "MemoryError, a refusal")
def test_the_probe_is_limited(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle that needs more than there is to be had."""
    code = (
        "import resource, sys; from geobridge.onboard.store import probe;"
        "probe.MEMORY_BYTES = 300 << 20; probe._limit('onnxruntime');"
        "x = bytearray(400 << 20)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "MemoryError" in done.stderr


@pytest.mark.fault("B4", "an older signed bundle", "refused without a signed word")
def test_versions_only_rise(here: Path, quick: None) -> None:
    installed(here, "two")
    line = refusal(here, "one")
    assert "bundle_version 1: 2 was installed before" in line
    sign(here / "one", here / "release.key", downgrade_from=3)
    word = here / "one.downgrade"
    assert "from version 3, but 2 is the newest here" in refusal(here, "one", downgrade=word)
    sign(here / "one", here / "release.key", downgrade_from=2)
    facts = installed(here, "one", downgrade=word)
    assert facts["newest version"] == 2
    assert "version 1" in facts[f"slot {facts['active'][-1]}"]
    installed(here, "one")  # it flies: nothing to do
    assert "2 was installed before" in refusal(here, "two")


def test_going_back_to_the_other_slot_needs_the_word_too(here: Path, quick: None) -> None:
    installed(here, "one")
    installed(here, "two")
    assert "2 was installed before" in refusal(here, "one")
    sign(here / "one", here / "release.key", downgrade_from=2)
    assert installed(here, "one", downgrade=here / "one.downgrade")["active"] == "slot a"


def repacked(folder: Path, key: Path, **changes: Any) -> None:
    manifest = Bundle.open(folder).manifest.model_copy(update=changes)
    write_manifest(folder, manifest)
    sign(folder, key)


@pytest.mark.fault("B4", "version 2^63", "refused")
def test_a_version_from_far_ahead(here: Path, quick: None) -> None:
    installed(here, "one")
    repacked(here / "two", here / "release.key", bundle_version=100_002)
    assert "at most 100001 can follow 1" in refusal(here, "two")
    repacked(here / "two", here / "release.key", bundle_version=2**63)
    assert "at most" in refusal(here, "two")
    repacked(here / "two", here / "release.key", bundle_version=100_001)
    installed(here, "two")


def test_a_first_version_from_far_ahead(here: Path, quick: None) -> None:
    repacked(here / "one", here / "release.key", bundle_version=1_000_000_001)
    assert "at most 1000000000 can follow 0" in refusal(here, "one")
    repacked(here / "one", here / "release.key", bundle_version=1_000_000_000)
    installed(here, "one")


def test_a_bundle_that_is_bad_never_empties_the_other_slot(here: Path, quick: None) -> None:
    installed(here, "one")
    installed(here, "two")
    places = here / "two/reference/places.npy"
    places.write_bytes(bytes(places.stat().st_size))
    manifest = Bundle(here / "two", Bundle.open(here / "store/b").manifest).manifest
    files = tuple(
        entry.model_copy(update={"sha256": sha256(places)})
        if entry.path == "reference/places.npy"
        else entry
        for entry in manifest.files
    )
    write_manifest(here / "two", manifest.model_copy(update={"files": files, "bundle_version": 3}))
    sign(here / "two", here / "release.key")
    assert "not a plain array" in refusal(here, "two")
    Bundle.open(here / "store/a", [here / "release.pub"])


def flying(here: Path, *names: str) -> list[Lock]:
    locks = [Lock(here / "store" / name) for name in names]
    assert all(lock.take() for lock in locks)
    return locks


@pytest.mark.fault("B7", "an installation while armed", "it waits")
def test_activation_waits_for_the_ground(here: Path, quick: None, caplog: Any) -> None:
    installed(here, "one")
    locks = flying(here, DAEMON, FLIGHT)
    with pytest.raises(SystemExit) as end:
        install(here / "two", here / "onboard.toml")
    assert end.value.code == 1
    assert "slot b is ready and does not fly yet: the daemon runs, and the vehicle" in caplog.text
    with pytest.raises(SystemExit):
        installed(here, "two")  # being on the bench does not overrule a daemon that flies
    store = Store(here / "store")
    assert store.state().active == "a"
    assert told(store)["daemon"].startswith("running, armed")
    locks[1].give()
    assert install(here / "two", here / "onboard.toml")["active"] == "slot b"
    for lock in locks:
        lock.close()


def test_without_a_daemon_the_autopilot_is_asked(
    here: Path, quick: None, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr("geobridge.onboard.store.ground.HEARD_S", 0.3)
    with pytest.raises(SystemExit):
        install(here / "one", here / "onboard.toml")
    assert "the daemon does not run, and the autopilot does not say" in caplog.text
    assert Store(here / "store").state().active is None


def test_the_newest_one_comes_again_where_it_was_damaged(here: Path, quick: None) -> None:
    installed(here, "one")
    store = Store(here / "store")
    store.change(lambda state: state.with_slot("a", standing="good"))
    installed(here, "two")
    store.change(lambda state: fallen_back(state, "b", "places.npy: changed"))
    places = here / "store/b/reference/places.npy"
    places.chmod(0o600)
    places.write_bytes(b"")
    facts = installed(here, "two")
    assert facts["active"] == "slot b"
    assert "version 2, trial" in facts["slot b"]
    Bundle.open(here / "store/b", [here / "release.pub"])
    store.change(lambda state: state.with_slot("a", standing="bad"))
    assert "bundle_version 1: 2 was installed before" in refusal(here, "one"), "an older one"
    repacked(here / "one", here / "release.key", bundle_version=2)
    assert "bundle_version 2: 2 was installed before" in refusal(here, "one"), "another one"


def test_one_that_comes_again_is_known_where_that_was_cut_off(
    here: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(here, "one")
    store = Store(here / "store")
    store.change(lambda state: fallen_back(state, "a", "places.npy: changed"))
    monkeypatch.setattr(Store, "put", cut)
    with pytest.raises(KeyboardInterrupt):
        installed(here, "one")
    monkeypatch.undo()
    assert store.state().standing("a") == "bad"
    assert installed(here, "one")["active"] == "slot a"


def cut(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_installation_that_is_stopped_leaves_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(installing, "probe", cut)
    words = [str(here / "one"), "--config", str(here / "onboard.toml"), "--on-the-bench"]
    assert main(["install", *words]) == 130
    assert capsys.readouterr().err.endswith("geobridge install: interrupted\n")
    assert not list((here / "store").glob(".partial-*"))


def test_whatever_lies_in_the_way_is_put_away(here: Path, quick: None) -> None:
    """A link where a slot goes, and links that were left half taken away."""
    (here / "elsewhere").mkdir()
    (here / "elsewhere/precious").touch()
    (here / "store").mkdir()
    (here / "store/a").symlink_to(here / "elsewhere")
    (here / "store/.partial-going-a").symlink_to(here / "elsewhere")
    (here / "store/.partial-b").write_text("a file")
    installed(here, "one")
    assert not (here / "store/a").is_symlink()
    assert not list((here / "store").glob(".partial-*"))
    assert (here / "elsewhere/precious").exists()


@pytest.mark.parametrize("command", [["install", "one"], ["status"]])
def test_a_store_that_is_a_file(here: Path, complaint: Complaint, command: list[str]) -> None:
    (here / "store").write_text("")
    words = [here / word if word == "one" else word for word in command]
    line = complaint(*words, "--config", here / "onboard.toml")
    assert f"expected a folder, or store:FOLDER, found store:{here / 'store'}" in line


def test_asking_makes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Root who asks would else leave locks that the daemon cannot open."""
    (here / "store").mkdir()
    assert main(["status", "--config", str(here / "onboard.toml")]) == 0
    assert "nothing was activated yet" in capsys.readouterr().out
    assert list((here / "store").iterdir()) == []


def test_root_installs_nothing_that_the_daemon_cannot_read(
    here: Path, monkeypatch: pytest.MonkeyPatch, complaint: Complaint
) -> None:
    (here / "store").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    real = Path.stat

    def of_another(path: Path, **more: Any) -> os.stat_result:
        found = real(path, **more)
        return os.stat_result((*found[:4], 997, *found[5:10])) if path.name == "store" else found

    monkeypatch.setattr(Path, "stat", of_another)
    line = complaint("install", here / "one", "--config", here / "onboard.toml")
    assert f"{here / 'store'}: belongs to user 997" in line
    assert line.rstrip().endswith(f"sudo -u '#997' {sys.argv[0]} install")
    assert list((here / "store").iterdir()) == []


def test_what_the_daemon_has_open_is_not_written_over(here: Path, quick: None) -> None:
    installed(here, "one")
    installed(here, "two")
    [lock] = flying(here, "a.lock")
    repacked(here / "one", here / "release.key", bundle_version=3)
    assert "still flies slot a" in refusal(here, "one")
    lock.close()


def test_the_last_good_one_is_kept_while_the_new_one_is_on_trial(here: Path, quick: None) -> None:
    installed(here, "one")
    store = Store(here / "store")
    store.change(lambda state: state.with_slot("a", standing="good"))
    installed(here, "two")
    repacked(here / "one", here / "release.key", bundle_version=3)
    assert "slot a is what it would fall back to" in refusal(here, "one")
    store.change(lambda state: state.with_slot("b", standing="good"))
    assert installed(here, "one")["active"] == "slot a", "two good ones: the older makes room"


def test_one_installation_at_a_time(here: Path) -> None:
    store = Store(here / "store")
    with store.installing(), pytest.raises(BundleError, match="another installation"):
        installed(here, "one")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('bundle = "runs/bundle"', "expected store:FOLDER, found runs/bundle"),
        ('bundle = "store:"', "expected a folder, or store:FOLDER"),
        ("", "a store takes signed bundles alone"),
    ],
)
def test_a_configuration_that_installs_nothing(
    here: Path, said: str, line: str, complaint: Complaint
) -> None:
    text = (here / "onboard.toml").read_text()
    bundle, keys, rest = text.split("\n", 2)
    lines = [line, keys] if line else [bundle]
    (here / "onboard.toml").write_text("\n".join([*lines, rest]))
    assert said in complaint("install", here / "one", "--config", here / "onboard.toml")


def test_an_older_list_of_keys_is_not_taken(here: Path, quick: None) -> None:
    new_key(here / "root", "root")
    for version in (1, 2):
        path = here / f"keys{version}.json"
        write_list(path, version, [here / "release.pub"])
        sign_list(path, here / "root.key")
    text = (here / "onboard.toml").read_text()

    def listed(version: int) -> None:
        trust = f'trust = {{ key_list = "{here}/keys{version}.json", threshold = 1,'
        trust += f' root_keys = ["{here}/root.pub"] }}\n'
        (here / "onboard.toml").write_text(trust + text)

    listed(2)
    assert installed(here, "one")["key list"] == 2
    listed(1)
    assert "trust.key_list: version 1, and 2 was seen" in refusal(here, "two")


ENTRY = SlotEntry(
    bundle_version=1, manifest_sha256="0" * 64, signed_by="0" * 16, standing="good", why=""
)


@given(st.integers(0, 1), st.integers(0, 10_000), st.integers(0, 255))
def test_one_damaged_state_file_leaves_the_one_before(which: int, at: int, value: int) -> None:
    with TemporaryDirectory() as folder:
        _damage_one(Path(folder), which, at, value)


def _damage_one(folder: Path, which: int, at: int, value: int) -> None:
    before = write_state(folder, State(slots={"a": ENTRY}, active="a", newest_version=1))
    after = write_state(folder, before.model_copy(update={"newest_version": 2}))
    path = folder / FILES[which]
    content = bytearray(path.read_bytes())
    content[at % len(content)] = value
    path.write_bytes(content)
    assert read_state(folder) in (before, after)


def test_both_state_files_damaged_is_an_error_and_none_is_a_new_store(tmp_path: Path) -> None:
    assert read_state(tmp_path) == State()
    (tmp_path / FILES[0]).write_text("{}\n")
    with pytest.raises(BundleError, match="both files of its state are damaged"):
        read_state(tmp_path)


def test_a_copy_is_hashed_as_it_is_read(here: Path) -> None:
    """A source that is another one when it is read again."""
    (here / "store").mkdir()
    with open_source(here / "one") as source:
        arrived = take_in(
            source, here / "store/x", Trust.of_files([here / "release.pub"]), lambda a: True
        )
    shutil.rmtree(here / "one")
    assert Bundle.open(here / "store/x", [here / "release.pub"]).manifest == arrived.manifest
