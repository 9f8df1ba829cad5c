"""The camera of a live flight, on a Unix socket (`frames.stream`): pictures and their times."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..errors import LinkError
from ..frames.stream import pack_frame
from ..records import Image
from .autopilot.streams import NS_PER_S
from .state import State

PATIENCE_S = 5.0
"""A viewer that takes nothing for so long is hung up on."""


class SocketCamera:
    """Takes a picture of the truth at its rate and sends it to whoever is connected.

    `picture` is called in a thread of its own; what it takes to render is the camera's latency, and
    None is a picture lost. The camera's clock may be ahead of the vehicle's.

    Raises:
        LinkError: the socket cannot be made, or somebody answers on it.
    """

    def __init__(
        self,
        path: Path,
        picture: Callable[[State], Image | None],
        rate_hz: float,
        clock_offset_s: float = 0.0,
    ) -> None:
        self.path = path
        self._picture = picture
        self._period_s = 1.0 / rate_hz
        self._ahead_ns = round(clock_offset_s * NS_PER_S)
        self._closing = threading.Event()
        self._listener = _bound(path)
        self._listener.listen(1)
        self._listener.settimeout(0.2)
        self._thread = threading.Thread(target=self._serve, name="camera", daemon=True)
        self._latest: tuple[State, int | None] | None = None

    def start(self) -> None:
        """Serve; nothing is sent before `show`."""
        self._thread.start()

    def show(self, state: State, t_ns: int | None = None) -> None:
        """Where the vehicle is at `t_ns` of its clock; without a time, where it stays for now."""
        self._latest = (state, t_ns)

    def close(self) -> None:
        """Hang up."""
        self._closing.set()
        self._thread.join()
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while not self._closing.is_set():
            with suppress(TimeoutError):
                viewer, _ = self._listener.accept()
                viewer.settimeout(PATIENCE_S)
                with viewer, suppress(BrokenPipeError, ConnectionResetError):
                    self._feed(viewer)

    def _feed(self, viewer: socket.socket) -> None:
        due_s = time.monotonic()
        while not self._closing.wait(max(0.0, due_s - time.monotonic())):
            if self._latest is not None:
                state, t_ns = self._latest
                taken_ns = (time.monotonic_ns() if t_ns is None else t_ns) + self._ahead_ns
                image = self._picture(state)
                if image is not None:
                    viewer.sendall(pack_frame(image, taken_ns))
            due_s = max(due_s + self._period_s, time.monotonic())


def _bound(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            listener.bind(str(path))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not _is_stale(path):
                raise
            path.unlink(missing_ok=True)
            listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise LinkError(f"{path}: {error.strerror or error}") from None
    return listener


def _is_stale(path: Path) -> bool:
    """Whether it is a socket that was left behind, and nobody answers on it."""
    if not path.is_socket():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # one that is busy answers as well
        return probe.connect_ex(str(path)) == errno.ECONNREFUSED
