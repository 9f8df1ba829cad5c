"""Figures as the whole numbers of a message: what does not fit stands at the end of the scale."""

from __future__ import annotations

import math


def int16(value: float) -> int:
    """-32767 to 32767."""
    return _whole(value, -(2.0**15) + 1.0, 2.0**15 - 1.0)


def int32(value: float) -> int:
    """-2147483647 to 2147483647."""
    return _whole(value, -(2.0**31) + 1.0, 2.0**31 - 1.0)


def uint16(value: float) -> int:
    """0 to 65535, which MAVLink has for unknown."""
    return _whole(value, 0.0, 2.0**16 - 1.0)


def uint32(value: float) -> int:
    """0 to 4294967295."""
    return _whole(value, 0.0, 2.0**32 - 1.0)


def _whole(value: float, least: float, most: float) -> int:
    """NaN is the largest number."""
    return round(most if math.isnan(value) else min(max(value, least), most))
