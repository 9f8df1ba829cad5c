"""After a contradiction: which of two positions to believe. For a while neither, or the old one.

A localizer that is shown the wrong place long enough earns a new track there, and the autopilot's
filter would jump onto it within seconds. So a track that begins after a contradiction must lie
where dead reckoning from before it leads, until so much time has passed that the old track may have
been the mistake.

No clock: times are those of frames, in nanoseconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..geodesy import LocalFrame
from ..records import Fix, Telemetry

NS_PER_S = 1_000_000_000
QUARANTINE_NS = 60 * NS_PER_S
MAX_SIGMAS, MAX_AWAY_M = 4.0, 50.0
"""However long dead reckoning has gone on, a place farther away than this is another one."""
MAX_STEP_S = 1.0


@dataclass
class _Before:
    """The last position before the contradiction, moved on by the autopilot's velocity."""

    fix: Fix
    since_ns: int
    t_ns: int
    east_m: float = 0.0
    north_m: float = 0.0


class Continuity:
    """`velocity_accuracy_m_s` is 1-sigma per axis, as the localizer's filter has it."""

    def __init__(self, velocity_accuracy_m_s: float) -> None:
        self._velocity_accuracy_m_s = velocity_accuracy_m_s
        self._last: Fix | None = None
        self._before: _Before | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether there was a contradiction that is not yet resolved."""
        return self._before is not None

    def forget(self) -> None:
        """Somebody who may said so: what comes next is right."""
        self._last = self._before = None

    def contradicted(self, t_ns: int) -> None:
        """A frame contradicts the last position."""
        if self._last is not None and self._before is None:
            self._before = _Before(self._last, t_ns, self._last.t_capture_ns)

    def moved(self, t_ns: int, telemetry: Telemetry) -> None:
        """What the autopilot says of its motion at each frame."""
        before = self._before
        if before is None:
            return
        step_s = min((t_ns - before.t_ns) / NS_PER_S, MAX_STEP_S)
        before.east_m += (telemetry.velocity_east_m_s or 0.0) * step_s
        before.north_m += (telemetry.velocity_north_m_s or 0.0) * step_s
        before.t_ns = t_ns

    def accepts(self, fix: Fix) -> bool:
        """Whether a fix may be given; one that may ends the matter."""
        before = self._before
        if before is not None:
            is_over = fix.t_capture_ns - before.since_ns > QUARANTINE_NS
            if not is_over and self._away_m(fix, before) > self._allowed_m(fix, before):
                return False
        self._last, self._before = fix, None
        return True

    def _away_m(self, fix: Fix, before: _Before) -> float:
        local = LocalFrame(before.fix.lat_deg, before.fix.lon_deg)
        east_m, north_m = (float(each) for each in local.to_enu(fix.lat_deg, fix.lon_deg))
        return math.hypot(east_m - before.east_m, north_m - before.north_m)

    def _allowed_m(self, fix: Fix, before: _Before) -> float:
        age_s = (fix.t_capture_ns - before.fix.t_capture_ns) / NS_PER_S
        led_astray_m = self._velocity_accuracy_m_s * age_s
        sigma_m = math.hypot(fix.horiz_accuracy_m, before.fix.horiz_accuracy_m, led_astray_m)
        return min(MAX_SIGMAS * sigma_m, MAX_AWAY_M)
