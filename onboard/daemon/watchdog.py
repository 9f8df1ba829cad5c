"""systemd's side of the daemon: it is told that we are ready, and fed while there is progress."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass, field

NS_PER_S = 1_000_000_000


class Notifier:
    """sd_notify over NOTIFY_SOCKET; says nothing where nobody listens (sd_notify(3))."""

    def __init__(self) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def tell(self, *lines: str) -> None:
        """READY=1, WATCHDOG=1, STATUS=..., STOPPING=1."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagram:
            datagram.setblocking(False)
            datagram.sendto("\n".join(lines).encode(), self._address)


@dataclass
class Progress:
    """When each loop last came round; a loop that waits says so, and may wait for ever."""

    limits_s: dict[str, float]
    _marks_ns: dict[str, int] = field(default_factory=dict)

    def mark(self, loop: str, now_ns: int) -> None:
        """It came round."""
        self._marks_ns[loop] = now_ns

    def wait(self, loop: str) -> None:
        """It is waiting for something that may never come."""
        self._marks_ns.pop(loop, None)

    def stuck(self, now_ns: int) -> str | None:
        """A loop that has not come round in its time."""
        for loop, mark_ns in list(self._marks_ns.items()):
            if now_ns - mark_ns > self.limits_s[loop] * NS_PER_S:
                return loop
        return None
