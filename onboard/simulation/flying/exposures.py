"""When a camera takes its pictures, what its clock says, and when they arrive."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...errors import DataError


@dataclass(frozen=True)
class Shutter:
    """A camera's timing.

    `clock_offset_s` is how far its clock is ahead of the autopilot's. A share of the pictures is
    lost, another share is late by `late_s` on average beyond the usual `latency_s`. Jitter is the
    1-sigma unsteadiness of the exposures themselves.

    Raises:
        DataError: a rate not above 0, a share not from 0 to below 1, a negative time.
    """

    rate_hz: float = 5.0
    jitter_s: float = 0.0
    clock_offset_s: float = 0.0
    dropped_share: float = 0.0
    latency_s: float = 0.06
    late_share: float = 0.0
    late_s: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.rate_hz < math.inf:
            raise DataError(f"shutter rate_hz {self.rate_hz}: expected more than 0")
        for name in ("dropped_share", "late_share"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise DataError(f"shutter {name} {getattr(self, name)}: expected 0 to below 1")
        for name in ("jitter_s", "latency_s", "late_s"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise DataError(f"shutter {name} {getattr(self, name)}: expected 0 s or more")
        if not math.isfinite(self.clock_offset_s):
            raise DataError(f"shutter clock_offset_s {self.clock_offset_s}: expected seconds")


@dataclass(frozen=True)
class Exposure:
    """One picture that arrives. Times are mid-exposure: the true one, and by the camera's clock."""

    number: int
    time_s: float
    stamp_s: float
    arrival_s: float


def exposures(shutter: Shutter, start_s: float, end_s: float, seed: int) -> list[Exposure]:
    """The pictures taken from `start_s` to `end_s`, in the order of their exposure.

    A lost one leaves a gap in the numbers. One that is late may arrive after the next.
    """
    rng = np.random.default_rng([seed, 23])
    count = max(math.floor((end_s - start_s) * shutter.rate_hz + 1e-9) + 1, 0)
    shake_s = shutter.jitter_s * rng.standard_normal(count)
    most_s = 0.45 / shutter.rate_hz  # no picture overtakes the one before
    times_s = start_s + np.arange(count) / shutter.rate_hz + np.clip(shake_s, -most_s, most_s)
    lost = rng.random(count) < shutter.dropped_share
    late_s = rng.exponential(shutter.late_s, count) * (rng.random(count) < shutter.late_share)
    return [
        Exposure(
            number,
            time_s,
            time_s + shutter.clock_offset_s,
            time_s + shutter.latency_s + float(late_s[number]),
        )
        for number, time_s in enumerate(times_s.tolist())
        if not lost[number] and start_s <= time_s <= end_s
    ]
