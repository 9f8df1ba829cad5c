"""How high above the ground, from what looks down: a rangefinder, or the autopilot's own terrain.

GLOBAL_POSITION_INT has the height above home alone, which says nothing of the ground elsewhere.
"""

from __future__ import annotations

import math
from typing import Any

from pymavlink.dialects.v20 import common as wire

from ..records import Attitude, Telemetry

RANGE_ACCURACY_M = 3.0
"""1-sigma of a rangefinder against the ground around: it measures to roofs and crowns as well."""
TERRAIN_ACCURACY_M = 10.0
"""1-sigma of an autopilot's terrain, which is SRTM: 16 m at 90 % by its specification."""
TERRAIN_FRESH_NS = 1_500_000_000
MAX_TILT_DEG = 30.0
"""A rangefinder that is fixed to a vehicle tilted more looks at something else."""
INVALID_SIGNAL = 1
CM = 100.0


def range_sample(message: Any, attitude: Attitude | None, t_ns: int) -> Telemetry | None:
    """DISTANCE_SENSOR (#132) that looks down, by the vehicle's attitude at that time; None where it
    measures nothing, or something else."""
    if message.orientation != wire.MAV_SENSOR_ROTATION_PITCH_270 or attitude is None:
        return None
    if not is_measured(message):
        return None
    roll, pitch = math.radians(attitude.roll_deg), math.radians(attitude.pitch_deg)
    upright = math.cos(roll) * math.cos(pitch)
    if not upright >= math.cos(math.radians(MAX_TILT_DEG)):
        return None
    height_m = message.current_distance / CM * upright
    return Telemetry(t_ns, height_agl_m=height_m, height_accuracy_m=RANGE_ACCURACY_M)


def is_measured(message: Any) -> bool:
    """Whether a DISTANCE_SENSOR (#132) has met something within its reach."""
    is_within = message.min_distance <= message.current_distance < message.max_distance
    return is_within and getattr(message, "signal_quality", 0) != INVALID_SIGNAL


def ground_sample(message: Any, alt_amsl_m: float | None, t_ns: int) -> Telemetry | None:
    """TERRAIN_REPORT (#136) as the height AMSL of the ground below, from the vehicle's own; None
    where the autopilot has no terrain there."""
    if message.spacing == 0 or alt_amsl_m is None or not math.isfinite(message.current_height):
        return None
    return Telemetry(t_ns, alt_amsl_m=alt_amsl_m - message.current_height)


def above_ground(
    position: Telemetry | None, measured: Telemetry | None, ground: Telemetry | None
) -> tuple[float | None, float | None]:
    """Height above ground and its 1-sigma accuracy, by the better of what is known."""
    if measured is not None:
        return measured.height_agl_m, measured.height_accuracy_m
    if position is None or position.alt_amsl_m is None or ground is None:
        return None, None
    assert ground.alt_amsl_m is not None
    height_m = position.alt_amsl_m - ground.alt_amsl_m
    return (height_m, TERRAIN_ACCURACY_M) if height_m > 0.0 else (None, None)
