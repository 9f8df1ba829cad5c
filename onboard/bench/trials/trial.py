"""One flight with the daemon in its own process, GNSS cut on the way, faults put in by the hour."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ...geodesy import LocalFrame
from ...records import Image
from ...simulation.autopilot.arducopter import ArduCopter
from ...simulation.autopilot.autopilot import Autopilot
from ...simulation.autopilot.link import AutopilotLink
from ...simulation.autopilot.px4 import Px4
from ...simulation.flying.aircraft import Aircraft
from ...simulation.flying.faults import Fault, FaultKind
from ...simulation.flying.read_route import read_route
from ...simulation.flying.simulate import STEP_S, ended
from ...simulation.flying.terrain import Terrain
from ...simulation.socket_camera import SocketCamera
from ...simulation.state import State
from .relay import LOOPBACK, SerialRelay, UdpRelay
from .sight import darkness, picture
from .witness import Said, Witness

NS_PER_S = 1_000_000_000
FRAME = LocalFrame(47.4, 8.5)
TERRAIN = Terrain(FRAME, -600.0, -600.0, 600.0, 600.0, lambda at: np.full(at.shape[:-1], 500.0))
SPEED_M_S, HEIGHT_M, CAMERA_HZ = 6.0, 80, 10.0
ARDUCOPTER: dict[str, float] = {
    "GPS2_TYPE": 14,
    "GPS2_DELAY_MS": 10,
    "EK3_SRC1_VELXY": 0,
    "EK3_SRC1_VELZ": 0,
}
PX4: dict[str, float] = {"EKF2_AGP0_ID": 1, "EKF2_AGP0_CTRL": 1}
READY_S, END_S = 60.0, 15.0
NICE = -10


@dataclass
class Plan:
    """`line` is udp or a baud rate; `at` is asked at every step with the seconds of the flight."""

    pilot: str = "arducopter"
    line: str | int = "udp"
    output: str = "auto"
    """As `link.output`."""
    source_set: int = 1
    values: Mapping[str, float] = field(default_factory=dict)
    """Of the autopilot's parameters, beside those for `auto`."""
    places_m: tuple[tuple[float, float], ...] = ((-250.0, 0.0), (250.0, 0.0))
    gnss_ends_s: float | None = 10.0
    limit_s: float = 150.0
    key: Path | None = None
    max_file_bytes: int | None = None
    """No file of the daemon can grow further."""
    ends_with_mode: bool = True
    """Whether the flight is over when the autopilot changes its mode, which is a failsafe."""
    at: Callable[[Trial, float], None] = lambda trial, time_s: None


@dataclass
class Flown:
    """What is left of a flight. Times are monotonic nanoseconds."""

    start_ns: int
    said: list[Said]
    texts: list[tuple[int, str]]
    arrival_error_m: float
    has_arrived: bool
    mode: str
    estimate_error_m: float
    log: str
    records: Path


@dataclass
class Trial:
    """A flight under way: what faults may lay their hands on."""

    plan: Plan
    out: Path
    is_dark: bool = False
    is_frozen: bool = False
    is_stalled: bool = False
    offset_m: tuple[float, float] = (0.0, 0.0)
    relay: UdpRelay | SerialRelay | None = None
    process: subprocess.Popen[bytes] | None = None
    done: set[str] = field(default_factory=set)
    _last: Image | None = None
    _t_ns: int = 0

    def once(self, name: str) -> bool:
        """Whether it is the first time that this is asked."""
        is_first = name not in self.done
        self.done.add(name)
        return is_first

    def fly(self) -> Flown:
        """In real time, to the end of the route, of the time, or of the autopilot's patience."""
        with ExitStack() as opened:
            self._open(opened)
            return self._flight()

    def start_daemon(self) -> None:
        """A process of its own; its log is added to."""
        words = [sys.executable, "-m", "geobridge.onboard.bench.trials.flying"]
        words += [str(self.out / "onboard.toml"), str(FRAME.origin_lat_deg)]
        words += [str(FRAME.origin_lon_deg), str(self.out / "wall_ahead_s")]
        words += [str(self.plan.max_file_bytes or 0)]
        with (self.out / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(words, stderr=log)
        with suppress(PermissionError):  # as its unit has it
            os.setpriority(os.PRIO_PROCESS, self.process.pid, NICE)

    def reboot_autopilot(self) -> None:
        """It forgets everything, and its clock begins anew."""
        self.link.close()
        self._switch_on()
        self.link.step(self.aircraft.readings, self._t_ns)

    def _open(self, opened: ExitStack) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        plan, lines = self.plan, []
        if plan.line == "udp":
            self._address = f"udpin:{LOOPBACK}:{_free_port()}"
            key = bytes.fromhex(plan.key.read_text()) if plan.key else None
            relay = UdpRelay(int(self._address.rsplit(":", 1)[1]), key=key)
            lines.append(f'address = "udpout:{LOOPBACK}:{relay.daemon_port}"')
            self.relay = relay
        else:
            serial = SerialRelay(int(plan.line))
            self._address, self.relay = serial.autopilot, serial
            lines += [f'address = "{serial.daemon}"', f"baud = {plan.line}"]
        opened.callback(self.relay.close)
        if plan.key:
            lines.append(f'signing_key = "{plan.key}"')
            lines.append(f'signing_state = "{self.out}/signing"')
        route = read_route(_route_text(plan.places_m), TERRAIN, speed_m_s=SPEED_M_S)
        ends_s = plan.gnss_ends_s
        faults = [] if ends_s is None else [Fault(FaultKind.OUTAGE, ends_s)]
        self.aircraft = Aircraft(route, TERRAIN, faults=faults, seed=1)
        self._guidance = self.aircraft.guidance(route)
        self._switch_on()
        opened.callback(lambda: self.link.close())
        socket_path = Path(opened.enter_context(TemporaryDirectory())) / "eye"
        self._camera = SocketCamera(socket_path, self._picture, CAMERA_HZ)
        self._camera.start()
        opened.enter_context(closing(self._camera))
        self._camera.show(self.aircraft.state)
        self._write_configuration(socket_path, lines)
        self.start_daemon()
        opened.callback(self._end_daemon)

    def _write_configuration(self, socket_path: Path, link: list[str]) -> None:
        bundle = self.out / "bundle"
        bundle.mkdir(exist_ok=True)
        (bundle / "manifest.json").write_text("{}")
        text = [
            f'bundle = "{bundle}"',
            "[camera]\nhfov_deg = 70.0",
            f'[source]\nframes = "stream:{socket_path}"\nprocess_rate_hz = 5.0',
            f'[record]\nfolder = "{self.out}/records"\nframes = "every"',
            f'[link]\ngps_id = 1\noutput = "{self.plan.output}"',
            f"source_set = {self.plan.source_set}",
            *link,
        ]
        (self.out / "onboard.toml").write_text("\n".join(text) + "\n")

    def _switch_on(self) -> None:
        plan = self.plan
        firmware: Any
        if plan.pilot == "px4":
            firmware = Px4(FRAME, {**PX4, **plan.values}, in_flight=True)
        else:
            firmware = ArduCopter(FRAME, {**ARDUCOPTER, **plan.values}, in_flight=True)
        unix_offset_ns = time.time_ns() - time.monotonic_ns()
        autopilot = Autopilot(firmware, FRAME, unix_offset_ns=unix_offset_ns)
        before = getattr(self, "witness", None)
        self.firmware, self.witness = firmware, Witness(autopilot, FRAME)
        if before is not None:
            self.witness.said, self.witness.texts = before.said, before.texts
        baud = self.plan.line if isinstance(self.plan.line, int) else 921_600
        self.link = AutopilotLink(self.witness, self._address, baud)  # type: ignore[arg-type]

    def _picture(self, state: State) -> Image | None:
        if self.is_stalled:
            return None
        if self.is_dark:
            return darkness()
        if not self.is_frozen or self._last is None:
            self._last = picture(state, self.offset_m)
        return self._last

    def _flight(self) -> Flown:
        self._warm_up()
        aircraft, guidance = self.aircraft, self._guidance
        start_ns = time.monotonic_ns() - round(aircraft.state.time_s * NS_PER_S)
        mode = self.firmware.mode
        while ended(aircraft, guidance, self.plan.limit_s) is None:
            if self.plan.ends_with_mode and self.firmware.mode != mode:
                break
            self._t_ns = t_ns = start_ns + round(aircraft.state.time_s * NS_PER_S)
            self.link.listen(0.0)
            while (wait_ns := t_ns - time.monotonic_ns()) > 0:
                self.link.listen(wait_ns / NS_PER_S)
            self.witness.truth = aircraft.state
            self.link.step(aircraft.readings, t_ns)
            self._camera.show(aircraft.state, t_ns)
            self.plan.at(self, aircraft.state.time_s)
            here = self.firmware.estimate
            demand = guidance.steer(here.east_m, here.north_m, here.alt_amsl_m)
            aircraft.step(STEP_S, demand)
        return self._flown(start_ns)

    def _warm_up(self) -> None:
        """The vehicle waits until the daemon looks, as it would on the ground."""
        end_s = time.monotonic() + READY_S
        while "flying" not in self._log():
            if time.monotonic() > end_s or (self.process and self.process.poll() is not None):
                raise RuntimeError(f"the daemon did not start: {self._log()}")
            self.link.listen(0.05)

    def _flown(self, start_ns: int) -> Flown:
        state, here = self.aircraft.state, self.firmware.estimate
        goal = self.plan.places_m[-1]
        return Flown(
            start_ns,
            self.witness.said,
            self.witness.texts,
            math.dist((state.east_m, state.north_m), goal),
            self._guidance.has_arrived,
            self.firmware.mode,
            math.dist((state.east_m, state.north_m), (here.east_m, here.north_m)),
            self._log(),
            self.out / "records",
        )

    def _log(self) -> str:
        path = self.out / "daemon.log"
        return path.read_text() if path.exists() else ""

    def _end_daemon(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _route_text(places_m: tuple[tuple[float, float], ...]) -> str:
    lat_deg, lon_deg = FRAME.to_geodetic(places_m)
    places = zip(lat_deg, lon_deg, strict=True)
    return ":".join(f"{lat:.8f},{lon:.8f},{HEIGHT_M}" for lat, lon in places)


def _free_port() -> int:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as udp:
        udp.bind((LOOPBACK, 0))
        return int(udp.getsockname()[1])
