"""What the stand-in autopilots answer and stream: decoded messages in and out, simulated time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import ardupilotmega as wire
from pymavlink.quaternion import Quaternion

from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Attitude
from geobridge.onboard.simulation.autopilot import parameters
from geobridge.onboard.simulation.autopilot.arducopter import MODES as COPTER_MODES
from geobridge.onboard.simulation.autopilot.arducopter import ArduCopter
from geobridge.onboard.simulation.autopilot.autopilot import Autopilot
from geobridge.onboard.simulation.autopilot.px4 import MODES as PX4_MODES
from geobridge.onboard.simulation.autopilot.px4 import Px4
from geobridge.onboard.simulation.autopilot.px4_timesync import CONVERGENCE_WINDOW, Timesync
from geobridge.onboard.simulation.state import GnssReading, Readings

FRAME = LocalFrame(47.4, 8.5)
BOOT_NS = 7_000_000_000_000
STEP_NS = 50_000_000
ATTITUDE = Attitude(5.0, -3.0, 300.0)


def copter(in_flight: bool = True, **values: float) -> Autopilot:
    return Autopilot(ArduCopter(FRAME, values, in_flight=in_flight), FRAME)


def px4(in_flight: bool = True, **values: float) -> Autopilot:
    return Autopilot(Px4(FRAME, values, in_flight=in_flight), FRAME)


def step(autopilot: Autopilot, k: int, east_m: float = 0.0) -> list[Any]:
    gnss = GnssReading(
        k * 0.05, 3, 12, 0.8, east_m, 20.0, 580.0, (3.0, -4.0, 0.0), 1.0, 1.5, 0.3
    )  # fmt: skip
    solution = gnss if k % 4 == 0 else None
    readings = Readings(k * 0.05, ATTITUDE, (0.0, 0.0, 0.0), 580.0, 80.0, solution)
    return autopilot.step(readings, BOOT_NS + k * STEP_NS)


def run(autopilot: Autopilot, steps: int) -> list[Any]:
    return [message for k in range(steps) for message in step(autopilot, k)]


def tell(autopilot: Autopilot, message: Any, t_ns: int = BOOT_NS) -> list[Any]:
    """As another system's message; question and answers go through bytes."""
    [received] = through_bytes([message], 255, 190)
    return through_bytes(autopilot.receive(received, t_ns), 1, 1)


def through_bytes(messages: Iterable[Any], system: int, component: int) -> list[Any]:
    sender, receiver = wire.MAVLink(None, system, component), wire.MAVLink(None)
    return [each for message in messages for each in receiver.parse_buffer(message.pack(sender))]


def command(number: int, *params: float, **target: int) -> Any:
    values = [*params, *[0.0] * (7 - len(params))]
    system, component = target.get("system", 1), target.get("component", 1)
    return wire.MAVLink_command_long_message(system, component, number, 0, *values)


def of(kind: str, messages: Iterable[Any]) -> list[Any]:
    return [message for message in messages if message.get_type() == kind]


@pytest.mark.parametrize(
    ("autopilot", "identity", "mode"),
    [(copter(), 3, COPTER_MODES["GUIDED"]), (px4(), 12, PX4_MODES["MISSION"])],
)
def test_heartbeats_come_once_a_second_and_say_who_it_is(
    autopilot: Autopilot, identity: int, mode: int
) -> None:
    beats = of("HEARTBEAT", run(autopilot, 100))
    assert len(beats) == 5
    assert {(beat.autopilot, beat.custom_mode, beat.type) for beat in beats} == {
        (identity, mode, wire.MAV_TYPE_QUADROTOR)
    }
    assert all(beat.base_mode & wire.MAV_MODE_FLAG_SAFETY_ARMED for beat in beats)


def test_arducopter_streams_nothing_else_until_it_is_asked() -> None:
    autopilot = copter()
    kinds = {message.get_type() for message in run(autopilot, 40)}
    assert kinds == {"HEARTBEAT", "STATUSTEXT", "GPS_GLOBAL_ORIGIN"}
    ask = wire.MAVLink_request_data_stream_message(1, 1, wire.MAV_DATA_STREAM_POSITION, 5, 1)
    tell(autopilot, ask)
    later = [message for k in range(40, 80) for message in step(autopilot, k)]
    assert len(of("GLOBAL_POSITION_INT", later)) == len(of("LOCAL_POSITION_NED", later)) == 10
    assert not of("ATTITUDE", later)


def test_message_intervals_are_kept_reported_and_ended() -> None:
    autopilot = copter()
    run(autopilot, 1)
    number = wire.MAVLINK_MSG_ID_ATTITUDE_QUATERNION
    [ack] = tell(autopilot, command(wire.MAV_CMD_SET_MESSAGE_INTERVAL, number, 100_000))
    assert ack.result == wire.MAV_RESULT_ACCEPTED
    assert len(of("ATTITUDE_QUATERNION", run(autopilot, 40))) == 20
    ack, interval = tell(autopilot, command(wire.MAV_CMD_GET_MESSAGE_INTERVAL, number))
    assert interval.interval_us == 100_000
    tell(autopilot, command(wire.MAV_CMD_SET_MESSAGE_INTERVAL, number, -1))
    assert not of("ATTITUDE_QUATERNION", run(autopilot, 40))
    [ack] = tell(autopilot, command(wire.MAV_CMD_SET_MESSAGE_INTERVAL, 65_000, 100_000))
    assert ack.result == wire.MAV_RESULT_UNSUPPORTED


@pytest.mark.parametrize("autopilot", [copter(SR0_POSITION=10, SR0_EXTRA1=10), px4()])
def test_positions_and_attitude_are_right_in_wire_units(autopilot: Autopilot) -> None:
    sent = run(autopilot, 60)
    place, local = of("GLOBAL_POSITION_INT", sent)[-1], of("LOCAL_POSITION_NED", sent)[-1]
    estimate = autopilot.firmware.estimate
    east_m, north_m = FRAME.to_enu(place.lat / 1e7, place.lon / 1e7)
    assert math.dist((east_m, north_m), (estimate.east_m, estimate.north_m)) < 0.5
    assert (place.alt, place.relative_alt) == pytest.approx((580_000, 80_000), abs=200)
    assert (place.vx, place.vy) == pytest.approx((-400, 300), abs=40)
    assert place.hdg == 30_000
    assert (local.vx, local.vy) == pytest.approx((-4.0, 3.0), abs=0.4)
    attitude = of("ATTITUDE", sent)[-1]
    angles = (attitude.roll, attitude.pitch, attitude.yaw)
    assert angles == pytest.approx([math.radians(a) for a in (5.0, -3.0, -60.0)])


def test_the_quaternion_is_the_same_attitude() -> None:
    sent = of("ATTITUDE_QUATERNION", run(px4(), 5))[-1]
    roll, pitch, yaw = Quaternion([sent.q1, sent.q2, sent.q3, sent.q4]).euler
    assert [math.degrees(a) for a in (roll, pitch, yaw)] == pytest.approx([5.0, -3.0, -60.0])


def test_px4_says_no_global_position_before_it_has_an_origin() -> None:
    autopilot = px4(in_flight=False)
    assert not of("GLOBAL_POSITION_INT", run(autopilot, 100))


def test_receivers_are_shown_one_by_one() -> None:
    autopilot = copter(GPS2_TYPE=14, SR0_EXT_STAT=5)
    mock = wire.MAVLink_gps_input_message(
        0, 1, 0, 0, 0, 3, 474_000_000, 85_000_000, 500.0, 1.0, 1.0, 0, 0, 0, 0.5, 2.0, 2.0, 9
    )  # fmt: skip
    run(autopilot, 1)
    tell(autopilot, mock)
    sent = run(autopilot, 20)
    first, second = of("GPS_RAW_INT", sent)[-1], of("GPS2_RAW", sent)[-1]
    assert (first.satellites_visible, first.h_acc, first.eph) == (12, 1000, 80)
    assert (second.satellites_visible, second.lat, second.h_acc) == (9, 474_000_000, 2000)


def test_an_answer_to_timesync_mirrors_the_question_and_gives_the_time_since_boot() -> None:
    autopilot = copter()
    run(autopilot, 1)
    question = wire.MAVLink_timesync_message(tc1=0, ts1=123_456_789)
    [answer] = tell(autopilot, question, BOOT_NS + 40_000)
    assert (answer.tc1, answer.ts1) == (40_000, 123_456_789)


def test_px4_believes_a_companions_clock_after_500_answers() -> None:
    firmware = Px4(FRAME)
    autopilot, timesync = Autopilot(firmware, FRAME), firmware.timesync
    ahead_ns = 55_000_000_000
    asked = 0
    for k in range(1100):
        for request in of("TIMESYNC", step(autopilot, k)):
            asked += 1
            t_ns = BOOT_NS + k * STEP_NS + 2_000_000
            answer = wire.MAVLink_timesync_message(request.ts1 + 1_000_000 + ahead_ns, request.ts1)
            tell(autopilot, answer, t_ns)
            assert timesync.has_converged is (asked >= CONVERGENCE_WINDOW)
    now_s = 1100 * 0.05
    assert timesync.stamp_s((now_s - 0.3 + 55.0) * 1e6, now_s) == pytest.approx(now_s - 0.3)


def test_slow_answers_do_not_count_and_a_clock_that_jumps_begins_anew() -> None:
    timesync = Timesync()
    for k in range(600):
        slow = wire.MAVLink_timesync_message(tc1=1 + k * 10**8, ts1=k * 10**8)
        timesync.take(slow, k * 0.1 + 0.02)
    assert not timesync.has_converged
    for k in range(600):
        timesync.take(wire.MAVLink_timesync_message(1 + k * 10**8, k * 10**8), k * 0.1 + 0.001)
    assert timesync.has_converged
    timesync.take(wire.MAVLink_timesync_message(10**12, 60 * 10**9), 60.001)
    assert not timesync.has_converged
    assert timesync.stamp_s(5, 61.0) == 61.0


@given(st.sampled_from(sorted(parameters.PX4)), st.integers(-(2**31), 2**31 - 1))
def test_a_parameter_reads_back_as_it_was_set(name: str, value: int) -> None:
    for autopilot, table in ((px4(), parameters.PX4), (copter(), parameters.ARDUCOPTER)):
        run(autopilot, 1)
        name = name if name in table else sorted(table)[value % len(table)]
        kind, _ = table[name]
        coded = autopilot.firmware.parameters.encoding.to_wire(value, kind)
        setting = wire.MAVLink_param_set_message(1, 1, name.encode(), coded, kind)
        [echo] = tell(autopilot, setting)
        assert echo.param_id == name
        is_exact = kind != parameters.F32 and isinstance(autopilot.firmware, Px4)
        got = autopilot.firmware.parameters[name]
        assert got == value if is_exact else got == pytest.approx(value, rel=1e-6)


def test_the_list_of_parameters_is_whole_and_numbered() -> None:
    autopilot = copter()
    run(autopilot, 1)
    values = tell(autopilot, wire.MAVLink_param_request_list_message(1, 1))
    assert [value.param_index for value in values] == list(range(len(parameters.ARDUCOPTER)))
    assert {value.param_count for value in values} == {len(parameters.ARDUCOPTER)}
    by_number = tell(autopilot, wire.MAVLink_param_request_read_message(1, 1, b"", 3))
    assert by_number[0].param_id == values[3].param_id
    assert tell(autopilot, wire.MAVLink_param_request_read_message(1, 1, b"NO_SUCH", -1)) == []


def test_the_system_is_a_parameter() -> None:
    autopilot = copter(SYSID_THISMAV=7)
    run(autopilot, 1)
    assert autopilot.system == 7
    assert tell(autopilot, wire.MAVLink_param_request_list_message(7, 1))
    assert not tell(autopilot, wire.MAVLink_param_request_list_message(1, 1))


def test_what_is_for_another_system_is_not_answered() -> None:
    autopilot = copter()
    run(autopilot, 1)
    assert tell(autopilot, wire.MAVLink_param_request_list_message(2, 1)) == []
    disarm = command(wire.MAV_CMD_COMPONENT_ARM_DISARM, 0.0, component=191)
    assert tell(autopilot, disarm) == []
    assert autopilot.firmware.is_armed


@pytest.mark.parametrize(("autopilot", "identity"), [(copter(), 4), (px4(), 1)])
def test_the_version_is_given_on_request(autopilot: Autopilot, identity: int) -> None:
    run(autopilot, 1)
    request = command(wire.MAV_CMD_REQUEST_MESSAGE, wire.MAVLINK_MSG_ID_AUTOPILOT_VERSION)
    ack, version = tell(autopilot, request)
    assert ack.result == wire.MAV_RESULT_ACCEPTED
    assert version.flight_sw_version >> 24 == identity
    assert version.capabilities & wire.MAV_PROTOCOL_CAPABILITY_COMMAND_INT
    unknown = tell(autopilot, command(wire.MAV_CMD_REQUEST_MESSAGE, 65_000))
    assert [answer.result for answer in unknown] == [wire.MAV_RESULT_FAILED]


def test_modes_are_set_in_each_ones_own_words() -> None:
    for autopilot, words, mode in ((copter(), (5.0, 0.0), "LOITER"), (px4(), (4.0, 3.0), "HOLD")):
        run(autopilot, 10)
        [ack] = tell(autopilot, command(wire.MAV_CMD_DO_SET_MODE, 1.0, *words))
        assert ack.result == wire.MAV_RESULT_ACCEPTED
        assert autopilot.firmware.mode == mode


def test_arming_is_refused_with_reasons_and_can_be_forced() -> None:
    for autopilot in (copter(in_flight=False), px4(in_flight=False)):
        if isinstance(autopilot.firmware, ArduCopter):
            autopilot.firmware.set_mode(COPTER_MODES["GUIDED"])
        run(autopilot, 10)
        ack, *texts = tell(autopilot, command(wire.MAV_CMD_COMPONENT_ARM_DISARM, 1.0))
        assert ack.result != wire.MAV_RESULT_ACCEPTED
        assert of("STATUSTEXT", texts)
        [ack] = tell(autopilot, command(wire.MAV_CMD_COMPONENT_ARM_DISARM, 1.0, 21196.0))
        assert ack.result == wire.MAV_RESULT_ACCEPTED
        assert autopilot.firmware.is_armed


def test_long_texts_come_in_pieces_that_join_again() -> None:
    autopilot = px4(in_flight=False)
    run(autopilot, 3)
    texts = of("STATUSTEXT", tell(autopilot, command(wire.MAV_CMD_COMPONENT_ARM_DISARM, 1.0)))
    joined: dict[int, str] = {}
    for text in texts:
        joined[text.id] = joined.get(text.id, "") + text.text
    assert "Arming denied: Resolve system health failures first" in joined.values()


def test_an_origin_from_outside_is_taken_and_told() -> None:
    autopilot = copter(in_flight=False)
    run(autopilot, 1)
    here = wire.MAVLink_set_gps_global_origin_message(1, 474_100_000, 85_100_000, 512_300)
    told = of("GPS_GLOBAL_ORIGIN", tell(autopilot, here))
    assert [(o.latitude, o.longitude, o.altitude) for o in told] == [
        (474_100_000, 85_100_000, 512_300)
    ]
    again = wire.MAVLink_set_gps_global_origin_message(1, 0, 0, 0)
    assert tell(autopilot, again) == []


def test_degrees_in_command_long_lose_up_to_a_metre() -> None:
    """Why 43003 is to be sent as COMMAND_INT."""
    autopilot = px4(in_flight=False)
    run(autopilot, 1)
    lat_deg, lon_deg = (float(d) for d in FRAME.to_geodetic([123.4, 56.7]))
    nan = math.nan
    tell(autopilot, command(43003, 0.0, 0.0, 0.5, 0.0, lat_deg, lon_deg, nan))
    estimate = autopilot.firmware.estimate
    assert 0.01 < math.dist((estimate.east_m, estimate.north_m), (123.4, 56.7)) < 1.0


WILD = st.floats(width=32) | st.sampled_from([math.nan, math.inf, -math.inf])


@given(st.integers(0, 65_535), st.lists(WILD, min_size=7, max_size=7))
def test_no_command_breaks_an_autopilot(number: int, params: list[float]) -> None:
    for autopilot in (copter(SR0_POSITION=10, SR0_EXTRA3=10), px4()):
        run(autopilot, 5)
        for each in (number, 43003, 511, 512, 510, 176, 400, 42007):
            assert tell(autopilot, command(each, *params))
        for message in run(autopilot, 5):
            assert message.pack(wire.MAVLink(None, 1, 1))
