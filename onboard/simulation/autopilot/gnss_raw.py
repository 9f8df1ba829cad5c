"""A GNSS solution in the units of GPS_RAW_INT and GPS2_RAW."""

from __future__ import annotations

import math
from typing import Any

from .gnss import Solution
from .integers import int32, uint16, uint32

_UNKNOWN = 65_535


def gnss_fields(solution: Solution | None, fix_type: int) -> dict[str, Any]:
    """The fields that both messages have; `fix_type` 0 for a receiver that is silent."""
    if solution is None:
        return {
            "time_usec": 0, "fix_type": fix_type, "lat": 0, "lon": 0, "alt": 0, "eph": _UNKNOWN,
            "epv": _UNKNOWN, "vel": 0, "cog": 0, "satellites_visible": 0,
        }  # fmt: skip
    east_m_s, north_m_s, _ = solution.velocity_enu_m_s
    course_deg = math.degrees(math.atan2(east_m_s, north_m_s)) % 360.0
    return {
        "time_usec": max(0, round(solution.t_s * 1e6)),
        "fix_type": fix_type,
        "lat": round(solution.lat_deg * 1e7),
        "lon": round(solution.lon_deg * 1e7),
        "alt": int32(1e3 * solution.alt_amsl_m),
        "eph": uint16(100.0 * solution.hdop),
        "epv": _UNKNOWN,
        "vel": uint16(100.0 * math.hypot(east_m_s, north_m_s)),
        "cog": round(100.0 * course_deg) % 36_000,
        "satellites_visible": min(255, solution.satellites),
        "h_acc": uint32(1e3 * (solution.horiz_accuracy_m or 0.0)),
        "v_acc": uint32(1e3 * (solution.vert_accuracy_m or 0.0)),
        "vel_acc": uint32(1e3 * (solution.speed_accuracy_m_s or 0.0)),
    }
