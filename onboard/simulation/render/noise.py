"""Smooth noise that needs no memory."""

from __future__ import annotations

import math

from .compiled import compiled
from .hit import hash01


@compiled
def value_noise(x: float, y: float, seed: int) -> float:
    """0..1, smooth between the corners of unit squares."""
    column, row = math.floor(x), math.floor(y)
    u, v = x - column, y - row
    u, v = u * u * (3.0 - 2.0 * u), v * v * (3.0 - 2.0 * v)
    i, j = int(column), int(row)
    low = hash01(i, j, seed) * (1.0 - u) + hash01(i + 1, j, seed) * u
    high = hash01(i, j + 1, seed) * (1.0 - u) + hash01(i + 1, j + 1, seed) * u
    return low * (1.0 - v) + high * v


@compiled
def cloud_at(east_m: float, north_m: float, cover: float, seed: int) -> float:
    """0 where the sky is free, 1 in the middle of a cloud; `cover` is the share of clouds."""
    x, y = (0.8 * east_m + 0.6 * north_m) / 420.0, (0.8 * north_m - 0.6 * east_m) / 420.0
    total = 0.5 * value_noise(x, y, seed) + 0.25 * value_noise(2.1 * x, 2.1 * y, seed + 1)
    total += 0.13 * value_noise(4.3 * x, 4.3 * y, seed + 2)
    total += 0.12 * value_noise(9.1 * x, 9.1 * y, seed + 3)
    return min(max((total - 0.72 + 0.46 * cover) * 6.0, 0.0), 1.0)
