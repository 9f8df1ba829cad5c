"""A `.tlog` whose receiver was not there in flight: one that a player wrote, faster or with breaks.

Its times of receipt say nothing of the flight; the autopilot's own clock does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..flight_log import Clock
from ..series import Times
from .messages import Heard
from .spoken import NS_PER_MS, NS_PER_US, boot_times, is_time_of_day, times_of_day

OFF_NS, OFF_SHARE = 10_000_000_000, 0.1
"""Receipt may take so much more or less time than the flight, and so much of it: a link that is
late by seconds stays below."""
_PLAUSIBLE_US = 946_684_800_000_000, 4_102_444_800_000_000
"""2000 to 2100: an autopilot without GNSS counts from anywhere."""


@dataclass(frozen=True)
class Played:
    """The messages at the autopilot's times, on `clock`, and how fast they were received."""

    heard: list[Heard]
    clock: Clock
    source: str
    finding: str


def played(heard: Sequence[Heard], system: int) -> Played | None:
    """The log on the autopilot's own clock; None where it was received as it was flown, or where
    the autopilot was started anew on the way."""
    received_ns, boot_ns = boot_times(heard, system)
    if not len(boot_ns) or (np.diff(boot_ns) < -OFF_NS).any():
        return None
    took_ns, flown_ns = np.ptp(received_ns), np.ptp(boot_ns)
    if abs(took_ns - flown_ns) <= max(OFF_NS, OFF_SHARE * flown_ns):
        return None
    ahead_ns = _time_of_day(heard, system)
    at_ns = _at([each.t_ns for each in heard], received_ns, boot_ns) + (ahead_ns or 0)
    rows = zip(heard, at_ns.tolist(), strict=True)
    return Played(
        [
            replace(each, t_ns=t_ns)
            for each, t_ns in rows
            if ahead_ns is not None or not is_time_of_day(each)
        ],
        Clock.BOOT if ahead_ns is None else Clock.UTC,
        "the autopilot's own" + ("" if ahead_ns is None else ", and its SYSTEM_TIME"),
        f"received in {took_ns / 1e9:.0f} s, flown in {flown_ns / 1e9:.0f}: a log that was played"
        " again; the autopilot's own clock is used",
    )


def _at(t_ns: Sequence[int], received_ns: Times, boot_ns: Times) -> Times:
    """[N] the autopilot's times, straight between those that it told."""
    order, start_ns = np.argsort(received_ns, kind="stable"), received_ns.min()
    since_ns = np.array(t_ns, np.int64) - start_ns
    found = np.interp(since_ns, received_ns[order] - start_ns, boot_ns[order])
    return np.asarray(found, np.int64)


def _time_of_day(heard: Sequence[Heard], system: int) -> int | None:
    """How far the autopilot's time of day is ahead of its clock."""
    ahead_ns = [
        each.message.time_unix_usec * NS_PER_US - each.message.time_boot_ms * NS_PER_MS
        for each in times_of_day(heard, system)
        if _PLAUSIBLE_US[0] < each.message.time_unix_usec < _PLAUSIBLE_US[1]
    ]
    return int(np.median(ahead_ns)) if ahead_ns else None
