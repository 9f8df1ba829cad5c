"""What each part of the daemon knows that others want to read: for states, status page, record."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

from ..records import Fix, Frame, Rejection

SMOOTHING = 0.1
"""Weight of the newest frame in running averages."""


@dataclass
class Board:
    """One writer for each field, any reader. Times are monotonic nanoseconds."""

    is_open: bool = False
    is_tested: bool = False
    fault: str | None = None
    has_given: bool = False
    frame_ns: int | None = None
    """Exposure of the newest frame."""
    camera: str | None = None
    """Why there is no camera."""
    missed_share: float = 0.0
    """Of the frames that should have been looked at, recently."""
    handling_ms: float = 0.0
    """What a frame takes, recently."""
    is_hot: bool = False
    hottest_c: float | None = None
    differences: tuple[str, ...] = ()
    """Parameters of the autopilot that are not as wanted."""
    objection: str | None = None
    """What the autopilot has against the positions it is sent."""
    last_frame: Frame | None = None
    last_outcome: Fix | Rejection | None = None
    last_fix: Fix | None = None
    counts: Counter[str] = field(default_factory=Counter)
    """What became of frames since the start."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, kind: str) -> None:
        """One more frame that ended so."""
        with self._lock:
            self.counts[kind] += 1

    def counted(self) -> Counter[str]:
        """A copy."""
        with self._lock:
            return Counter(self.counts)

    def handled(self, frame: Frame, outcome: Fix | Rejection, took_ms: float) -> None:
        """What became of a frame."""
        self.last_frame, self.last_outcome = frame, outcome
        self.handling_ms += SMOOTHING * (took_ms - self.handling_ms)
        if isinstance(outcome, Fix):
            self.last_fix = outcome

    def missed(self, frames: int) -> None:
        """So many were passed over before the one looked at now, for want of time."""
        for is_missed in [True] * min(frames, 50) + [False]:
            self.missed_share += SMOOTHING * (is_missed - self.missed_share)
