"""What stands on the ground: boxes with roofs, tree crowns; as records and as a height raster."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from .raster import Field, Floats, Grid

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

_PARAPET_M = 0.5


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


@dataclass(frozen=True, eq=False)
class Relief:
    """[H, W] rasters of the tops of things.

    `height_m` above ground; `slope_east`, `slope_north` its derivatives on roofs and crowns;
    `owner` is k for box k - 1, -k for crown k - 1, and 0 for the ground.
    """

    height_m: Field
    slope_east: Field
    slope_north: Field
    owner: npt.NDArray[np.int32]

    @classmethod
    def flat(cls, grid: Grid) -> Relief:
        """Nothing but ground."""
        shape = (grid.size_px, grid.size_px)
        slopes = np.zeros((2, *shape), np.float32)
        return cls(np.zeros(shape, np.float32), slopes[0], slopes[1], np.zeros(shape, np.int32))

    def copy(self) -> Relief:
        """An independent relief to put more things on."""
        return Relief(
            self.height_m.copy(),
            self.slope_east.copy(),
            self.slope_north.copy(),
            self.owner.copy(),
        )

    def raise_boxes(self, boxes: Rows, first: int, grid: Grid) -> None:
        """Put up `BOX` rows, owned by `first` and following; the higher one shows."""
        for owner, box in enumerate(boxes, start=first):
            reach_m = 0.5 * float(np.hypot(box["length_m"], box["width_m"]))
            window = grid.window(float(box["east_m"]), float(box["north_m"]), reach_m)
            if window is not None:
                self._raise(window[:2], *_box_top(box, *window[2:]), owner)

    def grow_crowns(self, crowns: Rows, grid: Grid) -> None:
        """Put up `CROWN` rows, the first owned by -1; the higher one shows."""
        for index, crown in enumerate(crowns):
            radius_px = float(crown["radius_m"]) / grid.gsd_m
            shape = _crown_shape(max(2, round(4.0 * radius_px)), int(crown["species"]), index % 3)
            self._stamp(shape, crown, -1 - index, grid)

    def _stamp(self, shape: Field, crown: Any, owner: int, grid: Grid) -> None:
        reach = shape.shape[1] // 2
        column, row = np.rint(grid.pixels([crown["east_m"], crown["north_m"]])).astype(int)
        top, left = max(row - reach, 0), max(column - reach, 0)
        bottom, right = min(row + reach + 1, grid.size_px), min(column + reach + 1, grid.size_px)
        if top >= bottom or left >= right:
            return
        part = shape[:, top - row + reach : bottom - row + reach, left - column + reach :]
        part = part[:, :, : right - left]
        steepness = crown["height_m"] / crown["radius_m"]
        self._raise(
            (slice(top, bottom), slice(left, right)),
            part[0] * crown["height_m"],
            part[1] * steepness,
            part[2] * steepness,
            owner,
        )

    def _raise(
        self,
        window: tuple[slice, slice],
        height_m: Floats | Field,
        slope_east: Floats | Field,
        slope_north: Floats | Field,
        owner: int,
    ) -> None:
        above = height_m > self.height_m[window]
        self.height_m[window][above] = height_m[above]
        self.slope_east[window][above] = slope_east[above]
        self.slope_north[window][above] = slope_north[above]
        self.owner[window][above] = owner


def _box_top(box: Any, east: Floats, north: Floats) -> tuple[Floats, Floats, Floats]:
    """[h, w] height (0 outside) and slopes of one box, at metres from its centre."""
    cos, sin = np.cos(float(box["angle_rad"])), np.sin(float(box["angle_rad"]))
    along, across = east * cos + north * sin, north * cos - east * sin
    half_l, half_w = float(box["length_m"]) / 2.0, float(box["width_m"]) / 2.0
    to_end, to_side = half_l - np.abs(along), half_w - np.abs(across)
    edge = np.minimum(to_end, to_side)
    inside = edge >= 0.0
    rise = np.full_like(edge, float(box["rise_m"]) / half_w)
    climb_along = np.zeros_like(edge)
    climb_across = np.zeros_like(edge)
    if box["shape"] == Shape.GABLE:
        lift = rise * to_side
        climb_across = -np.sign(across) * rise
    elif box["shape"] == Shape.HIP:
        lift = rise * np.clip(edge, 0.0, None)
        climb_across = -np.sign(across) * rise * (to_side <= to_end)
        climb_along = -np.sign(along) * rise * (to_end < to_side)
    elif box["shape"] == Shape.ROUND:
        far2 = (along / half_l) ** 2 + (across / half_w) ** 2
        inside = far2 <= 1.0
        lift = float(box["rise_m"]) * (1.0 - far2)
        climb_along, climb_across = -2.0 * rise * along / half_l, -2.0 * rise * across / half_w
    else:
        lift = np.where((edge < 0.6) & (float(box["height_m"]) > 5.0), _PARAPET_M, 0.0)
    height = np.where(inside, float(box["height_m"]) + lift, 0.0)
    return height, climb_along * cos - climb_across * sin, climb_along * sin + climb_across * cos


@lru_cache(maxsize=512)
def _crown_shape(quarter_px: int, species: int, variant: int) -> Field:
    """[3, K, K] height and slopes of a lumpy crown of unit height and radius."""
    radius_px = quarter_px / 4.0
    reach = int(np.ceil(radius_px * 1.2))
    rng = np.random.default_rng([quarter_px, species, variant])
    east, north = np.meshgrid(np.arange(-reach, reach + 1.0), np.arange(reach, -reach - 1.0, -1.0))
    angle, far = np.arctan2(north, east), np.hypot(east, north) / radius_px
    lobes = rng.uniform(0.0, 2.0 * np.pi, 3)
    rim = 1.0 + 0.12 * np.sin(3 * angle + lobes[0]) + 0.08 * np.sin(5 * angle + lobes[1])
    far = np.clip(far / rim, 0.0, None)
    if species == Species.CONIFER:
        height = np.clip(1.0 - 0.75 * far, 0.0, None)
    else:
        height = 0.45 + 0.55 * np.sqrt(np.clip(1.0 - far**2, 0.0, None))
    lumps = rng.standard_normal(far.shape) * 0.05
    inside = far < 1.0
    relief = np.where(inside, np.clip(height + lumps, 0.05, 1.0), height * inside)
    north_slope, east_slope = np.gradient(np.where(inside, relief, 0.4) * radius_px)
    slopes = np.clip(np.stack([east_slope, -north_slope]), -0.7, 0.7) * inside
    return np.asarray(np.concatenate([relief[None] * inside, slopes]), np.float32)
