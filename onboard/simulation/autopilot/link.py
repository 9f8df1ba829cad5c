"""The stand-in on a real link: bytes in and out, and the one clock of this room."""

from __future__ import annotations

import select
import time
from collections.abc import Iterable, Sequence

from pymavlink.dialects.v20 import ardupilotmega as wire

from ...mavlink.ports import open_port
from ..state import Readings
from .autopilot import Autopilot
from .streams import NS_PER_S
from .vehicle import Message


class AutopilotLink:
    """An `Autopilot` at an address of `open_port`, such as `udpout:127.0.0.1:14550`.

    Raises:
        LinkError: the address cannot be opened; later, the other side of a stream is gone.
    """

    def __init__(self, autopilot: Autopilot, address: str, baud: int = 921_600) -> None:
        self._autopilot = autopilot
        self._port = open_port(address, baud)
        self._mavlink = wire.MAVLink(self._port, autopilot.system, wire.MAV_COMP_ID_AUTOPILOT1)
        self._mavlink.robust_parsing = True  # damaged bytes come back as a message to pass over

    def run(self, readings: Iterable[Readings]) -> None:
        """Fly through readings at the pace of their times, answering in between; ends with them."""
        start_ns: int | None = None
        for each in readings:
            since_ns = round(each.time_s * NS_PER_S)
            if start_ns is None:
                start_ns = time.monotonic_ns() - since_ns
            due_ns = start_ns + since_ns
            self.listen(0.0)
            while (wait_ns := due_ns - time.monotonic_ns()) > 0:
                self.listen(wait_ns / NS_PER_S)
            self.step(each, due_ns)

    def step(self, readings: Readings, t_ns: int) -> None:
        """Hand on the readings of `t_ns`, on the monotonic clock, and send what is due."""
        self._send(self._autopilot.step(readings, t_ns))

    def listen(self, timeout_s: float) -> None:
        """Answer what arrives; returns after the first message, or what there is without a wait."""
        while select.select([self._port], [], [], timeout_s)[0]:
            timeout_s = 0.0
            messages = self._mavlink.parse_buffer(self._port.read()) or []
            del self._mavlink.buf[: self._mavlink.buf_index]  # else kept until a message ends
            self._mavlink.buf_index = 0
            if any(message.get_type() != "BAD_DATA" for message in messages):
                self._port.believe()
            for message in messages:
                if message.get_type() != "BAD_DATA":
                    self._send(self._autopilot.receive(message, time.monotonic_ns()))

    def close(self) -> None:
        """Let go of the port."""
        self._port.close()

    def _send(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._mavlink.send(message)
