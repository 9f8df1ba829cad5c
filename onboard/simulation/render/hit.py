"""Where a ray meets the ground, and what all meetings share.

Distances are metres along the ray, `MISS` where it does not meet the thing.
"""

from __future__ import annotations

import math

from .compiled import compiled
from .scene import Heights

MISS = 1e30

Hit = tuple[float, float, float, float]
"""Distance, and the normal (east, north, up) there."""


@compiled
def first_root(a: float, b: float, c: float) -> float:
    """The smaller positive root of a t² + 2 b t + c at which the ray goes in, from outside."""
    if abs(a) < 1e-9:
        return -0.5 * c / b if b < -1e-12 and c > 0.0 else MISS
    square = b * b - a * c
    if square < 0.0:
        return MISS
    at = (-b - math.sqrt(square)) / a
    return at if at > 1e-4 else MISS


@compiled
def hash01(a: int, b: int, c: int) -> float:
    """A number in 0..1 that depends on three whole numbers alone."""
    mixed = (a * 73856093) ^ (b * 19349663) ^ (c * 83492791)
    mixed &= 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    return ((mixed ^ (mixed >> 16)) & 0xFFFFFF) / 16777216.0


@compiled
def height_at(ground: Heights, east_m: float, north_m: float) -> float:
    """Height of the ground above mean sea level; beyond its edge, that of the edge."""
    rows, columns = ground.alt_amsl_m.shape
    column = min(max((east_m - ground.west_m) / ground.spacing_m, 0.0), columns - 1.001)
    row = min(max((ground.north_m - north_m) / ground.spacing_m, 0.0), rows - 1.001)
    left, top = int(column), int(row)
    x, y = column - left, row - top
    upper = ground.alt_amsl_m[top, left] * (1 - x) + ground.alt_amsl_m[top, left + 1] * x
    lower = ground.alt_amsl_m[top + 1, left] * (1 - x) + ground.alt_amsl_m[top + 1, left + 1] * x
    return float(upper * (1 - y) + lower * y)


@compiled
def meet_ground(
    ground: Heights,
    top_amsl_m: float,
    steepest: float,
    ox: float,
    oy: float,
    oz: float,
    dx: float,
    dy: float,
    dz: float,
    near_m: float,
    far_m: float,
) -> float:
    """The first point of the ground between two distances, where it is no higher than `top_amsl_m`
    and no steeper than `steepest`."""
    if dz < -1e-9:
        near_m = max(near_m, (top_amsl_m - oz) / dz)
    elif oz + dz * near_m > top_amsl_m:
        return MISS
    if near_m >= far_m:
        return MISS
    above = near_m
    gap_above = oz + dz * near_m - height_at(ground, ox + dx * near_m, oy + dy * near_m)
    if gap_above <= 0.0:
        return near_m
    flat = math.sqrt(dx * dx + dy * dy)
    closing = steepest * flat - dz  # nowhere does the ground come nearer faster
    if closing <= 0.0:
        return MISS
    least_m = 0.7 * ground.spacing_m / (flat + 1e-9)
    while above < far_m:
        below = min(far_m, above + max(least_m, gap_above / closing))
        gap_below = oz + dz * below - height_at(ground, ox + dx * below, oy + dy * below)
        if gap_below <= 0.0:
            for _ in range(5):  # regula falsi; the ground is smooth between its nodes
                share = gap_above / (gap_above - gap_below)
                middle = above + (below - above) * share
                gap = oz + dz * middle - height_at(ground, ox + dx * middle, oy + dy * middle)
                if gap > 0.0:
                    above, gap_above = middle, gap
                else:
                    below, gap_below = middle, gap
                if abs(gap) < 1e-3:
                    break
            return above if gap_above < -gap_below else below
        above, gap_above = below, gap_below
    return MISS
