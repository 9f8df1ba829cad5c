"""ArduPilot's correction of the times on messages of others (AP_RTC's JitterCorrection).

The constant part of the way is taken for an offset of the clocks: only what varies is corrected.
Upstream's internals were not readable; this does what its users see: a corrected time is never
after the arrival, never long before it, and steady where the sender's clock is.
"""

from __future__ import annotations

import math

MAX_LAG_S = 0.5
CONVERGENCE = 100
"""Messages over which the quickest one is looked for."""


class JitterCorrection:
    """Arrival times without the jitter of the way."""

    def __init__(self, max_lag_s: float = MAX_LAG_S) -> None:
        self._max_lag_s = max_lag_s
        self._offset_s = math.inf
        self._quickest_s = math.inf
        self._count = 0

    def correct(self, sent_s: float, arrival_s: float) -> float:
        """When the message would have arrived without jitter; `sent_s` on whatever clock."""
        difference_s = arrival_s - sent_s
        self._offset_s = min(self._offset_s, difference_s)
        self._quickest_s = min(self._quickest_s, difference_s)
        self._count += 1
        if self._count == CONVERGENCE:  # clocks drift: let the offset follow upwards too
            self._offset_s, self._quickest_s, self._count = self._quickest_s, math.inf, 0
        if difference_s - self._offset_s > self._max_lag_s:
            self._offset_s = difference_s - self._max_lag_s
        return sent_s + self._offset_s
