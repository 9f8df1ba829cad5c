"""A fix moved on to the moment of sending, which no autopilot does for us as well."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...config import FilterConfig
from ...geodesy import LocalFrame
from ...records import Fix

NS_PER_S = 1_000_000_000
MAX_SPEED_M_S, MAX_ALT_M, MAX_ACCURACY_M = 200.0, 20_000.0, 1000.0
"""Beyond these a fix is the mark of a fault and is not sent."""


@dataclass(frozen=True)
class Moved:
    """Where the vehicle is at `now_ns` (monotonic) and `unix_ns` (the same moment).

    `horiz_accuracy_m` is 1-sigma per horizontal axis, `speed_accuracy_m_s` as well; `radial_m` and
    `radial_m_s` are both axes together. `alt_amsl_m` is the autopilot's own.
    """

    fix: Fix
    now_ns: int
    unix_ns: int
    lat_deg: float
    lon_deg: float
    horiz_accuracy_m: float
    velocity_ne_m_s: tuple[float, float] | None
    speed_accuracy_m_s: float

    @property
    def alt_amsl_m(self) -> float | None:
        """Passed through."""
        return self.fix.alt_amsl_m

    @property
    def age_s(self) -> float:
        """Since the exposure."""
        return (self.now_ns - self.fix.t_capture_ns) / NS_PER_S

    @property
    def radial_m(self) -> float:
        """1-sigma of both axes together."""
        return math.sqrt(2.0) * self.horiz_accuracy_m

    @property
    def radial_m_s(self) -> float:
        """1-sigma of both axes together."""
        return math.sqrt(2.0) * self.speed_accuracy_m_s


def moved_on(fix: Fix, now_ns: int, unix_ns: int, motion: FilterConfig) -> Moved:
    """By its velocity.

    Its accuracy grows with its age, in quadrature, by the way that an error of the velocity leads
    astray, or that the vehicle may fly where there is no velocity.
    """
    age_s = (now_ns - fix.t_capture_ns) / NS_PER_S
    velocity = _velocity(fix)
    north_m_s, east_m_s = velocity or (0.0, 0.0)
    error_m_s = motion.velocity_accuracy_m_s if velocity else motion.unknown_speed_m_s
    lat_deg, lon_deg = LocalFrame(fix.lat_deg, fix.lon_deg).to_geodetic(
        [east_m_s * age_s, north_m_s * age_s]
    )
    return Moved(
        fix,
        now_ns,
        unix_ns,
        float(lat_deg),
        float(lon_deg),
        math.hypot(fix.horiz_accuracy_m, error_m_s * age_s),
        velocity,
        error_m_s,
    )


def is_sound(fix: Fix) -> bool:
    """Every figure finite and possible. NaN is not."""
    bounded = (
        (fix.lat_deg, 90.0),
        (fix.lon_deg, 180.0),
        (fix.alt_amsl_m, MAX_ALT_M),
        (fix.velocity_north_m_s, MAX_SPEED_M_S),
        (fix.velocity_east_m_s, MAX_SPEED_M_S),
    )
    return 0.0 < fix.horiz_accuracy_m <= MAX_ACCURACY_M and all(
        value is None or abs(value) <= bound for value, bound in bounded
    )


def _velocity(fix: Fix) -> tuple[float, float] | None:
    """Metres per second north and east, where the fix has both."""
    if fix.velocity_north_m_s is None or fix.velocity_east_m_s is None:
        return None
    return fix.velocity_north_m_s, fix.velocity_east_m_s
