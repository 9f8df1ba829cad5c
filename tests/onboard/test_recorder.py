from __future__ import annotations

import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.writer import Writer
from pymavlink.dialects.v20 import ardupilotmega as wire

from geobridge.onboard.cli import main
from geobridge.onboard.daemon.run import run
from geobridge.onboard.errors import DataError
from geobridge.onboard.flightlogs import entries
from geobridge.onboard.flightlogs import recorder as recorder_module
from geobridge.onboard.flightlogs.flight_record import FlightRecord, newest_record, read_record
from geobridge.onboard.flightlogs.quota import make_room
from geobridge.onboard.flightlogs.recorder import Frames, Recorder
from geobridge.onboard.localization.localizer import Localizer
from geobridge.onboard.records import Attitude, Fix, Frame, Prior, Reason, Rejection, Telemetry
from geobridge.onboard.replay.reflown import Held, hold
from geobridge.onboard.replay.replay import replay

S = 1_000_000_000
FACTS = {"bundle_sha256": "ab", "configuration": "{}"}
finite = st.floats(allow_nan=False, allow_infinity=False)
fixes = st.builds(
    Fix,
    t_capture_ns=st.just(0),
    lat_deg=finite,
    lon_deg=finite,
    horiz_accuracy_m=st.floats(0, 1e6),
    alt_amsl_m=st.none() | finite,
    velocity_north_m_s=st.none() | finite,
    velocity_east_m_s=st.none() | finite,
    score=finite,
    correlation=finite,
    place=st.integers(-1, 2**31),
)
rejections = st.builds(Rejection, st.just(0), st.sampled_from(Reason), st.text())
telemetries = st.builds(
    Telemetry,
    t_ns=st.integers(0, 2**62),
    attitude=st.none() | st.builds(Attitude, finite, finite, finite),
    height_agl_m=st.none() | finite,
    alt_amsl_m=st.none() | finite,
    velocity_north_m_s=st.none() | finite,
    velocity_east_m_s=st.none() | finite,
    gimbal=st.none() | st.builds(Attitude, finite, finite, finite),
    heading_accuracy_deg=st.none() | finite,
    height_accuracy_m=st.none() | finite,
    position_test_ratio=st.none() | finite,
    prior=st.none() | st.builds(Prior, finite, finite, finite),
)


def picture(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(number).integers(0, 255, (48, 64, 3), np.uint8)


def dated(outcome: Fix | Rejection, t_ns: int) -> Fix | Rejection:
    return type(outcome)(**{**vars(outcome), "t_capture_ns": t_ns})


def recorded(folder: Path, flown: list[Any], frames: Frames = "every") -> Path:
    with closing(Recorder(folder, FACTS, frames=frames)) as recorder:
        for number, (outcome, telemetry) in enumerate(flown):
            while recorder._queue.qsize() > 6:  # pictures that find no room are left out
                time.sleep(0.001)
            frame = Frame(picture(number), 1000 + number)
            recorder.handled(frame, telemetry, dated(outcome, 1000 + number))
    return recorder.path


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.one_of(fixes, rejections), telemetries), max_size=6))
def test_what_was_recorded_is_read_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, flown: list[Any]
) -> None:
    record = FlightRecord(recorded(tmp_path_factory.mktemp("record"), flown))
    assert record.is_whole
    assert record.outcomes == [dated(outcome, 1000 + n) for n, (outcome, _) in enumerate(flown)]
    assert [record.at(1000 + n) for n in range(len(flown))] == [each for _, each in flown]
    if flown:
        frames = list(record)
        assert [frame.t_capture_ns for frame in frames] == [1000 + n for n in range(len(flown))]
        assert all(np.array_equal(f.image, picture(n)) for n, f in enumerate(frames))
        assert record.size_px == (64, 48)


FIX = Fix(0, 46.5, -91.25, 2.5, 240.0, None, None, 0.8, 0.5, 3)
FLOWN = [(FIX, Telemetry(5)), (Rejection(0, Reason.TILTED, "61.0°"), Telemetry(6))]


def test_it_is_an_mcap_file_with_foxglove_s_schemas(tmp_path: Path) -> None:
    with closing(Recorder(tmp_path, FACTS, frames="thumbnails")) as recorder:
        recorder.handled(Frame(picture(1), 7), Telemetry(7), dated(FIX, 7))
        line = logging.LogRecord("geobridge", logging.WARNING, "f.py", 3, "hot: %d", (80,), None)
        recorder.logged(line)
        beat = wire.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3)
        beat.pack(wire.MAVLink(None, 1, 1))
        recorder.heard(beat, 8)
        recorder.event("TRACK", "", 9)
    found: dict[str, Any] = {}
    with recorder.path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        for schema, channel, message in reader.iter_messages():
            assert schema is not None
            assert (schema.encoding, channel.message_encoding) == ("jsonschema", "json")
            found[schema.name] = json.loads(message.data)
        [metadata] = [each.metadata for each in reader.iter_metadata()]
    assert FACTS.items() <= metadata.items()
    location = found["foxglove.LocationFix"]
    assert (location["latitude"], location["position_covariance"][0]) == (46.5, 6.25)
    assert found["foxglove.CompressedImage"]["format"] == "jpeg"
    assert found["foxglove.Log"]["message"] == "hot: 80"
    assert bytes.fromhex(found["geobridge.Mavlink"]["frame"])[0] == 0xFD
    assert found["geobridge.Event"]["event"] == "TRACK"


def test_signatures_are_not_kept(tmp_path: Path) -> None:
    signer = wire.MAVLink(None, 1, 1)
    signer.signing.secret_key, signer.signing.sign_outgoing = bytes(32), True
    beat = wire.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3)
    data = bytes(beat.pack(signer))
    with closing(Recorder(tmp_path, FACTS)) as recorder:
        recorder.heard(beat, 8)
    text = recorder.path.read_bytes()
    with recorder.path.open("rb") as file:
        [(_, _, message)] = make_reader(file).iter_messages()
    assert json.loads(message.data)["frame"] == data[:-13].hex()
    assert data[-6:] not in text


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95])
@pytest.mark.fault("P7", "a record cut anywhere", "its beginning is read")
def test_a_cut_file_is_read_as_far_as_it_goes(cut: float, tmp_path: Path) -> None:
    path = recorded(tmp_path / "whole", FLOWN * 100, frames="none")
    data = path.read_bytes()
    torn = tmp_path / "torn.mcap"
    torn.write_bytes(data[: int(len(data) * cut)])
    record = FlightRecord(torn)
    whole = FlightRecord(path).outcomes
    assert not record.is_whole
    assert record.outcomes == whole[: len(record.outcomes)]
    assert len(record.outcomes) >= len(whole) * (cut - 0.35)


@pytest.mark.fault("P7", "flipped bits in a record", "the chunk is not believed")
def test_a_damaged_chunk_is_not_believed(tmp_path: Path) -> None:
    path = recorded(tmp_path / "whole", FLOWN * 100, frames="none")
    whole = FlightRecord(path).outcomes
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    (tmp_path / "bad.mcap").write_bytes(data)
    found = FlightRecord(tmp_path / "bad.mcap").outcomes
    assert found == whole[: len(found)]


KILLED = """
import sys, time
from pathlib import Path
from geobridge.onboard.flightlogs.recorder import Recorder
from geobridge.onboard.records import Fix, Frame, Telemetry
import numpy as np
recorder = Recorder(Path(sys.argv[1]), {})
frame = np.zeros((4, 4, 3), np.uint8)
for n in range(10**6):
    fix = Fix(n, 1.0, 2.0, 3.0, None, None, None, 1.0, 1.0, 0)
    recorder.handled(Frame(frame, n), Telemetry(n), fix)
    if n == 300: print("ready", flush=True)
    time.sleep(0.001)
"""


def test_a_killed_flight_leaves_what_was_before(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    found = read_record(tmp_path)
    assert len(found) > 200
    assert [each.t_capture_ns for each in found] == list(range(len(found)))


def test_recording_never_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, write = threading.Event(), os.write

    def slow(descriptor: int, data: Any) -> int:
        released.wait(20.0)
        return write(descriptor, data)

    with closing(Recorder(tmp_path, FACTS, frames="every")) as recorder:
        monkeypatch.setattr(os, "write", slow)
        start_s = time.monotonic()
        for n in range(3000):
            recorder.handled(Frame(picture(0), n), Telemetry(n), dated(FIX, n))
        took_s = time.monotonic() - start_s
        released.set()
    assert took_s < 2.0
    assert recorder.lost > 1000


@pytest.mark.fault("B8", "no space for the record", "the flight goes on")
def test_a_full_disk_costs_entries_alone_and_recording_goes_on_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recorder_module, "RETRY_S", 0.0)
    is_full, write = threading.Event(), os.write

    def perhaps(descriptor: int, data: Any) -> int:
        if is_full.is_set():
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", perhaps)
    with closing(Recorder(tmp_path, FACTS)) as recorder:
        first = recorder.path
        for n in range(6000):
            if n in (2000, 4000):
                while recorder._queue.qsize():
                    time.sleep(0.001)
                (is_full.set if n == 2000 else is_full.clear)()
            recorder.handled(Frame(picture(0), n), Telemetry(n), dated(FIX, n))
            while recorder._queue.qsize() > 500:
                time.sleep(0.001)
    assert recorder.lost > 1000
    assert "No space left on device; the flight goes on" in caplog.text
    assert recorder.path != first
    assert len(list(tmp_path.iterdir())) == 2
    assert len(list(Path("/proc/self/fd").iterdir())) < 100
    before, after = FlightRecord(first).outcomes, FlightRecord(recorder.path).outcomes
    assert before == [dated(FIX, n) for n in range(len(before))]
    assert len(before) > 1000
    assert after[-1] == dated(FIX, 5999)


def test_a_folder_that_cannot_be_is_told_before_the_flight(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"record\.folder .*: "):
        Recorder(tmp_path / "file" / "records", FACTS)


def test_the_oldest_records_make_room(tmp_path: Path) -> None:
    for age, name in enumerate(("c", "b", "a")):
        path = tmp_path / f"{name}.mcap"
        path.write_bytes(bytes(1000))
        os.utime(path, ns=((10 - age) * S, (10 - age) * S))
    (tmp_path / "notes.txt").write_bytes(bytes(9000))
    assert make_room(tmp_path, ".mcap", 10_000) == []
    assert make_room(tmp_path, ".mcap", 4000) == [tmp_path / "a.mcap"]
    assert make_room(tmp_path, ".mcap", 1000) == [tmp_path / "b.mcap", tmp_path / "c.mcap"]
    assert (tmp_path / "notes.txt").exists()


def test_a_record_of_another_version_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = entries.telemetry_entry
    monkeypatch.setattr(entries, "telemetry_entry", lambda *told: {**entry(*told), "wind": 1.0})
    path = recorded(tmp_path, FLOWN, frames="none")
    with pytest.raises(DataError, match="recorded by another version"):
        FlightRecord(path)


@pytest.mark.parametrize(
    ("topic", "entry"),
    [
        (entries.EVENT, {"a": 1}),
        (entries.EVENT, [1, 2]),
        (entries.TELEMETRY, {"t_capture_ns": []}),
        (entries.TELEMETRY, 5),
        (entries.FRAME, {"format": "png", "data": "*", "timestamp": {}}),
    ],
)
@pytest.mark.parametrize("version", [None, "9.9"])
def test_a_record_of_another_program_is_told(
    tmp_path: Path, topic: str, entry: Any, version: str | None
) -> None:
    path = tmp_path / "x.mcap"
    with path.open("wb") as stream:
        writer: Any = Writer(stream)  # half of its methods have no types
        writer.start()
        if version is not None:
            writer.add_metadata(entries.FORMAT, {"version": version})
        schema = writer.register_schema("x", "jsonschema", b"{}")
        channel = writer.register_channel(topic, "json", schema)
        writer.add_message(channel, 0, json.dumps(entry).encode(), 0)
        writer.finish()
    with pytest.raises(DataError) as caught:
        list(FlightRecord(path))
    expected = f"recorded by another version, {version}" if version else "not a flight record"
    assert str(caught.value) == f"{path}: {expected}"


def test_what_is_no_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.mcap").write_text("nothing of the kind")
    with pytest.raises(DataError, match=r"x\.mcap: not a flight record"):
        FlightRecord(tmp_path / "x.mcap")
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "latest.mcap").symlink_to("gone.mcap")
    with pytest.raises(DataError, match="holds no flight record"):
        newest_record(empty)
    with pytest.raises(DataError, match="holds thumbnails"):
        list(FlightRecord(recorded(tmp_path / "t", FLOWN, frames="thumbnails")))
    with pytest.raises(DataError, match="holds no pictures"):
        list(FlightRecord(recorded(tmp_path / "n", FLOWN, frames="none")))


@pytest.mark.parametrize(
    ("score", "changed", "otherwise", "differs"),
    [(None, "", 0, False), (0.5, "", 1, True), (0.5, "another bundle", 1, False)],
)
def test_held_against_what_was_decided(
    tmp_path: Path, score: float | None, changed: str, otherwise: int, differs: bool
) -> None:
    record = FlightRecord(recorded(tmp_path, FLOWN * 3, frames="none"))
    again = list(record.outcomes)
    if score is not None:
        again[0] = dataclasses.replace(FIX, t_capture_ns=again[0].t_capture_ns, score=score)
    held = hold(record, again, changed)
    assert (held.frames, held.otherwise, held.missing) == (6, otherwise, 0)
    assert held.differs is differs
    assert changed in str(held)
    assert hold(record, again[1:], "") == Held(5, 0, 1)


@pytest.fixture
def flown_live(rehearsal: Path, tmp_path: Path) -> Path:
    """A flight by the daemon itself over a real bundle, from a video, with everything recorded."""
    flight = rehearsal / "flight"
    (tmp_path / "onboard.toml").write_text(
        f'bundle = "{rehearsal}/bundle"\n[camera]\nhfov_deg = 70.0\n'
        f'[source]\nframes = "{flight}/flight.mp4"\ntelemetry = "{flight}/telemetry.csv"\n'
        f'process_rate_hz = 5.0\n[record]\nfolder = "{tmp_path}/records"\nframes = "every"\n'
        '[localizer.filter]\nconfirmations = 3\n[link]\naddress = "udpout:127.0.0.1:9"\n'
    )
    return tmp_path


@pytest.mark.slow
def test_a_flight_is_replayed_from_its_record_to_the_last_bit(
    flown_live: Path,
    rehearsal: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run(flown_live / "onboard.toml")
    record = FlightRecord(newest_record(flown_live / "records"))
    assert record.frames == len(record.outcomes) > 20
    assert sum(isinstance(each, Fix) for each in record.outcomes) > 5
    with caplog.at_level(logging.INFO):
        replay([str(flown_live / "records")], [rehearsal / "bundle"], flown_live / "again")
    assert f"all {record.frames} frames end as in flight, to the last bit" in caplog.text
    lines = (flown_live / "again" / "fixes.jsonl").read_text().splitlines()
    assert len(lines) == record.frames
    told = json.loads((flown_live / "again" / "summary.json").read_text())
    assert told["held_against_flight"]["changed"] == ""
    part = flown_live / "part"
    replay([str(flown_live / "records")], [rehearsal / "bundle"], part, from_s=1.0)
    assert "not held against what was decided in flight: only a part of it" in caplog.text
    other, out = ["localizer.gate.min_score=0.9999"], flown_live / "other"
    replay([str(flown_live / "records")], [rehearsal / "bundle"], out, overrides=other)
    assert "frames end otherwise than in flight; replayed with other settings" in caplog.text
    monkeypatch.setattr(Localizer, "handle", _silent)  # as a version that decides otherwise
    words = ["replay", flown_live / "records", "--bundle", rehearsal / "bundle"]
    assert main([*map(str, words), "-o", str(flown_live / "silent")]) == 3


def _silent(_: Localizer, frame: Frame, telemetry: Telemetry) -> Rejection:
    return Rejection(frame.t_capture_ns, Reason.NOT_VERIFIED, "not asked")
