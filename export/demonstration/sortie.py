"""The demo's flight: GNSS is cut on the way, and `geobridge run` is all that is left.

The vehicle and its autopilot are simulated here; the daemon is the real one, in a process of its
own, with nothing but a camera's socket, a MAVLink port and the bundle.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from geobridge.onboard.camera import Camera
from geobridge.onboard.durable import write_text
from geobridge.onboard.errors import LinkError
from geobridge.onboard.flightlogs.recorder import read_record
from geobridge.onboard.frames.stream import STREAM_PREFIX
from geobridge.onboard.records import Fix, Image, Rejection
from geobridge.onboard.simulation.autopilot.arducopter import ArduCopter
from geobridge.onboard.simulation.autopilot.autopilot import Autopilot
from geobridge.onboard.simulation.autopilot.link import AutopilotLink
from geobridge.onboard.simulation.flying.aircraft import Aircraft
from geobridge.onboard.simulation.flying.faults import parse_faults
from geobridge.onboard.simulation.flying.route import Route
from geobridge.onboard.simulation.flying.terrain import Terrain
from geobridge.onboard.simulation.live import (
    NS_PER_S,
    STEP_S,
    Moment,
    SocketCamera,
    fly_live,
)
from geobridge.onboard.simulation.render.optics import Optics
from geobridge.onboard.simulation.render.scenery import Setting
from geobridge.onboard.simulation.render.views import drone
from geobridge.onboard.simulation.state import State

READY_S, END_S = 60.0, 10.0
ARRIVED, LAND = "arrived", "LAND"
PARAMETERS = {
    "GPS2_TYPE": 14.0,
    "GPS2_DELAY_MS": 10.0,
    "SR0_EXT_STAT": 5.0,
    "SR0_EXTRA1": 20.0,
    "SR0_POSITION": 10.0,
}
"""A second receiver of type MAV beside the real one, and the streams that the daemon listens to."""
_GPS_ID = 1
_RUN = "from geobridge.onboard.cli import main; raise SystemExit(main())"


@dataclass(frozen=True)
class Mission:
    """What is flown, over what, on which day, and when GNSS ends."""

    route: Route
    setting: Setting
    terrain: Terrain
    camera: Camera
    rate_hz: float
    gnss_ends_s: float
    seed: int


@dataclass(frozen=True)
class Sortie:
    """What happened: `moments` ten times a second, the daemon's `outcomes`, one for every frame.

    `unaided` is the same flight without the daemon.
    """

    mission: Mission
    moments: list[Moment]
    outcomes: list[Fix | Rejection]
    unaided: list[Moment]
    ending: str

    @property
    def has_arrived(self) -> bool:
        """Whether the vehicle completed its route."""
        return self.ending == ARRIVED


def fly(mission: Mission, bundle: Path, trusted_key: Path, out: Path) -> Sortie:
    """Fly the mission in real time with the daemon, and once more without it.

    Raises:
        LinkError: the daemon did not start; its log is in `out`.
    """
    out.mkdir(parents=True, exist_ok=True)
    record = out / "record.jsonl"
    record.unlink(missing_ok=True)
    with TemporaryDirectory() as short, ExitStack() as opened:
        # a socket's path is at most 107 bytes long
        camera = SocketCamera(Path(short) / "camera", _eye(mission), mission.rate_hz)
        port = _free_port()
        config = _config(mission, bundle, trusted_key, camera.path, port, record)
        write_text(out / "onboard.toml", config)
        aircraft, autopilot = _prepared(mission)
        link = AutopilotLink(autopilot, f"udpout:127.0.0.1:{port}")
        opened.callback(link.close)
        guidance = aircraft.guidance(mission.route)
        camera.show(aircraft.state, time.monotonic_ns())
        camera.start()
        opened.callback(camera.close)
        with _daemon(out / "onboard.toml", out / "daemon.log"):
            moments = fly_live(aircraft, guidance, autopilot, link, camera, _limit_s(mission))
    ending = _ending(aircraft, guidance.has_arrived, autopilot)
    return Sortie(mission, moments, read_record(record), _without_daemon(mission), ending)


def _ending(aircraft: Aircraft, has_arrived: bool, autopilot: Autopilot) -> str:
    if has_arrived:
        return ARRIVED
    if autopilot.firmware.mode == LAND:
        return "failsafe: the autopilot lands, its position is too uncertain"
    return "out of time" if aircraft.is_on_map else "left the map"


def _prepared(mission: Mission) -> tuple[Aircraft, Autopilot]:
    faults = parse_faults([f"outage@{mission.gnss_ends_s:g}"])
    aircraft = Aircraft(mission.route, mission.terrain, faults=faults, seed=mission.seed)
    firmware = ArduCopter(mission.terrain.frame, PARAMETERS, in_flight=True)
    unix_offset_ns = time.time_ns() - time.monotonic_ns()
    return aircraft, Autopilot(firmware, mission.terrain.frame, unix_offset_ns=unix_offset_ns)


def _limit_s(mission: Mission) -> float:
    return 2.0 * mission.route.duration_s + 20.0


def _without_daemon(mission: Mission) -> list[Moment]:
    """The same vehicle in the same gusts, not in real time: until its autopilot gives up."""
    aircraft, autopilot = _prepared(mission)
    guidance, moments = aircraft.guidance(mission.route), []
    mode = autopilot.firmware.mode
    while (
        autopilot.firmware.mode == mode
        and not guidance.has_arrived
        and aircraft.is_on_map
        and aircraft.state.time_s < _limit_s(mission)
    ):
        t_ns = round(aircraft.state.time_s * NS_PER_S)
        autopilot.step(aircraft.readings, t_ns)
        here = autopilot.firmware.estimate
        has_gnss = aircraft.state.time_s < mission.gnss_ends_s
        moments.append(Moment(t_ns, aircraft.state, here, has_gnss))
        aircraft.step(STEP_S, guidance.steer(here.east_m, here.north_m, here.alt_amsl_m))
    return moments[::5]


def _eye(mission: Mission) -> Callable[[State], Image]:
    """The camera's picture of a true state; every exposure has noise of its own."""
    exposures = count()

    def picture(state: State) -> Image:
        return drone(
            mission.setting, mission.camera, state, Optics(), seed=next(exposures), threads=1
        ).image

    return picture


def _config(
    mission: Mission, bundle: Path, trusted_key: Path, eye: Path, port: int, record: Path
) -> str:
    """onboard.toml as a pilot would write it."""
    camera = mission.camera
    mount = camera.mount
    text = json.dumps  # TOML's basic strings are JSON's
    return "\n".join(
        [
            f"bundle = {text(str(bundle.resolve()))}",
            f"trusted_keys = [{text(str(trusted_key.resolve()))}]",
            f"record = {text(str(record.resolve()))}",
            "[camera.intrinsics]",
            f"width_px = {camera.width_px}",
            f"height_px = {camera.height_px}",
            f"fx_px = {camera.fx_px!r}",
            f"fy_px = {camera.fy_px!r}",
            f"cx_px = {camera.cx_px!r}",
            f"cy_px = {camera.cy_px!r}",
            "[camera.mount]",
            f"pitch_deg = {mount.pitch_deg!r}",
            "[source]",
            f"frames = {text(STREAM_PREFIX + str(eye))}",
            f"process_rate_hz = {mission.rate_hz!r}",
            "[link]",
            f'address = "udpin:127.0.0.1:{port}"',
            f"gps_id = {_GPS_ID}",
            "",
        ]
    )


@contextmanager
def _daemon(config: Path, log: Path) -> Iterator[None]:
    """`geobridge run CONFIG`, from its first word that it flies to its end."""
    with log.open("w") as said:
        process = subprocess.Popen([sys.executable, "-c", _RUN, "run", str(config)], stderr=said)
    try:
        _wait_until_ready(process, log)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    end_s = time.monotonic() + READY_S
    while "flying" not in log.read_text():
        if process.poll() is not None or time.monotonic() > end_s:
            said = log.read_text().splitlines()[-1:] or ["it said nothing"]
            raise LinkError(f"{log}: the daemon did not start: {said[0]}")
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
