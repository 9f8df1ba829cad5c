"""Telemetry between two samples: linear, angles the short way round, never beyond the ends."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from ..records import Attitude, Prior, Telemetry


def sample_at(samples: Sequence[Telemetry], t_ns: int, max_gap_ns: int | None = None) -> Telemetry:
    """The state at `t_ns`, from at least one sample in strictly increasing time.

    Before the first sample, after the last, and between two that lie more than `max_gap_ns` apart,
    it is the nearest sample under its own time, so that the reader sees how stale it is.
    """
    following = bisect_right(samples, t_ns, key=lambda sample: sample.t_ns)
    if following == 0:
        return samples[0]
    earlier = samples[following - 1]
    if following == len(samples) or earlier.t_ns == t_ns:
        return earlier
    later = samples[following]
    if max_gap_ns is not None and later.t_ns - earlier.t_ns > max_gap_ns:
        return min(earlier, later, key=lambda sample: abs(sample.t_ns - t_ns))
    return between(earlier, later, t_ns)


def between(earlier: Telemetry, later: Telemetry, t_ns: int) -> Telemetry:
    """A blend of two samples; what either lacks is None. Of a test, what it last gave stands."""
    weight = (t_ns - earlier.t_ns) / (later.t_ns - earlier.t_ns)

    def line(a: float | None, b: float | None) -> float | None:
        return None if a is None or b is None else a + weight * (b - a)

    return Telemetry(
        t_ns=t_ns,
        attitude=_attitude(earlier.attitude, later.attitude, weight),
        height_agl_m=line(earlier.height_agl_m, later.height_agl_m),
        alt_amsl_m=line(earlier.alt_amsl_m, later.alt_amsl_m),
        velocity_north_m_s=line(earlier.velocity_north_m_s, later.velocity_north_m_s),
        velocity_east_m_s=line(earlier.velocity_east_m_s, later.velocity_east_m_s),
        prior=_prior(earlier.prior, later.prior, weight),
        gimbal=_attitude(earlier.gimbal, later.gimbal, weight),
        heading_accuracy_deg=worse(earlier.heading_accuracy_deg, later.heading_accuracy_deg),
        height_accuracy_m=worse(earlier.height_accuracy_m, later.height_accuracy_m),
        position_test_ratio=earlier.position_test_ratio,
        height_above_home_m=line(earlier.height_above_home_m, later.height_above_home_m),
    )


def worse(a: float | None, b: float | None) -> float | None:
    """The larger of two accuracies; NaN, which is no accuracy, is worse than any."""
    stated = [value for value in (a, b) if value is not None]
    return float(np.max(stated)) if stated else None


def turn(a_deg: float, b_deg: float, weight: float) -> float:
    """From angle a towards angle b the short way round, as -180 to 180 degrees."""
    step_deg = (b_deg - a_deg + 180.0) % 360.0 - 180.0
    return (a_deg + weight * step_deg + 180.0) % 360.0 - 180.0


def _attitude(a: Attitude | None, b: Attitude | None, weight: float) -> Attitude | None:
    if a is None or b is None:
        return None
    return Attitude(
        roll_deg=turn(a.roll_deg, b.roll_deg, weight),
        pitch_deg=turn(a.pitch_deg, b.pitch_deg, weight),
        heading_deg=turn(a.heading_deg, b.heading_deg, weight) % 360.0,
    )


def _prior(a: Prior | None, b: Prior | None, weight: float) -> Prior | None:
    if a is None or b is None:
        return None
    return Prior(
        lat_deg=a.lat_deg + weight * (b.lat_deg - a.lat_deg),
        lon_deg=turn(a.lon_deg, b.lon_deg, weight),
        horiz_accuracy_m=a.horiz_accuracy_m + weight * (b.horiz_accuracy_m - a.horiz_accuracy_m),
    )
