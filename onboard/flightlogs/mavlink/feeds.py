"""Whether a receiver of the autopilot's was fed from outside, as we feed it.

Its positions come back under the name of a GPS, and would make our own answers true.
"""

from __future__ import annotations

from collections.abc import Sequence

from .messages import Heard
from .spoken import AUTOPILOT_COMPONENT

_INJECTED = 14
_TYPES = ({"GPS_TYPE", "GPS1_TYPE"}, {"GPS_TYPE2", "GPS2_TYPE"})
"""Parameters that tell what a receiver is, of each; their names changed with ArduPilot 4.6."""


POSITIONS_SENT = frozenset(
    [
        *("ODOMETRY", "VISION_POSITION_ESTIMATE", "GLOBAL_VISION_POSITION_ESTIMATE"),
        *("GLOBAL_POSITION_SENSOR", "COMMAND_INT"),
    ]
)
"""Ways to tell an autopilot where it is that do not look like a receiver."""
_EXTERNAL_POSITION_ESTIMATE = 43003


def outside_positions(heard: Sequence[Heard], system: int) -> list[str]:
    """What else told the autopilot where it is: its own position may follow that."""
    found: dict[str, str] = {}
    for each in heard:
        kind, message = each.message.get_type(), each.message
        source = message.get_srcSystem(), message.get_srcComponent()
        if kind not in POSITIONS_SENT or source == (system, AUTOPILOT_COMPONENT):
            continue
        if kind == "COMMAND_INT" and message.command != _EXTERNAL_POSITION_ESTIMATE:
            continue
        found.setdefault(kind, f"{source[0]}/{source[1]}")
    return [
        f"the autopilot was sent positions by {kind} of {sender}, as by us; its own is its belief"
        " here, never truth"
        for kind, sender in found.items()
    ]


def doubt_of(number: int, heard: Sequence[Heard], system: int) -> str:
    """Why the receiver `number` is no truth, or nothing."""
    for each in heard:
        kind, message = each.message.get_type(), each.message
        if message.get_srcSystem() != system and kind == "PARAM_VALUE":
            continue
        if kind == "PARAM_VALUE" and message.param_id in _TYPES[number]:
            if round(message.param_value) == _INJECTED:
                return f"{message.param_id} is 14: it is fed by GPS_INPUT, as by us"
        elif kind == "GPS_INPUT" and message.gps_id == number:
            sender = f"{message.get_srcSystem()}/{message.get_srcComponent()}"
            return f"fed by GPS_INPUT of {sender}, as by us"
        elif kind == "HIL_GPS" and number == 0:
            sender = f"{message.get_srcSystem()}/{message.get_srcComponent()}"
            return f"fed by HIL_GPS of {sender}"
    return ""
