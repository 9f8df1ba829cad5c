from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.errors import DataError
from geobridge.onboard.flightlogs.recorder import Recorder, read_record
from geobridge.onboard.records import Fix, Reason, Rejection

finite = st.floats(allow_nan=False, allow_infinity=False)
fixes = st.builds(
    Fix,
    t_capture_ns=st.integers(0, 2**63),
    lat_deg=finite,
    lon_deg=finite,
    horiz_accuracy_m=finite,
    alt_amsl_m=st.none() | finite,
    velocity_north_m_s=st.none() | finite,
    velocity_east_m_s=st.none() | finite,
    score=finite,
    correlation=finite,
    place=st.integers(-1, 2**31),
)
rejections = st.builds(Rejection, st.integers(0, 2**63), st.sampled_from(Reason), st.text())
outcomes = st.lists(st.one_of(fixes, rejections), max_size=8)

FIX = Fix(7, 46.5, -91.25, 2.5, 240.0, None, None, 0.8, 0.5, 3)
SILENCE = Rejection(8, Reason.TILTED, "61.0° from straight down")


def recorded(path: Path, *flown: Fix | Rejection) -> Path:
    with closing(Recorder(path)) as recorder:
        for outcome in flown:
            recorder.write(outcome)
    return path


@given(outcomes)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, flown: list[Fix | Rejection]
) -> None:
    path = recorded(tmp_path_factory.mktemp("record") / "record.jsonl", *flown)
    assert read_record(path) == flown


def test_every_line_is_there_before_the_next_frame(tmp_path: Path) -> None:
    path = tmp_path / "flights" / "monday" / "record.jsonl"
    with closing(Recorder(path)) as recorder:
        assert read_record(path) == []
        recorder.write(FIX)
        assert read_record(path) == [FIX]
        recorder.write(SILENCE)
        assert read_record(path) == [FIX, SILENCE]


def test_a_power_cut_costs_no_more_than_the_last_line(tmp_path: Path) -> None:
    path = recorded(tmp_path / "record.jsonl", FIX, SILENCE, FIX)
    whole = path.read_bytes()
    start_of_last = whole[:-1].rindex(b"\n") + 1
    for length in range(start_of_last, len(whole)):
        path.write_bytes(whole[:length])
        assert read_record(path) == [FIX, SILENCE]


@pytest.mark.parametrize(
    "broken",
    [
        '{"fix": {"t_capture_ns": 7',
        "",
        "null",
        "[]",
        '"fix"',
        '{"landing": {}}',
        '{"fix": {"t_capture_ns": 7}}',
        '{"fix": {"altitude": 3}}',
        '{"rejection": {"t_capture_ns": 7, "reason": "tired", "detail": ""}}',
        '{"rejection": {"t_capture_ns": 7, "reason": "tilted"}}',
    ],
)
def test_a_broken_line_is_named(broken: str, tmp_path: Path) -> None:
    path = recorded(tmp_path / "record.jsonl", FIX, FIX, SILENCE)
    lines = path.read_text().split("\n")
    lines[2] = broken
    path.write_text("\n".join(lines))
    with pytest.raises(DataError) as complaint:
        read_record(path)
    assert str(complaint.value) == f"{path}, line 3: expected a fix or a rejection"


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"time_s,lat_deg\n", b"\xff\xfe\x00", json.dumps({"version": 1}).encode() + b"\n"],
)
def test_another_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError) as complaint:
        read_record(path)
    assert str(complaint.value) == f"{path}: not a flight record of version 1"


def test_what_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError) as complaint:
        read_record(tmp_path / "none.jsonl")
    assert str(complaint.value) == f"{tmp_path}/none.jsonl: No such file or directory"
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/record\.jsonl: (Not a directory|File exists)"):
        Recorder(tmp_path / "file" / "record.jsonl")


def test_no_record_takes_the_place_of_another(tmp_path: Path) -> None:
    path = recorded(tmp_path / "record.jsonl", FIX)
    before = path.read_bytes()
    with pytest.raises(DataError) as complaint:
        Recorder(path)
    assert str(complaint.value) == f"{path}: File exists"
    assert path.read_bytes() == before


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """The system takes no byte beyond `size` into a file, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("spare", [0, 1, 100])
def test_a_full_disk_does_not_end_the_flight(spare: int, tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    recorder = Recorder(path)
    recorder.write(FIX)
    with room_for(path.stat().st_size + spare):
        for _ in range(200):
            recorder.write(FIX)
        recorder.close()
    assert read_record(path) == [FIX]


def test_when_there_is_room_again_the_record_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    with closing(Recorder(path)) as recorder:
        recorder.write(FIX)
        with room_for(path.stat().st_size + 40):
            recorder.write(SILENCE)
        recorder.write(FIX)
    assert read_record(path) == [FIX, FIX]
