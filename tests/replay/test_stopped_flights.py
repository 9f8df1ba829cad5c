"""A folder of results is of one piece of work, wherever a replay into it was stopped."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from geobridge.onboard.config import ReplayConfig
from geobridge.onboard.replay.flight import Source, Span
from geobridge.onboard.replay.localize import WORK, Job, work_of
from geobridge.onboard.replay.replay import replay
from geobridge.onboard.replay.variant import Variant

GOLDEN = Path(__file__).parent / "golden"

pytest.importorskip("onnxruntime")

SETTINGS = {
    "prior": "area.geojson",
    "camera": {"calibration": "camera.yaml"},
    "trusted_keys": ["maker.pem"],
    "trust": {"key_list": "keys.json", "root_keys": ["root.pem", "other.pem"]},
}
DECIDING = ("area.geojson", "camera.yaml", "maker.pem", "keys.json", "keys.json.sigs", "root.pem")


def flown(out: Path, hfov_deg: float = 70.0, **options: Any) -> dict[str, bytes]:
    """What a replay leaves, but for what differs from run to run."""
    flight = GOLDEN / "home"
    told = {
        "logs": [str(flight / "flight.mp4")],
        "bundles": [GOLDEN / "bundle"],
        "telemetry": [flight / "telemetry.csv"],
        "truth": [flight / "truth.csv"],
        "to_s": 1.0,
        "pictures": 0,
        "overrides": [f"camera.hfov_deg={hfov_deg}"],
    }
    replay(out=out, **{**told, **options})
    left = [path for path in sorted(out.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in left
        if path.name not in ("timing.json", "report.html")
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results that nothing stopped; nobody changes them."""
    folder = tmp_path_factory.mktemp("whole")
    flown(folder)
    return folder


@pytest.fixture
def out(whole: Path, tmp_path: Path) -> Path:
    """The same, to replay into."""
    return Path(shutil.copytree(whole, tmp_path / "out"))


def stopped(
    out: Path, replaced: int, monkeypatch: pytest.MonkeyPatch, hfov_deg: float = 70.0
) -> None:
    """A replay that ends when it has replaced so many files."""
    replace, seen = Path.replace, []

    def stop(self: Path, target: Path) -> Path:
        if len(seen) == replaced:
            raise KeyboardInterrupt
        seen.append(target)
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stop)
        with pytest.raises(KeyboardInterrupt):
            flown(out, hfov_deg)


@pytest.mark.parametrize("replaced", [0, 1, 8])
def test_stopped_over_results_of_other_work(
    out: Path, monkeypatch: pytest.MonkeyPatch, replaced: int
) -> None:
    before = flown(out)
    stopped(out, replaced, monkeypatch, hfov_deg=76.0)
    assert not (out / "timing.json").exists()
    assert flown(out) == before
    assert (out / "timing.json").exists()


def test_stopped_when_all_was_done_it_only_tidies(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = flown(out)
    (out / WORK).mkdir()
    (out / WORK / "known.bin").write_bytes(b"left")
    monkeypatch.setattr("geobridge.onboard.replay.conclude.localize", None)
    assert flown(out) == before


@pytest.mark.parametrize("name", ["fixes.jsonl", "report.html"])
def test_what_lacks_a_file_is_not_done(out: Path, name: str) -> None:
    before = flown(out)
    (out / name).unlink()
    assert flown(out) == before
    assert (out / name).exists()


@pytest.mark.parametrize("name", [*DECIDING, "flight.SRT", "flight.mp4"])
def test_whatever_file_changes_it_is_other_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for each in (*DECIDING, "other.pem", "flight.SRT", "flight.mp4"):
        Path(each).write_text("as it was")
    settings = ReplayConfig.model_validate(SETTINGS)
    job = Job("f", Source("flight.mp4"), Variant("", GOLDEN / "bundle"), tmp_path / "out", Span())
    before = work_of(job, settings)
    assert work_of(job, settings) == before
    Path(name).write_text("as it is now")
    assert work_of(job, settings) != before
    Path(name).unlink()
    assert work_of(job, settings) != before


def test_a_link_that_leads_nowhere_is_no_part_of_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def work() -> str:
        job = Job("f", Source("."), Variant("", GOLDEN / "bundle"), tmp_path / "out", Span())
        return work_of(job, ReplayConfig.model_validate(SETTINGS))

    (tmp_path / "1.jpg").touch()
    before = work()
    (tmp_path / "2.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert work() == before
