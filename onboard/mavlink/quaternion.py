"""Attitudes as MAVLink's quaternions w, x, y, z: body to north-east-down, or to a level frame."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..records import Attitude

Quaternion = tuple[float, float, float, float]
UNIT = 0.01
"""How far from 1 the length of a rotation may be after its way as 32-bit floats."""
STRAIGHT = 1e-6
"""Nearer than this to straight up or down, roll and heading are one angle."""
CLOSE = 0.9995
"""Cosine of half an angle between two rotations from which on the arc is a line."""


def of_attitude(attitude: Attitude) -> Quaternion:
    """Of a body whose axes are forward, right and down."""
    (cr, sr), (cp, sp), (cy, sy) = (
        (math.cos(math.radians(angle) / 2.0), math.sin(math.radians(angle) / 2.0))
        for angle in (attitude.roll_deg, attitude.pitch_deg, attitude.heading_deg)
    )
    return (
        cr * cp * cy + sr * sp * sy,
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
    )


def to_attitude(q: Quaternion) -> Attitude:
    """Of a unit quaternion; looking straight down, the heading is that of the picture's top."""
    w, x, y, z = q
    sine = max(-1.0, min(1.0, 2.0 * (w * y - x * z)))
    if 1.0 - abs(sine) < STRAIGHT:
        roll, heading = 0.0, math.atan2(2.0 * (w * z - x * y), 1.0 - 2.0 * (x * x + z * z))
    else:
        roll = math.atan2(2.0 * (w * x + y * z), 1.0 - 2.0 * (x * x + y * y))
        heading = math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    pitch_deg = math.degrees(math.asin(sine))
    return Attitude(math.degrees(roll), pitch_deg, math.degrees(heading) % 360.0)


def unit(q: Sequence[float]) -> Quaternion | None:
    """Four numbers as a rotation; None where they are none."""
    length = math.sqrt(sum(each * each for each in q))
    if not abs(length - 1.0) <= UNIT:
        return None
    w, x, y, z = (each / length for each in q)
    return w, x, y, z


def between(a: Quaternion, b: Quaternion, weight: float) -> Quaternion:
    """From a towards b the short way round, at a steady rate."""
    cosine = sum(p * q for p, q in zip(a, b, strict=True))
    sign, cosine = math.copysign(1.0, cosine), min(1.0, abs(cosine))
    from_a, from_b = 1.0 - weight, weight
    if cosine < CLOSE:
        angle = math.acos(cosine)
        from_a, from_b = math.sin(from_a * angle), math.sin(from_b * angle)
    mixed = [from_a * p + sign * from_b * q for p, q in zip(a, b, strict=True)]
    length = math.sqrt(sum(each * each for each in mixed))
    w, x, y, z = (each / length for each in mixed)
    return w, x, y, z
