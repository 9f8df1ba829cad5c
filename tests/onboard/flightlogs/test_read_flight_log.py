from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geobridge.onboard.cli import main
from geobridge.onboard.errors import DataError
from geobridge.onboard.flightlogs.flight_log import FlightLog
from geobridge.onboard.flightlogs.read import read_flight_log
from geobridge.onboard.flightlogs.telemetry_csv import read_telemetry
from geobridge.onboard.flightlogs.truth_csv import read_track

pytest.importorskip("pyulog")

S = 1_000_000_000
SRT = "".join(
    f"{n + 1}\n00:00:{n:02},000 --> 00:00:{n + 1:02},000\nGPS({2 + n / 1e4:.4f},41.1234,9)"
    f" BAROMETER:{n}.5\n\n"
    for n in range(12)
).encode()
LOGS = ("dataflash", "text", "tlog", "ulog", "srt", "gpmf", "csv")


class Made(dict[str, bytes]):
    """Logs by kind; short where a test that fails is told."""

    def __repr__(self) -> str:
        return "made"


@pytest.fixture
def made(dataflash: Any, tlog: Any, ulog: Any, flight: Any, video: Any) -> Made:
    flight(dataflash, seconds=3)
    seconds = [[[-353_630_000 + 9 * n, 1_491_650_000, 6500, 1, 1]] * 5 for n in range(4)]
    return Made(
        dataflash=dataflash.binary,
        text=dataflash.text.encode(),
        tlog=flight(tlog, seconds=3).data,
        ulog=flight(ulog, is_new=True, seconds=3).data,
        srt=SRT,
        gpmf=video(seconds),
        csv=b"time_s,height_agl_m\n0,50\n1,\n2,60\n",
    )


@pytest.mark.parametrize("kind", LOGS)
def test_a_file_is_what_its_bytes_are(made: Made, save: Any, kind: str) -> None:
    log = read_flight_log(save("flight.xyz", made[kind]))
    assert log.kind == {"text": "dataflash"}.get(kind, kind)


@pytest.mark.parametrize("kind", ["dataflash", "tlog", "srt"])
def test_a_damaged_beginning_hides_no_log(made: Made, save: Any, kind: str) -> None:
    log = read_flight_log(save("flight.xyz", bytes(40) + made[kind][40:]))
    assert log.kind == kind


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("flight.bin", b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "a pointer"),
        ("flight.log", b'{"format": "one"}', "JSON"),
        ("flight.ulg", b"<!DOCTYPE html><html>", "a web page"),
        ("flight.tlog", b"hello\nworld\n", "text, not a flight log"),
        ("flight.bin", bytes(range(256)) * 4, "not a flight log"),
        ("flight.bin", b"", "an empty file"),
        ("frames.csv", b"file,lat_deg,lon_deg\na,1,2\n", "without the column time_s"),
        ("notes.csv", b"day,wind\n1,2\n", "text, not a flight log"),
    ],
)
def test_what_is_none_is_named(save: Any, name: str, data: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said) as refused:
        read_flight_log(save(name, data))
    assert "\n" not in str(refused.value)


def test_a_folder_with_a_log_in_it_leads_to_it(tmp_path: Path, made: Made) -> None:
    (tmp_path / "frames").mkdir()
    with pytest.raises(DataError, match=r"neither photos nor a flight record \(\.mcap\)$"):
        read_flight_log(tmp_path)
    (tmp_path / "flight.tlog").write_bytes(made["tlog"])
    with pytest.raises(DataError, match=r"but flight\.tlog; give .*/flight\.tlog$"):
        read_flight_log(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        read_flight_log(tmp_path / "pipe")


def test_no_table_takes_the_place_of_anything_else(
    made: Made, save: Any, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    log, table = save("flight.csv", made["csv"]), tmp_path / "t.csv"
    for words, said in (
        (["--telemetry", table, "--truth", table], "--telemetry and --truth: both are"),
        (["--telemetry", log], f"--telemetry {log}: the log itself"),
        (["--truth", tmp_path], f"--truth {tmp_path}: a folder"),
    ):
        assert said in complaint("log", log, *words)
    assert log.read_bytes() == made["csv"]
    assert not table.exists()


DAMAGES = st.tuples(
    st.floats(0.0, 1.0),
    st.sampled_from(["cut", "flip", "zero", "lose", "double", "extreme"]),
    st.sampled_from([1, 8, 64, 500]),
)
"""Where in a file, what, and over how many bytes."""


def damaged(data: bytes, damages: list[tuple[float, str, int]]) -> bytes:
    for place, what, length in damages:
        at = int(place * len(data))
        piece, rest = data[at : at + length], data[at + length :]
        data = (
            data[:at]
            + {
                "cut": b"",
                "flip": bytes(byte ^ 4 for byte in piece[:1]) + piece[1:] + rest,
                "zero": bytes(len(piece)) + rest,
                "lose": rest,
                "double": piece + piece + rest,
                "extreme": b"\xff" * len(piece) + rest,
            }[what]
        )
    return data


def used_or_refused(path: Path) -> FlightLog | str:
    """The log, or why there is none; anything else that is raised is a fault."""
    try:
        return read_flight_log(path)
    except DataError as error:
        return str(error)


@pytest.mark.parametrize("kind", LOGS)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=100,
)
@given(damages=st.lists(DAMAGES, min_size=1, max_size=4))
def test_whatever_is_left_of_a_log_is_used_or_refused_in_a_line(
    made: Made, save: Any, kind: str, damages: list[tuple[float, str, int]]
) -> None:
    path = save("flight.xyz", damaged(made[kind], damages))
    found = used_or_refused(path)
    if isinstance(found, str):
        assert "\n" not in found
        return
    log = found
    samples = log.telemetry.samples
    assert samples
    assert all(before.t_ns < after.t_ns for before, after in pairwise(samples))
    for sample in samples:
        heights = sample.height_agl_m, sample.height_above_home_m, sample.alt_amsl_m
        for value in (*heights, sample.height_accuracy_m, sample.velocity_north_m_s):
            assert value is None or math.isfinite(value)
    if log.truth is not None:
        assert all(abs(lat) <= 90.0 for lat in log.truth.lat_deg)
        assert all(abs(lon) <= 180.0 for lon in log.truth.lon_deg)
        assert all(before < after for before, after in pairwise(log.truth.times_ns))
    assert all("\n" not in line for line in log.oddities)


def test_the_command_tells_and_writes_what_replay_reads(
    made: Made, save: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save("flight.bin", made["dataflash"])
    telemetry, truth = tmp_path / "telemetry.csv", tmp_path / "truth.csv"
    arguments = ["log", str(path), "--telemetry", str(telemetry), "--truth", str(truth), "--json"]
    assert main(arguments) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "dataflash"
    assert told["from"]["attitude"].startswith("ATT")
    assert told["receivers"]["GPS 0"]["rows_with_fix"] == told["truth_rows"] == 15
    log, again = read_flight_log(path), read_telemetry(telemetry)
    assert len(again.samples) == len(log.telemetry.samples)
    for row in (0, 7, 29):
        expected, found = log.telemetry.samples[row], again.samples[row]
        assert abs(expected.t_ns - found.t_ns) < 1000
        assert found.attitude is not None
        assert expected.attitude is not None
        assert vars(found.attitude) == pytest.approx(vars(expected.attitude))
        assert found.prior is not None
        assert expected.prior is not None
        assert vars(found.prior) == pytest.approx(vars(expected.prior), abs=1e-8)
        assert found.height_above_home_m == pytest.approx(expected.height_above_home_m)
    assert log.truth is not None
    assert read_track(truth).lat_deg == pytest.approx(log.truth.lat_deg, abs=1e-8)


def test_a_silence_is_not_interpolated_over_in_the_table(
    dataflash: Any, save: Any, tmp_path: Path
) -> None:
    dataflash.gps_kind()
    for t in (*range(5), *range(20, 25)):
        dataflash.gps(float(t), north_m=t)
    path, table = save("flight.bin", dataflash.binary), tmp_path / "telemetry.csv"
    truth = tmp_path / "truth.csv"
    assert main(["log", str(path), "--telemetry", str(table), "--truth", str(truth)]) == 0
    read = read_telemetry(table)
    start_ns = read.samples[0].t_ns
    assert read.at(start_ns + 2 * S).prior is not None
    assert read.at(start_ns + 12 * S).prior is None
    track = read_track(truth)
    assert track.at(start_ns + 2 * S) is not None
    assert track.at(start_ns + 12 * S) is None
    assert track.at(start_ns + 22 * S) is not None


def test_of_several_logs_each_has_a_line(
    made: Made, save: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(save("a.bin", made["dataflash"])), str(save("b.bin", b"{}"))]
    assert main(["log", *paths, "--json"]) == 0
    lines = json.loads(capsys.readouterr().out)
    assert [line["kind"] for line in lines] == ["dataflash", "-"]
    assert lines[1]["oddities"].startswith("JSON")


def test_the_command_refuses_in_a_line(
    save: Any, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    empty = save("a.bin", b"")
    assert "a.bin: an empty file" in complaint("log", empty)
    assert "none of 2 logs can be used" in complaint("log", empty, empty)
    table = save("t.csv", b"time_s,height_agl_m\n0,50\n1,60\n")
    truth = tmp_path / "truth.csv"
    assert "may be called truth" in complaint("log", table, "--truth", truth)
    assert not truth.exists()
    assert "of one log" in complaint("log", table, table, "--telemetry", truth)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "rows", "truth_rows", "oddity"),
    [
        ("flight_logs/arducopter_unlocked_gps.bin", 2383, 1038, "161 of 1199 rows without a 3D"),
        ("flight_logs/truncated.BIN", 24, 5, "cut off"),
        ("flight_logs/sample_log_small.ulg", 318, 32, "stationary"),
        ("flight_logs/sample_appended_multiple.ulg", 306, 0, "never valid"),
        ("flight_logs/sample_px4_events.ulg", 621, 423, "simulated"),
        ("flight_logs/simulated_vtol.tlog", 886, 889, "simulated"),
        ("canberra_2018/flight.tlog", 604, 732, "years off"),
        ("dji_srt/broken_incomplete.SRT", 19, 19, "cut off"),
        ("dji_srt/matrice_300.srt", 381, 381, "steps of 0.0001"),
        ("brighton_beach/images", 8, 8, "datum is not said"),
        ("street_lund", 29, 29, "without attitude"),
    ],
)
def test_recorded_logs_and_their_oddities(
    data: Path, name: str, rows: int, truth_rows: int, oddity: str
) -> None:
    log = read_flight_log(data / name)
    assert len(log.telemetry.samples) == rows
    assert (len(log.truth.times_ns) if log.truth else 0) == truth_rows
    assert any(oddity in line for line in log.oddities), log.oddities
