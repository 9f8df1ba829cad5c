"""What lies between autopilot and daemon: a network that loses and delays, a slow serial line."""

from __future__ import annotations

import contextlib
import heapq
import os
import pty
import select
import socket
import threading
import time
import tty
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import numpy as np
from pymavlink.dialects.v20 import ardupilotmega as wire

LOOPBACK = "127.0.0.1"
MAX_BYTES = 65_535
SERIAL_STEP_S = 0.005


@dataclass
class Weather:
    """What becomes of a datagram; shares of 1, seconds."""

    lost: float = 0.0
    doubled: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0
    """Mean of an exponential delay on top: what comes later may overtake."""
    is_cut: bool = False


@dataclass
class UdpRelay:
    """Datagrams between `daemon_port`, where the daemon speaks to, and an autopilot that listens.

    With a key what the autopilot says is signed on its way, as a router with a key would.
    """

    autopilot_port: int
    weather: Weather = field(default_factory=Weather)
    key: bytes | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        self._near, self._far = _udp(), _udp()
        self.daemon_port = int(self._near.getsockname()[1])
        self.daemon: tuple[str, int] | None = None
        self._rng, self._order = np.random.default_rng(self.seed), count()
        self._waiting: list[tuple[float, int, bool, bytes]] = []
        self._stopped, self._lock = threading.Event(), threading.Lock()
        self._signer = wire.MAVLink(None, 1, 1) if self.key else None
        if self._signer:
            self._signer.signing.secret_key, self._signer.signing.sign_outgoing = self.key, True
            # 10 us since 2015, and a link of its own
            self._signer.signing.timestamp = int((time.time_ns() / 1e9 - 1_420_070_400) * 1e5)
            self._signer.signing.link_id = 9
        self._parser = wire.MAVLink(None)
        self._parser.robust_parsing = True
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def inject(self, data: bytes) -> None:
        """To the daemon, as if the autopilot's side had sent it."""
        if self.daemon is not None:
            self._near.sendto(data, self.daemon)

    def close(self) -> None:
        """End it."""
        self._stopped.set()
        self._thread.join()
        self._near.close()
        self._far.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            until_s = self._waiting[0][0] - time.monotonic() if self._waiting else 0.05
            ready = select.select([self._near, self._far], [], [], max(0.0, min(until_s, 0.05)))[0]
            for end in ready:
                with contextlib.suppress(OSError):
                    data, sender = end.recvfrom(MAX_BYTES)
                    if end is self._near:
                        self.daemon = sender
                    self._take(data, is_up=end is self._near)
            while self._waiting and self._waiting[0][0] <= time.monotonic():
                _, _, is_up, data = heapq.heappop(self._waiting)
                self._pass(data, is_up)

    def _take(self, data: bytes, *, is_up: bool) -> None:
        weather, rng = self.weather, self._rng
        if weather.is_cut or rng.random() < weather.lost:
            return
        for _ in range(2 if rng.random() < weather.doubled else 1):
            jitter_s = rng.exponential(weather.jitter_s) if weather.jitter_s else 0.0
            due_s = time.monotonic() + weather.delay_s + jitter_s
            heapq.heappush(self._waiting, (due_s, next(self._order), is_up, data))

    def _pass(self, data: bytes, is_up: bool) -> None:
        with contextlib.suppress(OSError):
            if is_up:
                self._far.sendto(data, (LOOPBACK, self.autopilot_port))
            elif self.daemon is not None:
                for frame in self._signed(data):
                    self._near.sendto(frame, self.daemon)

    def _signed(self, data: bytes) -> Iterator[bytes]:
        if self._signer is None:
            yield data
            return
        for message in self._parser.parse_buffer(data) or []:
            if message.get_type() != "BAD_DATA":
                yield bytes(message.pack(self._signer))


class SerialRelay:
    """Two ends of a serial line that carries so many bauds, and holds no more than its queues."""

    def __init__(self, baud: int) -> None:
        self._masters, self._slaves = zip(*(pty.openpty() for _ in range(2)), strict=True)
        for end in (*self._masters, *self._slaves):
            tty.setraw(end)
        self.autopilot, self.daemon = (os.ttyname(slave) for slave in self._slaves)
        self._per_step = baud / 10 * SERIAL_STEP_S
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._carry, args=pair, daemon=True)
            for pair in (self._masters, self._masters[::-1])
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Unplug both ends."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        for end in (*self._masters, *self._slaves):
            os.close(end)

    def _carry(self, source: int, target: int) -> None:
        allowance, last_s = 0.0, time.monotonic()
        while not self._stopped.wait(SERIAL_STEP_S):
            now_s = time.monotonic()
            allowance += self._per_step * (now_s - last_s) / SERIAL_STEP_S
            last_s = now_s
            allowance = min(allowance, 20.0 * self._per_step)
            if allowance >= 1.0 and select.select([source], [], [], 0.0)[0]:
                data = os.read(source, int(allowance))
                allowance -= len(data)
                if select.select([], [target], [], 0.0)[1]:
                    os.write(target, data)


def _udp() -> socket.socket:
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((LOOPBACK, 0))
    udp.setblocking(False)
    return udp
