"""A flight in real time: vehicle, autopilot and camera, for a daemon that takes them for real.

The autopilot speaks MAVLink, the camera feeds a socket. Guidance steers by what the autopilot
believes; where that is wrong, the vehicle goes astray, and the camera shows where it truly is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from .autopilot.autopilot import Autopilot
from .autopilot.link import AutopilotLink
from .autopilot.streams import NS_PER_S
from .autopilot.vehicle import Estimate, Firmware
from .flying.aircraft import Aircraft
from .flying.guidance import Guidance
from .flying.simulate import STEP_S, ended
from .socket_camera import SocketCamera
from .state import State

NOTED_EVERY = 5
"""Steps between two moments of the log."""
FIX_3D = 3


@dataclass(frozen=True)
class Moment:
    """The truth, what the autopilot believed, and whether its GNSS receiver had a fix.

    `t_ns` is on the monotonic clock of the machine, as the daemon's times are, where the flight was
    in real time; else it counts from the beginning.
    """

    t_ns: int
    state: State
    estimate: Estimate
    has_gnss: bool


def fly_live(
    aircraft: Aircraft,
    guidance: Guidance,
    autopilot: Autopilot,
    link: AutopilotLink,
    camera: SocketCamera,
    limit_s: float,
) -> Iterator[Moment]:
    """`moments` of a flight in real time, its autopilot on a link, its camera on.

    Raises:
        LinkError: the link has failed.
    """
    start_ns = time.monotonic_ns() - round(aircraft.state.time_s * NS_PER_S)

    def sense(t_ns: int) -> None:
        link.listen(0.0)
        while (wait_ns := t_ns - time.monotonic_ns()) > 0:
            link.listen(wait_ns / NS_PER_S)
        link.step(aircraft.readings, t_ns)
        camera.show(aircraft.state, t_ns)

    return moments(aircraft, guidance, autopilot.firmware, limit_s, sense, start_ns)


def moments(
    aircraft: Aircraft,
    guidance: Guidance,
    firmware: Firmware,
    limit_s: float,
    sense: Callable[[int], None],
    start_ns: int = 0,
) -> Iterator[Moment]:
    """Fly until the flight has `ended` or the autopilot changes its mode, which is a failsafe.

    What happens comes ten times a second. `sense` is told the time in nanoseconds, `start_ns` at
    the beginning, and hands the autopilot the readings of then.
    """
    mode, has_gnss = firmware.mode, False
    for step in count():
        if firmware.mode != mode or ended(aircraft, guidance, limit_s) is not None:
            return
        t_ns = start_ns + round(aircraft.state.time_s * NS_PER_S)
        sense(t_ns)
        here = firmware.estimate
        if aircraft.readings.gnss is not None:  # None between two solutions
            has_gnss = aircraft.readings.gnss.fix_type >= FIX_3D
        if step % NOTED_EVERY == 0:
            yield Moment(t_ns, aircraft.state, here, has_gnss)
        aircraft.step(STEP_S, guidance.steer(here.east_m, here.north_m, here.alt_amsl_m))
