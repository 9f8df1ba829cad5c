"""A flight in real time: the stand-in autopilot on MAVLink, the camera on a Unix socket."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import numpy as np

from geobridge.onboard.errors import DataError
from geobridge.onboard.records import Image
from geobridge.onboard.simulation.autopilot.autopilot import Autopilot
from geobridge.onboard.simulation.autopilot.link import AutopilotLink
from geobridge.onboard.simulation.flying.simulate import Ending, ended
from geobridge.onboard.simulation.live import Moment, fly_live
from geobridge.onboard.simulation.socket_camera import SocketCamera
from geobridge.onboard.simulation.state import State
from geobridge.training.datasets.render_progress import duration

from .autopilots import autopilot_of
from .mission import Mission
from .moments import kept
from .wires import Wires

log = logging.getLogger(__name__)

MAX_SOCKET_BYTES = 107


@dataclass(frozen=True)
class LiveFlight:
    """What happened: `moments` ten times a second, the `ending`, the autopilot's last `mode`.

    `duration_s` is the vehicle's time in the air; `pictures` were taken, also before.
    """

    moments: list[Moment]
    ending: Ending
    mode: str
    duration_s: float
    pictures: int


class _Shown:
    """The camera's pictures: some of them lost or late, and the first one noticed."""

    def __init__(self, mission: Mission) -> None:
        self._eye, self._shutter = mission.eye(threads=1), mission.shutter
        self._rng = np.random.default_rng([mission.seed, 24])
        self.count, self.is_watched = 0, Event()

    def __call__(self, state: State) -> Image | None:
        if self._rng.random() < self._shutter.dropped_share:
            return None
        image = self._eye(state)
        if self._rng.random() < self._shutter.late_share:
            time.sleep(self._rng.exponential(self._shutter.late_s))
        self.count += 1
        self.is_watched.set()
        return image


def fly_to_daemon(
    mission: Mission,
    wires: Wires,
    daemon: AbstractContextManager[object],
    out: Path | None = None,
) -> LiveFlight:
    """Fly in real time until the route is done or the flight ends otherwise.

    Args:
        mission: its shutter may drop pictures or be late, and its clock be wrong.
        wires: where autopilot and camera can be reached.
        daemon: entered when they can be, left when the flight is over and they still can.
        out: folder for `moments.jsonl`, which is written also where the flight is interrupted or
            its link fails.

    Raises:
        DataError: the path of the socket is too long.
        ConfigError: the autopilot has no parameter of that name.
        LinkError: an address that cannot be opened, or that fails on the way.
    """
    autopilot = autopilot_of(mission, wires.autopilot, wires.parameters)
    aircraft, shown = mission.aircraft(), _Shown(mission)
    route, limit_s = mission.route, mission.limit_s
    guidance = aircraft.guidance(route)
    _warm_up(mission, aircraft.state)
    with _opened(autopilot, mission, wires, shown) as (link, camera):
        camera.show(aircraft.state)
        with daemon:
            if not shown.is_watched.wait(wires.wait_s):
                log.warning("nobody looks through %s; flying without", wires.camera_socket)
            log.info("flying %.0f m, about %s", route.length_m, duration(route.duration_s))
            flight = fly_live(aircraft, guidance, autopilot, link, camera, limit_s)
            moments = kept(flight, out, mission.terrain.frame)
    ending, mode = ended(aircraft, guidance, limit_s) or Ending.FAILSAFE, autopilot.firmware.mode
    log.info("the flight has ended: %s; the autopilot is in %s", ending.value, mode)
    return LiveFlight(moments, ending, mode, aircraft.state.time_s, shown.count)


def _warm_up(mission: Mission, state: State) -> None:
    """The first picture compiles, the second one shows what the machine can do."""
    eye = mission.eye(threads=1)
    eye(state)
    start_s = time.monotonic()
    eye(state)
    most_hz = 1.0 / (time.monotonic() - start_s)
    if most_hz < mission.shutter.rate_hz:
        log.warning(
            "%.1f pictures a second is more than this machine renders: %.1f",
            mission.shutter.rate_hz,
            most_hz,
        )


@contextmanager
def _opened(
    autopilot: Autopilot, mission: Mission, wires: Wires, shown: _Shown
) -> Iterator[tuple[AutopilotLink, SocketCamera]]:
    path, shutter = wires.camera_socket, mission.shutter
    if len(str(path).encode()) > MAX_SOCKET_BYTES:
        raise DataError(f"--camera-socket {path}: expected at most {MAX_SOCKET_BYTES} bytes")
    with closing(AutopilotLink(autopilot, wires.address)) as link:
        camera = SocketCamera(path, shown, shutter.rate_hz, shutter.clock_offset_s)
        camera.start()
        with closing(camera):
            yield link, camera
