"""A camera on a gimbal, from the wire to a fix; the autopilot and the gimbal are pymavlink's."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink import mavutil
from pymavlink.dialects.v20 import ardupilotmega as wire

from geobridge.onboard.camera import Camera, Mount, enu_from_gimbal, rotation
from geobridge.onboard.config import FilterConfig, LinkConfig, LocalizerConfig, MountConfig
from geobridge.onboard.daemon import daemon as daemon_module
from geobridge.onboard.daemon.board import Board
from geobridge.onboard.daemon.continuity import Continuity
from geobridge.onboard.daemon.eyes import Eyes
from geobridge.onboard.daemon.run import wired
from geobridge.onboard.flightlogs.telemetry_csv import TelemetryLog, read_telemetry
from geobridge.onboard.flightlogs.truth_csv import read_track
from geobridge.onboard.frames.paced import Paced
from geobridge.onboard.frames.source import open_source
from geobridge.onboard.geodesy import distance_m
from geobridge.onboard.localization.localizer import Localizer
from geobridge.onboard.localization.opened import open_localizer
from geobridge.onboard.mavlink import quaternion
from geobridge.onboard.mavlink.conversation import Conversation
from geobridge.onboard.mavlink.gimbal import Gimbal
from geobridge.onboard.mavlink.link import Link
from geobridge.onboard.mavlink.outputs.publisher import Publisher
from geobridge.onboard.mavlink.telemetry import AutopilotTelemetry
from geobridge.onboard.mavlink.timesync import Timesync
from geobridge.onboard.records import Attitude, Fix, Frame, Reason, Rejection, Telemetry

S, MS = 1_000_000_000, 1_000_000
AUTOPILOT, GIMBAL = 1, 154
VEHICLE = wire.GIMBAL_DEVICE_FLAGS_YAW_IN_VEHICLE_FRAME
EARTH = wire.GIMBAL_DEVICE_FLAGS_YAW_IN_EARTH_FRAME
LOCK = wire.GIMBAL_DEVICE_FLAGS_YAW_LOCK
NAN = math.nan
DOWN = Attitude(0.0, -90.0, 20.0)

headings = st.floats(0.0, 359.9)
held = st.builds(Attitude, st.floats(-40.0, 40.0), st.floats(-90.0, 40.0), headings)


def through_wire(message: Any, component: int = AUTOPILOT) -> Any:
    [received] = wire.MAVLink(None).parse_buffer(message.pack(wire.MAVLink(None, 1, component)))
    return received


def device(
    camera: Attitude | None,
    flags: int = EARTH,
    failure: int = 0,
    boot_ms: int = 0,
    device_id: int = 0,
    component: int = AUTOPILOT,
) -> Any:
    """GIMBAL_DEVICE_ATTITUDE_STATUS; without a camera its quaternion is no number."""
    q = [NAN] * 4 if camera is None else list(quaternion.of_attitude(camera))
    message = wire.MAVLink_gimbal_device_attitude_status_message(
        0, 0, boot_ms, flags, q, 0.0, 0.0, 0.0, failure, NAN, NAN, device_id
    )
    return through_wire(message, component)


def mount(roll_deg: float, pitch_deg: float, yaw_deg: float, absolute_deg: float = 0.0) -> Any:
    return through_wire(
        wire.MAVLink_mount_orientation_message(0, roll_deg, pitch_deg, yaw_deg, absolute_deg)
    )


def heard(*messages: Any, heading_deg: float | None = 0.0) -> Attitude | None:
    """Each told twice, half a second apart, and asked for in between."""
    gimbal = Gimbal()
    for t_ns in (S, S + 400 * MS):
        for message in messages:
            gimbal.take(message, t_ns)
    return gimbal.at(S + 200 * MS, heading_deg)


def turn_between_deg(a: Attitude | None, b: Attitude) -> float:
    assert a is not None
    turn = enu_from_gimbal(a).T @ enu_from_gimbal(b)
    return math.degrees(math.acos(max(-1.0, min(1.0, (np.trace(turn) - 1.0) / 2.0))))


@given(held, headings)
def test_both_frames_of_a_gimbal_say_the_same(camera: Attitude, heading_deg: float) -> None:
    from_north = heard(device(camera, EARTH), heading_deg=heading_deg)
    relative = Attitude(camera.roll_deg, camera.pitch_deg, camera.heading_deg - heading_deg)
    from_vehicle = heard(device(relative, VEHICLE), heading_deg=heading_deg)
    assert turn_between_deg(from_north, camera) < 0.1
    assert turn_between_deg(from_vehicle, camera) < 0.1


@pytest.mark.parametrize(
    ("flags", "expected_deg"),
    [
        *[(EARTH, 20.0), (EARTH | LOCK, 20.0), (VEHICLE, 120.0), (VEHICLE | LOCK, 120.0)],
        *[(LOCK, 20.0), (0, 120.0), (VEHICLE | EARTH, None)],
    ],
)
def test_the_flags_say_whose_north_it_is(flags: int, expected_deg: float | None) -> None:
    """Without a frame, by YAW_LOCK: the rule for gimbals before there were frames."""
    found = heard(device(DOWN, flags), heading_deg=100.0)
    if expected_deg is None:
        assert found is None
    else:
        assert turn_between_deg(found, Attitude(0.0, -90.0, expected_deg)) < 0.1


def test_from_the_vehicle_it_takes_the_vehicle_s_heading() -> None:
    assert heard(device(DOWN, VEHICLE), heading_deg=None) is None
    assert turn_between_deg(heard(device(DOWN, EARTH), heading_deg=None), DOWN) < 0.1


@pytest.mark.parametrize("failure", [8, 16, 32, 64, 128, 256, 8 | 1])
def test_a_gimbal_that_may_not_know_where_it_looks_is_not_believed(failure: int) -> None:
    assert heard(device(DOWN, failure=failure)) is None


def test_nor_one_that_is_stowed_or_says_nothing() -> None:
    assert heard(device(DOWN, EARTH | wire.GIMBAL_DEVICE_FLAGS_RETRACT)) is None
    assert heard(device(None)) is None
    zero = wire.MAVLink_gimbal_device_attitude_status_message(0, 0, 0, EARTH, [0.0] * 4, 0, 0, 0, 0)
    assert heard(through_wire(zero)) is None


@pytest.mark.parametrize("failure", [1, 2, 4, 512])
def test_one_at_its_limit_or_without_a_manager_knows(failure: int) -> None:
    assert heard(device(DOWN, failure=failure)) is not None


@given(st.lists(st.floats(width=32), min_size=4, max_size=4))
def test_no_rotation_that_is_none_gets_through(q: list[float]) -> None:
    message = wire.MAVLink_gimbal_device_attitude_status_message(0, 0, 0, EARTH, q, 0, 0, 0, 0)
    found = heard(through_wire(message))
    length = math.sqrt(sum(each * each for each in q))
    assert (found is not None) == (abs(length - 1.0) <= quaternion.UNIT)
    if found is not None:
        assert all(math.isfinite(each) for each in vars(found).values())


@given(held, held, st.floats(0.0, 1.0))
def test_a_turn_is_followed_at_a_steady_rate(a: Attitude, b: Attitude, weight: float) -> None:
    gimbal, t_ns = Gimbal(), S + round(weight * 400 * MS)
    gimbal.take(device(a), S)
    gimbal.take(device(b), S + 400 * MS)
    found, whole_deg = gimbal.at(t_ns, None), turn_between_deg(a, b)
    assert turn_between_deg(found, a) == pytest.approx(weight * whole_deg, abs=0.2)
    assert turn_between_deg(found, b) == pytest.approx((1.0 - weight) * whole_deg, abs=0.2)


def test_what_is_not_between_two_is_not_known() -> None:
    gimbal = Gimbal()
    gimbal.take(device(DOWN), S)
    assert gimbal.at(S - MS, 0.0) is None
    assert gimbal.at(S + MS, 0.0) is None
    gimbal.take(device(DOWN), S + 600 * MS)
    assert gimbal.at(S + 300 * MS, 0.0) is None  # a silence
    gimbal.take(device(DOWN, VEHICLE), S + 700 * MS)
    assert gimbal.at(S + 650 * MS, 0.0) is None  # from one frame to the other
    gimbal.take(device(None, VEHICLE), S + 800 * MS)
    assert gimbal.at(S + 750 * MS, 0.0) is None  # nor half known
    gimbal.take(device(DOWN), S + 500 * MS)  # overtaken on its way
    assert gimbal.at(S + 550 * MS, 0.0) is None
    gimbal.forget()
    assert not gimbal.is_coming(S + 900 * MS)


def test_a_second_gimbal_is_passed_over() -> None:
    assert heard(device(DOWN, device_id=2)) is None
    assert turn_between_deg(heard(device(DOWN, device_id=1), device(DOWN, device_id=2)), DOWN) < 0.1


@pytest.mark.parametrize(
    ("yaw_deg", "absolute_deg", "expected_deg"),
    [
        (-80.0, 0.0, 20.0),
        (-80.0, 55.0, 20.0),
        (NAN, 55.0, 55.0),
        (NAN, 0.0, None),
        (NAN, NAN, None),
    ],
)
def test_the_old_message(yaw_deg: float, absolute_deg: float, expected_deg: float | None) -> None:
    """0 from north may be an extension that was never sent, so it is believed from nobody."""
    found = heard(mount(0.0, -90.0, yaw_deg, absolute_deg), heading_deg=100.0)
    if expected_deg is None:
        assert found is None
    else:
        assert turn_between_deg(found, Attitude(0.0, -90.0, expected_deg)) < 0.1


def test_the_new_message_goes_before_the_old_one() -> None:
    found = heard(mount(0.0, -45.0, 10.0), device(DOWN))
    assert turn_between_deg(found, DOWN) < 0.1
    assert heard(mount(0.0, -45.0, 10.0), device(None)) is None


def test_asking_waits_for_the_gimbal_after_the_exposure_only_where_there_is_one() -> None:
    ours = AutopilotTelemetry(patience_s=2.0)
    attitude = through_wire(wire.MAVLink_attitude_message(0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0))
    ours.feed(attitude, S + 50 * MS)
    begun_s = time.monotonic()
    assert ours.at(S).gimbal is None
    assert time.monotonic() - begun_s < 0.5
    ours.feed(device(DOWN), S - 100 * MS)
    threading.Timer(0.05, lambda: ours.feed(device(DOWN), S + 100 * MS)).start()
    assert turn_between_deg(ours.at(S).gimbal, DOWN) < 0.1


def conversation(*, has_gimbal: bool = True, **config: Any) -> Conversation:
    telemetry = AutopilotTelemetry(patience_s=0.0)
    return Conversation(LinkConfig(**config), telemetry, Timesync(), has_gimbal=has_gimbal)


def test_a_gimbal_that_holds_another_camera_is_passed_over() -> None:
    ours = conversation(has_gimbal=False)
    for n in range(3):
        ours.feed(device(DOWN), S + n * 200 * MS)
    assert ours.telemetry.at(S + 300 * MS).gimbal is None
    assert not ours.lacks_gimbal(20 * S)
    assert not [m for m in ours.due(20 * S) if m.get_type() == "COMMAND_LONG"]


def test_a_gimbal_s_own_clock_is_neither_the_autopilot_s_nor_a_reboot() -> None:
    ours = conversation(gimbal_component=GIMBAL)
    for n in range(10):
        boot_ms = 3_600_000 + n * 100
        attitude = wire.MAVLink_attitude_message(boot_ms, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        ours.feed(through_wire(attitude), S + n * 100 * MS)
        ours.feed(device(DOWN, boot_ms=n, component=GIMBAL), S + n * 100 * MS)
    assert ours.clock.boots == 0
    assert turn_between_deg(ours.telemetry.at(S + 450 * MS).gimbal, DOWN) < 0.1


@pytest.mark.parametrize(("configured", "teller"), [(None, AUTOPILOT), (GIMBAL, GIMBAL)])
def test_one_tells_and_nobody_else(configured: int | None, teller: int) -> None:
    ours = conversation(gimbal_component=configured)
    for n in range(3):
        for component, camera in ((AUTOPILOT, DOWN), (GIMBAL, Attitude(0.0, -45.0, 0.0))):
            ours.feed(device(camera, component=component), S + n * 200 * MS)
    expected = DOWN if teller == AUTOPILOT else Attitude(0.0, -45.0, 0.0)
    assert turn_between_deg(ours.telemetry.at(S + 300 * MS).gimbal, expected) < 0.1


@pytest.mark.parametrize(("configured", "teller"), [(None, AUTOPILOT), (GIMBAL, GIMBAL)])
def test_a_gimbal_that_is_silent_is_asked_for(configured: int | None, teller: int) -> None:
    ours = conversation(gimbal_component=configured)
    beat = through_wire(wire.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3))

    def asked(now_ns: int) -> set[tuple[int, int]]:
        ours.feed(beat, now_ns)
        commands = [each for each in ours.due(now_ns) if each.get_type() == "COMMAND_LONG"]
        wanted = {wire.MAVLINK_MSG_ID_GIMBAL_DEVICE_ATTITUDE_STATUS, 265}
        return {(c.target_component, int(c.param1)) for c in commands if c.param1 in wanted}

    assert asked(10 * S) == {(teller, 285), (teller, 265)}
    ours.feed(device(DOWN, component=teller), 12 * S)
    assert asked(12 * S) == set()
    assert not ours.lacks_gimbal(12 * S)
    assert asked(15 * S) == {(teller, 285), (teller, 265)}
    assert ours.lacks_gimbal(15 * S)


def test_a_component_that_is_somebody_else_is_refused() -> None:
    with pytest.raises(ValueError, match="gimbal_component must differ from"):
        LinkConfig(gimbal_component=1)
    with pytest.raises(ValueError, match="pitch_deg is of a camera that is fixed"):
        MountConfig(gimbal=True, pitch_deg=-60.0)


class Recording:
    """Frames of a flight."""

    def __init__(self, frames: list[Frame]) -> None:
        self.frames = frames
        self.size_px = (frames[0].image.shape[1], frames[0].image.shape[0])

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    def close(self) -> None: ...


class Peer:
    """A vehicle that banks to and fro, and the gimbal that keeps the camera where it was when the
    flight was recorded; on one UDP socket, as behind a router. `is_mute`: the gimbal says nothing.
    """

    def __init__(self, log: TelemetryLog, flags: int, *, is_mute: bool) -> None:
        self.log, self.flags, self.is_mute = log, flags, is_mute
        self.connection = mavutil.mavlink_connection("udpin:127.0.0.1:0", dialect="ardupilotmega")
        self.address = f"udpout:127.0.0.1:{self.connection.port.getsockname()[1]}"
        self.heard: list[Any] = []
        self.told: list[str] = []
        self.offset_ns = 0

    def fly(self, stopped: threading.Event) -> None:
        for n in itertools.takewhile(lambda _: not stopped.is_set(), itertools.count()):
            while (message := self.connection.recv_match()) is not None:
                self.heard.append(message)
            told = self.log.at(time.monotonic_ns() - self.offset_ns)
            self.tell(told, n)
            time.sleep(0.02)

    def tell(self, told: Telemetry, n: int) -> None:
        attitude, mav = told.attitude, self.connection.mav
        assert attitude is not None
        assert told.height_agl_m is not None
        mav.srcSystem, mav.srcComponent = 1, AUTOPILOT
        if n % 50 == 0:
            mav.heartbeat_send(2, wire.MAV_AUTOPILOT_ARDUPILOTMEGA, 0, 0, 4)
        banked = 20.0 * math.sin(n / 10.0)
        angles = (math.radians(each) for each in (banked, 0.0, attitude.heading_deg))
        mav.attitude_send(0, *angles, 0.0, 0.0, 0.0)
        height_mm = round(told.height_agl_m * 1e3)
        velocity = told.velocity_north_m_s or 0.0, told.velocity_east_m_s or 0.0
        cm_s = [round(100.0 * each) for each in velocity]
        mav.global_position_int_send(0, 0, 0, height_mm, height_mm, *cm_s, 0, 0)
        if n % 5 == 0 and not self.is_mute:
            mav.srcComponent = GIMBAL
            camera = self.camera(attitude)
            q = list(quaternion.of_attitude(camera))
            mav.gimbal_device_attitude_status_send(
                0, 0, 7 * n, self.flags, q, NAN, NAN, NAN, 0, NAN, NAN
            )

    def camera(self, attitude: Attitude) -> Attitude:
        """As the fixed camera of the record looked, in the frame of the flags."""
        turn = rotation(attitude.roll_deg, attitude.pitch_deg, attitude.heading_deg)
        turn = turn @ rotation(0.0, -90.0, 0.0)
        if self.flags & VEHICLE:
            turn = rotation(0.0, 0.0, -attitude.heading_deg) @ turn
        pitch = math.asin(max(-1.0, min(1.0, -turn[2, 0])))
        roll = math.atan2(turn[2, 1], turn[2, 2])
        heading = math.atan2(turn[1, 0], turn[0, 0])
        return Attitude(*(math.degrees(each) for each in (roll, pitch, heading)))


def flown(
    rehearsal: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: int,
    count: int,
    *,
    is_mute: bool = False,
) -> tuple[list[tuple[Frame, Fix | Rejection]], Peer]:
    """A recorded flight of a frame a second by a real localizer and a real link; what became of
    the first `count` frames."""
    monkeypatch.setenv("MAVLINK20", "1")
    monkeypatch.setenv("MAVLINK_DIALECT", "ardupilotmega")
    log = read_telemetry(rehearsal / "flight/telemetry.csv")
    recording = Recording(list(open_source(str(rehearsal / "flight/flight.mp4")))[:count])
    camera = Camera.from_hfov(*recording.size_px, 70.0, Mount(gimbal=True))
    localizer = Seen(open_localizer(rehearsal / "bundle", LocalizerConfig(), camera))
    source = Paced(recording)
    peer = Peer(log, flags, is_mute=is_mute)
    peer.offset_ns = source.offset_ns
    config, clock = LinkConfig(address=peer.address, gimbal_component=GIMBAL), Timesync()
    telemetry = AutopilotTelemetry(clock=clock)
    publisher = Publisher(2.0, FilterConfig(), time.time_ns() - time.monotonic_ns())
    eyes = Eyes(source, telemetry, publisher, Board(), 5.0, Continuity(1.5))
    ended = threading.Event()
    with closing(peer.connection), closing(Link(config)) as link:
        daemon = wired(config, link, clock, telemetry, eyes, has_gimbal=True)
        daemon.on_state = lambda state, reason, now_ns: peer.told.append(f"{state} {reason}")
        daemon.talk()
        world = threading.Thread(target=peer.fly, args=(ended,))
        world.start()
        try:
            daemon.fly(localizer)
        finally:
            ended.set()
            world.join()
    return localizer.seen, peer


class Seen:
    """A localizer, and what it said."""

    def __init__(self, localizer: Localizer) -> None:
        self.localizer = localizer
        self.seen: list[tuple[Frame, Fix | Rejection]] = []

    def handle(self, frame: Frame, telemetry: Telemetry) -> Fix | Rejection:
        outcome = self.localizer.handle(frame, telemetry)
        self.seen.append((frame, outcome))
        return outcome

    def reset(self) -> None:
        self.localizer.reset()


@pytest.mark.parametrize("flags", [EARTH, VEHICLE])
def test_a_banking_vehicle_finds_itself_by_its_gimbal(
    flags: int, rehearsal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes, peer = flown(rehearsal, monkeypatch, flags, 12)
    track = read_track(rehearsal / "flight/truth.csv")
    fixes = [each for _, each in outcomes if isinstance(each, Fix)]
    assert len(fixes) >= 2, outcomes
    for fix in fixes:
        truth = track.at(fix.t_capture_ns - peer.offset_ns)
        assert truth is not None
        assert distance_m(fix.lat_deg, fix.lon_deg, *truth) < 5.0
    asked = [m for m in peer.heard if m.get_type() == "COMMAND_LONG" and m.param1 == 285.0]
    assert {m.target_component for m in asked} == {GIMBAL}


def test_without_a_gimbal_s_word_nothing_is_published_and_the_reason_is_told(
    rehearsal: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(daemon_module, "SILENT_NS", 2 * S)
    outcomes, peer = flown(rehearsal, monkeypatch, EARTH, 5, is_mute=True)
    reasons = {each.reason for _, each in outcomes if isinstance(each, Rejection)}
    assert reasons == {Reason.NO_ATTITUDE}
    assert len(outcomes) == sum(isinstance(each, Rejection) for _, each in outcomes)
    kinds = {message.get_type() for message in peer.heard}
    assert "GPS_INPUT" not in kinds
    assert any(each.startswith("ACQUIRE") and "no gimbal attitude" in each for each in peer.told)
    assert "no gimbal attitude from component 154; link.gimbal_component must name" in caplog.text
