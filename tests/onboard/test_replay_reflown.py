"""With what a flight was flown, its record tells, and the replay whether it is the same."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from geobridge.onboard.config import ReplayConfig, RunConfig
from geobridge.onboard.daemon.record import begun
from geobridge.onboard.flightlogs.flight_record import FlightRecord
from geobridge.onboard.replay.reflown import changed

BUNDLE = Path(__file__).parents[1] / "replay" / "golden" / "bundle"


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """Of a flight whose camera and first place stand in files."""
    files = {"calibration": tmp_path / "camera.yaml", "prior": tmp_path / "area.geojson"}
    for path in files.values():
        path.write_text("as it was")
    return {
        "camera": {"calibration": str(files["calibration"])},
        "prior": str(files["prior"]),
    }


@pytest.fixture
def record(settings: dict[str, Any], tmp_path: Path) -> FlightRecord:
    """Of a flight of no frames."""
    told = {
        **settings,
        "bundle": str(BUNDLE),
        "source": {"frames": "x.mp4"},
        "record": {"folder": str(tmp_path / "records")},
    }
    with closing(begun(RunConfig.model_validate(told))) as recorder:
        pass
    return FlightRecord(recorder.path)


@pytest.mark.parametrize(
    ("name", "told"),
    [("camera.yaml", "another calibration"), ("area.geojson", "another prior")],
)
def test_a_file_that_changed_under_its_name(
    record: FlightRecord, settings: dict[str, Any], tmp_path: Path, name: str, told: str
) -> None:
    now = ReplayConfig.model_validate(settings)
    assert changed(record, BUNDLE, now) == ""
    (tmp_path / name).write_text("as it is now")
    assert changed(record, BUNDLE, now) == told


def test_a_record_that_does_not_tell_is_held_by_the_name(
    record: FlightRecord, settings: dict[str, Any], tmp_path: Path
) -> None:
    facts = {key: record.facts[key] for key in ("configuration", "bundle_sha256")}
    old: Any = SimpleNamespace(facts=facts)
    (tmp_path / "camera.yaml").write_text("as it is now")
    assert changed(old, BUNDLE, ReplayConfig.model_validate(settings)) == ""
    other = settings | {"camera": {"calibration": str(tmp_path / "area.geojson")}}
    assert changed(old, BUNDLE, ReplayConfig.model_validate(other)) == "other settings"
