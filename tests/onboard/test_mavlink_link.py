from __future__ import annotations

import os
import pty
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import common

from geobridge.onboard.config import LinkConfig
from geobridge.onboard.errors import LinkError
from geobridge.onboard.mavlink import ports
from geobridge.onboard.mavlink.link import Link
from geobridge.onboard.mavlink.outputs import GpsInput

LOOPBACK = "127.0.0.1"
AUTOPILOT = common.MAVLink(None, 7, 1)
HEARTBEAT = bytes(common.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3).pack(AUTOPILOT))


def attitude(roll: float = 0.1) -> bytes:
    message = common.MAVLink_attitude_message(0, roll, 0.0, 0.0, 0.0, 0.0, 0.0)
    return bytes(message.pack(AUTOPILOT))


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
    fields = GpsInput(
        time_usec=5_000_000,
        gps_id=1,
        time_week=2295,
        time_week_ms=86_418_005,
        ignore_flags=148,
        fix_type=3,
        lat=-353_630_000,
        lon=1_491_650_000,
        alt=640.5,
        hdop=1.0,
        vn=8.25,
        ve=-6.5,
        speed_accuracy=2.125,
        horiz_accuracy=5.75,
        satellites_visible=10,
    )
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
            stranger.sendto(HEARTBEAT, address)
            assert link.receive(0.5) == []
            peer.sendto(attitude(), address)
            [message] = link.receive(0.5)
    assert message.get_type() == "ATTITUDE"


def test_nobody_listening_yet_is_no_error() -> None:
    with closing(Link(LinkConfig(address=f"udpout:{LOOPBACK}:{free_port()}"))) as link:
        for _ in range(3):
            link.send_heartbeat(is_active=False)
            assert link.receive(0.02) == []


def test_a_server_keeps_to_whoever_spoke_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "PEER_SILENCE_S", 0.2)
    address = (LOOPBACK, free_port())
    config = LinkConfig(address=f"udpin:{LOOPBACK}:{address[1]}")
    with udp_socket() as first, udp_socket() as second, closing(Link(config)) as link:
        link.send_heartbeat(is_active=False)  # to nobody
        first.sendto(HEARTBEAT, address)
        assert len(link.receive(0.5)) == 1
        second.sendto(HEARTBEAT, address)
        assert link.receive(0.5) == []
        link.send_heartbeat(is_active=False)
        assert messages(first.recv(1000))
        time.sleep(0.25)
        second.sendto(HEARTBEAT, address)
        assert len(link.receive(0.5)) == 1
        link.send_heartbeat(is_active=False)
        assert messages(second.recv(1000))


def test_a_datagram_is_read_to_its_end_and_noise_is_passed_over() -> None:
    noise = bytes(range(200)) * 5
    unknown = struct.pack("<BBBBBBBHBH", 0xFD, 0, 0, 0, 1, 7, 1, 0xFFFE, 0xFE, 0)
    many = b"".join(attitude(n / 100) for n in range(30))
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
    with udp_socket() as peer, closing(Link(config)) as link:
        for datagram in datagrams:
            peer.sendto(datagram, address)
            assert link.receive(0.5) == []


def test_tcp_carries_messages_and_its_end_is_an_error() -> None:
    with closing(socket.create_server((LOOPBACK, 0))) as server:
        port = server.getsockname()[1]
        link = Link(LinkConfig(address=f"tcp:{LOOPBACK}:{port}"))
        peer, _ = server.accept()
        with closing(link):
            peer.settimeout(2.0)
            link.send_heartbeat(is_active=True)
            assert messages(peer.recv(1000))[0].get_type() == "HEARTBEAT"
            data = attitude()
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
        os.write(master, HEARTBEAT)
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
        ("udpin:127.0.0.1:65536", 57_600, "'udpin:127.0.0.1:65536': expected a port up to 65535"),
        ("udpout:127.0.0.1:65536", 57_600, "expected a port up to 65535"),
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
