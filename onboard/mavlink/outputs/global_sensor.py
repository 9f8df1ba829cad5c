"""GLOBAL_POSITION_SENSOR (#296), PX4's auxiliary global position, from 1.18."""

from __future__ import annotations

import math

from pymavlink.dialects.v20 import ardupilotmega as wire

from ..signing import Message
from .moved import Moved
from .wanted import between, bits, exactly

NS_PER_US = 1_000
NO_DEGREES = 2**31 - 1


class GlobalPositionSensor:
    """Positions of the moment of sending, so processing takes no time; height is not claimed.

    The negative has the flag UNHEALTHY and neither latitude nor longitude.
    """

    name = "global_position_sensor"

    def __init__(self, sensor_id: int, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self._id = sensor_id
        self.wanted = (
            exactly("EKF2_AGP0_ID", sensor_id, "the sensor of link.sensor_id is us"),
            bits("EKF2_AGP0_CTRL", 1, 0, "horizontal position is fused"),
            between("EKF2_AGP0_DELAY", 0, 50, "we send no old positions"),
            between("EKF2_AGP0_NOISE", 0, 10, "a floor under our accuracy, not in its place"),
        )

    def position(self, moved: Moved) -> list[Message]:
        """`eph` is 1-sigma radial."""
        lat, lon = round(moved.lat_deg * 1e7), round(moved.lon_deg * 1e7)
        return [self._message(moved.now_ns, 0, lat, lon, moved.radial_m)]

    def negative(self, now_ns: int, unix_ns: int) -> list[Message]:
        """Unhealthy."""
        unhealthy = wire.GLOBAL_POSITION_UNHEALTHY
        return [self._message(now_ns, unhealthy, NO_DEGREES, NO_DEGREES, math.nan)]

    def _message(self, now_ns: int, flags: int, lat: int, lon: int, eph_m: float) -> Message:
        return wire.MAVLink_global_position_sensor_message(
            target_system=0,
            target_component=0,
            id=self._id,
            time_usec=now_ns // NS_PER_US,
            processing_time=0,
            source=wire.GLOBAL_POSITION_SRC_VISION,
            flags=flags,
            lat=lat,
            lon=lon,
            alt_ellipsoid=math.nan,
            alt=math.nan,
            eph=eph_m,
            epv=math.nan,
        )
