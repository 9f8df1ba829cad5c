"""MAVProxy and MAVSDK as they come from PyPI, as whom the pilot looks through at us."""

from __future__ import annotations

import importlib.util
import itertools
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymavlink.dialects.v20 import ardupilotmega as wire

from geobridge.onboard.config import FilterConfig, LinkConfig
from geobridge.onboard.daemon.board import Board
from geobridge.onboard.daemon.continuity import Continuity
from geobridge.onboard.daemon.daemon import Daemon
from geobridge.onboard.daemon.eyes import Eyes
from geobridge.onboard.daemon.run import wired
from geobridge.onboard.frames.paced import Paced
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.mavlink.link import Link
from geobridge.onboard.mavlink.outputs.publisher import Publisher
from geobridge.onboard.mavlink.telemetry import AutopilotTelemetry
from geobridge.onboard.mavlink.timesync import Timesync
from geobridge.onboard.records import Attitude, Fix, Frame, Rejection, Telemetry
from geobridge.onboard.simulation.autopilot.arducopter import ArduCopter
from geobridge.onboard.simulation.autopilot.autopilot import Autopilot
from geobridge.onboard.simulation.autopilot.link import AutopilotLink
from geobridge.onboard.simulation.autopilot.px4 import Px4
from geobridge.onboard.simulation.state import Readings

MS = 1_000_000
FRAME = LocalFrame(47.4, 8.5)
MAVPROXY = Path(sys.executable).with_name("mavproxy.py")
HAS_MAVSDK = importlib.util.find_spec("mavsdk") is not None


class Recording:
    size_px = (16, 12)

    def __iter__(self) -> Iterator[Frame]:
        for n in range(6000):
            yield Frame(np.full((12, 16, 3), n % 250, np.uint8), n * 100 * MS)

    def close(self) -> None: ...


class Localizer:
    def handle(self, frame: Frame, telemetry: Telemetry) -> Fix | Rejection:
        return Fix(frame.t_capture_ns, 47.4, 8.5, 3.0, 580.0, 0.0, 0.0, 0.9, 0.5, 1)

    def reset(self) -> None: ...


class Flight:
    """A daemon and an autopilot that both speak to one ground station; used as a context.

    With an address of its own the daemon hears the autopilot, through whoever passes it on.
    """

    def __init__(self, port: int, firmware: Any, output: str, address: str | None = None) -> None:
        self.address = f"udpout:127.0.0.1:{port}"
        self.autopilot = Autopilot(firmware, FRAME)
        self.stopped = threading.Event()
        self.opened = ExitStack()
        self.is_routed = address is not None
        config = LinkConfig(address=address or self.address, output=output)
        clock = Timesync()
        telemetry = AutopilotTelemetry(patience_s=0.0, clock=clock)
        publisher = Publisher(2.0, FilterConfig(), time.time_ns() - time.monotonic_ns())
        eyes = Eyes(Paced(Recording()), telemetry, publisher, Board(), 10.0, Continuity(1.5))
        link = self.opened.enter_context(closing(Link(config)))
        self.daemon: Daemon = wired(config, link, clock, telemetry, eyes)

    def __enter__(self) -> Flight:
        link = self.opened.enter_context(closing(AutopilotLink(self.autopilot, self.address)))
        self.threads = [
            threading.Thread(target=link.run, args=(self.readings(),)),
            threading.Thread(target=self.daemon.fly, args=(Localizer(),)),
        ]
        self.daemon.talk()
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self.daemon.stop()
        for thread in self.threads:
            thread.join(10.0)
        self.opened.close()

    def readings(self) -> Iterator[Readings]:
        for k in itertools.takewhile(lambda _: not self.stopped.is_set(), itertools.count()):
            if not self.is_routed:
                self.route_past_the_station()
            yield Readings(k * 0.02, Attitude(2.0, 1.0, 45.0), (0.0, 0.0, 0.0), 580.0, 80.0)

    def route_past_the_station(self) -> None:
        """A ground station passes nothing on; a router would, so that the daemon hears as well."""
        boot_ms = time.monotonic_ns() // MS % 2**31
        for message in (
            wire.MAVLink_heartbeat_message(2, self.autopilot.firmware.identity, 0, 0, 4, 3),
            wire.MAVLink_gps_global_origin_message(474_000_000, 85_000_000, 500_000),
            wire.MAVLink_attitude_message(boot_ms, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0),
        ):
            self.daemon.radio.conversation.feed(message, time.monotonic_ns())


def free_port() -> int:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as udp:
        udp.bind(("127.0.0.1", 0))
        return int(udp.getsockname()[1])


class MavProxy:
    """Its console: words in, lines out; what comes to `port` is passed on to `onward`, and back."""

    def __init__(self, port: int, folder: Path, onward: int | None = None) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-u", str(MAVPROXY), f"--master=udpin:127.0.0.1:{port}"),
                *([f"--out=udpout:127.0.0.1:{onward}"] if onward else []),
                *("--default-modules=link,cmdlong,misc", "--state-basedir", str(folder)),
                "--streamrate=-1",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
        )
        self.lines: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)

    def says(self, *words: str, until: str, limit_s: float = 40.0) -> str:
        """Repeat the words every second until a text is seen; everything said so far."""
        assert self.process.stdin is not None
        end_s = time.monotonic() + limit_s
        while until not in "".join(self.lines) and time.monotonic() < end_s:
            for word in words:
                self.process.stdin.write(f"{word}\n")
            self.process.stdin.flush()
            time.sleep(1.0)
        return "".join(self.lines)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.mark.slow
@pytest.mark.skipif(not MAVPROXY.exists(), reason="MAVProxy is not installed here")
def test_mavproxy_shows_what_we_say_and_its_commands_are_obeyed(tmp_path: Path) -> None:
    port = free_port()
    with closing(MavProxy(port, tmp_path)) as mavproxy:
        firmware = ArduCopter(FRAME, {"GPS2_TYPE": 14}, in_flight=True)
        with Flight(port, firmware, "gps_input") as flight:
            text = mavproxy.says("status GPS_INPUT", until="fix_type : 3")
            assert "lat : 474000000" in text
            assert "satellites_visible : 10" in text
            text = mavproxy.says("status NAMED_VALUE_FLOAT", until="gb_")
            assert "NAMED_VALUE_FLOAT" in text
            words = "set target_component 197", "long 31010 0 0 0 0 0 0 0"
            text = mavproxy.says(*words, until="ACCEPTED")
            assert "ACCEPTED" in text, text[-800:]
            assert not flight.daemon.radio.publisher.is_active
            assert "held by the pilot" in flight.daemon.state()[1]
            text = mavproxy.says("status STATUSTEXT", until="GeoBridge NO_FIX")
            assert "GeoBridge NO_FIX: held by the pilot" in text


@pytest.mark.slow
@pytest.mark.skipif(not MAVPROXY.exists(), reason="MAVProxy is not installed here")
def test_behind_mavproxy_as_a_router_everything_comes_through(tmp_path: Path) -> None:
    """Streams that the daemon asks for, clocks, parameters, and the positions themselves."""
    port, onward = free_port(), free_port()
    values = {"GPS1_TYPE": 14, "GPS1_DELAY_MS": 10, "EK3_SRC1_VELXY": 0, "EK3_SRC1_VELZ": 0}
    firmware = ArduCopter(FRAME, values, in_flight=True)
    with closing(MavProxy(port, tmp_path, onward)):
        flight = Flight(port, firmware, "auto", f"udpin:127.0.0.1:{onward}")
        radio = flight.daemon.radio
        with flight:
            end_s = time.monotonic() + 40.0
            while time.monotonic() < end_s and not (
                firmware.estimate.is_valid and radio.conversation.clock.is_converged
            ):
                time.sleep(0.1)
            told = radio.conversation.telemetry.at(time.monotonic_ns() - 300 * MS)
        assert firmware.estimate.is_valid, flight.daemon.state()
        assert radio.conversation.clock.is_converged
        assert told.attitude is not None
        assert told.attitude.heading_deg == pytest.approx(45.0, abs=0.1)
        assert told.height_above_home_m == pytest.approx(80.0, abs=0.5)
        assert not flight.daemon.board.differences


LOOK = """
import json, sys, time
from mavsdk import Mavsdk, Configuration, ComponentType
from mavsdk.plugins.mavlink_direct import MavlinkDirect
sdk = Mavsdk(Configuration.create_with_component_type(ComponentType.GROUND_STATION))
sdk.add_any_connection(f"udpin://127.0.0.1:{sys.argv[1]}")
system = None
end = time.monotonic() + 40
while system is None and time.monotonic() < end:
    system = sdk.first_autopilot(3.0)
seen = {}
direct = MavlinkDirect(system)
def note(m, _):
    seen.setdefault((m.message_name, m.component_id), m.fields_json)
direct.subscribe_message("", note)
want = set(sys.argv[2].split(","))
while not want <= {name for name, part in seen if part == 197} and time.monotonic() < end:
    time.sleep(0.1)
ours = {name: fields for (name, part), fields in seen.items() if part == 197}
print(json.dumps(ours), flush=True)
import os; os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.skipif(not HAS_MAVSDK, reason="mavsdk is not installed here")
@pytest.mark.parametrize(
    ("kind", "output", "message"),
    [
        (ArduCopter, "gps_input", "GPS_INPUT"),
        (ArduCopter, "odometry", "ODOMETRY"),
        (ArduCopter, "vision_position_estimate", "VISION_POSITION_ESTIMATE"),
        (Px4, "global_position_sensor", "GLOBAL_POSITION_SENSOR"),
    ],
)
def test_mavsdk_reads_every_message_of_ours(kind: Any, output: str, message: str) -> None:
    port, firmware = free_port(), kind(FRAME, in_flight=True)
    wanted = f"{message},HEARTBEAT"
    with Flight(port, firmware, output):
        told = subprocess.run(
            [sys.executable, "-c", LOOK, str(port), wanted],
            capture_output=True,
            text=True,
            timeout=90,
        )
    seen = json.loads(told.stdout.strip().splitlines()[-1])
    assert message in seen, (sorted(seen), told.stderr[-500:])
    fields = json.loads(seen[message])
    if message in ("GPS_INPUT", "GLOBAL_POSITION_SENSOR"):
        assert (fields["lat"], fields["lon"]) == (474_000_000, 85_000_000)
    assert json.loads(seen["HEARTBEAT"])["type"] == 18
