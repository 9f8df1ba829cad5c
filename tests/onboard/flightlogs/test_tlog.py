from __future__ import annotations

import random
from typing import Any

import pytest
from pymavlink.dialects.v20 import ardupilotmega as wire

from geobridge.onboard.errors import DataError
from geobridge.onboard.flightlogs.flight_log import Clock
from geobridge.onboard.flightlogs.mavlink.tlog import read_tlog

S = 1_000_000_000
START_NS = 1_700_000_000 * S
COMPANION = (1, 197)


def told(oddities: tuple[str, ...], *words: str) -> str:
    [found] = [line for line in oddities if all(word in line for word in words)]
    return found


def test_a_flight_is_read(tlog: Any, flight: Any, save: Any) -> None:
    log = read_tlog(save("flight.tlog", flight(tlog).data))
    sample = log.telemetry.at(START_NS + 4 * S)
    assert sample.attitude is not None
    assert sample.attitude.heading_deg == pytest.approx(94.0, abs=0.1)
    assert sample.height_agl_m is None
    assert sample.height_above_home_m == pytest.approx(80.0)
    assert sample.alt_amsl_m == pytest.approx(680.0)
    assert sample.velocity_north_m_s == pytest.approx(5.0)
    assert log.truth is not None
    assert log.provenance["truth"] == "GPS 0"
    there = log.truth.at(START_NS + 4 * S)
    assert there is not None
    assert (there[0] + 35.363) * 111_320.0 == pytest.approx(20.0, abs=0.5)


def test_messages_count_when_they_were_made(tlog: Any, save: Any) -> None:
    """Late ones by up to a second; the steady part of the way is nobody's to know."""
    dice = random.Random(3)
    late_s = [0.05, *(0.05 + dice.random() for _ in range(199))]
    for row in sorted(range(200), key=lambda row: row / 10.0 + late_s[row]):
        tlog.attitude(row / 10.0, 90.0 + row, delay_s=late_s[row])
        tlog.position(row / 10.0, 0.5 * row, delay_s=late_s[row])
    log = read_tlog(save("late.tlog", tlog.data))
    for row in range(0, 200, 7):
        sample = log.telemetry.at(START_NS + round((row / 10.0 + 0.05) * S))
        assert sample.attitude is not None
        assert sample.attitude.heading_deg == pytest.approx((90.0 + row) % 360.0, abs=0.5)
    assert told(log.oddities, "late")


@pytest.mark.parametrize("has_time_of_day", [True, False])
def test_a_log_that_was_played_again_counts_by_the_autopilots_clock(
    has_time_of_day: bool, tlog: Any, save: Any
) -> None:
    for fifth in range(300):
        t = fifth / 5.0
        faster = -0.8 * t
        tlog.attitude(t, 90.0 + t, delay_s=faster)
        tlog.position(t, 5.0 * t, delay_s=faster)
        if has_time_of_day:
            now = wire.MAVLink_system_time_message(round((1.6e9 + t) * 1e6), 5000 + 200 * fifth)
            tlog.say(t, now, delay_s=faster)
    log = read_tlog(save("played.tlog", tlog.data))
    first = log.telemetry.samples[0].t_ns
    assert log.telemetry.samples[-1].t_ns - first == pytest.approx(59.8 * S, abs=0.05 * S)
    sample = log.telemetry.at(first + 30 * S)
    assert sample.attitude is not None
    assert sample.attitude.heading_deg == pytest.approx(120.0, abs=0.1)
    assert log.clock is (Clock.UTC if has_time_of_day else Clock.BOOT)
    assert first == pytest.approx((1.6e9 if has_time_of_day else 5.0) * S, abs=0.01 * S)
    assert told(log.oddities, "played again") == (
        "received in 12 s, flown in 60: a log that was played again; the autopilot's own clock"
        " is used"
    )


def test_foreign_systems_are_not_listened_to(tlog: Any, flight: Any, save: Any) -> None:
    flight(tlog)
    for fifth in range(20):
        tlog.position(fifth / 5.0, 9000.0, source=(7, 1))
        tlog.attitude(fifth / 5.0, 0.0, source=COMPANION)
    log = read_tlog(save("many.tlog", tlog.data))
    assert told(log.oddities, "1/197", "7/1")
    assert {round(s.attitude.heading_deg) for s in log.telemetry.samples if s.attitude} <= set(
        range(89, 99)
    )
    assert max(s.prior.lat_deg for s in log.telemetry.samples if s.prior) < -35.362


def test_a_receiver_that_we_feed_is_no_truth(tlog: Any, flight: Any, save: Any) -> None:
    flight(tlog)
    for fifth in range(60):
        tlog.say(fifth / 5.0, gps_input(gps_id=1), source=COMPANION)
        tlog.gps(fifth / 5.0, 9000.0, second=True)
    log = read_tlog(save("fed.tlog", tlog.data))
    assert log.provenance["truth"] == "GPS 0"
    assert told(log.oddities, "GPS 1", "GPS_INPUT of 1/197", "no truth")


def test_a_log_whose_only_receiver_we_feed_has_no_truth(tlog: Any, flight: Any, save: Any) -> None:
    flight(tlog)
    tlog.say(1.0, gps_input(gps_id=0), source=COMPANION)
    log = read_tlog(save("fed.tlog", tlog.data))
    assert log.truth is None
    assert told(log.oddities, "nothing in it may be called truth")


def test_a_parameter_tells_it_too(tlog: Any, flight: Any, save: Any) -> None:
    flight(tlog)
    tlog.say(0.0, wire.MAVLink_param_value_message(b"GPS1_TYPE", 14.0, 9, 900, 1))
    assert read_tlog(save("fed.tlog", tlog.data)).truth is None


def test_positions_that_were_sent_otherwise_are_told(tlog: Any, flight: Any, save: Any) -> None:
    flight(tlog)
    zeros = (0.0,) * 6
    vision = wire.MAVLink_vision_position_estimate_message(1, *zeros)
    tlog.say(1.0, vision, source=COMPANION)
    estimate = (0, 0, 43003, 0, 0, 0.0, 0.0, 5.0, 0.0, 1, 2, 0.0)
    tlog.say(2.0, wire.MAVLink_command_int_message(1, 1, *estimate[1:]), source=COMPANION)
    log = read_tlog(save("vision.tlog", tlog.data))
    assert told(log.oddities, "VISION_POSITION_ESTIMATE of 1/197", "never truth")
    assert told(log.oddities, "COMMAND_INT of 1/197")
    assert log.truth is not None


def test_a_time_of_day_that_is_none_is_told(tlog: Any, flight: Any, save: Any) -> None:
    flight(tlog)
    for second in range(8):
        unix_us = 29_618_095_652_006_494 + second * 1_000_000
        tlog.say(second, wire.MAVLink_system_time_message(unix_us, 5000 + second * 1000))
    log = read_tlog(save("year.tlog", tlog.data))
    assert "years off" in told(log.oddities, "SYSTEM_TIME")
    assert abs(log.telemetry.samples[0].t_ns - START_NS) < S


def test_terrain_gives_the_height_above_ground(tlog: Any, flight: Any, save: Any) -> None:
    flight(tlog)
    for half in range(18):
        report = wire.MAVLink_terrain_report_message(0, 0, 100, 600.0, 55.0, 0, 500)
        tlog.say(half / 2.0 - 0.5, report)
    log = read_tlog(save("terrain.tlog", tlog.data))
    assert log.telemetry.at(START_NS + 4 * S).height_agl_m == pytest.approx(55.0)
    assert "TERRAIN_REPORT" in log.provenance["height_agl_m"]


@pytest.mark.parametrize(
    ("cm", "quality", "height_m"),
    [(500, 0, 5.0), (500, 1, None), (20, 0, 0.2), (12000, 0, None)],
)
def test_a_rangefinder_is_believed_as_in_flight(
    tlog: Any, flight: Any, save: Any, cm: int, quality: int, height_m: float | None
) -> None:
    flight(tlog)
    for half in range(18):
        tlog.say(
            half / 2.0 - 0.5,
            wire.MAVLink_distance_sensor_message(
                0, 20, 12000, cm, 0, 0, 25, 255, 0.0, 0.0, [0.0] * 4, quality
            ),
        )
    sample = read_tlog(save("range.tlog", tlog.data)).telemetry.at(START_NS + 4 * S)
    assert sample.height_agl_m == (height_m and pytest.approx(height_m, rel=0.05))
    assert sample.height_accuracy_m == (height_m and 3.0)


def test_a_gimbal_that_looks_down(tlog: Any, flight: Any, save: Any) -> None:
    flight(tlog)
    half = 0.5**0.5
    for fifth in range(40):
        device = wire.MAVLink_gimbal_device_attitude_status_message(
            *(0, 0, 5000 + fifth * 200, 32, [half, 0.0, -half, 0.0]), *(0.0, 0.0, 0.0, 0)
        )
        tlog.say(fifth / 5.0, device, source=(1, 154))
    gimbal = read_tlog(save("gimbal.tlog", tlog.data)).telemetry.at(START_NS + 4 * S).gimbal
    assert gimbal is not None
    assert gimbal.pitch_deg == pytest.approx(-90.0, abs=0.1)
    assert gimbal.heading_deg == pytest.approx(94.0, abs=0.3)  # the vehicle's, from which it counts


def test_camera_feedback_on_utc(tlog: Any, flight: Any, save: Any) -> None:
    flight(tlog)
    for number in range(3):
        unix_us = (1_700_000_000 + number) * 1_000_000
        message = wire.MAVLink_camera_feedback_message(
            *(unix_us, 0, 0, number, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0)
        )
        tlog.say(number + 0.2, message)
    events = read_tlog(save("camera.tlog", tlog.data)).camera_events
    assert [(event.t_ns, event.number) for event in events] == [
        (START_NS + number * S, number) for number in range(3)
    ]


def test_the_simulators_own_word_is_truth(tlog: Any, flight: Any, save: Any) -> None:
    flight(tlog)
    for second in range(8):
        angles = (0.0,) * 9
        tlog.say(second, wire.MAVLink_simstate_message(*angles, -355_000_000, 1_495_000_000))
    log = read_tlog(save("simulated.tlog", tlog.data))
    assert log.is_simulated
    assert log.truth is not None
    assert log.truth.lat_deg[3] == pytest.approx(-35.5)


def test_without_a_position_the_attitude_is_used(tlog: Any, save: Any) -> None:
    for fifth in range(20):
        tlog.attitude(fifth / 5.0)
    log = read_tlog(save("attitude.tlog", tlog.data))
    assert log.truth is None
    assert told(log.oddities, "no position")
    assert log.telemetry.samples[5].attitude is not None


def test_a_cut_and_a_flipped_log_give_what_they_have(tlog: Any, flight: Any, save: Any) -> None:
    data = flight(tlog).data
    whole = read_tlog(save("whole.tlog", data))
    cut = read_tlog(save("cut.tlog", data[: len(data) // 2 + 5]))
    assert told(cut.oddities, "cut off")
    assert 15 <= len(cut.telemetry.samples) <= 25
    flipped = bytearray(data)
    for at in range(1000, len(data), 1000):
        flipped[at] ^= 4
    damaged = read_tlog(save("flipped.tlog", bytes(flipped)))
    assert told(damaged.oddities, "damaged in")
    assert len(damaged.telemetry.samples) >= len(whole.telemetry.samples) - len(data) // 1000


@pytest.mark.parametrize("data", [b"", b"\x00" * 400, b"not a log at all, but some text" * 9])
def test_what_is_no_log_is_refused_in_a_line(save: Any, data: bytes) -> None:
    with pytest.raises(DataError, match=r"no\.tlog: no message that tells of a flight"):
        read_tlog(save("no.tlog", data))


def gps_input(gps_id: int) -> Any:
    return wire.MAVLink_gps_input_message(
        *(0, gps_id, 0, 0, 0, 3, -353_630_000, 1_491_650_000, 600.0, 1.0, 1.0),
        *(0.0, 0.0, 0.0, 0.1, 1.0, 1.0, 10),
    )
