from __future__ import annotations

import struct
from typing import Any

import pytest

from geobridge.onboard.errors import DataError
from geobridge.onboard.flightlogs.flight_log import Clock

pytest.importorskip("pyulog")

from geobridge.onboard.flightlogs.px4.ulog import read_ulog

S = 1_000_000_000
START_NS = 1_700_000_000 * S
HIL_GPS_DEVICE = 0xAF0006


def told(oddities: tuple[str, ...], *words: str) -> str:
    [found] = [line for line in oddities if all(word in line for word in words)]
    return found


@pytest.mark.parametrize("is_new", [False, True])
def test_receivers_of_both_ages_are_read(ulog: Any, flight: Any, save: Any, is_new: bool) -> None:
    log = read_ulog(save("flight.ulg", flight(ulog, is_new=is_new).data))
    assert log.clock is Clock.UTC
    assert log.truth is not None
    there = log.truth.at(START_NS + 4 * S)
    assert there is not None
    assert there == pytest.approx((-35.363 + 20.0 / 111_320.0, 149.165), abs=2e-7)
    sample = log.telemetry.at(START_NS + 4 * S)
    assert sample.attitude is not None
    assert sample.attitude.heading_deg == pytest.approx(90.0)
    assert sample.alt_amsl_m == pytest.approx(600.0)
    assert sample.prior is not None
    assert sample.prior.horiz_accuracy_m == pytest.approx(1.4 / 2**0.5, rel=1e-5)


def test_a_receiver_on_mavlink_is_no_truth(ulog: Any, flight: Any, save: Any) -> None:
    log = read_ulog(save("fed.ulg", flight(ulog, is_new=True, device=HIL_GPS_DEVICE).data))
    assert log.truth is None
    assert told(log.oddities, "sensor_gps 0", "HIL_GPS")


def test_the_filters_own_position_is_belief_and_what_fed_it_is_told(
    ulog: Any, flight: Any, save: Any
) -> None:
    flight(ulog, is_new=True)
    ulog.topic("vehicle_global_position", "double lat;double lon;float alt;float eph")
    ulog.topic("aux_global_position", "double lat;double lon")
    for tenth in range(80):
        t_us = 1_000_000 + tenth * 100_000
        ulog.row("vehicle_global_position", t_us, -35.4, 149.2, 650.0, 2.0)
        ulog.row("aux_global_position", t_us, -35.4, 149.2)
    log = read_ulog(save("aided.ulg", ulog.data))
    sample = log.telemetry.at(START_NS + 4 * S)
    assert sample.prior is not None
    assert sample.prior.lat_deg == pytest.approx(-35.4)
    assert log.truth is not None
    assert log.truth.lat_deg[0] == pytest.approx(-35.363)
    assert told(log.oddities, "aux_global_position", "never truth")


def test_height_is_above_home_or_as_measured(ulog: Any, flight: Any, save: Any) -> None:
    flight(ulog, is_new=True)
    fields = "float x;float y;float z;float vx;float vy;float dist_bottom;bool dist_bottom_valid"
    ulog.topic("vehicle_local_position", f"{fields};bool xy_valid;bool z_valid;bool v_xy_valid")
    for tenth in range(80):
        cells = (0.0, 0.0, -42.0, 5.0, 1.0, 40.0, True, False, True, True)
        ulog.row("vehicle_local_position", 1_000_000 + tenth * 100_000, *cells)
    log = read_ulog(save("height.ulg", ulog.data))
    sample = log.telemetry.at(START_NS + 4 * S)
    assert sample.height_agl_m == pytest.approx(40.0)
    assert sample.velocity_north_m_s == pytest.approx(5.0)
    assert "as measured" in log.provenance["height_agl_m"]
    assert told(log.oddities, "never valid")


def test_times_since_1970_stay_as_they_are(ulog: Any, save: Any) -> None:
    ulog.topic("vehicle_attitude", "float[4] q")
    start_us = 1_710_773_350_346_000
    ulog._start_us = start_us
    for tenth in range(20):
        ulog.row("vehicle_attitude", start_us + tenth * 100_000, 1.0, 0.0, 0.0, 0.0)
    log = read_ulog(save("epoch.ulg", ulog.data))
    assert log.clock is Clock.UTC
    assert log.telemetry.samples[0].t_ns == start_us * 1000
    assert told(log.oddities, "no position")


def test_without_a_time_of_day_the_clock_is_the_autopilots(ulog: Any, save: Any) -> None:
    ulog.topic("vehicle_attitude", "float[4] q")
    for tenth in range(20):
        ulog.row("vehicle_attitude", 5_000_000 + tenth * 100_000, 1.0, 0.0, 0.0, 0.0)
    log = read_ulog(save("boot.ulg", ulog.data))
    assert log.clock is Clock.BOOT
    assert log.telemetry.samples[0].t_ns == 5 * S


def test_appended_data_dropouts_and_simulation_are_told(ulog: Any, flight: Any, save: Any) -> None:
    flight(ulog, is_new=False)
    ulog.info("ver_hw", "PX4_SITL")
    ulog.dropout(30)
    ulog.append(struct.pack("<HB", 2 + 8 + 16, ord("D")) + bytes(26))
    log = read_ulog(save("odd.ulg", ulog.data))
    assert told(log.oddities, "appended")
    assert told(log.oddities, "dropouts in it: 1, 0.030 s")
    assert log.is_simulated


def test_pictures_that_failed_are_none(ulog: Any, flight: Any, save: Any) -> None:
    flight(ulog, is_new=True)
    ulog.topic("camera_capture", "uint64_t timestamp_utc;uint32_t seq;int8_t result")
    for number, result in enumerate((1, -1, 1)):
        ulog.row("camera_capture", 2_000_000 + number * 1_000_000, 0, number, result)
    events = read_ulog(save("camera.ulg", ulog.data)).camera_events
    assert [(event.number, event.t_ns) for event in events] == [
        (0, START_NS + S),
        (2, START_NS + 3 * S),
    ]


def test_a_gimbal_is_read(ulog: Any, flight: Any, save: Any) -> None:
    flight(ulog, is_new=True)
    ulog.topic("gimbal_device_attitude_status", "float[4] q;uint32_t device_flags")
    half = 0.5**0.5
    for tenth in range(80):
        cells = (half, 0.0, -half, 0.0, 64)
        ulog.row("gimbal_device_attitude_status", 1_000_000 + tenth * 100_000, *cells)
    gimbal = read_ulog(save("gimbal.ulg", ulog.data)).telemetry.at(START_NS + 4 * S).gimbal
    assert gimbal is not None
    assert gimbal.pitch_deg == pytest.approx(-90.0, abs=0.1)
    assert gimbal.heading_deg == pytest.approx(0.0, abs=0.1)


def test_a_cut_log_gives_what_it_has(ulog: Any, flight: Any, save: Any) -> None:
    data = flight(ulog, is_new=False).data
    cut = read_ulog(save("cut.ulg", data[: len(data) * 3 // 4 + 3]))
    assert 40 <= len(cut.telemetry.samples) < 80


@pytest.mark.parametrize(
    "data", [b"", b"ULog\x01\x12\x35\x01", b"ULog\x01\x12\x35\x01" + bytes(300)]
)
def test_what_is_no_log_is_refused_in_a_line(save: Any, data: bytes) -> None:
    with pytest.raises(DataError, match=r"no\.ulg: ") as refused:
        read_ulog(save("no.ulg", data))
    assert "\n" not in str(refused.value)
