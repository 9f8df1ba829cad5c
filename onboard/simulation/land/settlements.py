"""Where towns and villages are."""

from __future__ import annotations

import math

import numpy as np

from .geometry import nearest_m
from .plan import Settlement, Waters
from .raster import Bytes, Floats, Grid
from .terrain import node_grid
from .waters import water_mask


def plan_settlements(
    rng: np.random.Generator, size_m: float, hub_m: Floats, waters: Waters
) -> tuple[Settlement, ...]:
    """The main town around the hub; on larger maps more of them, apart and on dry ground."""
    places = [Settlement(hub_m, min(0.42 * size_m, 420.0 + 0.07 * size_m))]
    grid = node_grid(size_m)
    water = water_mask(waters, grid)
    for _ in range(round(size_m**2 / 1e6) * 12 if size_m > 1600.0 else 0):
        at_m = rng.uniform(-0.47, 0.47, 2) * size_m
        town = rng.random() < 0.22
        radius_m = rng.uniform(420.0, 820.0) if town else rng.uniform(130.0, 320.0)
        apart = all(
            nearest_m(at_m, other.at_m[None]) > 1.1 * (radius_m + other.radius_m) + 260.0
            for other in places
        )
        if apart and not _wet(at_m, 0.5 * radius_m, water, grid):
            places.append(Settlement(at_m, radius_m))
    return tuple(places)


def _wet(at_m: Floats, radius_m: float, water: Bytes, grid: Grid) -> bool:
    turn = np.linspace(0.0, 2.0 * math.pi, 8, endpoint=False)
    ring = at_m + radius_m * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    around = grid.sample(water, np.concatenate([at_m[None], ring]))
    return bool(around[0] > 0 or (around > 0).sum() > 3)
