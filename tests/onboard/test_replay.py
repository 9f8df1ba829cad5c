from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from geobridge.onboard.bundle import MANIFEST, SEAL, sha256
from geobridge.onboard.flightlogs.truth_csv import read_track
from geobridge.onboard.geodesy import distance_m
from geobridge.onboard.localization.localizer import STAGES

GEOBRIDGE = str(Path(sys.executable).with_name("geobridge"))
CAMERA = "camera.hfov_deg=70"
TRACKS = ("geojson", "kml", "gpx", "mcap")
KINDS = [
    "encoders/drone.fp32.onnx",
    "reference/places.npy",
    "reference/descriptors.npy",
    "reference/digests.npy",
    "reference/imagery/00000_00000.png",
    "known_answers/drone.images.npy",
    "known_answers/drone.descriptors.npy",
]


def arguments(flight: Path, bundle: Path, out: Path, **others: Path) -> list[str]:
    telemetry = others.get("telemetry", flight / "telemetry.csv")
    frames = others.get("frames", flight / "flight.mp4")
    words = ["replay", frames, "--telemetry", telemetry, "--bundle", bundle, "-o", out]
    return [*map(str, words), "--truth", str(others.get("truth", flight / "truth.csv")), CAMERA]


def geobridge(*words: object) -> subprocess.CompletedProcess[str]:
    command = [GEOBRIDGE, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def replayed(rehearsal: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The results of replaying the same flight twice."""
    folder = tmp_path_factory.mktemp("replayed")
    for name in ("first", "second"):
        done = geobridge(*arguments(rehearsal / "flight", rehearsal / "bundle", folder / name))
        assert done.returncode == 0, done.stderr
    return folder / "first", folder / "second"


@pytest.fixture
def copied(rehearsal: Path, tmp_path: Path) -> Path:
    """A bundle to damage."""
    return Path(shutil.copytree(rehearsal / "bundle", tmp_path / "bundle"))


def lines_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "fixes.jsonl").read_text().splitlines()]


def summary_of(out: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return summary


def test_two_replays_give_the_same_bytes(replayed: tuple[Path, Path]) -> None:
    first, second = ((out / "fixes.jsonl").read_bytes() for out in replayed)
    assert first == second
    for name in ("summary.json", "map.png", *(f"track.{kind}" for kind in TRACKS)):
        first, second = ((out / name).read_bytes() for out in replayed)
        assert first == second, name
    named = {f"track.{kind}" for kind in TRACKS}
    named |= {"fixes.jsonl", "summary.json", "timing.json", "report.html", "map.png"}
    assert {path.name for path in replayed[0].iterdir()} == named


def test_the_flight_is_followed_and_no_fix_is_wrong(replayed: tuple[Path, Path]) -> None:
    summary = summary_of(replayed[0])
    assert summary["availability"] > 0.5
    assert summary["accuracy"]["error_median_m"] < 5.0
    assert summary["accuracy"]["error_max_m"] < 15.0
    assert summary["accuracy"]["wrong_fixes"] == 0
    assert summary["accuracy"]["longest_wrong_run_s"] == 0.0


def test_every_frame_has_a_line(replayed: tuple[Path, Path], rehearsal: Path) -> None:
    lines = lines_of(replayed[0])
    video = cv2.VideoCapture(str(rehearsal / "flight/flight.mp4"))
    assert len(lines) == int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == 51
    video.release()
    assert [line["frame"] for line in lines] == [f"flight.mp4#{n}" for n in range(51)]
    times_ns = [line["t_capture_ns"] for line in lines]
    assert times_ns == pytest.approx([n * 1e9 for n in range(51)], abs=1e6)
    assert all(("fix" in line) != ("rejection" in line) for line in lines)


def test_the_errors_are_distances_to_the_truth(
    replayed: tuple[Path, Path], rehearsal: Path
) -> None:
    track = read_track(rehearsal / "flight/truth.csv")
    for line in lines_of(replayed[0]):
        if "fix" in line:
            truth = track.at(line["t_capture_ns"])
            assert truth is not None
            error_m = distance_m(line["fix"]["lat_deg"], line["fix"]["lon_deg"], *truth)
            assert line["error_m"] == pytest.approx(error_m, abs=1e-6)


def test_the_summary_is_what_the_lines_say(replayed: tuple[Path, Path], rehearsal: Path) -> None:
    lines, summary = lines_of(replayed[0]), summary_of(replayed[0])
    fixes = [line for line in lines if "fix" in line]
    errors_m = [line["error_m"] for line in fixes]
    stated_m = [line["fix"]["horiz_accuracy_m"] for line in fixes]
    withheld = Counter(line["rejection"]["reason"] for line in lines if "rejection" in line)
    assert (summary["frames"], summary["fixes"]) == (len(lines), len(fixes))
    assert summary["availability"] == pytest.approx(len(fixes) / len(lines))
    assert summary["withheld"] == dict(withheld)
    accuracy = summary["accuracy"]
    assert accuracy["fixes_with_truth"] == len(fixes)
    assert accuracy["error_median_m"] == pytest.approx(np.median(errors_m), abs=1e-3)
    assert accuracy["error_p95_m"] == pytest.approx(np.quantile(errors_m, 0.95), abs=0.2)
    assert accuracy["error_max_m"] == pytest.approx(max(errors_m), abs=1e-3)
    assert accuracy["stated_accuracy_median_m"] == pytest.approx(np.median(stated_m), abs=1e-3)
    assert summary["bundle_manifest_sha256"] == sha256(rehearsal / "bundle" / MANIFEST)
    assert summary["settings"]["camera"]["hfov_deg"] == 70
    timing = json.loads((replayed[0] / "timing.json").read_text())
    assert set(timing["latency_ms"]) == set(STAGES)
    for stage in timing["latency_ms"].values():
        assert 0.0 <= stage["p50"] <= stage["p99"]


def test_the_map_is_a_picture(replayed: tuple[Path, Path]) -> None:
    picture = cv2.imread(str(replayed[0] / "map.png"))
    assert picture is not None
    assert min(picture.shape[:2]) > 800
    assert picture.std() > 20.0
    blue = np.all(np.abs(picture.astype(int) - (255, 107, 11)) < 12, axis=2)
    yellow = np.all(np.abs(picture.astype(int) - (0, 204, 255)) < 12, axis=2)
    assert blue.sum() > 200  # fixes
    assert yellow.sum() > 200  # truth


def test_a_replay_over_another_land_has_no_fix(rehearsal: Path, tmp_path: Path) -> None:
    done = geobridge(*arguments(rehearsal / "abroad", rehearsal / "bundle", tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert summary_of(tmp_path / "out")["fixes"] == 0
    assert summary_of(tmp_path / "out")["accuracy"] is None
    assert all("rejection" in line for line in lines_of(tmp_path / "out"))


def test_a_refusal_in_a_process_of_its_own(copied: Path, rehearsal: Path, tmp_path: Path) -> None:
    flip(copied / KINDS[0])
    done = geobridge(*arguments(rehearsal / "flight", copied, tmp_path / "out"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"geobridge replay: {copied / KINDS[0]}: changed since it was")
    assert not (tmp_path / "out").exists()


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


@pytest.mark.parametrize("name", KINDS)
def test_one_flipped_byte(
    copied: Path, rehearsal: Path, tmp_path: Path, complaint: Callable[..., str], name: str
) -> None:
    flip(copied / name)
    line = complaint(*arguments(rehearsal / "flight", copied, tmp_path / "out"))
    assert f"{copied / name}: changed since it was packed" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda tree: tree.update(format_version=3), "format_version 3, this version reads 2"),
        (lambda tree: tree.update(required_features=["teleport"]), "requires teleport"),
        (lambda tree: tree.update(surprise=1), "surprise: unknown key"),
        (
            lambda tree: tree["descriptor"].update(dimension=32),
            "drone.fp32.onnx: dimension differs: the file says 64, the manifest 32",
        ),
        (
            lambda tree: tree["descriptor"].update(count=7),
            "layers hold 1000 places, descriptor.count",
        ),
    ],
)
def test_a_manifest_that_promises_something_else(
    copied: Path,
    rehearsal: Path,
    tmp_path: Path,
    complaint: Callable[..., str],
    change: Callable[[dict[str, Any]], None],
    problem: str,
) -> None:
    tree = json.loads((copied / MANIFEST).read_text())
    change(tree)
    raw = json.dumps(tree).encode()
    (copied / MANIFEST).write_bytes(raw)
    (copied / SEAL).write_text(hashlib.sha256(raw).hexdigest() + "\n")
    line = complaint(*arguments(rehearsal / "flight", copied, tmp_path / "out"))
    assert str(copied) in line
    assert problem in line
    assert not (tmp_path / "out").exists()


def without_rows(text: str) -> str:
    """2.4 s of them, at ten a second."""
    rows = text.splitlines()
    return "\n".join(rows[:10] + rows[33:])


def swapped(text: str) -> str:
    rows = text.splitlines()
    return "\n".join([*rows[:5], rows[6], rows[5], *rows[7:]])


def with_nan(text: str) -> str:
    rows = text.splitlines()
    cells = rows[3].split(",")
    return "\n".join([*rows[:3], ",".join([cells[0], "nan", *cells[2:]]), *rows[4:]])


TELEMETRY: dict[str, tuple[Callable[[str], str], str]] = {
    "empty": (lambda text: "", "expected a header line"),
    "nan": (with_nan, "line 4, roll_deg: expected an angle"),
    "unsorted": (swapped, "line 7, time_s: expected a time after that of the row before"),
    "gap": (without_rows, "line 11, time_s: expected at most 2 s after the row before"),
    "unknown column": (lambda text: text.replace("roll_deg", "roll"), "roll: unknown column"),
}


@pytest.mark.parametrize("name", TELEMETRY)
def test_telemetry_that_cannot_be_used(
    rehearsal: Path, tmp_path: Path, complaint: Callable[..., str], name: str
) -> None:
    change, problem = TELEMETRY[name]
    path = tmp_path / "telemetry.csv"
    path.write_text(change((rehearsal / "flight/telemetry.csv").read_text()))
    words = arguments(rehearsal / "flight", rehearsal / "bundle", tmp_path / "out", telemetry=path)
    line = complaint(*words)
    assert str(path) in line
    assert problem in line
    assert not (tmp_path / "out").exists()


def test_frames_that_cannot_be_used(
    rehearsal: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    undecodable, empty = tmp_path / "noise.mp4", tmp_path / "pictures"
    undecodable.write_bytes(np.random.default_rng(1).bytes(5000))
    empty.mkdir()
    for frames, problem in (
        (tmp_path / "nowhere.mp4", "no such file or folder"),
        (undecodable, "not a video, or no frame of it can be decoded"),
        (empty, "holds no pictures"),
    ):
        line = complaint(
            *arguments(rehearsal / "flight", rehearsal / "bundle", tmp_path / "out", frames=frames)
        )
        assert f"{frames}: {problem}" in line
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("camera.lens=3", "camera.lens: unknown key"),
        ("localizer.gate.min_scores=0.1", "localizer.gate.min_scores: unknown key"),
        ("camera.hfov_deg=nan", "camera.hfov_deg: "),
        ("localizer.gate.min_score=high", "localizer.gate.min_score: "),
        ("localizer.retrieve.engine=magic", "localizer.retrieve.engine: "),
    ],
)
def test_a_setting_that_makes_no_sense(
    rehearsal: Path, tmp_path: Path, complaint: Callable[..., str], override: str, problem: str
) -> None:
    words = arguments(rehearsal / "flight", rehearsal / "bundle", tmp_path / "out")
    assert problem in complaint(*words, override)
    assert not (tmp_path / "out").exists()


def test_a_result_folder_that_is_a_file(
    rehearsal: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    (tmp_path / "out").write_text("mine")
    line = complaint(*arguments(rehearsal / "flight", rehearsal / "bundle", tmp_path / "out"))
    assert f"{tmp_path / 'out'}: exists and is not a folder" in line
    assert (tmp_path / "out").read_text() == "mine"


def test_without_matplotlib_it_says_so_before_the_flight(
    rehearsal: Path,
    tmp_path: Path,
    complaint: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    line = complaint(*arguments(rehearsal / "flight", rehearsal / "bundle", tmp_path / "out"))
    assert 'pip install "geobridge-uav[replay]"' in line
    assert not (tmp_path / "out").exists()
