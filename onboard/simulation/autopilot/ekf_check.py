"""ArduCopter's watch over its filter (ArduCopter/ekf_check.cpp): variances, position, glitches."""

from __future__ import annotations

import math

from pymavlink.dialects.v20 import ardupilotmega as wire

from .ekf3 import Ekf3
from .parameters import Parameters
from .vehicle import Voice

INTERVAL_S = 0.1
MAX_COUNT = 10  # EKF_CHECK_ITERATIONS_MAX: 1 s at 10 Hz


class EkfCheck:
    """Counts up while the filter is bad, down while it is good; at 10 it has failed."""

    def __init__(self, parameters: Parameters, voice: Voice) -> None:
        self._parameters, self._voice = parameters, voice
        self._count = 0
        self._next_s = -math.inf
        self._is_bad = self._was_glitching = False

    def is_over(self, ekf: Ekf3) -> bool:
        """ekf_over_threshold: the velocity counts twice from twice the threshold on."""
        threshold = self._parameters["FS_EKF_THRESH"]
        if threshold <= 0.0:
            return False
        position, velocity = math.sqrt(ekf.position_ratio), math.sqrt(ekf.velocity_ratio)
        count = 2 if velocity >= 2.0 * threshold else 1 if velocity >= threshold else 0
        return count >= 2 or (position >= threshold and count >= 1)

    def step(self, ekf: Ekf3, t_s: float, *, is_armed: bool) -> bool:
        """Whether the failsafe is triggered at this very moment."""
        if t_s < self._next_s:
            return False
        self._next_s = t_s + INTERVAL_S
        self._watch_glitches(ekf)
        if not is_armed:
            self._count, self._is_bad = 0, False
            return False
        if ekf.has_position and not self.is_over(ekf):
            self._count = max(0, self._count - 1)
            if self._is_bad and self._count == 0:
                self._is_bad = False
                self._voice.say("EKF Failsafe Cleared")
            return False
        self._count = min(MAX_COUNT, self._count + 1)
        has_failed = self._count == MAX_COUNT and not self._is_bad
        if has_failed:
            self._is_bad = True
            self._voice.say("EKF variance", wire.MAV_SEVERITY_CRITICAL)
        return has_failed

    def _watch_glitches(self, ekf: Ekf3) -> None:
        if ekf.is_glitching != self._was_glitching:
            self._was_glitching = ekf.is_glitching
            text = "GPS Glitch or Compass error" if ekf.is_glitching else "Glitch cleared"
            self._voice.say(text, wire.MAV_SEVERITY_CRITICAL)
