"""A flight in real time: the stand-in autopilot on MAVLink, the camera on a Unix socket."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from geobridge.onboard.errors import DataError
from geobridge.onboard.frames.stream import STREAM_PREFIX
from geobridge.onboard.records import Image
from geobridge.onboard.simulation.autopilot.arducopter import ArduCopter
from geobridge.onboard.simulation.autopilot.autopilot import Autopilot
from geobridge.onboard.simulation.autopilot.link import AutopilotLink
from geobridge.onboard.simulation.autopilot.px4 import Px4
from geobridge.onboard.simulation.autopilot.vehicle import Firmware
from geobridge.onboard.simulation.flying.aircraft import Aircraft
from geobridge.onboard.simulation.flying.exposures import Shutter
from geobridge.onboard.simulation.flying.simulate import Ending
from geobridge.onboard.simulation.live import NS_PER_S, SocketCamera, fly_live
from geobridge.onboard.simulation.state import State
from geobridge.training.datasets.render_progress import duration

from ..demonstration.sortie import PARAMETERS
from .mission import Mission
from .moments import write_moments

log = logging.getLogger(__name__)

MAX_SOCKET_BYTES = 107
FAILSAFE = "failsafe"
_ANYWHERE = ("0.0.0.0", "127.0.0.1")


@dataclass(frozen=True)
class Wires:
    """Where autopilot and camera can be reached, which autopilot it is, and with what parameters.

    Take-off waits `wait_s` for somebody to look through the camera, and then goes without.
    """

    address: str
    camera_socket: Path
    autopilot: str
    parameters: Mapping[str, float]
    wait_s: float


class OffsetCamera(SocketCamera):
    """A camera whose clock is ahead of the vehicle's, as its shutter has it."""

    def __init__(self, path: Path, picture: Callable[[State], Image], shutter: Shutter) -> None:
        super().__init__(path, picture, shutter.rate_hz)
        self._ahead_ns = round(shutter.clock_offset_s * NS_PER_S)

    def show(self, state: State, t_ns: int) -> None:
        """Where the vehicle is at `t_ns` of the vehicle's clock."""
        super().show(state, t_ns + self._ahead_ns)


class _Shown:
    """The camera's pictures: some of them late, and the first one noticed."""

    def __init__(self, mission: Mission) -> None:
        self._eye, self._shutter = mission.eye(threads=1), mission.shutter
        self._rng = np.random.default_rng([mission.seed, 24])
        self.count, self.is_watched = 0, Event()

    def __call__(self, state: State) -> Image:
        image = self._eye(state)
        if self._rng.random() < self._shutter.late_share:
            time.sleep(self._rng.exponential(self._shutter.late_s))
        self.count += 1
        self.is_watched.set()
        return image


def fly_to_daemon(mission: Mission, wires: Wires, out: Path | None) -> dict[str, Any]:
    """Fly in real time until the route is done or the flight ends otherwise; figures.

    Args:
        mission: its shutter may be late and its clock wrong; it drops nothing.
        wires: where autopilot and camera can be reached.
        out: folder for `moments.jsonl`: the truth and what the autopilot believed.

    Raises:
        DataError: the path of the socket is too long.
        ConfigError: the autopilot has no parameter of that name.
        LinkError: an address that cannot be opened, or that fails on the way.
    """
    frame, firmware = mission.terrain.frame, _firmware(mission, wires)
    unix_offset_ns = time.time_ns() - time.monotonic_ns()
    autopilot = Autopilot(firmware, frame, unix_offset_ns=unix_offset_ns)
    aircraft, shown = mission.aircraft(), _Shown(mission)
    guidance, mode = aircraft.guidance(mission.route), firmware.mode
    _warm_up(mission, aircraft.state)
    with _opened(autopilot, mission, wires, shown) as (link, camera):
        _tell(wires)
        _wait(camera, shown, aircraft.state, wires)
        log.info(
            "flying %.0f m, about %s", mission.route.length_m, duration(mission.route.duration_s)
        )
        moments = fly_live(aircraft, guidance, autopilot, link, camera, mission.limit_s)
    ending = _ending(aircraft, guidance.has_arrived, firmware.mode == mode)
    log.info("the flight has ended: %s; the autopilot is in %s", ending, firmware.mode)
    told = {} if out is None else {"moments": str(write_moments(out, moments, frame))}
    return told | {
        "ending": ending,
        "mode": firmware.mode,
        "duration_s": aircraft.state.time_s,
        "route_m": mission.route.length_m,
        "pictures": shown.count,
    }


def _firmware(mission: Mission, wires: Wires) -> Firmware:
    """Aloft. ArduCopter has the second receiver and the streams that the daemon needs."""
    frame = mission.terrain.frame
    if wires.autopilot == "px4":
        return Px4(frame, wires.parameters, in_flight=True)
    return ArduCopter(frame, {**PARAMETERS, **wires.parameters}, in_flight=True)


def _wait(camera: SocketCamera, shown: _Shown, state: State, wires: Wires) -> None:
    """Serve pictures of the beginning until somebody has taken one."""
    end_s = time.monotonic() + wires.wait_s
    camera.show(state, time.monotonic_ns())
    camera.start()
    while not shown.is_watched.wait(0.05):
        camera.show(state, time.monotonic_ns())
        if time.monotonic() > end_s:
            log.warning("nobody looks through %s; flying without", wires.camera_socket)
            return


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
    path = wires.camera_socket
    if len(str(path).encode()) > MAX_SOCKET_BYTES:
        raise DataError(f"--camera-socket {path}: expected at most {MAX_SOCKET_BYTES} bytes")
    link = AutopilotLink(autopilot, wires.address)
    try:
        camera = OffsetCamera(path, shown, mission.shutter)
        try:
            yield link, camera
        finally:
            camera.close()
    finally:
        link.close()


def _tell(wires: Wires) -> None:
    """The lines of onboard.toml that lead here."""
    log.info(
        "onboard.toml: source.frames = %s", json.dumps(f"{STREAM_PREFIX}{wires.camera_socket}")
    )
    log.info("onboard.toml: link.address = %s", other_end(wires.address))
    if wires.autopilot == "arducopter":
        log.info("onboard.toml: link.gps_id = 1")


def other_end(address: str) -> str:
    """What opens the other end of an address, as TOML."""
    found = re.fullmatch(r"(udpout|udpin):(.+):(\d+)", address)
    if found is None:
        return f"the other end of {address}"
    kind, host, port = found.groups()
    if kind == "udpout":
        host = host if host.startswith("127.") else _ANYWHERE[0]
        return f'"udpin:{host}:{port}"'
    return f'"udpout:{_ANYWHERE[1] if host == _ANYWHERE[0] else host}:{port}"'


def _ending(aircraft: Aircraft, has_arrived: bool, keeps_mode: bool) -> str:
    if has_arrived:
        return Ending.ARRIVED.value
    if not aircraft.is_on_map:
        return Ending.LEFT_MAP.value
    if not aircraft.height_agl_m > 0.0:
        return Ending.HIT_GROUND.value
    return Ending.OUT_OF_TIME.value if keeps_mode else FAILSAFE
