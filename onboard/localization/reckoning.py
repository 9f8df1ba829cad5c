"""How far the vehicle flew from frame to frame: by the autopilot's velocity, or by what is seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from ..records import Telemetry
from .moment import Moment
from .motion import Floats, Motion, VisualOdometry

MotionSource = Literal["autopilot", "visual"]


class Reckoning:
    """Feed moments in order of exposure.

    An autopilot without GNSS makes its velocity from the positions it is sent: then it says what
    our own fixes said, agrees with them whatever they are, and `visual` has to speak instead.
    """

    def __init__(self, source: MotionSource) -> None:
        self._odometry = VisualOdometry() if source == "visual" else None
        self._before: Moment | None = None

    def step(self, moment: Moment) -> Motion | None:
        """The motion since the moment before; None where nobody knows it."""
        if self._odometry is not None:
            seen = self._odometry.step(moment.frame, moment.prepared.sight())
            return seen if isinstance(seen, Motion) else None
        before, self._before = self._before, moment
        return None if before is None else _flown(before, moment)

    def told(self, telemetry: Telemetry, motion: Motion | None) -> Telemetry:
        """The telemetry with the velocity that dead reckoning goes by."""
        if self._odometry is None:
            return telemetry
        north_m_s, east_m_s = (None, None) if motion is None else motion.velocity_m_s()
        return replace(telemetry, velocity_north_m_s=north_m_s, velocity_east_m_s=east_m_s)


def _flown(before: Moment, now: Moment) -> Motion | None:
    """By the mean of both velocities; None where one of them is not known."""
    velocities = [_velocity_m_s(each.telemetry) for each in (before, now)]
    if velocities[0] is None or velocities[1] is None:
        return None
    t0_ns, t1_ns = before.frame.t_capture_ns, now.frame.t_capture_ns
    north_m, east_m = (velocities[0] + velocities[1]) / 2.0 * (t1_ns - t0_ns) * 1e-9
    return Motion(t0_ns, t1_ns, float(north_m), float(east_m), np.zeros((2, 2)))


def _velocity_m_s(telemetry: Telemetry) -> Floats | None:
    """[2] north and east."""
    north_m_s, east_m_s = telemetry.velocity_north_m_s, telemetry.velocity_east_m_s
    return None if north_m_s is None or east_m_s is None else np.array([north_m_s, east_m_s])
