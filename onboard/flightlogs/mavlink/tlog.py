"""A `.tlog`, as ground stations record MAVLink, to a flight log on UTC.

Only the autopilot of one vehicle is listened to: other systems, ground stations and companions, we
among them, stand in the same file. Messages count when they were made, not when they were received,
where they tell it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ...errors import DataError
from ..assemble import assemble
from ..flight_log import Clock, FlightLog
from .channels import KINDS, channels_of
from .messages import Damage, Heard, messages
from .played import played
from .spoken import AUTOPILOT_COMPONENT


def read_tlog(path: Path) -> FlightLog:
    """Attitude, position, height, receivers and pictures of the vehicle that tells most.

    Raises:
        DataError: unreadable, or without attitude, position and height.
    """
    damage = Damage()
    heard = list(messages(path, KINDS, damage))
    if not heard:
        raise DataError(f"{path}: no message that tells of a flight in it")
    system, foreign = _vehicle(heard)
    clock = Clock.UTC
    clock_source = "UTC by the ground station's clock, moved to when messages were made"
    again = played(heard, system)
    if again is not None:
        heard, clock, clock_source = again.heard, again.clock, again.source
    channels = channels_of(heard, system)
    channels.findings += [again.finding] if again is not None else []
    if damage.places:
        channels.findings.append(f"damaged in {damage.places} places; what can be read is used")
    if damage.is_cut:
        channels.findings.append("ends in the middle of a message: cut off; what is there is used")
    if foreign:
        told = ", ".join(f"{system}/{component}" for system, component in foreign)
        channels.findings.append(f"others speak in it and are not listened to: {told}")
    return assemble(path, "tlog", clock, clock_source, channels)


def _vehicle(heard: Iterable[Heard]) -> tuple[int, list[tuple[int, int]]]:
    """The system whose autopilot says most, and all that is not its autopilot."""
    said: Counter[tuple[int, int]] = Counter()
    flying: Counter[int] = Counter()
    for each in heard:
        source = each.message.get_srcSystem(), each.message.get_srcComponent()
        said[source] += 1
        if source[1] == AUTOPILOT_COMPONENT and _tells_of_flight(each):
            flying[source[0]] += 1
    if not flying:
        return 0, sorted(said)
    system = flying.most_common(1)[0][0]
    return system, sorted(source for source in said if source != (system, AUTOPILOT_COMPONENT))


def _tells_of_flight(heard: Heard) -> bool:
    return heard.message.get_type() in ("ATTITUDE", "ATTITUDE_QUATERNION", "GLOBAL_POSITION_INT")
