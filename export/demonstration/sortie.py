"""The demo's flight: GNSS is cut on the way, and `geobridge run` is all that is left.

The vehicle and its autopilot are simulated here; the daemon is the real one, in a process of its
own, with nothing but a camera's socket, a MAVLink port and the bundle.
"""

from __future__ import annotations

import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from geobridge.onboard.durable import write_text
from geobridge.onboard.flightlogs.flight_record import read_record
from geobridge.onboard.records import Fix, Rejection
from geobridge.onboard.simulation.flying.simulate import Ending
from geobridge.onboard.simulation.live import Moment, moments

from ..flights.autopilots import ARDUCOPTER, autopilot_of
from ..flights.live import LiveFlight, fly_to_daemon
from ..flights.mission import Mission
from ..flights.wires import Wires
from .pilot import daemon, onboard_toml


@dataclass(frozen=True)
class Sortie:
    """What happened: the `flight`, and the daemon's `outcomes`, one for every frame.

    `unaided` is what happens to the same vehicle without the daemon.
    """

    mission: Mission
    flight: LiveFlight
    outcomes: list[Fix | Rejection]
    unaided: list[Moment]

    @property
    def has_arrived(self) -> bool:
        """Whether the vehicle completed its route."""
        return self.flight.ending is Ending.ARRIVED

    @property
    def cut_s(self) -> float:
        """When GNSS ends."""
        return min(fault.start_s for fault in self.mission.faults)


def fly(mission: Mission, bundle: Path, trusted_key: Path, out: Path) -> Sortie:
    """Fly a mission on which GNSS fails in real time with the daemon, and once more without it.

    Raises:
        LinkError: the daemon did not start; its log is in `out`.
    """
    out.mkdir(parents=True, exist_ok=True)
    record, config = out / "record", out / "onboard.toml"
    shutil.rmtree(record, ignore_errors=True)
    with TemporaryDirectory() as short:  # a socket's path is at most 107 bytes long
        wires = Wires(f"udpout:127.0.0.1:{_free_port()}", Path(short) / "camera")
        write_text(config, onboard_toml(mission, wires, bundle, trusted_key, record))
        flight = fly_to_daemon(mission, wires, daemon(config, out / "daemon.log"))
    return Sortie(mission, flight, read_record(record), _without_daemon(mission))


def _without_daemon(mission: Mission) -> list[Moment]:
    """The same vehicle in the same gusts, not in real time: until its autopilot gives up."""
    aircraft, autopilot = mission.aircraft(), autopilot_of(mission, ARDUCOPTER, {})
    guidance = aircraft.guidance(mission.route)

    def sense(t_ns: int) -> None:
        autopilot.step(aircraft.readings, t_ns)

    return list(moments(aircraft, guidance, autopilot.firmware, mission.limit_s, sense))


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
