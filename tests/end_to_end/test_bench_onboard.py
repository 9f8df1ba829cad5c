from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_onboard"

pytestmark = pytest.mark.slow


def bench(cwd: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def flight(rehearsal: Path) -> list[object]:
    folder = rehearsal / "flight"
    named = {
        "bundle": rehearsal / "bundle",
        "frames": folder / "flight.mp4",
        "telemetry": folder / "telemetry.csv",
        "count": 8,
    }
    return [word for name, value in named.items() for word in (f"--{name}", value)]


def test_a_flight_of_any_camera_is_measured(flight: list[object], tmp_path: Path) -> None:
    camera = tmp_path / "flight.toml"
    camera.write_text("[camera]\nhfov_deg = 70.0\n")
    done = bench(tmp_path, *flight, "--config", camera, "--json")
    assert done.returncode in (0, 1), done.stderr  # 1 on a machine that is busy
    found = json.loads(done.stdout)
    assert found["frames"] == 8
    assert found["frame_px"] == [320, 240]
    assert all(0.0 < row["p50"] <= row["p99"] for row in found["stages_ms"].values())
    assert done.returncode == int(found["share_of_limit"] > 1.0)


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        (None, "flight.mp4: expected the camera that took them, as --config flight.toml or"),
        (
            "[camera]\n",
            "flight.toml: camera: needs one of hfov_deg, an [intrinsics] table, or a calibration",
        ),
        ("[camera]\nhfov_deg = 7e1\nzoom = 2\n", "flight.toml: camera.zoom: unknown key"),
        (
            "[camera]\nhfov_deg = 70.0\n[localizer.prepare]\nmin_contrast = 999.0\n",
            "flight.mp4: no frame comes as far as a decision: 13 bad_image",
        ),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    toml: str | None, line: str, flight: list[object], tmp_path: Path
) -> None:
    camera = tmp_path / "flight.toml"
    if toml is not None:
        camera.write_text(toml)
        flight += ["--config", camera]
    done = bench(tmp_path, *flight)
    assert done.returncode == 2
    assert done.stdout == ""
    said = [each for each in done.stderr.splitlines() if "nobody vouches" not in each]
    assert len(said) == 1
    assert said[0].startswith("bench_onboard: ")
    assert line in said[0]
