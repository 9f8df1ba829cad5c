"""Wind: a steady mean and gusts of the Dryden form, from a seed.

Length scales and the ratio of vertical to horizontal gusts are those of MIL-F-8785C, 3.7.3, for
less than 1000 feet above ground; axes lie along and across the mean wind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...errors import DataError
from ...geodesy import Floats
from ..state import Vector
from .noise import lag

_FOOT_M = 0.3048
_LOW_M, _HIGH_M = 3.0, 1000.0 * _FOOT_M
_BODY_S = 0.2
"""A vehicle averages the air over its own size, so that gusts have no sharper edge than this."""
_STILL_M_S = 2.0
"""Gusts also pass a vehicle that hovers in still air."""


@dataclass(frozen=True)
class Weather:
    """Mean wind at flight height, where it blows from, and 1-sigma gusts per horizontal axis.

    Raises:
        DataError: a speed or a bearing that is not a finite number, or a negative speed.
    """

    wind_m_s: float = 4.0
    wind_from_deg: float = 250.0
    gust_m_s: float = 1.0

    def __post_init__(self) -> None:
        for name in ("wind_m_s", "gust_m_s"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise DataError(f"{name} {getattr(self, name)}: expected 0 m/s or more")
        if not math.isfinite(self.wind_from_deg):
            raise DataError(f"wind_from_deg {self.wind_from_deg}: expected a bearing in degrees")


CALM = Weather(0.0, 0.0, 0.0)


class Wind:
    """The air's velocity where the vehicle is, step by step."""

    def __init__(self, weather: Weather, seed: int) -> None:
        self._weather = weather
        self._rng = np.random.default_rng([seed, 20])
        self._raw: Floats = self._rng.standard_normal(3)
        self._gust: Floats = self._raw
        towards = math.radians(weather.wind_from_deg + 180.0)
        self._along = (math.sin(towards), math.cos(towards))

    def step(self, dt_s: float, height_agl_m: float, airspeed_m_s: float) -> Vector:
        """East, north, up in m/s, `dt_s` later, for a vehicle that flies through the air so."""
        height_m = min(max(height_agl_m, _LOW_M), _HIGH_M)
        shape = 0.177 + 0.000823 * height_m / _FOOT_M
        lengths_m = height_m * np.array([shape**-1.2, shape**-1.2, 1.0])
        lasting_s = lengths_m / max(airspeed_m_s, _STILL_M_S)
        kept = np.exp(-dt_s / lasting_s)
        self._raw = kept * self._raw + np.sqrt(1.0 - kept**2) * self._rng.standard_normal(3)
        self._gust = self._gust + lag(dt_s, _BODY_S) * (self._raw - self._gust)
        whole = np.sqrt(1.0 + _BODY_S / lasting_s)  # for the part of the gusts averaged away
        sigmas_m_s = self._weather.gust_m_s * np.array([1.0, 1.0, shape**0.4])
        along, across, up = (sigmas_m_s * whole * self._gust).tolist()
        return self._turned(self._weather.wind_m_s + along, across, up)

    def _turned(self, along: float, across: float, up: float) -> Vector:
        east, north = self._along
        return (along * east - across * north, along * north + across * east, up)
