"""The project's own flights must give what they gave: `scripts/update_replay_reference` changes it.

A failure here is a failure: look at the difference, understand it, and only then store it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from geobridge.onboard.cli import main
from geobridge.onboard.replay.expected import DIFFERENCES
from geobridge.onboard.replay.replay import replay

GOLDEN = Path(__file__).parent / "golden"
CASES: dict[str, dict[str, Any]] = json.loads((GOLDEN / "cases.json").read_text())

pytest.importorskip("onnxruntime")


def told(flight: Path, out: Path, **options: Any) -> dict[str, Any]:
    return {
        "logs": [str(flight / "flight.mp4")],
        "bundles": [GOLDEN / "bundle"],
        "out": out,
        "telemetry": [flight / "telemetry.csv"],
        "truth": [flight / "truth.csv"],
        "pictures": 0,
        **options,
    }


@pytest.mark.parametrize("name", CASES)
def test_a_golden_flight_gives_what_it_gave(name: str, tmp_path: Path) -> None:
    options = dict(CASES[name])
    flight = GOLDEN / options.pop("flight")
    replay(**told(flight, tmp_path / "out", expect=GOLDEN / f"{name}.jsonl", **options))


def test_the_golden_flights_are_worth_looking_at() -> None:
    """Fixes and silences in each over the own land, and over another one nothing."""
    for name, case in CASES.items():
        lines = [json.loads(line) for line in (GOLDEN / f"{name}.jsonl").read_text().splitlines()]
        fixes = sum("fix" in line for line in lines)
        assert len(lines) > 20
        assert fixes == 0 if case["flight"] == "abroad" else 5 < fixes < len(lines)
        assert max((line["error_m"] for line in lines if "fix" in line), default=0.0) < 6.0


def test_a_difference_is_exit_code_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = (GOLDEN / "home.jsonl").read_text().splitlines()
    line = json.loads(stored[-1])
    line["fix"]["score"] += 0.01
    (tmp_path / "stored.jsonl").write_text("\n".join([*stored[:-1], json.dumps(line)]) + "\n")
    flight, out = GOLDEN / "home", tmp_path / "out"
    words = ["replay", flight / "flight.mp4", "--telemetry", flight / "telemetry.csv"]
    words += ["--truth", flight / "truth.csv", "--bundle", GOLDEN / "bundle", "-o", out]
    words += ["--expect", tmp_path / "stored.jsonl", "--pictures", "0", "camera.hfov_deg=70"]
    assert main([str(word) for word in words]) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert "1 of" in said.err.splitlines()[-1]
    assert "score in 1 (by up to 0.01, allowed 0.002)" in said.err.splitlines()[-1]
    assert f"{line['frame']}: score: " in (out / DIFFERENCES).read_text()
    shutil.copy(GOLDEN / "home.jsonl", tmp_path / "stored.jsonl")
    assert main([str(word) for word in words]) == 0
    assert not (out / DIFFERENCES).exists()
