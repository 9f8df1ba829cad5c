"""Flights that others recorded, over land that the golden bundle does not show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from geobridge.onboard.cli import main

BUNDLE = Path(__file__).parent / "golden" / "bundle"

pytestmark = [pytest.mark.real_data, pytest.mark.slow]


def test_photos_of_a_flight_by_their_names_and_no_fix(data: Path, tmp_path: Path) -> None:
    flight = data / "canberra_2018"
    words = ["replay", flight / "flight.tlog", "--frames", flight / "frames", "--bundle", BUNDLE]
    words += ["-o", tmp_path / "out", "camera.hfov_deg=60"]
    assert main([str(word) for word in words]) == 0
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert (summary["frames"], summary["fixes"]) == (18, 0)
    assert "18 of 18 pictures" in summary["read_from"]["times of pictures"]
    assert "SYSTEM_TIME" in " ".join(summary["remarks"])
    lines = (tmp_path / "out/fixes.jsonl").read_text().splitlines()
    assert all(json.loads(line)["truth"] for line in lines)
    assert "<time>2018-" in (tmp_path / "out/track.gpx").read_text()


def test_a_log_of_a_vehicle_that_stood_still_has_no_pictures(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = data / "flight_logs" / "sample_log_small.ulg"
    words = ["replay", log, "--bundle", BUNDLE, "-o", tmp_path / "out", "camera.hfov_deg=60"]
    assert main([str(word) for word in words]) == 2
    assert f"{log}: a log without pictures; give --frames" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
