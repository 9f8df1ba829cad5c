"""What one autopilot said over MAVLink, message by message, at the times when it was so.

A message tells when it was made by the autopilot's own clock; when it was received says the link.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..series import Floats, Times
from .boot_clock import BootClock, boot_clock
from .messages import Heard

AUTOPILOT_COMPONENT = 1
NS_PER_MS, NS_PER_US = 1_000_000, 1_000
_UNIX_US = 10**15
"""A count of microseconds above this is since 1970, below since the autopilot started."""
_NEAR_NS = 10_000_000_000
"""A time that a message tells is believed when it is as near as this to when it was received."""

Spoken = list[tuple[int, Any]]
"""Times and messages of one kind."""


def clock_of(heard: Sequence[Heard], system: int, findings: list[str]) -> BootClock:
    """How the autopilot's own clock stands to that of the receiver; says what is odd about it."""
    received, boot = boot_times(heard, system)
    clock = boot_clock(received, boot)
    if clock.restarts:
        findings.append(f"the autopilot was started anew {clock.restarts} times on the way")
    if clock.jitter_ms > 500.0:
        findings.append(f"messages came up to {clock.jitter_ms:.0f} ms late (95 %); mended")
    _tell_time_of_day(heard, system, findings)
    return clock


def boot_times(heard: Sequence[Heard], system: int) -> tuple[Times, Times]:
    """[N] when the messages that tell the autopilot's own time were received, and [N] that time."""
    told = [
        (each.t_ns, each.message.time_boot_ms * NS_PER_MS)
        for each in heard
        if is_autopilot(each, system) and hasattr(each.message, "time_boot_ms")
    ]
    received_ns, boot_ns = np.array(told, np.int64).reshape(-1, 2).T
    return received_ns, boot_ns


def times_of_day(heard: Sequence[Heard], system: int) -> list[Heard]:
    """The autopilot's SYSTEM_TIME, where it knows one."""
    return [
        each
        for each in heard
        if is_autopilot(each, system) and is_time_of_day(each) and each.message.time_unix_usec
    ]


def is_time_of_day(heard: Heard) -> bool:
    """Whether a message tells the time of day alone."""
    return bool(heard.message.get_type() == "SYSTEM_TIME")


def _tell_time_of_day(heard: Sequence[Heard], system: int, findings: list[str]) -> None:
    """Where the autopilot's time of day is not the ground station's."""
    ahead_s = [
        each.message.time_unix_usec / 1e6 - each.t_ns / 1e9 for each in times_of_day(heard, system)
    ]
    if not ahead_s:
        return
    median_s = float(np.median(ahead_s))
    if abs(median_s) > 366 * 86400:
        years = median_s / 86400 / 365.25
        findings.append(
            f"SYSTEM_TIME is {years:+.0f} years off: no time; the ground station's is used"
        )
    elif abs(median_s) > 1.0:
        findings.append(
            f"SYSTEM_TIME is {median_s:+.1f} s from the ground station's clock, which is used"
        )


def is_autopilot(heard: Heard, system: int) -> bool:
    """Whether the autopilot of a system said it."""
    message = heard.message
    return (message.get_srcSystem(), message.get_srcComponent()) == (system, AUTOPILOT_COMPONENT)


def by_kind(heard: Sequence[Heard], system: int, clock: BootClock) -> dict[str, Spoken]:
    """What the autopilot of a system said, each message at the time when it was made."""
    kinds: dict[str, Spoken] = {}
    for each in heard:
        message = each.message
        kind = message.get_type()
        # a gimbal is a component of its own
        if is_autopilot(each, system) or (
            message.get_srcSystem() == system and kind == "GIMBAL_DEVICE_ATTITUDE_STATUS"
        ):
            kinds.setdefault(kind, []).append((made_ns(each, clock), message))
    return kinds


def made_ns(heard: Heard, clock: BootClock) -> int:
    """When a message was made, by what it says, else when it was received."""
    message = heard.message
    boot_ms, told_us = getattr(message, "time_boot_ms", 0), getattr(message, "time_usec", 0)
    if told_us > _UNIX_US:
        at_ns = told_us * NS_PER_US
    elif boot_ms or told_us:
        boot_ns = boot_ms * NS_PER_MS if boot_ms else told_us * NS_PER_US
        at_ns = int(clock.at(np.array([heard.t_ns]), np.array([boot_ns]))[0])
    else:
        return heard.t_ns
    return at_ns if abs(at_ns - heard.t_ns) < _NEAR_NS else heard.t_ns


def times_of(spoken: Spoken) -> Times:
    """[N] nanoseconds."""
    return np.array([t_ns for t_ns, _ in spoken], np.int64)


def cells(spoken: Spoken, field: str, scale: float = 1.0) -> Floats:
    """[N] of a field, NaN in messages that are older than it."""
    raw = [getattr(message, field, math.nan) for _, message in spoken]
    return np.array(raw, np.float64) / scale
