"""The single rules of the stand-in autopilots, and that nothing on the wire can break them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import ardupilotmega as wire

from geobridge.onboard.errors import ConfigError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Attitude
from geobridge.onboard.simulation.autopilot.arducopter import ArduCopter
from geobridge.onboard.simulation.autopilot.autopilot import Autopilot
from geobridge.onboard.simulation.autopilot.estimator import POSITION, VELOCITY
from geobridge.onboard.simulation.autopilot.px4 import Px4
from geobridge.onboard.simulation.autopilot.vehicle import (
    ACCEPTED,
    DENIED,
    FAILED,
    REJECTED_FOR_NOW,
    Command,
    Origin,
)
from geobridge.onboard.simulation.state import GnssReading, Readings

FRAME = LocalFrame(47.4, 8.5)
STEP_S = 0.05
ORIGIN = Origin(0.0, 0.0, 500.0)
Pilot = ArduCopter | Px4


def gnss(t_s: float, east_m: float = 0.0, fix_type: int = 3, satellites: int = 12) -> GnssReading:
    return GnssReading(
        t_s, fix_type, satellites, 0.8, east_m, 0.0, 500.0, (0.0, 0.0, 0.0), 1.0, 1.5, 0.3
    )


def stand(
    pilot: Pilot, since_s: float, until_s: float, message: Any = None, **reading: Any
) -> None:
    """Stand at the middle; `message` arrives at 10 Hz, the receiver on board speaks at 5 Hz."""
    for k in range(round((until_s - since_s) / STEP_S)):
        t_s = since_s + (k + 1) * STEP_S
        solution = gnss(t_s, **reading) if reading and k % 4 == 0 else None
        attitude = Attitude(0.0, 0.0, 0.0)
        pilot.step(Readings(t_s, attitude, (0.0, 0.0, 0.0), 500.0, gnss=solution), t_s)
        if message is not None and k % 2 == 0:
            pilot.receive(message, t_s)


def lat_lon(east_m: float) -> tuple[int, int]:
    lat_deg, lon_deg = FRAME.to_geodetic([east_m, 0.0])
    return round(float(lat_deg) * 1e7), round(float(lon_deg) * 1e7)


def gps_input(east_m: float = 0.0, **fields: float) -> Any:
    lat, lon = lat_lon(east_m)
    usual = {
        "time_usec": 0, "gps_id": 0, "ignore_flags": 0, "time_week_ms": 0, "time_week": 0,
        "fix_type": 3, "lat": lat, "lon": lon, "alt": 500.0, "hdop": 1.0, "vdop": 1.0, "vn": 0.0,
        "ve": 0.0, "vd": 0.0, "speed_accuracy": 0.5, "horiz_accuracy": 2.0, "vert_accuracy": 2.0,
        "satellites_visible": 8,
    }  # fmt: skip
    return wire.MAVLink_gps_input_message(**{**usual, **fields})


def sensor(east_m: float = 0.0, **fields: float) -> Any:
    lat, lon = lat_lon(east_m)
    usual = {
        "target_system": 0, "target_component": 0, "id": 1, "time_usec": 0, "processing_time": 0,
        "source": 2, "flags": 0, "lat": lat, "lon": lon, "alt_ellipsoid": math.nan,
        "alt": math.nan, "eph": 2.0, "epv": math.nan,
    }  # fmt: skip
    return wire.MAVLink_global_position_sensor_message(**{**usual, **fields})


def odometry(x: float = 0.0, y: float = 0.0, **fields: Any) -> Any:
    usual = {
        "time_usec": 0, "frame_id": 20, "child_frame_id": 12, "x": x, "y": y, "z": 0.0,
        "q": [1.0, 0.0, 0.0, 0.0], "vx": 0.0, "vy": 0.0, "vz": 0.0, "rollspeed": 0.0,
        "pitchspeed": 0.0, "yawspeed": 0.0, "pose_covariance": [1.0] * 21,
        "velocity_covariance": [math.nan] * 21, "reset_counter": 0, "estimator_type": 2,
        "quality": 100,
    }  # fmt: skip
    return wire.MAVLink_odometry_message(**{**usual, **fields})


def external(
    east_m: float, accuracy_m: float = 5.0, processing_s: float = 0.0, alt_m: float = math.nan
) -> Command:
    params = (math.nan, processing_s, accuracy_m, 0.0)
    number = wire.MAV_CMD_EXTERNAL_POSITION_ESTIMATE
    return Command(number, params, *lat_lon(east_m), alt_m)


def texts(pilot: Pilot) -> list[str]:
    return [text.text for text in pilot.voice.drain()]


def test_gps_input_reaches_only_the_instance_of_its_number() -> None:
    pilot = ArduCopter(FRAME, {"GPS1_TYPE": 14}, in_flight=True)
    stand(pilot, 0.0, 2.0, gps_input(gps_id=1))
    assert pilot.receivers.instances[0].last is None
    stand(pilot, 2.0, 4.0, gps_input())
    assert pilot.estimate.is_valid


def test_a_second_gps_takes_over_when_the_receiver_on_board_loses_its_fix() -> None:
    values = {"GPS2_TYPE": 14, "GPS2_DELAY_MS": 10}
    pilot = ArduCopter(FRAME, values, in_flight=True)
    mock = gps_input(3.0, gps_id=1)
    stand(pilot, 0.0, 10.0, mock, fix_type=3)
    assert abs(pilot.estimate.east_m) < 0.1
    stand(pilot, 10.0, 30.0, mock, fix_type=1)
    assert pilot.estimate.east_m == pytest.approx(3.0, abs=0.3)

    stubborn = ArduCopter(FRAME, {**values, "GPS_AUTO_SWITCH": 0}, in_flight=True)
    stand(stubborn, 0.0, 10.0, mock, fix_type=3)
    stand(stubborn, 10.0, 30.0, mock, fix_type=1)
    assert not stubborn.estimate.is_valid


def test_more_satellites_win_between_receivers_of_equal_status() -> None:
    """Why 255 satellites in GPS_INPUT would push the real receiver aside."""
    pilot = ArduCopter(FRAME, {"GPS2_TYPE": 14}, in_flight=True)
    stand(pilot, 0.0, 5.0, gps_input(3.0, gps_id=1, satellites_visible=255), fix_type=3)
    assert pilot.receivers.used(5.0) is pilot.receivers.instances[1]


def test_a_far_gps_fix_beyond_the_glitch_radius_of_doubt_is_jumped_onto() -> None:
    pilot = ArduCopter(FRAME, {"GPS1_TYPE": 14}, in_flight=True)
    stand(pilot, 0.0, 5.0, gps_input())
    pilot.ekf.horizontal.covariance[POSITION, POSITION] = 0.6 * 25.0**2
    stand(pilot, 5.0, 5.2, gps_input(300.0))
    assert pilot.estimate.east_m == pytest.approx(300.0, abs=1.0)


def test_without_a_glitch_radius_innovations_are_clipped_to_the_gate() -> None:
    pilot = ArduCopter(FRAME, {"GPS1_TYPE": 14, "EK3_GLITCH_RAD": 0}, in_flight=True)
    stand(pilot, 0.0, 5.0, gps_input())
    stand(pilot, 5.0, 5.2, gps_input(300.0))
    assert 0.1 < pilot.estimate.east_m < 30.0


def test_one_bad_accuracy_weighs_for_seconds() -> None:
    pilot = ArduCopter(FRAME, {"GPS1_TYPE": 14}, in_flight=True)
    stand(pilot, 0.0, 5.0, gps_input())
    calm_m2 = pilot.ekf.horizontal.position_variance_m2
    stand(pilot, 5.0, 5.05, gps_input(horiz_accuracy=60.0))
    stand(pilot, 5.05, 7.0, gps_input())
    assert pilot.ekf.horizontal.position_variance_m2 > 1.3 * calm_m2


@pytest.mark.parametrize(("kind", "reaches_m"), [(1, 5.0), (2, 0.0), (3, 0.0)])
def test_trackers_are_moved_onto_the_autopilot_and_absolute_fixes_are_not(
    kind: int, reaches_m: float
) -> None:
    values = {"VISO_TYPE": kind, "GPS1_TYPE": 0, "EK3_SRC1_POSXY": 6}
    pilot = ArduCopter(FRAME, values)
    pilot.set_origin(ORIGIN)
    stand(pilot, 0.0, 0.1)
    stand(pilot, 0.1, 5.0, odometry(y=5.0))
    assert pilot.estimate.east_m == pytest.approx(reaches_m, abs=0.2)


def test_vision_without_viso_type_is_not_heard() -> None:
    pilot = ArduCopter(FRAME, {"GPS1_TYPE": 0, "EK3_SRC1_POSXY": 6})
    pilot.set_origin(ORIGIN)
    stand(pilot, 0.0, 5.0, odometry())
    assert not pilot.estimate.is_valid


def test_arducopter_takes_an_external_position_only_while_dead_reckoning() -> None:
    pilot = ArduCopter(FRAME, in_flight=True)
    stand(pilot, 0.0, 1.0)
    assert pilot.command(external(40.0), 1.0) == FAILED  # never aided
    stand(pilot, 1.0, 5.0, fix_type=3)
    assert pilot.command(external(40.0), 5.0) == FAILED  # GPS is good
    stand(pilot, 5.0, 6.5)
    assert pilot.command(external(40.0, accuracy_m=7.0), 6.5) == ACCEPTED
    assert pilot.estimate.east_m == pytest.approx(40.0, abs=0.1)
    assert pilot.estimate.horiz_accuracy_m == pytest.approx(7.0, abs=0.1)
    stand(pilot, 6.5, 21.0)
    assert pilot.command(external(0.0), 21.0) == FAILED  # aiding has ended


def test_an_external_position_is_moved_on_by_its_age() -> None:
    pilot = ArduCopter(FRAME, in_flight=True)
    stand(pilot, 0.0, 3.0, fix_type=3)
    stand(pilot, 3.0, 4.5)
    pilot.ekf.horizontal.state[VELOCITY] = (10.0, 0.0)
    assert pilot.command(external(0.0, processing_s=2.0), 4.5) == ACCEPTED
    assert pilot.estimate.east_m == pytest.approx(20.0, abs=0.1)
    assert pilot.command(external(0.0, processing_s=60.0), 4.5) == ACCEPTED
    assert pilot.estimate.east_m == pytest.approx(50.0, abs=0.1)  # 5 s at most


def test_source_sets_are_switched_by_command() -> None:
    values = {"VISO_TYPE": 1, "EK3_SRC2_POSXY": 6}
    pilot = ArduCopter(FRAME, values, in_flight=True)
    stand(pilot, 0.0, 5.0, odometry(y=3.0), fix_type=3)
    assert abs(pilot.estimate.east_m) < 0.1
    number = wire.MAV_CMD_SET_EKF_SOURCE_SET
    assert pilot.command(Command(number, (4.0, 0, 0, 0), 0, 0, 0.0), 5.0) == DENIED
    assert pilot.command(Command(number, (2.0, 0, 0, 0), 0, 0, 0.0), 5.0) == ACCEPTED
    stand(pilot, 5.0, 20.0, odometry(y=3.0), fix_type=3)
    assert pilot.estimate.east_m == pytest.approx(3.0, abs=0.6)


def test_the_origin_of_arducopter_is_taken_once() -> None:
    pilot = ArduCopter(FRAME)
    assert pilot.set_origin(ORIGIN)
    assert not pilot.set_origin(Origin(5.0, 5.0, 5.0))
    assert pilot.origin == ORIGIN


def test_px4_takes_an_external_position_on_the_ground_or_dead_reckoning() -> None:
    ground = Px4(FRAME)
    stand(ground, 0.0, 1.0)
    no_delay_said = external(40.0, processing_s=math.nan)
    assert ground.command(no_delay_said, 1.0) == REJECTED_FOR_NOW
    assert ground.command(external(40.0), 1.0) == ACCEPTED
    assert ground.origin is not None
    assert ground.estimate.is_valid
    assert ground.estimate.east_m == pytest.approx(40.0, abs=0.1)

    flying = Px4(FRAME, in_flight=True)
    stand(flying, 0.0, 5.0, fix_type=3)
    assert flying.command(external(40.0), 5.0) == REJECTED_FOR_NOW
    stand(flying, 5.0, 7.0)
    assert flying.command(external(2.0, accuracy_m=0.5), 7.0) == ACCEPTED
    assert flying.estimate.east_m == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(("alt_m", "height_m"), [(math.nan, 500.0), (430.0, 430.0)])
def test_a_finite_altitude_moves_the_height_of_px4_for_good(alt_m: float, height_m: float) -> None:
    pilot = Px4(FRAME)
    stand(pilot, 0.0, 1.0)
    assert pilot.command(external(0.0, alt_m=alt_m), 1.0) == ACCEPTED
    stand(pilot, 1.0, 20.0)
    assert pilot.estimate.alt_amsl_m == pytest.approx(height_m, abs=0.5)


@pytest.mark.parametrize(
    ("number", "control", "is_heard"), [(1, 1, True), (1, 0, False), (2, 1, False), (0, 1, False)]
)
def test_an_agp_slot_listens_to_its_own_number(number: int, control: int, is_heard: bool) -> None:
    pilot = Px4(FRAME, {"EKF2_AGP2_ID": number, "EKF2_AGP2_CTRL": control})
    stand(pilot, 0.0, 2.0, sensor(id=0 if number == 0 else 1))
    assert pilot.estimate.is_valid is is_heard


def test_agp_does_not_pull_px4_off_a_working_gnss() -> None:
    pilot = Px4(FRAME, {"EKF2_AGP0_ID": 1, "EKF2_AGP0_CTRL": 1}, in_flight=True)
    stand(pilot, 0.0, 5.0, fix_type=3)
    stand(pilot, 5.0, 25.0, sensor(80.0), fix_type=3)
    assert abs(pilot.estimate.east_m) < 1.0
    stand(pilot, 25.0, 35.0, sensor(80.0), fix_type=1)
    assert pilot.estimate.east_m == pytest.approx(80.0, abs=1.0)


def test_px4_starts_on_gnss_after_10_good_seconds() -> None:
    pilot = Px4(FRAME)
    stand(pilot, 0.0, 9.0, fix_type=3)
    assert not pilot.estimate.is_valid
    stand(pilot, 9.0, 11.0, fix_type=3)
    assert pilot.estimate.is_valid
    poor = Px4(FRAME)
    stand(poor, 0.0, 20.0, fix_type=3, satellites=5)
    assert not poor.estimate.is_valid


@given(st.floats(-100, 100), st.floats(-100, 100), st.floats(-180, 180), st.floats(-180, 180))
def test_px4_reads_the_same_place_in_every_frame(
    east_m: float, north_m: float, heading_deg: float, frame_heading_deg: float
) -> None:
    """FRD and FLU begin at any heading; the pose's own yaw tells how it lies."""
    turn_rad = math.radians(heading_deg - frame_heading_deg)
    forward_m = math.cos(turn_rad) * north_m + math.sin(turn_rad) * east_m
    right_m = -math.sin(turn_rad) * north_m + math.cos(turn_rad) * east_m
    half_rad = math.radians(frame_heading_deg) / 2.0
    frd = [math.cos(half_rad), 0.0, 0.0, math.sin(half_rad)]
    flu = [math.cos(half_rad), 0.0, 0.0, -math.sin(half_rad)]
    pilot = Px4(FRAME)
    for message in (
        odometry(north_m, east_m, frame_id=wire.MAV_FRAME_LOCAL_NED),
        odometry(east_m, north_m, frame_id=wire.MAV_FRAME_LOCAL_ENU),
        odometry(forward_m, right_m, frame_id=wire.MAV_FRAME_LOCAL_FRD, q=frd),
        odometry(forward_m, -right_m, frame_id=wire.MAV_FRAME_LOCAL_FLU, q=flu),
    ):
        fix = pilot._odometry.take(message, heading_deg)
        assert fix is not None
        np.testing.assert_allclose(fix.offset_enu_m, [east_m, north_m], atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "is_heard", "complains"),
    [("VIO", True, False), ("MOCAP", False, False), ("GPS", False, True), ("LIDAR", False, True)],
)
def test_px4_sorts_odometry_by_its_estimator(kind: str, is_heard: bool, complains: bool) -> None:
    pilot = Px4(FRAME, {"EKF2_EV_CTRL": 1})
    pilot.set_origin(ORIGIN)
    number = getattr(wire, f"MAV_ESTIMATOR_TYPE_{kind}")
    stand(pilot, 0.0, 2.0, odometry(frame_id=1, estimator_type=number))
    assert pilot.estimate.is_valid is is_heard
    assert bool(texts(pilot)) is complains


def test_an_unknown_parameter_is_one_clear_line() -> None:
    with pytest.raises(ConfigError, match=r"^parameter EK3_FOO: .*none of that name$"):
        ArduCopter(FRAME, {"EK3_FOO": 1})


def test_a_place_nowhere_near_is_refused_and_reported() -> None:
    pilot = Px4(FRAME, {"EKF2_EV_CTRL": 1})
    pilot.set_origin(ORIGIN)
    stand(pilot, 0.0, 2.0, odometry(frame_id=1))
    stand(pilot, 2.0, 2.2, odometry(3e38, 3e38, frame_id=1))
    assert everything_is_sendable(pilot)
    assert abs(pilot.estimate.east_m) < 1.0


WILD = st.floats(width=32) | st.sampled_from([math.nan, math.inf, -math.inf])
BYTE = st.integers(0, 255)
DEGREES = st.integers(-(2**31), 2**31 - 1)


def everything_is_sendable(pilot: Pilot) -> bool:
    autopilot = Autopilot(pilot, FRAME)
    sent = autopilot.step(Readings(1.0, Attitude(0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 500.0), 0)
    for number in (2, 24, 30, 31, 32, 33, 49, 111, 124, 148, 193, 230):
        ask = wire.MAVLink_command_long_message(1, 1, 512, 0, number, 0, 0, 0, 0, 0, 0)
        sent += autopilot.receive(ask, 0)
    return all(message.pack(wire.MAVLink(None, 1, 1)) for message in sent)


@pytest.mark.parametrize("kind", [ArduCopter, Px4])
@given(data=st.data())
def test_nothing_on_the_wire_breaks_an_autopilot(kind: type[Pilot], data: st.DataObject) -> None:
    values = {
        ArduCopter: {"GPS1_TYPE": 14, "VISO_TYPE": 1, "EK3_SRC2_POSXY": 6},
        Px4: {"EKF2_AGP0_ID": 1, "EKF2_AGP0_CTRL": 1, "EKF2_EV_CTRL": 1},
    }[kind]
    pilot = kind(FRAME, values, in_flight=True)
    stand(pilot, 0.0, 0.3, sensor() if kind is Px4 else gps_input())
    if isinstance(pilot, ArduCopter) and data.draw(st.booleans()):
        pilot.ekf.source_set = 2

    def wild(*names: str) -> dict[str, float]:
        return {name: data.draw(WILD, name) for name in names}

    for message in (
        gps_input(
            lat=data.draw(DEGREES), lon=data.draw(DEGREES), fix_type=data.draw(BYTE),
            ignore_flags=data.draw(BYTE), time_week=data.draw(st.integers(0, 65_535)),
            **wild("alt", "hdop", "vn", "ve", "vd", "speed_accuracy", "horiz_accuracy"),
        ),
        sensor(lat=data.draw(DEGREES), lon=data.draw(DEGREES), **wild("eph", "alt")),
        odometry(
            q=[data.draw(WILD) for _ in range(4)], pose_covariance=[data.draw(WILD)] * 21,
            frame_id=data.draw(BYTE), reset_counter=data.draw(BYTE), **wild("x", "y", "z"),
        ),
    ):  # fmt: skip
        stand(pilot, 0.3, 0.5, message)
        stand(pilot, 0.5, 0.7, odometry(y=2.0, frame_id=20))
    params = (data.draw(WILD), data.draw(WILD), data.draw(WILD), 0.0)
    command = Command(43003, params, data.draw(DEGREES), data.draw(DEGREES), data.draw(WILD))
    pilot.command(command, 0.7)
    stand(pilot, 0.7, 1.0)
    assert everything_is_sendable(pilot)
    assert np.all(np.isfinite(pilot.ekf.horizontal.state))
    assert np.all(np.isfinite(pilot.ekf.vertical.state))
    assert np.all(np.isfinite(pilot.ekf.horizontal.covariance))


def test_the_fix_of_a_companion_is_taken_to_be_200_ms_old_unless_a_parameter_says_otherwise() -> (
    None
):
    """A vehicle at 10 m/s whose GPS_INPUT is of the moment: 2 m off by the default."""
    for delay_ms, error_m in ((0, 2.0), (10, 0.1)):
        values = {"GPS1_TYPE": 14, "GPS1_DELAY_MS": delay_ms, "EK3_SRC1_VELXY": 0}
        pilot = ArduCopter(FRAME, values, in_flight=True)
        for k in range(1, 400):
            t_s = k * STEP_S
            pilot.step(Readings(t_s, Attitude(0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 500.0), t_s)
            if k % 4 == 0:
                pilot.receive(gps_input(10.0 * t_s), t_s)
        assert pilot.estimate.east_m - 10.0 * t_s == pytest.approx(error_m, abs=0.7)
