from __future__ import annotations

import os
import pty
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import common

from geobridge.onboard.config import LinkConfig
from geobridge.onboard.errors import ConfigError, LinkError
from geobridge.onboard.mavlink import link as link_module
from geobridge.onboard.mavlink import ports
from geobridge.onboard.mavlink.link import Link
from geobridge.onboard.mavlink.outputs.gps_input import GpsInput
from geobridge.onboard.mavlink.voice import Voice

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


def heartbeat() -> Any:
    return Voice().heartbeat(common.MAV_STATE_ACTIVE)


def link_to(address: str, **config: Any) -> Link:
    return Link(LinkConfig(address=address, autopilot_system=7, **config))


def test_gps_input_is_mavlink_2_and_comes_out_as_it_went_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MAVLINK20", raising=False)
    [sent] = GpsInput(1, 8.0).negative(5 * 10**9, 1_704_067_200 * 10**9)
    with (
        udp_socket() as peer,
        closing(link_to(f"udpout:{LOOPBACK}:{peer.getsockname()[1]}")) as link,
    ):
        assert link.send(sent)
        data = peer.recv(1000)
    assert data[0] == 0xFD
    [message] = messages(data)
    assert (message.get_srcSystem(), message.get_srcComponent()) == (1, 197)
    assert message.to_dict() == sent.to_dict()


@pytest.mark.fault("L3", "other systems and components", "passed over")
def test_only_the_configured_autopilot_and_the_pilot_s_commands_are_believed() -> None:
    def said(system: int, component: int, message: Any) -> bytes:
        return bytes(message.pack(common.MAVLink(None, system, component)))

    beat = common.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3)
    order = common.MAVLink_command_long_message(1, 197, 31010, 0, *(0.0,) * 7)
    heard = [
        (said(7, 1, beat), True),
        (said(8, 1, beat), False),
        (said(7, 191, beat), False),
        (said(255, 190, beat), False),
        (said(255, 190, order), True),
        (said(254, 190, order), False),
    ]
    with (
        udp_socket() as peer,
        closing(link_to(f"udpout:{LOOPBACK}:{peer.getsockname()[1]}")) as link,
    ):
        link.send(heartbeat())
        _, address = peer.recvfrom(1000)
        for data, is_believed in heard:
            peer.sendto(data, address)
            assert (len(link.receive(0.5)) == 1) == is_believed
    assert link.traffic.foreign == 4


def test_a_stranger_who_speaks_first_does_not_become_the_peer() -> None:
    address = (LOOPBACK, free_port())
    with (
        udp_socket() as stranger,
        udp_socket() as peer,
        closing(link_to(f"udpin:{LOOPBACK}:{address[1]}")) as link,
    ):
        for _ in range(5):
            stranger.sendto(b"\xfd" * 100, address)
            assert link.receive(0.5) == []
        assert not link.send(heartbeat())  # to nobody
        peer.sendto(HEARTBEAT, address)
        assert len(link.receive(0.5)) == 1
        assert link.send(heartbeat())
        assert messages(peer.recv(1000))
        stranger.settimeout(0.05)
        with pytest.raises(TimeoutError):
            stranger.recv(1000)


def test_an_address_beyond_this_computer_needs_leave_and_a_key(tmp_path: Path) -> None:
    for address in ("udpin:0.0.0.0:14550", "udpout:192.0.2.1:14550", "tcp:192.0.2.1:5760"):
        with pytest.raises(ConfigError, match=r"link\.allow_remote=true and link\.signing_key"):
            link_to(address)
        with pytest.raises(ConfigError, match=r"set link\.signing_key"):
            link_to(address, allow_remote=True)
    key = tmp_path / "key"
    key.write_bytes(bytes(32))
    key.chmod(0o600)
    config = {"signing_key": key, "signing_state": str(tmp_path / "state")}
    link_to("udpout:192.0.2.1:14550", allow_remote=True, **config).close()


def test_chatter_waits_for_a_free_line_and_a_position_does_not() -> None:
    master, slave = pty.openpty()
    with closing(link_to(os.ttyname(slave), baud=9600)) as link:
        text = Voice().text(4, "x" * 200)  # 260 bytes: a quarter of a second at 9600 baud
        for _ in range(10):
            for piece in text:
                link.say(piece)
        sent, positions, until_s = 0, 0, time.monotonic() + 1.0
        while time.monotonic() < until_s:
            link.receive(0.02)
            positions += link.send(GpsInput(0, 8.0).negative(1, 1)[0])
            sent += 1
            time.sleep(0.1)
        os.set_blocking(master, False)
        received = os.read(master, 65536)
    os.close(master)
    os.close(slave)
    kinds = Counter(message.get_type() for message in messages(received))
    assert kinds["GPS_INPUT"] == positions == sent
    assert 3 <= kinds["STATUSTEXT"] < 20  # what the line has room for beside them
    assert len(received) < 1.2 * 960


def test_a_client_hears_its_peer_alone() -> None:
    with (
        udp_socket() as peer,
        udp_socket() as stranger,
        closing(link_to(f"udpout:{LOOPBACK}:{peer.getsockname()[1]}")) as link,
    ):
        link.send(heartbeat())
        _, address = peer.recvfrom(1000)
        stranger.sendto(HEARTBEAT, address)
        assert link.receive(0.5) == []
        peer.sendto(attitude(), address)
        [message] = link.receive(0.5)
    assert message.get_type() == "ATTITUDE"


def test_nobody_listening_yet_is_no_error() -> None:
    with closing(link_to(f"udpout:{LOOPBACK}:{free_port()}")) as link:
        for _ in range(3):
            link.send(heartbeat())
            assert link.receive(0.02) == []


def test_a_server_keeps_to_whoever_spoke_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "PEER_SILENCE_S", 0.2)
    address = (LOOPBACK, free_port())
    where = f"udpin:{LOOPBACK}:{address[1]}"
    with udp_socket() as first, udp_socket() as second, closing(link_to(where)) as link:
        link.send(heartbeat())  # to nobody
        first.sendto(HEARTBEAT, address)
        assert len(link.receive(0.5)) == 1
        second.sendto(HEARTBEAT, address)
        assert link.receive(0.5) == []
        link.send(heartbeat())
        assert messages(first.recv(1000))
        time.sleep(0.25)
        second.sendto(HEARTBEAT, address)
        assert len(link.receive(0.5)) == 1
        link.send(heartbeat())
        assert messages(second.recv(1000))


def test_a_datagram_is_read_to_its_end_and_noise_is_passed_over() -> None:
    noise = bytes(range(200)) * 5
    unknown = struct.pack("<BBBBBBBHBH", 0xFD, 0, 0, 0, 1, 7, 1, 0xFFFE, 0xFE, 0)
    many = b"".join(attitude(n / 100) for n in range(30))
    address = (LOOPBACK, free_port())
    where = f"udpin:{LOOPBACK}:{address[1]}"
    with udp_socket() as peer, closing(link_to(where)) as link:
        peer.sendto(noise + unknown + many, address)
        found = link.receive(0.5)
        peer.sendto(many, address)
        found += link.receive(0.5)
    assert len(found) >= 59  # noise may swallow the message that follows it
    assert {message.get_type() for message in found} == {"ATTITUDE"}


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5))
@pytest.mark.fault("L2", "any datagrams", "passed over")
def test_noise_does_not_stop_a_link(datagrams: list[bytes]) -> None:
    address = (LOOPBACK, free_port())
    where = f"udpin:{LOOPBACK}:{address[1]}"
    with udp_socket() as peer, closing(link_to(where)) as link:
        for datagram in datagrams:
            peer.sendto(datagram, address)
            assert link.receive(0.5) == []


@pytest.mark.fault("L1", "the TCP peer hangs up", "opened anew")
def test_tcp_carries_messages_and_is_opened_anew_when_it_ended() -> None:
    with closing(socket.create_server((LOOPBACK, 0))) as server:
        port = server.getsockname()[1]
        link = link_to(f"tcp:{LOOPBACK}:{port}")
        peer, _ = server.accept()
        with closing(link):
            peer.settimeout(2.0)
            link.send(heartbeat())
            assert messages(peer.recv(1000))[0].get_type() == "HEARTBEAT"
            data = attitude()
            peer.sendall(data[:9])
            assert link.receive(0.5) == []
            peer.sendall(data[9:])
            assert len(link.receive(0.5)) == 1
            peer.close()
            assert link.receive(0.5) == []
            assert not link.is_up
            assert not link.send(heartbeat())
            assert link.receive(0.5) == []  # opens it again
            again, _ = server.accept()
            with closing(again):
                assert link.send(heartbeat())
                again.settimeout(2.0)
                assert messages(again.recv(1000))[0].get_type() == "HEARTBEAT"
    assert link.traffic.reconnects == 1


def test_a_server_that_is_away_is_tried_again_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries: list[float] = []
    monkeypatch.setattr(link_module, "BACK_OFF_S", (0.05, 0.1, 0.2, 0.4))
    server = socket.create_server((LOOPBACK, 0))

    def open_(address: str, baud: int) -> ports.Port:
        tries.append(time.monotonic())
        return ports.open_port(address, baud)

    config = LinkConfig(address=f"tcp:{LOOPBACK}:{server.getsockname()[1]}")
    with closing(Link(config, open_)) as link:
        server.accept()[0].close()
        server.close()
        until_s = time.monotonic() + 1.5
        while time.monotonic() < until_s:
            assert link.receive(0.02) == []
    assert 4 <= len(tries) <= 9
    pauses = np.diff(tries[1:])
    assert pauses[-1] > 2 * pauses[0]


@pytest.mark.fault("L8", "a line that takes nothing", "whole messages are dropped, none is late")
def test_a_full_serial_line_drops_whole_messages() -> None:
    master, slave = pty.openpty()
    with closing(link_to(os.ttyname(slave), baud=57_600)) as link:
        for _ in range(2000):
            link.send(heartbeat())
        os.set_blocking(master, False)
        received = b""
        for _ in range(200):
            link.send(heartbeat())
            try:
                received += os.read(master, 4096)
            except BlockingIOError:
                break
    os.close(master)
    os.close(slave)
    kinds = {message.get_type() for message in messages(received)}
    assert kinds == {"HEARTBEAT"}
    assert len(received) < 4096  # news that is 0.7 s old before it is sent is none


@pytest.mark.fault("L1", "the pty is closed", "the link waits and comes back")
def test_a_serial_line_that_is_unplugged_ends_nothing() -> None:
    master, slave = pty.openpty()
    with closing(link_to(os.ttyname(slave), baud=57_600)) as link:
        os.write(master, HEARTBEAT)
        assert len(link.receive(0.5)) == 1
        os.close(slave)
        os.close(master)
        assert link.receive(0.5) == []
        assert not link.is_up


@pytest.mark.parametrize(
    ("address", "baud", "expected"),
    [
        ("udpout:127.0.0.1", 57_600, "expected udpout:HOST:PORT"),
        ("flight.tlog", 57_600, "expected udpout:HOST:PORT"),
        ("udpin:127.0.0.1:123456", 57_600, "expected udpout:HOST:PORT"),
        ("udpin:127.0.0.1:65536", 57_600, "'udpin:127.0.0.1:65536': expected a port up to 65535"),
        ("udpout:127.0.0.1:65536", 57_600, "expected a port up to 65535"),
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
