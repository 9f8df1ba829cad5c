"""With what a flight was flown, its record tells, and the replay whether it is the same."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from geobridge.onboard.config import ReplayConfig, RunConfig
from geobridge.onboard.daemon.record import begun
from geobridge.onboard.errors import DataError
from geobridge.onboard.flightlogs.flight_record import FlightRecord
from geobridge.onboard.records import Frame, Reason, Rejection, Telemetry
from geobridge.onboard.replay.flight import Source, open_flight
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
    """Of a flight of one frame."""
    told = {
        **settings,
        "bundle": str(BUNDLE),
        "source": {"frames": "x.mp4"},
        "record": {"folder": str(tmp_path / "records"), "frames": "every"},
    }
    with closing(begun(RunConfig.model_validate(told))) as recorder:
        frame = Frame(np.zeros((16, 16, 3), np.uint8), 7)
        recorder.handled(frame, Telemetry(7), Rejection(7, Reason.NOT_VERIFIED, ""))
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


def test_a_record_under_another_name_is_one(record: FlightRecord, tmp_path: Path) -> None:
    misnamed = record.path.rename(tmp_path / "misnamed.bin")
    opened = open_flight(Source(str(misnamed)))
    assert opened.record is not None
    assert [frame.t_capture_ns for frame in opened.frames] == [7]


def test_what_would_not_be_read_is_refused(record: FlightRecord, tmp_path: Path) -> None:
    table, junk = tmp_path / "telemetry.csv", tmp_path / "junk.bin"
    table.write_text("time_s\n0\n")
    junk.write_bytes(bytes(range(256)))
    with pytest.raises(DataError, match="a flight record has its own; expected no --telemetry"):
        open_flight(Source(str(record.path), telemetry=table))
    with pytest.raises(DataError, match=r"junk\.bin: nothing of it is read beside --frames and"):
        open_flight(Source(str(junk), str(tmp_path), table))
