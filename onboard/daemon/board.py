"""What each part of the daemon knows that others want to read: for states, status page, record."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, field

from ..records import Fix, Frame, Rejection, Telemetry

NS_PER_S = 1_000_000_000
SMOOTHING = 0.1
"""Weight of the newest frame in running averages."""
SILENCE = 5.0
"""Gaps so many times as long as those before are no pace."""
TRACK_NS, TRACK_POINTS = 2 * NS_PER_S, 1800
"""Between two points of the track, and how many are kept: an hour."""


@dataclass
class Pace:
    """How often something happens, recently."""

    _last_ns: int | None = None
    _gap_s: float | None = None

    def beat(self, t_ns: int) -> None:
        """It happened."""
        if self._last_ns is not None:
            gap_s = (t_ns - self._last_ns) / NS_PER_S
            before_s = self._gap_s or gap_s
            is_silence = gap_s > SILENCE * before_s
            self._gap_s = None if is_silence else before_s + SMOOTHING * (gap_s - before_s)
        self._last_ns = t_ns

    def rate_hz(self, now_ns: int) -> float:
        """0 where it has not happened for longer than it should have taken twice."""
        last_ns, gap_s = self._last_ns, self._gap_s
        if last_ns is None or not gap_s or now_ns - last_ns > max(2.0 * gap_s, 2.0) * NS_PER_S:
            return 0.0
        return 1.0 / gap_s


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
    heading_deg: float | None = None
    """Where the vehicle headed at the last frame, or its gimbal."""
    frames: Pace = field(default_factory=Pace)
    positions: Pace = field(default_factory=Pace)
    counts: Counter[str] = field(default_factory=Counter)
    """What became of frames since the start."""
    _track: deque[Fix] = field(default_factory=lambda: deque(maxlen=TRACK_POINTS))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, kind: str) -> None:
        """One more frame that ended so."""
        with self._lock:
            self.counts[kind] += 1

    def counted(self) -> Counter[str]:
        """A copy."""
        with self._lock:
            return Counter(self.counts)

    def track(self) -> list[Fix]:
        """Where the vehicle was, a fix every two seconds."""
        with self._lock:
            return list(self._track)

    def handled(
        self, frame: Frame, outcome: Fix | Rejection, took_ms: float, telemetry: Telemetry
    ) -> None:
        """What became of a frame."""
        self.last_frame, self.last_outcome = frame, outcome
        turned = telemetry.gimbal or telemetry.attitude
        self.heading_deg = turned.heading_deg if turned else None
        self.handling_ms += SMOOTHING * (took_ms - self.handling_ms)
        self.frames.beat(frame.t_capture_ns)
        if isinstance(outcome, Fix):
            self.last_fix = outcome
            self._follow(outcome)

    def _follow(self, fix: Fix) -> None:
        with self._lock:
            if not self._track or fix.t_capture_ns - self._track[-1].t_capture_ns >= TRACK_NS:
                self._track.append(fix)

    def missed(self, frames: int) -> None:
        """So many were passed over before the one looked at now, for want of time."""
        for is_missed in [True] * min(frames, 50) + [False]:
            self.missed_share += SMOOTHING * (is_missed - self.missed_share)
