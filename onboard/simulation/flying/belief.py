"""What an autopilot believes that trusts its GNSS: the state that the log of a flight holds.

Inertial dead reckoning, held by GNSS while it has a fix and by a velocity of other make (optical
flow, air data) while it has none: a complementary filter. A record of a flight needs no gates and
no resets; the stand-in autopilot has them.
"""

from __future__ import annotations

from dataclasses import replace

from ..state import GnssReading, Readings, State
from .noise import lag

_POSITION_S, _VELOCITY_S, _FLOW_S = 1.0, 0.5, 0.5
"""How soon position and velocity follow GNSS, and velocity what stands in for it."""
_ALTITUDE_S, _CLIMB_S = 1.0, 2.0
_FRESH_S = 1.0
_3D_FIX = 3


class Belief:
    """Believed state, from a place that is known and the first readings there."""

    def __init__(self, start: State, readings: Readings) -> None:
        self.state = replace(start, attitude=readings.attitude, alt_amsl_m=readings.alt_baro_amsl_m)
        self._fix_s = start.time_s

    def step(self, readings: Readings, flow_m_s: tuple[float, float]) -> State:
        """Take in readings, and the east and north velocity known without GNSS."""
        before, now_s = self.state, readings.time_s
        dt_s = now_s - before.time_s
        east_m_s, north_m_s, up_m_s = (
            v + a * dt_s
            for v, a in zip(before.velocity_enu_m_s, readings.acceleration_enu_m_s2, strict=True)
        )
        east_m = before.east_m + east_m_s * dt_s
        north_m = before.north_m + north_m_s * dt_s
        alt_m = before.alt_amsl_m + up_m_s * dt_s
        gnss = readings.gnss
        if gnss is not None and gnss.fix_type >= _3D_FIX:
            place, speed = self._shares(gnss)
            east_m += place * (gnss.east_m - east_m)
            north_m += place * (gnss.north_m - north_m)
            east_m_s += speed * (gnss.velocity_enu_m_s[0] - east_m_s)
            north_m_s += speed * (gnss.velocity_enu_m_s[1] - north_m_s)
        elif now_s - self._fix_s > _FRESH_S:
            share = lag(dt_s, _FLOW_S)
            east_m_s += share * (flow_m_s[0] - east_m_s)
            north_m_s += share * (flow_m_s[1] - north_m_s)
        above_m = readings.alt_baro_amsl_m - alt_m
        up_m_s += lag(dt_s, _CLIMB_S) * above_m / _CLIMB_S
        alt_m += lag(dt_s, _ALTITUDE_S) * above_m
        velocity = east_m_s, north_m_s, up_m_s
        self.state = State(now_s, east_m, north_m, alt_m, readings.attitude, velocity)
        return self.state

    def _shares(self, gnss: GnssReading) -> tuple[float, float]:
        """How far position and velocity follow a solution, by the time since the one before."""
        since_s = min(gnss.time_s - self._fix_s, _FRESH_S)
        self._fix_s = gnss.time_s
        return lag(since_s, _POSITION_S), lag(since_s, _VELOCITY_S)
