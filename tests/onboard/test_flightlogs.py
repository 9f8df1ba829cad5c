from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.errors import DataError
from geobridge.onboard.flightlogs.interpolation import sample_at, turn
from geobridge.onboard.flightlogs.telemetry_csv import read_telemetry
from geobridge.onboard.flightlogs.truth_csv import read_track
from geobridge.onboard.records import Attitude, Prior, Telemetry

S = 1_000_000_000

FLIGHT = """time_s,roll_deg,pitch_deg,heading_deg,height_agl_m,alt_amsl_m,velocity_north_m_s,\
velocity_east_m_s,prior_lat_deg,prior_lon_deg,prior_horiz_accuracy_m
10.0,1,-2,350,100,640,4,-3,-35.0,149.0,20
11.0,3,-4,20,110,650,6,-5,-35.1,149.2,40
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text)
    return path


def test_telemetry_is_interpolated_with_heading_the_short_way_round(tmp_path: Path) -> None:
    found = read_telemetry(write(tmp_path, FLIGHT)).at(round(10.5 * S))
    assert found == Telemetry(
        t_ns=round(10.5 * S),
        attitude=Attitude(2.0, -3.0, 5.0),
        height_agl_m=105.0,
        alt_amsl_m=645.0,
        velocity_north_m_s=5.0,
        velocity_east_m_s=-4.0,
        prior=Prior(pytest.approx(-35.05), pytest.approx(149.1), 30.0),
    )


def test_a_row_is_returned_as_it_was_written(tmp_path: Path) -> None:
    log = read_telemetry(write(tmp_path, FLIGHT))
    assert log.at(10 * S).attitude == Attitude(1.0, -2.0, 350.0)
    assert log.at(11 * S).alt_amsl_m == 650.0


@pytest.mark.parametrize(("asked_s", "answered_s"), [(9.7, 10), (3, 10), (11.2, 11), (60, 11)])
def test_outside_the_log_the_nearest_row_tells_its_own_time(
    tmp_path: Path, asked_s: float, answered_s: int
) -> None:
    log = read_telemetry(write(tmp_path, FLIGHT))
    assert log.at(round(asked_s * S)) == log.at(answered_s * S)
    assert log.at(round(asked_s * S)).t_ns == answered_s * S


def test_what_the_table_lacks_is_none(tmp_path: Path) -> None:
    log = read_telemetry(write(tmp_path, "time_s,height_agl_m\n0,50\n1,60\n"))
    assert log.at(S // 2) == Telemetry(t_ns=S // 2, height_agl_m=55.0)
    assert log.times_by_file() is None


def test_shifted_moves_every_row(tmp_path: Path) -> None:
    log = read_telemetry(write(tmp_path, FLIGHT))
    moved = log.shifted(7 * S).at(round(17.25 * S))
    assert moved.t_ns == round(17.25 * S)
    assert moved.height_agl_m == log.at(round(10.25 * S)).height_agl_m


def test_pictures_far_apart_say_nothing_of_what_lies_between(tmp_path: Path) -> None:
    log = read_telemetry(write(tmp_path, "time_s,file,height_agl_m\n0,a,50\n1,b,60\n23,c,70\n"))
    assert log.at(S // 2) == Telemetry(t_ns=S // 2, height_agl_m=55.0)
    assert log.at(11 * S) == Telemetry(t_ns=S, height_agl_m=60.0)
    assert log.at(23 * S).height_agl_m == 70.0


def test_the_autopilots_verdict_is_the_last_that_it_gave() -> None:
    told, silent = Telemetry(0, position_test_ratio=2.0), Telemetry(S)
    assert sample_at([told, silent], S // 2).position_test_ratio == 2.0
    assert sample_at([silent, Telemetry(2 * S, position_test_ratio=2.0)], 3 * S // 2) == Telemetry(
        3 * S // 2
    )


def test_a_truth_may_be_silent(tmp_path: Path) -> None:
    rows = "time_s,lat_deg,lon_deg\n0,47.0,8.0\n1,47.1,8.0\n2,,\n30,47.2,8.0\n31,47.3,8.0\n"
    track = read_track(write(tmp_path, rows))
    assert track.at(S // 2) == pytest.approx((47.05, 8.0))
    assert track.at(20 * S) is None
    assert track.at(30 * S) == (47.2, 8.0)
    with pytest.raises(DataError, match=r"line 3, lon_deg: .*half a position"):
        read_track(write(tmp_path, "time_s,lat_deg,lon_deg\n0,47.0,8.0\n1,47.1,\n"))
    with pytest.raises(DataError, match="no row has a position"):
        read_track(write(tmp_path, "time_s,lat_deg,lon_deg\n0,,\n"))


def test_pictures_may_lie_far_apart_and_tell_their_times(tmp_path: Path) -> None:
    log = read_telemetry(write(tmp_path, "\ufefffile, time_s\nb.jpg, 5\n\na.jpg, 65.5\n"))
    assert log.times_by_file() == {"b.jpg": 5 * S, "a.jpg": round(65.5 * S)}


@pytest.mark.parametrize(
    ("text", "where", "expected"),
    [
        ("time_s,hight_agl_m\n0,1\n", "line 1, hight_agl_m:", "unknown column"),
        ("time_s,time_s\n0,0\n", "line 1, time_s:", "twice"),
        ("height_agl_m\n4\n", "line 1, time_s:", "missing"),
        ("time_s,roll_deg,heading_deg\n0,1,2\n", "line 1, pitch_deg:", "missing beside roll_deg"),
        ("time_s,velocity_east_m_s\n0,1\n", "line 1, velocity_north_m_s:", "missing beside"),
        ("time_s\n0\nnan\n", "line 3, time_s:", "a number"),
        ("time_s\n0\n1e999\n", "line 3, time_s:", "a number"),
        ("time_s\n0\n\n1_0\n", "line 4, time_s:", "a number"),
        (
            "time_s,velocity_north_m_s,velocity_east_m_s\n0,1,\n",
            "line 2, velocity_east_m_s:",
            "empty beside velocity_north_m_s",
        ),
        (
            "time_s,alt_amsl_m\n0,high\n",
            "line 2, alt_amsl_m:",
            "a number of at most 1e+07, found 'high'",
        ),
        ("time_s,alt_amsl_m\n0,1\n1\n", "line 3:", "expected 2 cells, found 1"),
        ("time_s\n1\n1\n", "line 3, time_s:", "after that of the row before"),
        ("time_s\n2\n1\n", "line 3, time_s:", "after that of the row before"),
        ("time_s\n0\n1\n3.5\n", "line 4, time_s:", "at most 2 s after the row before, found 2.5"),
        ("time_s,height_agl_m\n0,0\n", "line 2, height_agl_m:", "above 0"),
        (
            "time_s,prior_lat_deg,prior_lon_deg,prior_horiz_accuracy_m\n0,91,0,5\n",
            "line 2, prior_lat_deg:",
            "a latitude of -90 to 90 degrees, found '91'",
        ),
        ("file,time_s\na.jpg,0\na.jpg,1\n", "line 3, file:", "a name used once"),
        ("file,time_s\n,0\n", "line 2, file:", "a name used once"),
        ("", "table.csv:", "a header line and at least one row"),
        ("time_s\n", "table.csv:", "a header line and at least one row"),
        ('time_s\n"0\n', "table.csv:", "not a CSV file"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_cell(
    tmp_path: Path, text: str, where: str, expected: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_telemetry(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert where in message
    assert expected in message
    assert "\n" not in message


def test_a_file_that_is_no_text_or_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with pytest.raises(DataError, match=r"table\.csv: No such file"):
        read_telemetry(path)
    path.write_bytes(b"time_s\n\xff\xfe\n")
    with pytest.raises(DataError, match=r"table\.csv: not a CSV file in UTF-8"):
        read_telemetry(path)


angles = st.floats(-720, 720)


@given(angles, angles, st.floats(0, 1))
def test_turn_never_leaves_the_short_arc(a_deg: float, b_deg: float, weight: float) -> None:
    found = turn(a_deg, b_deg, weight)
    assert -180 <= found <= 180

    def apart(x: float, y: float) -> float:
        return abs((x - y + 180) % 360 - 180)

    assert apart(a_deg, found) + apart(found, b_deg) == pytest.approx(apart(a_deg, b_deg), abs=1e-6)


@given(
    st.lists(st.integers(0, 10**10), min_size=1, max_size=8, unique=True), st.integers(0, 10**10)
)
def test_a_sample_lies_between_its_neighbours(times_ns: list[int], t_ns: int) -> None:
    samples = [Telemetry(t, height_agl_m=1 + t / S) for t in sorted(times_ns)]
    found = sample_at(samples, t_ns)
    assert found.t_ns == min(max(t_ns, samples[0].t_ns), samples[-1].t_ns)
    assert found.height_agl_m == pytest.approx(1 + found.t_ns / S)


def test_across_a_silence_the_nearest_sample_stands() -> None:
    samples = [Telemetry(0, height_agl_m=10.0), Telemetry(S, height_agl_m=20.0)]
    assert sample_at(samples, S // 4, max_gap_ns=S // 2) == samples[0]
    assert sample_at(samples, 3 * S // 4, max_gap_ns=S // 2) == samples[1]
    assert sample_at(samples, S // 4, max_gap_ns=S).height_agl_m == 12.5


TRACK = "time_s,lat_deg,lon_deg\n0,10,179.9\n2,10.2,-179.9\n"


def test_a_gimbal_and_accuracies_are_read(tmp_path: Path) -> None:
    head = "time_s,gimbal_roll_deg,gimbal_pitch_deg,gimbal_heading_deg"
    rows = "0,0,-90,350,5,12\n1,2,-80,10,20,4\n"
    path = write(tmp_path, f"{head},heading_accuracy_deg,height_accuracy_m\n{rows}")
    between = read_telemetry(path).at(S // 2)
    assert between.attitude is None
    assert between.gimbal == Attitude(1.0, -85.0, 0.0)
    assert (between.heading_accuracy_deg, between.height_accuracy_m) == (20.0, 12.0)
    with pytest.raises(DataError, match="line 1, gimbal_heading_deg: missing beside"):
        read_telemetry(write(tmp_path, "time_s,gimbal_roll_deg,gimbal_pitch_deg\n0,0,0\n"))


def test_a_track_is_straight_between_rows_and_ends_with_them(tmp_path: Path) -> None:
    track = read_track(write(tmp_path, TRACK))
    assert track.at(0) == (10.0, 179.9)
    assert track.at(2 * S) == (10.2, -179.9)
    assert track.at(S // 2) == pytest.approx((10.05, 179.95))
    assert track.at(-1) is None
    assert track.at(2 * S + 1) is None


def test_a_track_by_picture_takes_times_from_elsewhere(tmp_path: Path) -> None:
    path = write(tmp_path, "file,lat_deg,lon_deg\nb.jpg,1,2\na.jpg,3,4\n")
    track = read_track(path, {"a.jpg": 0, "b.jpg": S, "c.jpg": 2 * S})
    assert track.at(0) == (3.0, 4.0)
    assert track.at(S) == (1.0, 2.0)
    with pytest.raises(DataError, match="nothing tells when"):
        read_track(path)
    with pytest.raises(DataError, match=r"line 3, file: the telemetry has no picture 'a\.jpg'"):
        read_track(path, {"b.jpg": 0})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lat_deg,lon_deg\n1,2\n", "either a time_s or a file column"),
        ("time_s,file,lat_deg,lon_deg\n0,a,1,2\n", "either a time_s or a file column"),
        ("time_s,lat_deg\n0,1\n", "line 1, lon_deg: the column is missing"),
        ("time_s,lat_deg,lon_deg\n0,1,181\n", "line 2, lon_deg: expected a longitude"),
        ("time_s,lat_deg,lon_deg\n5,1,2\n5,1,2\n", "line 3, time_s: expected a time after"),
    ],
)
def test_a_track_with_a_mistake_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(DataError) as caught:
        read_track(write(tmp_path, text))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("time_s", "1e300"),
        ("time_s", "-1e12"),
        ("height_agl_m", "1e300"),
        ("height_agl_m", "1e-300"),
        ("alt_amsl_m", "-1e200"),
        ("heading_accuracy_deg", "1e99"),
    ],
)
def test_numbers_of_no_flight_are_one_line(column: str, value: str, tmp_path: Path) -> None:
    rows = {"time_s": "1.0", column: value}
    path = tmp_path / "telemetry.csv"
    path.write_text(f"{','.join(rows)}\n{','.join(rows.values())}\n")
    with pytest.raises(DataError, match=rf"line 2, {column}: expected .*, found '{value}'"):
        read_telemetry(path)
