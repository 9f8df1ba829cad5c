"""The stand-in autopilot of a flight, aloft."""

from __future__ import annotations

import time
from collections.abc import Mapping

from geobridge.onboard.simulation.autopilot.arducopter import ArduCopter
from geobridge.onboard.simulation.autopilot.autopilot import Autopilot
from geobridge.onboard.simulation.autopilot.px4 import Px4
from geobridge.onboard.simulation.autopilot.vehicle import Firmware

from .mission import Mission

ARDUCOPTER, PX4 = "arducopter", "px4"
PARAMETERS = {
    "GPS2_TYPE": 14.0,
    "GPS2_DELAY_MS": 10.0,
    "EK3_SRC1_VELXY": 0.0,
    "EK3_SRC1_VELZ": 0.0,
    "SR0_EXT_STAT": 5.0,
    "SR0_EXTRA1": 20.0,
    "SR0_POSITION": 10.0,
}
"""ArduCopter's second receiver, of type MAV, as `geobridge run --params` wants it, and streams."""


def autopilot_of(mission: Mission, kind: str, parameters: Mapping[str, float]) -> Autopilot:
    """ArduCopter, set up for the daemon, or PX4; with parameters of one's own.

    Raises:
        ConfigError: the autopilot has no parameter of that name.
    """
    frame = mission.terrain.frame
    firmware: Firmware
    if kind == PX4:
        firmware = Px4(frame, parameters, in_flight=True)
    else:
        firmware = ArduCopter(frame, {**PARAMETERS, **parameters}, in_flight=True)
    unix_offset_ns = time.time_ns() - time.monotonic_ns()
    return Autopilot(firmware, frame, mission.airframe, unix_offset_ns=unix_offset_ns)
