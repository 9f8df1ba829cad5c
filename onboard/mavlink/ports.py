"""Where MAVLink bytes go in and out: UDP, TCP, a serial line. No read or write ever blocks.

pymavlink's own ports are not used: its UDP server answers everyone who ever sent it a byte, its
serial port hides a dead line, and its TCP port prints and sleeps.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import termios
import time
import tty
from typing import Any, Protocol

from ..errors import LinkError

MAX_READ_BYTES = 65_535
MAX_PORT = 65_535
CONNECT_S, UNANSWERED_MS = 5.0, 5000
PEER_SILENCE_S = 5.0
"""A listening port keeps to its peer until that one has been silent for so long."""


_NETWORK = r"(udpout|udpin|tcp):([^\s:]+):(\d{1,5})"


class Port(Protocol):
    """Bytes in, bytes out."""

    def fileno(self) -> int:
        """What `select` waits on."""

    def read(self) -> bytes:
        """What has arrived, at most `MAX_READ_BYTES`, maybe nothing."""

    def write(self, message: bytes) -> bool:
        """Send a whole message, or drop it where there is no room: a newer one follows."""

    def believe(self) -> None:
        """What was last read came from whom we want to hear."""

    @property
    def is_datagram(self) -> bool:
        """Whether what is read at once stands alone."""

    def close(self) -> None:
        """Let go of it."""


def open_port(address: str, baud: int) -> Port:
    """Open `udpout:HOST:PORT`, `udpin:HOST:PORT`, `tcp:HOST:PORT` or a serial device by its path.

    Raises:
        LinkError: the address is none of these, or cannot be opened.
    """
    network = re.fullmatch(_NETWORK, address)
    if not network and not address.startswith("/"):
        raise LinkError(
            f"link.address {address!r}: expected udpout:HOST:PORT, udpin:HOST:PORT,"
            " tcp:HOST:PORT or the path of a serial device"
        )
    if network and int(network[3]) > MAX_PORT:
        raise LinkError(f"link.address {address!r}: expected a port up to {MAX_PORT}")
    try:
        if not network:
            return StreamPort(address, _open_serial(address, baud))
        kind, host, port = network[1], network[2], int(network[3])
        if kind == "tcp":
            return StreamPort(address, _open_tcp(host, port))
        return _open_udp(host, port, listen=kind == "udpin")
    except (OSError, termios.error) as error:
        reason = error.args[-1] if error.args else error
        raise LinkError(f"link.address {address}: cannot be opened: {reason}") from None


class UdpPort:
    """One peer at a time: the given one, or, listening, the one last believed.

    Until somebody is believed everybody is read, and nobody answered; afterwards nobody else is
    read until that one has been silent for a while.
    """

    is_datagram = True

    def __init__(self, udp: socket.socket, peer: Any = None) -> None:
        self._socket = udp
        self._peer = peer
        self._sender: Any = None
        self._is_fixed = peer is not None
        self._heard_s = 0.0

    def fileno(self) -> int:
        """What `select` waits on."""
        return self._socket.fileno()

    def read(self) -> bytes:
        """One datagram of the peer, or nothing."""
        try:
            data, self._sender = self._socket.recvfrom(MAX_READ_BYTES)
        except (BlockingIOError, ConnectionError):  # the latter: nobody listens there yet
            return b""
        if not self._is_fixed and time.monotonic() - self._heard_s > PEER_SILENCE_S:
            self._peer = None
        return data if self._peer in (None, self._sender) else b""

    def write(self, message: bytes) -> bool:
        """One datagram to the peer; a network that is away loses it."""
        if self._peer is None:
            return False
        try:
            self._socket.sendto(message, self._peer)
        except OSError:
            return False
        return True

    def believe(self) -> None:
        """Whoever sent the last datagram is the peer."""
        self._heard_s = time.monotonic()
        if not self._is_fixed:
            self._peer = self._sender

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()


class StreamPort:
    """A TCP connection or a serial line, by its file descriptor.

    Raises:
        LinkError: on read or write, once the other side is gone.
    """

    is_datagram = False

    def __init__(self, address: str, descriptor: int) -> None:
        self._address = address
        self._descriptor = descriptor
        self._rest = b""

    def fileno(self) -> int:
        """What `select` waits on."""
        return self._descriptor

    def read(self) -> bytes:
        """What has arrived."""
        try:
            data = os.read(self._descriptor, MAX_READ_BYTES)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise LinkError(f"link.address {self._address}: lost: {error.strerror}") from None
        if not data:
            raise LinkError(f"link.address {self._address}: closed by the other side")
        return data

    def write(self, message: bytes) -> bool:
        """Finish the message begun before, then send this one, or drop it where it cannot begin."""
        self._rest = self._put(self._rest)
        if self._rest:
            return False
        rest = self._put(message)
        self._rest = rest if len(rest) < len(message) else b""
        return len(rest) < len(message)

    def believe(self) -> None:
        """There is one other side, whoever it is."""

    def close(self) -> None:
        """Let go of the line."""
        os.close(self._descriptor)

    def _put(self, data: bytes) -> bytes:
        """What there was no room for."""
        try:
            return data[os.write(self._descriptor, data) :] if data else b""
        except BlockingIOError:
            return data
        except OSError as error:
            raise LinkError(f"link.address {self._address}: lost: {error.strerror}") from None


def is_loopback(address: str) -> bool:
    """Whether nobody outside this computer can reach an address of `open_port`, or be reached."""
    network = re.fullmatch(_NETWORK, address)
    if not network:
        return True
    try:
        return ipaddress.ip_address(socket.gethostbyname(network[2])).is_loopback
    except OSError:
        return False


def _open_udp(host: str, port: int, *, listen: bool) -> UdpPort:
    address = (socket.gethostbyname(host), port)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setblocking(False)
    if not listen:
        return UdpPort(udp, peer=address)
    try:
        udp.bind(address)
    except OSError:
        udp.close()
        raise
    return UdpPort(udp)


def _open_tcp(host: str, port: int) -> int:
    connection = socket.create_connection((host, port), timeout=CONNECT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # a peer that vanished without a word is gone when what we say stays unanswered
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MS)
    connection.setblocking(False)
    return connection.detach()


def _open_serial(device: str, baud: int) -> int:
    speed = getattr(termios, f"B{baud}", None)
    if speed is None:
        raise LinkError(f"link.baud {baud}: not a speed of serial lines on this machine")
    descriptor = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        tty.setraw(descriptor)
        settings = termios.tcgetattr(descriptor)
        settings[2] = settings[2] & ~termios.CRTSCTS | termios.CLOCAL | termios.CREAD
        settings[4] = settings[5] = speed
        termios.tcsetattr(descriptor, termios.TCSANOW, settings)
    except termios.error:
        os.close(descriptor)
        raise
    return descriptor
