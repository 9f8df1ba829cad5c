"""What stands on the ground, as records: boxes with roofs, tree crowns."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from .raster import Floats

Rows = npt.NDArray[Any]


class Shape(IntEnum):
    """The top of a box."""

    FLAT = 0
    GABLE = 1
    HIP = 2
    ROUND = 3


class Facade(IntEnum):
    """What the walls of a box look like."""

    PLAIN = 0
    HOUSE = 1
    FLATS = 2
    SHOPS = 3
    GLASS = 4
    HALL = 5
    BRICK = 6
    DECK = 7
    """A bridge: its top shows the ground's own picture, its sides are concrete."""


class Species(IntEnum):
    """What a crown looks like over the year."""

    BROADLEAF = 0
    CONIFER = 1
    SHRUB = 2


BOX = np.dtype(
    [
        ("east_m", "<f4"),
        ("north_m", "<f4"),
        ("angle_rad", "<f4"),
        ("length_m", "<f4"),
        ("width_m", "<f4"),
        ("height_m", "<f4"),
        ("rise_m", "<f4"),
        ("shape", "u1"),
        ("seam_m", "<f4"),
        ("colour", "<f4", (3,)),
        ("facade", "u1"),
        ("base_amsl_m", "<f4"),
    ]
)
"""A part of a building or a small thing: its length runs along `angle_rad` (from east,
anticlockwise), as a ridge does; height of the eaves above `base_amsl_m`, rise from there to the
ridge, distance between seams of the roof (0: none), colour of the roof as sRGB in 0..1."""

CROWN = np.dtype(
    [
        ("east_m", "<f4"),
        ("north_m", "<f4"),
        ("radius_m", "<f4"),
        ("height_m", "<f4"),
        ("species", "u1"),
        ("tint", "<f4"),
        ("base_amsl_m", "<f4"),
    ]
)
"""A tree: `tint` in -1..1 tells it from its neighbours."""


def corners(boxes: Rows) -> Floats:
    """[N, 4, 2] outlines of boxes, anticlockwise."""
    cos, sin = np.cos(boxes["angle_rad"]), np.sin(boxes["angle_rad"])
    along = np.stack([cos, sin], axis=-1) * boxes["length_m"][:, None] / 2.0
    across = np.stack([-sin, cos], axis=-1) * boxes["width_m"][:, None] / 2.0
    signs = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))
    reach = np.stack([a * along + b * across for a, b in signs], axis=1)
    return np.asarray(middles(boxes)[:, None] + reach, float)


def middles(things: Rows) -> Floats:
    """[N, 2] metres east and north."""
    return np.stack([things["east_m"], things["north_m"]], axis=-1).astype(float)
