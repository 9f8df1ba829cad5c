from __future__ import annotations

import math
import os
import pty
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import common

from geobridge.onboard.config import FilterConfig, LinkConfig
from geobridge.onboard.errors import LinkError
from geobridge.onboard.geodesy import distance_m
from geobridge.onboard.mavlink import ports
from geobridge.onboard.mavlink.link import Link
from geobridge.onboard.mavlink.outputs import GpsInput, Publisher, gps_time, is_sound
from geobridge.onboard.mavlink.telemetry import AutopilotTelemetry
from geobridge.onboard.records import Fix, Telemetry

S, MS = 1_000_000_000, 1_000_000
UNIX_2024_NS = 1_704_067_200 * S
LOOPBACK = "127.0.0.1"

FIX = Fix(
    t_capture_ns=100 * S,
    lat_deg=-35.363,
    lon_deg=149.165,
    horiz_accuracy_m=4.0,
    alt_amsl_m=640.0,
    velocity_north_m_s=8.0,
    velocity_east_m_s=-6.0,
    score=0.7,
    correlation=0.4,
    place=3,
)


def publisher(**config: Any) -> Publisher:
    motion = FilterConfig(velocity_accuracy_m_s=1.5, unknown_speed_m_s=15.0)
    return Publisher(LinkConfig(**config), motion, UNIX_2024_NS)


def is_position(fields: GpsInput | None) -> bool:
    return fields is not None and fields.fix_type == 3


def ignores(fields: GpsInput, *names: str) -> bool:
    return all(
        fields.ignore_flags & getattr(common, f"GPS_INPUT_IGNORE_FLAG_{name}") for name in names
    )


# What is said, and when


def test_a_fix_at_its_own_time_is_sent_as_it_is() -> None:
    ours = publisher(gps_id=1)
    assert ours.offer(FIX)
    fields = ours.tick(FIX.t_capture_ns)
    assert fields is not None
    assert (fields.lat, fields.lon) == (-353630000, 1491650000)
    assert (fields.alt, fields.vn, fields.ve) == (640.0, 8.0, -6.0)
    assert (fields.gps_id, fields.fix_type, fields.yaw) == (1, 3, 0)
    assert fields.satellites_visible >= 6
    assert 0 < fields.hdop <= 2.5
    assert fields.horiz_accuracy == pytest.approx(4.0 * math.sqrt(2))
    assert fields.speed_accuracy == pytest.approx(1.5 * math.sqrt(2))
    assert ignores(fields, "VDOP", "VEL_VERT", "VERTICAL_ACCURACY")
    assert not ignores(fields, "ALT")
    assert not ignores(fields, "VEL_HORIZ")


def test_between_fixes_the_position_moves_on_and_the_accuracy_grows() -> None:
    ours = publisher()
    ours.offer(FIX)
    fields = ours.tick(FIX.t_capture_ns + 2 * S)
    assert fields is not None
    moved_m = distance_m(FIX.lat_deg, FIX.lon_deg, fields.lat / 1e7, fields.lon / 1e7)
    assert moved_m == pytest.approx(20.0, abs=0.02)
    assert fields.lat / 1e7 > FIX.lat_deg
    assert fields.lon / 1e7 < FIX.lon_deg
    assert fields.horiz_accuracy == pytest.approx(math.sqrt(2) * 5.0)  # 4 and 3 in quadrature


def test_without_velocity_and_altitude_both_are_ignored_and_the_accuracy_grows_faster() -> None:
    ours = publisher()
    ours.offer(replace(FIX, velocity_east_m_s=None, alt_amsl_m=None))
    fields = ours.tick(FIX.t_capture_ns + S)
    assert fields is not None
    assert ignores(fields, "ALT", "VEL_HORIZ", "VEL_VERT", "SPEED_ACCURACY")
    assert (fields.lat, fields.lon) == (-353630000, 1491650000)
    assert (fields.vn, fields.ve, fields.alt) == (0.0, 0.0, 0.0)
    assert fields.horiz_accuracy == pytest.approx(math.sqrt(2) * math.hypot(4.0, 15.0))


def test_after_the_last_fix_has_aged_one_word_that_there_is_none_then_silence() -> None:
    ours = publisher(max_fix_age_s=2.0)
    assert ours.tick(99 * S) is None
    ours.offer(FIX)
    assert is_position(ours.tick(102 * S))
    lost = ours.tick(102 * S + 1)
    assert lost is not None
    assert (lost.fix_type, lost.lat, lost.lon, lost.satellites_visible) == (1, 0, 0, 0)
    assert lost.ignore_flags == 255
    assert [ours.tick(103 * S), ours.tick(104 * S)] == [None, None]
    ours.offer(replace(FIX, t_capture_ns=105 * S))
    assert is_position(ours.tick(105 * S))


def test_a_fix_taken_back_is_followed_by_the_word_at_once() -> None:
    ours = publisher()
    ours.offer(FIX)
    ours.tick(100 * S)
    ours.withdraw()
    lost = ours.tick(100 * S + 1)
    assert lost is not None
    assert lost.fix_type == 1
    assert ours.tick(100 * S + 2) is None


def test_an_older_fix_does_not_replace_a_newer_one() -> None:
    ours = publisher()
    assert ours.offer(FIX)
    assert not ours.offer(replace(FIX, t_capture_ns=FIX.t_capture_ns - 1, lat_deg=0.0))
    fields = ours.tick(FIX.t_capture_ns)
    assert fields is not None
    assert fields.lat == -353630000


maybe_m_s = st.none() | st.floats(-150, 150)
sound_fixes = st.builds(
    Fix,
    t_capture_ns=st.integers(0, 20 * S),
    lat_deg=st.floats(-90, 90),
    lon_deg=st.floats(-180, 180),
    horiz_accuracy_m=st.floats(0.1, 100),
    alt_amsl_m=st.none() | st.floats(-400, 9000),
    velocity_north_m_s=maybe_m_s,
    velocity_east_m_s=maybe_m_s,
    score=st.floats(-1, 1),
    correlation=st.floats(0, 1),
    place=st.just(0),
)
broken_fixes = st.builds(
    lambda fix, name, value: replace(fix, **{name: value}),
    sound_fixes,
    st.sampled_from(["lat_deg", "lon_deg", "horiz_accuracy_m", "alt_amsl_m", "velocity_east_m_s"]),
    st.sampled_from([math.nan, math.inf, -math.inf, -1e9, 1e300]),
)


@given(broken_fixes)
def test_a_fix_that_cannot_be_is_not_taken(fix: Fix) -> None:
    ours = publisher()
    assert not ours.offer(fix)
    assert ours.tick(fix.t_capture_ns) is None


@given(
    st.lists(sound_fixes | broken_fixes | st.integers(0, 3 * S) | st.just("withdraw"), max_size=30),
    st.floats(0.1, 5.0),
)
def test_never_a_position_without_accuracy_or_from_an_old_fix_and_one_word_when_lost(
    events: list[Fix | int | str], max_fix_age_s: float
) -> None:
    ours = publisher(max_fix_age_s=max_fix_age_s)
    now_ns, held, was_position = 0, None, False
    for event in events:
        if isinstance(event, Fix):
            if ours.offer(event):
                held = event
                assert is_sound(event)
            continue
        if event == "withdraw":
            held = None
            ours.withdraw()
            continue
        assert isinstance(event, int)
        now_ns += event
        fields = ours.tick(now_ns)
        if is_position(fields):
            assert fields is not None
            assert held is not None
            assert 0 <= now_ns - held.t_capture_ns <= max_fix_age_s * S + 1
            assert fields.horiz_accuracy >= held.horiz_accuracy_m * math.sqrt(2) * 0.999
            assert all(math.isfinite(value) for value in asdict(fields).values())
            assert abs(fields.lat) <= 900_000_000
            assert abs(fields.lon) <= 1_800_000_000
        else:
            assert (fields is not None) == was_position
        if fields is not None:
            common.MAVLink(None, 1, 197).gps_input_encode(**asdict(fields)).pack(
                common.MAVLink(None, 1, 197)
            )
        was_position = is_position(fields)


def test_gps_time_counts_leap_seconds_and_does_not_know_a_clock_that_was_never_set() -> None:
    epoch_ns = 315_964_800 * S
    assert gps_time(epoch_ns + 604_800 * S) == (1, 18_000)
    # 2024-01-01T00:00:00Z is a Monday: GPS week 2295, one day and 18 s into it
    assert gps_time(UNIX_2024_NS + 5 * MS) == (2295, 86_418_005)
    assert gps_time(30 * S) == (0, 0)


# What the autopilot says


class Autopilot:
    """Messages as they come off the wire."""

    def __init__(self, system: int = 7, component: int = 1) -> None:
        self.mav = common.MAVLink(None, system, component)

    def heard(self, message: Any) -> Any:
        [received] = common.MAVLink(None, 1, 197).parse_buffer(message.pack(self.mav))
        return received

    def heartbeat(self, autopilot: int = common.MAV_AUTOPILOT_ARDUPILOTMEGA) -> Any:
        return self.heard(self.mav.heartbeat_encode(common.MAV_TYPE_QUADROTOR, autopilot, 0, 0, 4))

    def attitude(self, roll_deg: float = 0.0, yaw_deg: float = 0.0) -> Any:
        roll, yaw = math.radians(roll_deg), math.radians(yaw_deg)
        return self.heard(self.mav.attitude_encode(0, roll, 0.05, yaw, 0.0, 0.0, 0.0))

    def position(self, relative_alt: int = 120_000) -> Any:
        return self.heard(
            self.mav.global_position_int_encode(0, 1, 2, 700_000, relative_alt, 850, -320, 10, 0)
        )


def listening(system: int = 7) -> AutopilotTelemetry:
    ours = AutopilotTelemetry(patience_s=0.0)
    ours.feed(Autopilot(system).heartbeat(), 0)
    return ours


def test_attitude_and_position_are_brought_to_the_exposure() -> None:
    ours, theirs = listening(), Autopilot()
    ours.feed(theirs.attitude(10, 350), S)
    ours.feed(theirs.position(), S)
    ours.feed(theirs.attitude(20, 10), S + 100 * MS)
    ours.feed(theirs.position(122_000), S + 200 * MS)
    found = ours.at(S + 50 * MS)
    assert found.t_ns == S + 50 * MS
    assert found.attitude is not None
    assert found.attitude.roll_deg == pytest.approx(15, abs=1e-4)
    assert found.attitude.pitch_deg == pytest.approx(math.degrees(0.05), abs=1e-4)
    assert found.attitude.heading_deg % 360 == pytest.approx(0, abs=1e-4)
    assert found.height_agl_m == pytest.approx(120.5)
    assert (found.alt_amsl_m, found.velocity_north_m_s, found.velocity_east_m_s) == (700, 8.5, -3.2)
    assert found.prior is None


def test_the_time_told_is_that_of_the_stalest_part() -> None:
    ours, theirs = listening(), Autopilot()
    ours.feed(theirs.position(), S)
    ours.feed(theirs.attitude(), 3 * S)
    assert ours.at(3 * S).t_ns == S


def test_nothing_is_interpolated_across_a_silence() -> None:
    ours, theirs = listening(), Autopilot()
    ours.feed(theirs.attitude(0), S)
    ours.feed(theirs.attitude(40), 3 * S)
    found = ours.at(S + 600 * MS)
    assert (found.t_ns, found.attitude) == (S, ours.at(S).attitude)


def test_what_was_not_heard_is_none() -> None:
    assert listening().at(S) == Telemetry(t_ns=S)
    ours = listening()
    ours.feed(Autopilot().position(relative_alt=-200), S)
    assert ours.at(S).height_agl_m is None
    assert ours.at(S).alt_amsl_m == 700.0


def test_only_the_first_autopilot_is_believed() -> None:
    ours = AutopilotTelemetry(patience_s=0.0)
    ours.feed(Autopilot(system=9).attitude(), S)  # before any heartbeat
    ours.feed(Autopilot(system=255, component=190).heartbeat(), S)  # a ground station
    ours.feed(Autopilot(system=3).heartbeat(common.MAV_AUTOPILOT_INVALID), S)
    assert ours.system is None
    ours.feed(Autopilot(system=7).heartbeat(), S)
    ours.feed(Autopilot(system=8).heartbeat(), S)
    assert ours.system == 7
    ours.feed(Autopilot(system=8).attitude(), 2 * S)
    ours.feed(Autopilot(system=7, component=191).attitude(), 2 * S)
    assert ours.at(2 * S).attitude is None
    ours.feed(Autopilot(system=7).attitude(5.0), 2 * S)
    assert ours.at(2 * S).attitude is not None


@given(st.lists(st.floats(width=32), min_size=3, max_size=3))
def test_no_angle_that_is_none_gets_through(angles: list[float]) -> None:
    ours, theirs = listening(), Autopilot()
    ours.feed(theirs.heard(theirs.mav.attitude_encode(0, *angles, 0.0, 0.0, 0.0)), S)
    attitude = ours.at(S).attitude
    if attitude is None:
        assert not all(abs(angle) <= 2 * math.pi for angle in angles)
    else:
        assert all(abs(angle) <= 360 for angle in vars(attitude).values())
        assert math.isclose(attitude.roll_deg, math.degrees(angles[0]), abs_tol=1e-4)


def test_a_few_seconds_are_kept() -> None:
    ours, theirs = listening(), Autopilot()
    for second in range(60):
        ours.feed(theirs.attitude(second), second * S)
    assert ours.at(0).t_ns == 54 * S
    assert ours.at(70 * S) == ours.at(59 * S)
    assert ours.at(59 * S).t_ns == 59 * S


def test_asking_waits_for_the_attitude_after_the_exposure() -> None:
    ours, theirs = AutopilotTelemetry(patience_s=5.0), Autopilot()
    ours.feed(theirs.heartbeat(), 0)
    ours.feed(theirs.attitude(0), S)
    threading.Timer(0.05, lambda: ours.feed(theirs.attitude(10), S + 40 * MS)).start()
    found = ours.at(S + 20 * MS).attitude
    assert found is not None
    assert found.roll_deg == pytest.approx(5, abs=1e-4)


# The wire


@contextmanager
def udp_socket() -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as udp:
        udp.bind((LOOPBACK, 0))
        udp.settimeout(2.0)
        yield udp


def messages(data: bytes) -> list[Any]:
    parser = common.MAVLink(None)
    parser.robust_parsing = True
    return list(parser.parse_buffer(data) or [])


def free_port() -> int:
    with udp_socket() as udp:
        return int(udp.getsockname()[1])


def test_gps_input_is_mavlink_2_and_comes_out_as_it_went_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MAVLINK20", raising=False)
    ours = publisher()
    ours.offer(FIX)
    fields = ours.tick(FIX.t_capture_ns + 300 * MS)
    assert fields is not None
    with udp_socket() as peer:
        config = LinkConfig(address=f"udpout:{LOOPBACK}:{peer.getsockname()[1]}")
        with closing(Link(config)) as link:
            link.send_gps_input(fields)
            data = peer.recv(1000)
    assert data[0] == 0xFD
    [message] = messages(data)
    assert (message.get_srcSystem(), message.get_srcComponent()) == (1, 197)
    for name, value in asdict(fields).items():
        assert getattr(message, name) == pytest.approx(value, rel=1e-6), name


def test_a_heartbeat_tells_what_we_are_and_whether_there_are_positions() -> None:
    with udp_socket() as peer:
        config = LinkConfig(address=f"udpout:{LOOPBACK}:{peer.getsockname()[1]}")
        with closing(Link(config)) as link:
            link.send_heartbeat(is_active=False)
            link.send_heartbeat(is_active=True)
            [searching], [active] = messages(peer.recv(1000)), messages(peer.recv(1000))
    assert searching.type == common.MAV_TYPE_ONBOARD_CONTROLLER
    assert searching.autopilot == common.MAV_AUTOPILOT_INVALID
    assert searching.system_status == common.MAV_STATE_STANDBY
    assert active.system_status == common.MAV_STATE_ACTIVE


def test_a_client_hears_its_peer_alone() -> None:
    with udp_socket() as peer, udp_socket() as stranger:
        config = LinkConfig(address=f"udpout:{LOOPBACK}:{peer.getsockname()[1]}")
        with closing(Link(config)) as link:
            link.send_heartbeat(is_active=False)
            _, address = peer.recvfrom(1000)
            theirs = Autopilot()
            stranger.sendto(theirs.heartbeat().get_msgbuf(), address)
            assert link.receive(0.5) == []
            peer.sendto(theirs.attitude(10).get_msgbuf(), address)
            [message] = link.receive(0.5)
    assert message.get_type() == "ATTITUDE"


def test_nobody_listening_yet_is_no_error() -> None:
    with closing(Link(LinkConfig(address=f"udpout:{LOOPBACK}:{free_port()}"))) as link:
        for _ in range(3):
            link.send_heartbeat(is_active=False)
            assert link.receive(0.02) == []


def test_a_server_keeps_to_whoever_spoke_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "PEER_SILENCE_S", 0.2)
    heartbeat = Autopilot().heartbeat().get_msgbuf()
    address = (LOOPBACK, free_port())
    config = LinkConfig(address=f"udpin:{LOOPBACK}:{address[1]}")
    with udp_socket() as first, udp_socket() as second, closing(Link(config)) as link:
        link.send_heartbeat(is_active=False)  # to nobody
        first.sendto(heartbeat, address)
        assert len(link.receive(0.5)) == 1
        second.sendto(heartbeat, address)
        assert link.receive(0.5) == []
        link.send_heartbeat(is_active=False)
        assert messages(first.recv(1000))
        time.sleep(0.25)
        second.sendto(heartbeat, address)
        assert len(link.receive(0.5)) == 1
        link.send_heartbeat(is_active=False)
        assert messages(second.recv(1000))


def test_a_datagram_is_read_to_its_end_and_noise_is_passed_over() -> None:
    theirs = Autopilot()
    noise = bytes(range(200)) * 5
    unknown = struct.pack("<BBBBBBBHBH", 0xFD, 0, 0, 0, 1, 7, 1, 0xFFFE, 0xFE, 0)
    many = b"".join(theirs.attitude(n).get_msgbuf() for n in range(30))
    address = (LOOPBACK, free_port())
    config = LinkConfig(address=f"udpin:{LOOPBACK}:{address[1]}")
    with udp_socket() as peer, closing(Link(config)) as link:
        peer.sendto(noise + unknown + many, address)
        found = link.receive(0.5)
        peer.sendto(many, address)
        found += link.receive(0.5)
    assert len(found) >= 59  # noise may swallow the message that follows it
    assert {message.get_type() for message in found} == {"ATTITUDE"}


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5))
def test_noise_does_not_stop_a_link(datagrams: list[bytes]) -> None:
    address = (LOOPBACK, free_port())
    config = LinkConfig(address=f"udpin:{LOOPBACK}:{address[1]}")
    ours = AutopilotTelemetry(patience_s=0.0)
    with udp_socket() as peer, closing(Link(config)) as link:
        for datagram in datagrams:
            peer.sendto(datagram, address)
            for message in link.receive(0.5):
                ours.feed(message, S)
    assert ours.at(S) == Telemetry(t_ns=S)


def test_tcp_carries_messages_and_its_end_is_an_error() -> None:
    with closing(socket.create_server((LOOPBACK, 0))) as server:
        port = server.getsockname()[1]
        link = Link(LinkConfig(address=f"tcp:{LOOPBACK}:{port}"))
        peer, _ = server.accept()
        with closing(link):
            peer.settimeout(2.0)
            link.send_heartbeat(is_active=True)
            assert messages(peer.recv(1000))[0].get_type() == "HEARTBEAT"
            data = Autopilot().attitude().get_msgbuf()
            peer.sendall(data[:9])
            assert link.receive(0.5) == []
            peer.sendall(data[9:])
            assert len(link.receive(0.5)) == 1
            peer.close()
            with pytest.raises(LinkError, match=f"tcp:{LOOPBACK}:{port}: closed by the other side"):
                link.receive(0.5)


def test_a_full_serial_line_drops_whole_messages() -> None:
    master, slave = pty.openpty()
    with closing(Link(LinkConfig(address=os.ttyname(slave), baud=57_600))) as link:
        for _ in range(2000):
            link.send_heartbeat(is_active=True)
        os.set_blocking(master, False)
        received = b""
        for _ in range(200):
            link.send_heartbeat(is_active=True)
            try:
                received += os.read(master, 4096)
            except BlockingIOError:
                break
    os.close(master)
    os.close(slave)
    kinds = {message.get_type() for message in messages(received)}
    assert kinds == {"HEARTBEAT"}
    assert len(received) < 2000 * 21


def test_a_serial_line_that_is_unplugged_is_an_error() -> None:
    master, slave = pty.openpty()
    with closing(Link(LinkConfig(address=os.ttyname(slave), baud=57_600))) as link:
        os.write(master, Autopilot().heartbeat().get_msgbuf())
        assert len(link.receive(0.5)) == 1
        os.close(slave)
        os.close(master)
        with pytest.raises(LinkError, match="/dev/pts"):
            link.receive(0.5)


@pytest.mark.parametrize(
    ("address", "baud", "expected"),
    [
        ("udpout:127.0.0.1", 57_600, "expected udpout:HOST:PORT"),
        ("flight.tlog", 57_600, "expected udpout:HOST:PORT"),
        ("udpin:127.0.0.1:123456", 57_600, "expected udpout:HOST:PORT"),
        ("udpin:127.0.0.1:65536", 57_600, "cannot be opened"),
        ("udpin:192.0.2.1:14550", 57_600, "cannot be opened: Cannot assign"),
        (f"tcp:127.0.0.1:{1}", 57_600, "cannot be opened: Connection refused"),
        ("/dev/there_is_no_such_line", 57_600, "cannot be opened: No such file"),
        ("/dev/null", 57_600, "cannot be opened: Inappropriate ioctl"),
        ("/dev/null", 12_345, "link.baud 12345"),
    ],
)
def test_an_address_that_cannot_be_used_is_one_line(address: str, baud: int, expected: str) -> None:
    with pytest.raises(LinkError) as caught:
        Link(LinkConfig(address=address, baud=baud))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
