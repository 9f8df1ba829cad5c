"""A flight in real time: vehicle, autopilot and camera, for a daemon that takes them for real.

The autopilot speaks MAVLink, the camera feeds a socket (`frames.stream`). Guidance steers by what
the autopilot believes; where that is wrong, the vehicle goes astray, and the camera shows where it
truly is.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import LinkError
from ..frames.stream import pack_frame
from ..records import Image
from .autopilot.autopilot import Autopilot
from .autopilot.link import AutopilotLink
from .autopilot.vehicle import Estimate
from .flying.aircraft import Aircraft
from .flying.guidance import Guidance
from .state import State

NS_PER_S = 1_000_000_000
STEP_S = 0.02
NOTED_EVERY = 5
"""Steps between two moments of the log."""
FIX_3D = 3
PATIENCE_S = 5.0
"""A viewer that takes nothing for so long is hung up on."""


@dataclass(frozen=True)
class Moment:
    """The truth, what the autopilot believed, and whether its GNSS receiver had a fix.

    `t_ns` is on the monotonic clock of the machine, as the daemon's times are.
    """

    t_ns: int
    state: State
    estimate: Estimate
    has_gnss: bool


class SocketCamera:
    """Takes a picture of the truth at its rate and sends it to whoever is connected.

    `picture` is called in a thread of its own; what it takes to render is the camera's latency.

    Raises:
        LinkError: the socket cannot be made, or somebody answers on it.
    """

    def __init__(self, path: Path, picture: Callable[[State], Image], rate_hz: float) -> None:
        self.path = path
        self._picture = picture
        self._period_s = 1.0 / rate_hz
        self._closing = threading.Event()
        self._listener = _bound(path)
        self._listener.listen(1)
        self._listener.settimeout(0.2)
        self._thread = threading.Thread(target=self._serve, name="camera", daemon=True)
        self._latest: tuple[State, int] | None = None

    def start(self) -> None:
        """Serve; nothing is sent before `show`."""
        self._thread.start()

    def show(self, state: State, t_ns: int) -> None:
        """Where the vehicle is at `t_ns`."""
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
                viewer.sendall(pack_frame(self._picture(state), t_ns))
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


def fly_live(
    aircraft: Aircraft,
    guidance: Guidance,
    autopilot: Autopilot,
    link: AutopilotLink,
    camera: SocketCamera,
    limit_s: float,
) -> list[Moment]:
    """Fly in real time until guidance has arrived, the vehicle leaves the map or hits the ground,
    the autopilot changes its mode (a failsafe), or `limit_s` is over; what happened, ten times a
    second.

    Raises:
        LinkError: the link has failed.
    """
    log: list[Moment] = []
    start_ns = time.monotonic_ns() - round(aircraft.state.time_s * NS_PER_S)
    mode, has_gnss, step = autopilot.firmware.mode, False, 0
    while _goes_on(aircraft, guidance, limit_s) and autopilot.firmware.mode == mode:
        t_ns = start_ns + round(aircraft.state.time_s * NS_PER_S)
        link.listen(0.0)
        while (wait_ns := t_ns - time.monotonic_ns()) > 0:
            link.listen(wait_ns / NS_PER_S)
        link.step(aircraft.readings, t_ns)
        camera.show(aircraft.state, t_ns)
        here = autopilot.firmware.estimate
        if aircraft.readings.gnss is not None:  # None between two solutions
            has_gnss = aircraft.readings.gnss.fix_type >= FIX_3D
        if step % NOTED_EVERY == 0:
            log.append(Moment(t_ns, aircraft.state, here, has_gnss))
        aircraft.step(STEP_S, guidance.steer(here.east_m, here.north_m, here.alt_amsl_m))
        step += 1
    return log


def _goes_on(aircraft: Aircraft, guidance: Guidance, limit_s: float) -> bool:
    return (
        not guidance.has_arrived
        and aircraft.is_on_map
        and aircraft.height_agl_m > 0.0
        and aircraft.state.time_s <= limit_s
    )
