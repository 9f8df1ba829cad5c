"""How a cloud looks in one batch: turned as its place's pictures, and varied on its own."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from ..appearance.turned import Turn
from ..config_geolink import GeoLinkConfig
from .store import Cloud

Points = npt.NDArray[np.float32]


def shown(cloud: Cloud, turn: Turn, config: GeoLinkConfig, rng: np.random.Generator) -> Points:
    """[config.count, 3] metres east, north and up.

    The order of points is kept, so the first ones are still spread over the whole cloud. A cloud
    that has fewer points shows its first ones again. Always as many draws.
    """
    kept = _kept(len(cloud.points_m), config, rng)
    most_deg = config.yaw_deg if cloud.has_north else 180.0
    yaw = math.radians(rng.uniform(-most_deg, most_deg))
    moved = rng.normal(0.0, 1.0, (config.count, 3)) * config.jitter_m
    east, north, up = (cloud.points_m[kept].astype(np.float64) + moved).T
    for _ in range(turn.quarters):
        east, north = -north, east
    if turn.mirrored:
        east = -east
    cos, sin = math.cos(yaw), math.sin(yaw)
    return np.stack([cos * east - sin * north, sin * east + cos * north, up], 1).astype(np.float32)


def _kept(count: int, config: GeoLinkConfig, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """[config.count] numbers of the points that are seen."""
    among = min(count, math.ceil(config.count / (1.0 - config.dropout)))
    margin = rng.random(math.ceil(config.count / (1.0 - config.dropout)))[:among]
    if among <= config.count:
        return np.arange(config.count) % among
    return np.sort(np.argsort(margin, kind="stable")[: config.count])
