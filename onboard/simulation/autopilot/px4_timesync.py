"""PX4's reckoning of the companion's clock (src/lib/timesync), from answers to its own TIMESYNC."""

from __future__ import annotations

from pymavlink.dialects.v20 import ardupilotmega as wire

from .vehicle import Message

CONVERGENCE_WINDOW = 500
"""Samples until stamps are believed: 50 s at 10 Hz."""
MAX_ROUND_TRIP_S = 0.010
MAX_DEVIATION_S = 0.1
GAIN_INITIAL, GAIN_FINAL = 0.05, 0.003


class Timesync:
    """The offset of a companion's clock, and whether it has converged."""

    def __init__(self) -> None:
        self._offset_s = 0.0
        self._samples = 0

    @property
    def has_converged(self) -> bool:
        """Whether stamps are corrected; before, the time of arrival stands for them."""
        return self._samples >= CONVERGENCE_WINDOW

    def request(self, t_s: float) -> Message:
        """What PX4 itself asks, 10 times a second."""
        return wire.MAVLink_timesync_message(tc1=0, ts1=round(t_s * 1e9))

    def take(self, message: Message, t_s: float) -> None:
        """An answer; a slow one is passed over, and a clock that jumped begins anew."""
        sent_s, remote_s = message.ts1 / 1e9, message.tc1 / 1e9
        if message.tc1 <= 0 or not 0.0 <= t_s - sent_s <= MAX_ROUND_TRIP_S:
            return
        offset_s = (sent_s + t_s) / 2.0 - remote_s
        if self._samples and abs(offset_s - self._offset_s) > MAX_DEVIATION_S:
            self._samples = 0
        if self._samples == 0:
            self._offset_s = offset_s
        progress = min(1.0, self._samples / CONVERGENCE_WINDOW)
        gain = GAIN_INITIAL + (GAIN_FINAL - GAIN_INITIAL) * progress
        self._offset_s += gain * (offset_s - self._offset_s)
        self._samples += 1

    def stamp_s(self, remote_us: int, t_s: float) -> float:
        """A companion's time in seconds since our boot, never later than now."""
        return min(t_s, remote_us / 1e6 + self._offset_s) if self.has_converged else t_s
