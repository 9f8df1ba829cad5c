"""The autopilot's own time, brought to the clock of whoever received its messages.

A message may come late and never early: the shortest way of each minute is the steady part of all,
and the rest is jitter. The autopilot's clock that jumps back was started anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..series import Floats, Times

WINDOW_NS = 60_000_000_000
REBOOT_NS = 5_000_000_000
"""A step back further than messages overtake each other."""


@dataclass(frozen=True)
class BootClock:
    """[N] messages that told the autopilot's time, by the times at which they were received."""

    received_ns: Times
    boot_ns: Times
    _way_ns: Times
    restarts: int

    def at(self, received_ns: Times, boot_ns: Times) -> Times:
        """[M] when messages were made, on the clock of the receiver."""
        if not len(self.received_ns):
            return received_ns
        last = len(self.received_ns) - 1
        near = np.clip(np.searchsorted(self.received_ns, received_ns, side="right") - 1, 0, last)
        return np.asarray(boot_ns + self._way_ns[near], np.int64)

    @property
    def jitter_ms(self) -> float:
        """How much later than the fastest 95 % of messages came at most."""
        if not len(self.received_ns):
            return 0.0
        late_ns = self.received_ns - self.boot_ns - self._way_ns
        return float(np.percentile(late_ns, 95) / 1e6)


def boot_clock(received_ns: Times, boot_ns: Times) -> BootClock:
    """From messages in the order in which they were received."""
    order = np.argsort(received_ns, kind="stable")
    received, boot = received_ns[order], boot_ns[order]
    restarts = np.flatnonzero(np.diff(boot) < -REBOOT_NS) + 1
    ways = [
        _shortest(received[part], boot[part])
        for part in np.split(np.arange(len(order)), restarts)
        if len(part)
    ]
    way_ns = np.concatenate(ways) if ways else np.empty(0, np.int64)
    return BootClock(received, boot, way_ns, len(restarts))


def _shortest(received_ns: Times, boot_ns: Times) -> Times:
    """[N] the shortest way of the minute, straight between the fastest messages of two."""
    way_ns = received_ns - boot_ns
    minute = (received_ns - received_ns[0]) // WINDOW_NS
    fastest = [
        rows[np.argmin(way_ns[rows])]
        for number in np.unique(minute)
        for rows in [np.flatnonzero(minute == number)]
    ]
    times: Floats = np.interp(
        (received_ns - received_ns[0]).astype(np.float64),
        (received_ns[fastest] - received_ns[0]).astype(np.float64),
        (way_ns[fastest] - way_ns[0]).astype(np.float64),
    )
    return np.asarray(way_ns[0] + times.astype(np.int64), np.int64)
