"""Several flights, bundles and settings in one run; parts of a flight; a flight without GNSS."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.cli import main
from geobridge.onboard.records import Prior, Telemetry
from geobridge.onboard.replay.compare import compare
from geobridge.onboard.replay.flight import Span
from geobridge.onboard.replay.replay import replay
from geobridge.onboard.replay.variant import unlike, variants


def told(rehearsal: Path, out: Path, **others: Any) -> dict[str, Any]:
    flights = [rehearsal / "flight", rehearsal / "abroad"]
    return {
        "logs": [str(flight / "flight.mp4") for flight in flights],
        "telemetry": [flight / "telemetry.csv" for flight in flights],
        "truth": [flight / "truth.csv" for flight in flights],
        "bundles": [rehearsal / "bundle"],
        "out": out,
        "to_s": 9.0,
        "overrides": ["camera.hfov_deg=70"],
        **others,
    }


def results(out: Path) -> dict[str, bytes]:
    kept = (".jsonl", ".geojson", ".kml", ".gpx", ".mcap", ".png")
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.suffix in kept or path.name in ("summary.json", "flights.json")
    }


def test_two_workers_give_what_one_gives(rehearsal: Path, tmp_path: Path) -> None:
    one: Any = replay(**told(rehearsal, tmp_path / "one"))
    two: Any = replay(**told(rehearsal, tmp_path / "two", workers=2))
    assert one == two
    assert results(tmp_path / "one") == results(tmp_path / "two")
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "flight",
        "flight-2",
        "flights.html",
        "flights.json",
    ]
    assert [row["frames"] for row in one] == [10, 10]
    assert one[0]["availability"] > 0 == one[1]["availability"]
    page = (tmp_path / "one/flights.html").read_text()
    assert 'href="flight-2/report.html"' in page


@pytest.mark.slow
def test_a_cluster_gives_what_one_machine_gives(
    rehearsal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")
    one: Any = replay(**told(rehearsal, tmp_path / "one"))
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100 << 20,
        log_to_driver=False,
        logging_level="ERROR",
        _temp_dir=tempfile.mkdtemp(prefix="ray"),  # names of sockets must be short
    )
    monkeypatch.chdir(tmp_path)
    try:
        many: Any = replay(**told(rehearsal, Path("many"), engine="ray"))
    finally:
        ray.shutdown()
    assert one == many
    assert results(tmp_path / "one") == results(tmp_path / "many")


def test_one_flight_that_cannot_be_read_does_not_stop_the_others(
    rehearsal: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    given = told(rehearsal, tmp_path / "out")
    given["logs"][1] = str(tmp_path / "broken.mp4")
    rows: Any = replay(**given)
    assert rows[0]["problem"] == ""
    assert rows[1]["frames"] is None
    assert "broken.mp4: not a video" in rows[1]["problem"]
    assert not (tmp_path / "out/broken").exists()
    assert "broken.mp4: not a video" in (tmp_path / "out/flights.html").read_text()


def test_settings_side_by_side(rehearsal: Path, tmp_path: Path) -> None:
    for name, score in (("bold", -1.0), ("timid", 0.9999)):
        text = f"[camera]\nhfov_deg = 70.0\n[localizer.gate]\nmin_score = {score}\n"
        (tmp_path / f"{name}.toml").write_text(text)
    files = [tmp_path / "bold.toml", tmp_path / "timid.toml"]
    given = told(rehearsal, tmp_path / "out", configs=files, overrides=(), to_s=7.0)
    rows: Any = replay(**given)
    assert [(row["flight"], row["variant"]) for row in rows] == [
        ("flight", "bold"),
        ("flight", "timid"),
        ("flight-2", "bold"),
        ("flight-2", "timid"),
    ]
    assert rows[0]["availability"] > 0 == rows[1]["availability"]
    sides = tmp_path / "out/bold", tmp_path / "out/timid"
    found = {row["figure"]: row for row in compare(*sides, tmp_path / "compared")}
    served = found["availability_over_common_frames"]
    assert served["b"] == 0.0 > served["b_less_a"]
    assert str((tmp_path / "timid.toml").resolve()) in rows[1]["flown_with"]
    assert str((tmp_path / "timid.toml").resolve()) in (tmp_path / "out/flights.html").read_text()
    page = (tmp_path / "compared/compare.html").read_text()
    assert "16 frames of 2 flights" in page
    assert page.count("data:image/jpeg;base64,") >= 1


def test_a_part_of_a_flight(rehearsal: Path, tmp_path: Path) -> None:
    given = told(rehearsal, tmp_path / "out") | {"from_s": 5.0, "to_s": 8.0}
    for key in ("logs", "telemetry", "truth"):
        given[key] = given[key][:1]
    told_first: Any = replay(**given)
    assert told_first["frames"] == 4
    lines = (tmp_path / "out/fixes.jsonl").read_text().splitlines()
    frames = [json.loads(line)["frame"] for line in lines]
    assert frames == [f"flight.mp4#{number}" for number in (5, 6, 7, 8)]


def test_what_is_expected_is_never_what_is_written(
    rehearsal: Path,
    tmp_path: Path,
    complaint: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    flight, out = rehearsal / "flight", tmp_path / "out"
    asked = ["replay", flight / "flight.mp4", "--telemetry", flight / "telemetry.csv", "--to", "2"]
    asked += ["--bundle", rehearsal / "bundle", "-o", out, "camera.hfov_deg=70"]
    assert main([str(word) for word in asked]) == 0
    before = (out / "fixes.jsonl").read_bytes()
    (tmp_path / "kept.jsonl").write_bytes(before)
    capsys.readouterr()
    again = [*asked, "localizer.gate.min_score=0.9999", "--expect", out / "fixes.jsonl"]
    assert "this replay would overwrite it" in complaint(*again)
    assert (out / "fixes.jsonl").read_bytes() == before
    (out / "differences.txt").write_text("of last time")
    assert main([str(word) for word in (*asked, "--expect", tmp_path / "kept.jsonl")]) == 0
    assert not (out / "differences.txt").exists()


@given(st.floats(0.0, 100.0), st.floats(0.0, 100.0))
def test_without_gnss_nothing_is_told_that_came_of_it(cut_s: float, at_s: float) -> None:
    telemetry = Telemetry(
        0,
        height_agl_m=90.0,
        velocity_north_m_s=3.0,
        velocity_east_m_s=4.0,
        prior=Prior(47.0, 8.0, 5.0),
        position_test_ratio=0.4,
    )
    said = Span(without_gnss_after_s=cut_s).told(telemetry, round(at_s * 1e9))
    assert said.height_agl_m == 90.0
    gone = [said.prior, said.velocity_north_m_s, said.velocity_east_m_s, said.position_test_ratio]
    if round(at_s * 1e9) / 1e9 < cut_s:
        assert said == telemetry
    else:
        assert gone == [None] * 4


@given(st.lists(st.sampled_from(["a", "b", "a-2", "a-3"]), max_size=8))
def test_no_two_folders_have_one_name(names: list[str]) -> None:
    given_names = unlike(names)
    assert len(set(given_names)) == len(names)
    assert all(new.startswith(old) for old, new in zip(names, given_names, strict=True))


def test_variants_are_named_by_what_tells_them_apart() -> None:
    one, two = Path("/x/one"), Path("/x/two")
    files = [Path("calm.toml"), Path("bold.toml")]
    assert [each.name for each in variants([one], [], [])] == [""]
    assert [each.name for each in variants([one], files[:1], [])] == [""]
    assert [each.name for each in variants([one, two], files[:1], [])] == ["one", "two"]
    assert [each.name for each in variants([one], files, [])] == ["calm", "bold"]
    named = [each.name for each in variants([one, two], files, [])]
    assert named == ["one-calm", "one-bold", "two-calm", "two-bold"]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (["--to", "0"], "--to 0 s: expected a moment after --from 0 s"),
        (["--truth", "T", "--truth", "T"], "--truth: expected one for each flight"),
        (["--expect", "T", "--bundle", "B"], "--expect: expected one flight with one bundle"),
        (["--from", "1e6"], "no frame to replay from 1e+06 s to the end; the last is "),
        (["--from", "0.2", "--to", "0.4"], "from 0.2 s to 0.4 s; there is one 1.00 s after"),
        (["--from", "-5"], "--from -5 s: expected 0 or more"),
        (["--expect", "T"], "truth.csv, line 1: not what `geobridge replay` writes"),
    ],
)
def test_what_makes_no_sense(
    rehearsal: Path,
    tmp_path: Path,
    complaint: Callable[..., str],
    more: list[str],
    problem: str,
) -> None:
    flight, bundle = rehearsal / "flight", rehearsal / "bundle"
    names = {"T": flight / "truth.csv", "B": bundle}
    asked = ["replay", flight / "flight.mp4", "--telemetry", flight / "telemetry.csv"]
    asked += ["--bundle", bundle, "-o", tmp_path / "out", "camera.hfov_deg=70"]
    assert problem in complaint(*asked, *(names.get(word, word) for word in more))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "an empty file"),
        (b'{"fix": 1}', "JSON, not a flight log"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "was not fetched"),
        (bytes(range(256)) * 40, "not a flight log"),
    ],
)
def test_a_log_that_is_none(
    rehearsal: Path, tmp_path: Path, complaint: Callable[..., str], content: bytes, problem: str
) -> None:
    (tmp_path / "flight.bin").write_bytes(content)
    words = ["replay", tmp_path / "flight.bin", "--frames", rehearsal / "flight/flight.mp4"]
    words += ["--bundle", rehearsal / "bundle", "-o", tmp_path / "out", "camera.hfov_deg=70"]
    line = complaint(*words)
    assert f"{tmp_path / 'flight.bin'}: " in line
    assert problem in line
    assert not (tmp_path / "out").exists()


def test_the_log_of_an_autopilot_with_a_video(rehearsal: Path, tmp_path: Path) -> None:
    flight = rehearsal / "flight"
    words = ["replay", flight / "flight.tlog", "--frames", flight / "flight.mp4", "--video-at", "0"]
    words += ["--bundle", rehearsal / "bundle", "-o", tmp_path / "out", "--to", "12"]
    words += ["camera.hfov_deg=70", "localizer.prepare.max_telemetry_age_s=1.0"]
    assert main([str(word) for word in words]) == 0
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["fixes"] > 3
    assert "tlog" in summary["read_from"]["log"]
    assert "first frame 0 s after" in summary["read_from"]["times of pictures"]
