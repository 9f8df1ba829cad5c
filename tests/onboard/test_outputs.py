"""Every output against the rules of the autopilot that is to read it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import ardupilotmega as wire

from geobridge.onboard.config import FilterConfig, LinkConfig
from geobridge.onboard.errors import ConfigError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.mavlink.autopilot import Autopilot, Kind, Origin
from geobridge.onboard.mavlink.outputs.choose import choose, named
from geobridge.onboard.mavlink.outputs.moved import moved_on
from geobridge.onboard.mavlink.outputs.publisher import Publisher
from geobridge.onboard.mavlink.outputs.wanted import difference
from geobridge.onboard.mavlink.quaternion import of_attitude
from geobridge.onboard.records import Attitude, Fix
from geobridge.onboard.simulation.autopilot.arducopter import ArduCopter
from geobridge.onboard.simulation.autopilot.px4 import Px4
from geobridge.onboard.simulation.autopilot.vehicle import Firmware
from geobridge.onboard.simulation.state import Readings

S, MS = 1_000_000_000, 1_000_000
FRAME = LocalFrame(47.4, 8.5)
HERE_M = (30.0, -20.0)
ATTITUDE = Attitude(3.0, -2.0, 40.0)
NAMES = (
    "gps_input",
    "odometry",
    "vision_position_estimate",
    "external_position_estimate",
    "global_position_sensor",
)


def fix(t_ns: int = 10 * S, **changes: Any) -> Fix:
    lat_deg, lon_deg = (float(each) for each in FRAME.to_geodetic(HERE_M))
    here = Fix(t_ns, lat_deg, lon_deg, 2.0, 580.0, 0.0, 0.0, 0.9, 0.5, 1)
    return replace(here, **changes)


def autopilot_of(kind: Kind, version: tuple[int, int] = (4, 7)) -> Autopilot:
    ours = Autopilot()
    ours.kind, ours.version = kind, version
    ours.origin = Origin(47.4, 8.5, 500.0)
    return ours


def output_of(name: str, kind: Kind) -> Any:
    return named(name, LinkConfig(gps_id=0), autopilot_of(kind), lambda t_ns: ATTITUDE)


def flown(firmware: Firmware, name: str, kind: Kind, seconds: float = 30.0) -> list[Any]:
    """Fixes five times a second to an autopilot aloft whose GNSS is out; what was sent to it."""
    ours = Publisher(2.0, FilterConfig(), 1_704_067_200 * S)
    ours.output = output_of(name, kind)
    sent: list[Any] = []
    for tick in range(round(seconds * 50)):
        t_s = tick * 0.02
        now_ns = round(t_s * S) + S
        firmware.step(Readings(t_s, ATTITUDE, (0.0, 0.0, 0.0), 580.0, 80.0), t_s)
        if tick % 10 == 0:
            ours.offer(fix(now_ns))
        if tick % 6 == 0:
            for message in ours.tick(now_ns):
                sent.append(message)
                arrives(firmware, message, t_s + 0.005)
    return sent


def arrives(firmware: Firmware, message: Any, t_s: float) -> None:
    [heard] = wire.MAVLink(None).parse_buffer(message.pack(wire.MAVLink(None, 1, 197)))
    if heard.get_type() == "COMMAND_INT":
        from geobridge.onboard.simulation.autopilot.commands import as_command

        firmware.command(as_command(heard), t_s)
    else:
        firmware.receive(heard, t_s)


ARDUPILOT_LOCAL = {"VISO_TYPE": 1, "EK3_SRC1_POSXY": 6, "EK3_SRC1_VELXY": 0, "EK3_SRC1_VELZ": 0}
ARDUPILOT_GPS = {"GPS1_TYPE": 14, "GPS1_DELAY_MS": 10, "EK3_SRC1_VELXY": 0, "EK3_SRC1_VELZ": 0}
PX4_SENSOR = {"EKF2_AGP0_ID": 1, "EKF2_AGP0_CTRL": 1}


@pytest.mark.parametrize(
    ("name", "kind", "values"),
    [
        ("gps_input", Kind.ARDUPILOT, ARDUPILOT_GPS),
        ("odometry", Kind.ARDUPILOT, ARDUPILOT_LOCAL),
        ("vision_position_estimate", Kind.ARDUPILOT, ARDUPILOT_LOCAL),
        ("global_position_sensor", Kind.PX4, PX4_SENSOR),
        ("odometry", Kind.PX4, {"EKF2_EV_CTRL": 1}),
        ("vision_position_estimate", Kind.PX4, {"EKF2_EV_CTRL": 1}),
    ],
)
def test_the_autopilot_flies_by_it(name: str, kind: Kind, values: dict[str, float]) -> None:
    firmware: Any = (ArduCopter if kind is Kind.ARDUPILOT else Px4)(FRAME, values, in_flight=True)
    firmware.step(Readings(0.0, ATTITUDE, (0.0, 0.0, 0.0), 580.0, 80.0), 0.0)
    if "gps" not in name and "global" not in name:
        from geobridge.onboard.simulation.autopilot.vehicle import Origin as At

        assert firmware.set_origin(At(0.0, 0.0, 500.0))
    flown(firmware, name, kind)
    estimate = firmware.estimate
    assert estimate.is_valid
    assert (estimate.east_m, estimate.north_m) == pytest.approx(HERE_M, abs=1.0)


def test_odometry_names_the_only_frames_that_each_autopilot_takes() -> None:
    for kind, frame in ((Kind.ARDUPILOT, 20), (Kind.PX4, 1)):
        [message] = output_of("odometry", kind).position(moved_on(fix(), 10 * S, 0, FilterConfig()))
        assert (message.frame_id, message.child_frame_id) == (frame, 12)
        assert message.estimator_type == wire.MAV_ESTIMATOR_TYPE_VISION
        assert (message.x, message.y, message.z) == pytest.approx((-20.0, 30.0, -80.0), abs=0.01)
        assert message.pose_covariance[0] == message.pose_covariance[6] == pytest.approx(4.0)


@given(st.floats(-60, 60), st.floats(-60, 60), st.floats(0, 360), st.floats(-30, 30))
def test_velocity_in_odometry_turns_back_to_north_and_east(
    roll_deg: float, pitch_deg: float, heading_deg: float, north_m_s: float
) -> None:
    attitude = Attitude(roll_deg, pitch_deg, heading_deg)
    output = named("odometry", LinkConfig(), autopilot_of(Kind.ARDUPILOT), lambda t_ns: attitude)
    moved = moved_on(fix(velocity_north_m_s=north_m_s, velocity_east_m_s=5.0), 10 * S, 0, _MOTION)
    [message] = output.position(moved)
    w, x, y, z = of_attitude(attitude)
    north = (1 - 2 * (y * y + z * z)) * message.vx + 2 * (x * y - w * z) * message.vy
    level = math.cos(math.radians(roll_deg)) * math.cos(math.radians(pitch_deg))
    if level > 0.999:
        assert north == pytest.approx(north_m_s, abs=0.1)
    assert math.hypot(message.vx, message.vy) <= math.hypot(north_m_s, 5.0) + 1e-3


_MOTION = FilterConfig()


def test_an_origin_is_set_and_read_back_before_anything_local_is_sent() -> None:
    autopilot = autopilot_of(Kind.ARDUPILOT)
    autopilot.origin = None
    output = named("odometry", LinkConfig(), autopilot, lambda t_ns: ATTITUDE)
    moved = moved_on(fix(), 10 * S, 0, _MOTION)
    origin, asked = output.position(moved)
    assert (origin.get_type(), asked.param1) == ("SET_GPS_GLOBAL_ORIGIN", 49.0)
    assert (origin.latitude, origin.altitude) == (round(fix().lat_deg * 1e7), 580_000)
    assert output.position(moved) == []  # not at every beat
    autopilot.origin = Origin(47.4, 8.5, 500.0)
    assert [each.get_type() for each in output.position(moved)] == ["ODOMETRY"]


def test_an_external_estimate_is_the_fix_itself_with_its_age_and_seldom() -> None:
    output = output_of("external_position_estimate", Kind.PX4)
    [message] = output.position(moved_on(fix(), 10 * S + 300 * MS, 0, _MOTION))
    assert message.command == 43003
    assert message.frame == wire.MAV_FRAME_GLOBAL
    assert message.param1 == pytest.approx(10.3)
    assert message.param2 == pytest.approx(0.3)
    assert message.param3 == pytest.approx(2.0 * math.sqrt(2.0))
    assert (message.x, math.isnan(message.z)) == (round(fix().lat_deg * 1e7), True)
    assert output.position(moved_on(fix(), 12 * S, 0, _MOTION)) == []  # the same fix
    newer = fix(10 * S + 500 * MS)
    assert output.position(moved_on(newer, 11 * S, 0, _MOTION)) == []  # within a second
    assert len(output.position(moved_on(newer, 12 * S, 0, _MOTION))) == 1
    accurate = fix(20 * S, horiz_accuracy_m=0.1)
    [message] = output.position(moved_on(accurate, 20 * S, 0, _MOTION))
    assert message.param3 == 1.0  # less is an order to reset


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", list(Kind))
def test_a_negative_is_one_word_that_nobody_takes_for_a_place(name: str, kind: Kind) -> None:
    firmware: Any = (ArduCopter if kind is Kind.ARDUPILOT else Px4)(
        FRAME,
        ARDUPILOT_GPS if kind is Kind.ARDUPILOT else PX4_SENSOR | {"EKF2_EV_CTRL": 1},
        in_flight=True,
    )
    firmware.step(Readings(0.0, ATTITUDE, (0.0, 0.0, 0.0), 580.0, 80.0), 0.0)
    messages = output_of(name, kind).negative(10 * S, 0)
    assert len(messages) <= 1
    for message in messages:
        arrives(firmware, message, 0.01)
        for n in range(100):
            t_s = 0.02 * n + 0.02
            firmware.step(Readings(t_s, ATTITUDE, (0.0, 0.0, 0.0), 580.0, 80.0), t_s)
    assert not firmware.estimate.is_valid


@pytest.mark.parametrize(
    ("output", "kind", "version", "expected"),
    [
        ("auto", Kind.ARDUPILOT, (4, 5), "gps_input"),
        ("auto", Kind.ARDUPILOT, None, "gps_input"),
        ("auto", Kind.PX4, (1, 18), "global_position_sensor"),
        ("auto", Kind.PX4, (1, 16), "external_position_estimate"),
        ("auto", Kind.PX4, (1, 14), "odometry"),
        ("odometry", Kind.PX4, (1, 18), "odometry"),
        ("external_position_estimate", Kind.ARDUPILOT, (4, 5), "external_position_estimate"),
    ],
)
def test_the_message_follows_from_who_is_there(
    output: Any, kind: Kind, version: Any, expected: str
) -> None:
    autopilot = autopilot_of(kind, version)
    assert choose(LinkConfig(output=output), autopilot, lambda t_ns: None).name == expected


@pytest.mark.parametrize(
    ("output", "kind", "version", "remedy"),
    [
        ("gps_input", Kind.PX4, (1, 18), "PX4 does not read GPS_INPUT; set link.output to auto"),
        ("global_position_sensor", Kind.ARDUPILOT, (4, 7), "set link.output to gps_input"),
        (
            "global_position_sensor",
            Kind.PX4,
            (1, 17),
            "from version 1.18 on; the autopilot has 1.17",
        ),
        ("external_position_estimate", Kind.ARDUPILOT, (4, 4), "from version 4.5 on"),
    ],
)
def test_a_message_that_the_autopilot_lacks_is_one_line_with_the_remedy(
    output: Any, kind: Kind, version: Any, remedy: str
) -> None:
    with pytest.raises(ConfigError, match=f"link.output {output}: .*{remedy}"):
        choose(LinkConfig(output=output), autopilot_of(kind, version), lambda t_ns: None)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_wanted_is_one_that_the_autopilot_has(name: str, kind: Kind) -> None:
    if name == ("gps_input" if kind is Kind.PX4 else "global_position_sensor"):
        return
    firmware: Any = (ArduCopter if kind is Kind.ARDUPILOT else Px4)(FRAME)
    for wanted in output_of(name, kind).wanted:
        assert wanted.name in firmware.parameters


def test_zero_velocity_that_would_be_fused_is_told_with_its_remedy() -> None:
    wanted = {each.name: each for each in output_of("gps_input", Kind.ARDUPILOT).wanted}
    told = difference(wanted["EK3_SRC1_VELZ"], {"EK3_SRC1_VELZ": 3.0})
    assert told == "EK3_SRC1_VELZ is 3, expected 0: we send none, and zero is fused"
    assert difference(wanted["EK3_SRC1_VELZ"], {"EK3_SRC1_VELZ": 0.0}) is None
    assert difference(wanted["GPS1_TYPE"], {"GPS_TYPE": 14.0}) is None  # as it was once called
    assert difference(wanted["GPS1_TYPE"], {}) == (
        "GPS1_TYPE: not there; expected 14: the receiver of type MAV is us"
    )
    assert difference(wanted["GPS1_DELAY_MS"], {"GPS1_DELAY_MS": math.nan}) is not None
