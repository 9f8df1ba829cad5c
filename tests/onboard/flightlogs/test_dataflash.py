from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geobridge.onboard.errors import DataError
from geobridge.onboard.flightlogs.ardupilot.dataflash import read_dataflash
from geobridge.onboard.flightlogs.flight_log import Clock

S = 1_000_000_000
START_NS = 1_700_000_000 * S


def told(oddities: tuple[str, ...], *words: str) -> str:
    [found] = [line for line in oddities if all(word in line for word in words)]
    return found


@pytest.mark.parametrize("form", ["binary", "text"])
def test_a_flight_is_read_on_utc(dataflash: Any, flight: Any, save: Any, form: str) -> None:
    flight(dataflash)
    data = dataflash.binary if form == "binary" else dataflash.text.encode()
    log = read_dataflash(save("flight.bin", data))
    assert (log.kind, log.clock) == ("dataflash", Clock.UTC)
    assert "18 leap seconds" in log.provenance["clock"]
    sample = log.telemetry.at(START_NS + 4 * S)
    assert sample.attitude is not None
    assert sample.attitude.roll_deg == pytest.approx(2.0)
    assert sample.attitude.heading_deg == pytest.approx(6.0, abs=0.01)  # through north
    assert sample.height_agl_m is None
    assert sample.height_above_home_m == pytest.approx(84.0)
    assert sample.alt_amsl_m == pytest.approx(604.0)
    assert sample.prior is not None
    assert (sample.prior.lat_deg + 35.363) * 111_320.0 == pytest.approx(20.0, abs=0.1)
    assert log.truth is not None
    assert len(log.truth.times_ns) == 40
    assert log.provenance["attitude"].startswith("ATT")
    assert "above home" in log.provenance["height_above_home_m"]


def test_rows_without_a_fix_are_no_truth(dataflash: Any, flight: Any, save: Any) -> None:
    flight(dataflash)
    for row in range(10):
        dataflash.gps(8.0 + row / 5.0, status=1, north_m=500.0 * (row % 2))
    log = read_dataflash(save("flight.bin", dataflash.binary))
    assert log.truth is not None
    assert max(log.truth.lat_deg) < -35.363 + 41.0 / 111_320.0
    [receiver] = log.receivers
    assert (receiver.rows, receiver.rows_with_fix) == (50, 40)
    assert "10 of 50 rows without a 3D fix" in told(log.oddities, "GPS 0")


def test_truth_is_silent_where_the_receiver_was(dataflash: Any, save: Any) -> None:
    dataflash.gps_kind()
    for t in (0.0, 0.2, 6.0, 6.2):
        dataflash.gps(t, north_m=t)
    log = read_dataflash(save("flight.bin", dataflash.binary))
    assert log.truth is not None
    assert log.truth.at(START_NS + S // 10) is not None
    assert log.truth.at(START_NS + 3 * S) is None
    assert log.telemetry.at(START_NS + 3 * S).t_ns != START_NS + 3 * S


def test_a_receiver_that_gps_input_feeds_is_no_truth(
    dataflash: Any, flight: Any, save: Any
) -> None:
    flight(dataflash)
    dataflash.parameter("GPS2_TYPE", 14)
    for fifth in range(100):
        dataflash.gps(fifth / 5.0, number=1, north_m=900.0)
    log = read_dataflash(save("flight.bin", dataflash.binary))
    assert log.truth is not None
    assert log.provenance["truth"] == "GPS 0"
    assert max(log.truth.lat_deg) < -35.363 + 100.0 / 111_320.0
    assert "GPS2_TYPE is 14" in told(log.oddities, "GPS 1", "no truth")


@pytest.mark.parametrize("name", ["GPS_TYPE", "GPS1_TYPE"])
def test_a_log_of_nothing_but_our_own_fixes_has_no_truth(
    dataflash: Any, flight: Any, save: Any, name: str
) -> None:
    flight(dataflash)
    dataflash.parameter(name, 14)
    log = read_dataflash(save("flight.bin", dataflash.binary))
    assert log.truth is None
    assert told(log.oddities, "nothing in it may be called truth")


@pytest.mark.parametrize("values", [(14, 1), (1, 14)])
@pytest.mark.parametrize("name", ["GPS_TYPE", "GPS1_TYPE"])
def test_a_receiver_that_gps_input_fed_for_a_while_is_no_truth(
    dataflash: Any, flight: Any, save: Any, name: str, values: tuple[int, int]
) -> None:
    dataflash.parameter(name, values[0])
    flight(dataflash)
    dataflash.parameter(name, values[1])
    log = read_dataflash(save("flight.bin", dataflash.binary))
    assert log.truth is None
    assert told(log.oddities, f"{name} {'is' if values[1] == 14 else 'was'} 14")


@pytest.mark.parametrize("later", [6, 3])
def test_a_filter_that_follows_external_vision_is_told(
    dataflash: Any, flight: Any, save: Any, later: int
) -> None:
    flight(dataflash)
    dataflash.parameter("EK3_SRC1_POSXY", 6)
    dataflash.parameter("EK3_SRC1_POSXY", later)
    log = read_dataflash(save("flight.bin", dataflash.binary))
    assert told(log.oddities, "EK3_SRC1_POSXY", "never truth")


def test_the_old_form_counts_milliseconds_and_its_own_leap_seconds(
    dataflash: Any, save: Any
) -> None:
    dataflash.kind("ATT", "Iccccc", "TimeMS,DesRoll,Roll,DesPitch,Pitch,Yaw")
    dataflash.kind("GPS", "BIHBcLLeeI", "Status,TimeMS,Week,NSats,HDop,Lat,Lng,RelAlt,Alt,T")
    for row in range(20):
        boot_ms = 10_000 + 200 * row
        dataflash.row("ATT", boot_ms, 0.0, 1.5, 0.0, -0.5, 270.0)
        # 2013-06-01 00:00:00 UTC, when GPS was 16 s ahead
        week_ms = 518_400_000 + 16_000 + 200 * row
        place = -35.0 + row * 1e-5, 149.0
        dataflash.row("GPS", 3, week_ms, 1742, 9, 1.1, *place, 30.0, 610.0, boot_ms)
    log = read_dataflash(save("old.log", dataflash.binary))
    assert "less 16 leap seconds" in log.provenance["clock"]
    first = log.telemetry.samples[0]
    assert first.t_ns == 1_370_044_800 * S
    assert first.attitude is not None
    assert first.attitude.heading_deg == pytest.approx(270.0)
    assert first.height_above_home_m == pytest.approx(30.0)
    assert "RelAlt" in log.provenance["height_above_home_m"]


def test_the_primary_lane_gives_the_velocity(dataflash: Any, flight: Any, save: Any) -> None:
    flight(dataflash)
    dataflash.kind("XKF1", "QBfff", "TimeUS,C,VN,VE,VD")
    dataflash.kind("XKF4", "QBB", "TimeUS,C,PI")
    for tenth in range(80):
        for lane in (0, 1):
            dataflash.row("XKF1", tenth * 100_000, lane, 5.0 + lane, 1.0, 0.0)
            dataflash.row("XKF4", tenth * 100_000, lane, 1)
    log = read_dataflash(save("flight.bin", dataflash.binary))
    assert log.telemetry.at(START_NS + 4 * S).velocity_north_m_s == pytest.approx(6.0)
    assert "EKF3, lane 1 of 2" in log.provenance["velocity"]


def test_terrain_is_better_than_home(dataflash: Any, flight: Any, save: Any) -> None:
    flight(dataflash)
    dataflash.kind("TERR", "QBff", "TimeUS,Status,TerrH,CHeight")
    for second in range(9):
        dataflash.row("TERR", second * 1_000_000, 2, 540.0, 60.0)
    log = read_dataflash(save("flight.bin", dataflash.binary))
    sample = log.telemetry.at(START_NS + 4 * S)
    assert (sample.height_agl_m, sample.height_accuracy_m) == pytest.approx((60.0, 10.0))
    assert sample.height_above_home_m == pytest.approx(84.0)
    assert "terrain" in log.provenance["height_agl_m"]


def test_a_rangefinder_is_better_than_terrain(dataflash: Any, flight: Any, save: Any) -> None:
    flight(dataflash)
    dataflash.kind("TERR", "QBff", "TimeUS,Status,TerrH,CHeight")
    dataflash.kind("RFND", "QBfBB", "TimeUS,Instance,Dist,Stat,Orient")
    for second in range(9):
        dataflash.row("TERR", second * 1_000_000, 2, 540.0, 60.0)
        in_range = 4 if second < 4 else 3
        dataflash.row("RFND", second * 1_000_000, 0, 50.0, in_range, 25)
    log = read_dataflash(save("flight.bin", dataflash.binary)).telemetry
    near, far = log.at(START_NS + 2 * S), log.at(START_NS + 7 * S)
    assert near.height_agl_m == pytest.approx(50.0, abs=0.1)  # by the roll of 2 degrees less
    assert near.height_accuracy_m == pytest.approx(3.0)
    assert (far.height_agl_m, far.height_accuracy_m) == pytest.approx((60.0, 10.0))


def test_the_simulators_own_word_is_truth(dataflash: Any, flight: Any, save: Any) -> None:
    flight(dataflash)
    dataflash.kind("SIM", "QLL", "TimeUS,Lat,Lng")
    for second in range(8):
        dataflash.row("SIM", second * 1_000_000, -35.5, 149.5)
    log = read_dataflash(save("flight.bin", dataflash.binary))
    assert log.is_simulated
    assert log.truth is not None
    assert log.truth.lat_deg[0] == pytest.approx(-35.5)


def test_a_gimbal_against_the_earth_or_the_vehicle(dataflash: Any, flight: Any, save: Any) -> None:
    flight(dataflash)
    dataflash.kind("MNT", "QBffff", "TimeUS,I,Roll,Pitch,YawB,YawE")
    for tenth in range(80):
        dataflash.row("MNT", tenth * 100_000, 0, 0.0, -90.0, 10.0, math.nan)
    gimbal = (
        read_dataflash(save("flight.bin", dataflash.binary)).telemetry.at(START_NS + 4 * S).gimbal
    )
    assert gimbal is not None
    assert gimbal.pitch_deg == pytest.approx(-90.0)
    assert gimbal.heading_deg == pytest.approx(16.0, abs=0.1)


@pytest.mark.parametrize(("pin", "is_feedback"), [(None, False), (54.0, True)])
def test_camera_messages(
    dataflash: Any, flight: Any, save: Any, pin: float | None, is_feedback: bool
) -> None:
    flight(dataflash)
    if pin is not None:
        dataflash.parameter("CAM1_FEEDBAK_PIN", pin)
    dataflash.kind("CAM", "QBHIHLL", "TimeUS,I,Img,GPSTime,GPSWeek,Lat,Lng")
    for number in range(3):
        dataflash.row("CAM", number * 1_500_000, 0, number + 7, 0, 0, -35.0, 149.0)
    events = read_dataflash(save("flight.bin", dataflash.binary)).camera_events
    assert [(event.t_ns - START_NS, event.number) for event in events] == [
        (0, 7),
        (3 * S // 2, 8),
        (3 * S, 9),
    ]
    assert {event.is_feedback for event in events} == {is_feedback}


def test_without_attitude_the_position_is_used(dataflash: Any, save: Any) -> None:
    dataflash.gps_kind()
    for fifth in range(20):
        dataflash.gps(fifth / 5.0, north_m=fifth)
    log = read_dataflash(save("flight.bin", dataflash.binary))
    assert told(log.oddities, "no attitude")
    assert log.telemetry.samples[3].prior is not None
    assert log.telemetry.samples[3].attitude is None


def test_without_gnss_the_clock_is_the_autopilots(dataflash: Any, save: Any) -> None:
    dataflash.kind("ATT", "Qfff", "TimeUS,Roll,Pitch,Yaw")
    for tenth in range(20):
        dataflash.row("ATT", 7_000_000 + tenth * 100_000, 1.0, 2.0, 3.0)
    log = read_dataflash(save("flight.bin", dataflash.binary))
    assert log.clock is Clock.BOOT
    assert log.telemetry.samples[0].t_ns == 7 * S
    assert log.truth is None
    assert told(log.oddities, "no position")


def test_time_that_runs_backwards_costs_the_fewer_rows(dataflash: Any, save: Any) -> None:
    dataflash.kind("ATT", "Qfff", "TimeUS,Roll,Pitch,Yaw")
    for tenth in (*range(30), *range(5, 8), *range(30, 60), 10**12, *range(60, 70)):
        dataflash.row("ATT", tenth * 100_000, 1.0, 2.0, 3.0)
    log = read_dataflash(save("flight.bin", dataflash.binary))
    times_ns = [sample.t_ns for sample in log.telemetry.samples]
    assert times_ns == [tenth * S // 10 for tenth in range(70)]
    assert "rows left out: 4" in told(log.oddities, "backwards")


def test_a_cut_log_gives_what_it_has_and_says_so(dataflash: Any, flight: Any, save: Any) -> None:
    flight(dataflash)
    whole = read_dataflash(save("whole.bin", dataflash.binary))
    cut = read_dataflash(save("cut.bin", dataflash.binary[: len(dataflash.binary) * 2 // 3 + 1]))
    assert told(cut.oddities, "cut off")
    assert not any("cut off" in line for line in whole.oddities)
    assert 0.5 < len(cut.telemetry.samples) / len(whole.telemetry.samples) < 0.8
    assert cut.telemetry.samples[:40] == whole.telemetry.samples[:40]


@pytest.mark.parametrize("filling", [b"\0", b"\xff"])
def test_a_last_block_that_is_filled_up_is_not_cut(
    dataflash: Any, flight: Any, save: Any, filling: bytes
) -> None:
    flight(dataflash)
    log = read_dataflash(save("blocks.bin", dataflash.binary + 200 * filling))
    assert not any("cut off" in line or "damaged" in line for line in log.oddities)


def test_a_hole_in_a_log_costs_what_was_in_it(
    dataflash: Any, flight: Any, save: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    flight(dataflash)
    data = bytearray(dataflash.binary)
    middle = len(data) // 2
    data[middle : middle + 300] = bytes(300)
    whole = read_dataflash(save("whole.bin", dataflash.binary))
    holed = read_dataflash(save("holed.bin", bytes(data)))
    assert told(holed.oddities, "damaged")
    assert len(whole.telemetry.samples) - len(holed.telemetry.samples) < 8
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("data", [b"", b"\xa3\x95\x80", b"FMT, nonsense\n", bytes(5000)])
def test_what_is_no_log_is_refused_in_a_line(save: Callable[..., Path], data: bytes) -> None:
    with pytest.raises(DataError, match=r"no\.bin: ") as refused:
        read_dataflash(save("no.bin", data))
    assert "\n" not in str(refused.value)
