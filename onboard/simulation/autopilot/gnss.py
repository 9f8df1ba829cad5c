"""Solutions of satellite receivers, real ones or played by a companion computer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...geodesy import LocalFrame
from ..state import Readings, Vector

FIX_3D = 3


@dataclass(frozen=True)
class Solution:
    """One solution; accuracies are 1-sigma, horizontal ones radial, None where never given.

    `t_s` is the moment of its arrival since boot, `age_s` how old it was then where the receiver is
    on board and its driver knows. A velocity that was not given is zero, as in
    ArduPilot's drivers.
    """

    t_s: float
    fix_type: int
    satellites: int
    hdop: float
    lat_deg: float
    lon_deg: float
    east_m: float
    north_m: float
    alt_amsl_m: float
    velocity_enu_m_s: Vector
    horiz_accuracy_m: float | None = None
    vert_accuracy_m: float | None = None
    speed_accuracy_m_s: float | None = None
    age_s: float | None = None

    @classmethod
    def of_receiver(cls, readings: Readings, frame: LocalFrame, t_s: float) -> Solution | None:
        """What a receiver on board has just said; None between its solutions."""
        reading = readings.gnss
        if reading is None:
            return None
        lat_deg, lon_deg = frame.to_geodetic([reading.east_m, reading.north_m])
        return cls(
            t_s,
            reading.fix_type,
            reading.satellites,
            reading.hdop,
            float(lat_deg),
            float(lon_deg),
            reading.east_m,
            reading.north_m,
            reading.alt_amsl_m,
            reading.velocity_enu_m_s,
            reading.horiz_accuracy_m,
            reading.vert_accuracy_m,
            reading.speed_accuracy_m_s,
            max(0.0, readings.time_s - reading.time_s),
        )


@dataclass
class PeakHold:
    """The worst accuracy stated of late; AP_NavEKF3_Measurements.cpp readGpsData: 5 s to decay."""

    most: float
    value: float = 0.0
    decay_s: float = 5.0

    def take(self, stated: float | None, dt_s: float) -> float:
        """The accuracy to believe; 0 where none has been stated."""
        self.value *= 1.0 - min(1.0, max(0.0, dt_s / self.decay_s))
        if stated is not None and not math.isnan(stated):
            self.value = min(max(self.value, stated), self.most)
        return self.value
