"""What rays meet: ground, boxes, crowns, and a pyramid of heights to find them by.

Metres east and north of the middle of the world; heights above mean sea level. The map is cut into
square leaves; every leaf lists the solids that reach into it, and `tops` holds the highest point of
every leaf, then of every four, and so on up to one.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ..land.raster import Bytes, Field
from ..land.solids import Rows

Ints = npt.NDArray[np.int64]
Items = npt.NDArray[np.int32]

BOX_EAST, BOX_NORTH, BOX_COS, BOX_SIN, BOX_HALF_LENGTH, BOX_HALF_WIDTH = range(6)
BOX_BASE, BOX_EAVES, BOX_RISE, BOX_SHAPE, BOX_FACADE, BOX_SEAM, BOX_TOP, BOX_REACH = range(6, 14)
BOX_RED, BOX_GREEN, BOX_BLUE = range(14, 17)
BOX_COLUMNS = 17

CROWN_EAST, CROWN_NORTH, CROWN_RADIUS, CROWN_BASE, CROWN_HEIGHT = range(5)
CROWN_SPECIES, CROWN_RED, CROWN_GREEN, CROWN_BLUE = range(5, 9)
CROWN_COLUMNS = 9

_REACH_OF_CROWN = 1.05
_MOST_LEVELS = 9
_PATCH = np.ones((2, 2), np.uint8)


class Texture(NamedTuple):
    """A picture of the ground and its halvings, one after the other.

    `texels` [T, 3] sRGB; `levels` [L, 3] first texel, height, width of each; pixel (0, 0) of level
    0 has its north-west corner at (`west_m`, `north_m`).
    """

    texels: Bytes
    levels: Ints
    west_m: float
    north_m: float
    gsd_m: float


class Heights(NamedTuple):
    """Nodes [h, w] of the ground, the first at (`west_m`, `north_m`), bilinear between."""

    alt_amsl_m: Field
    west_m: float
    north_m: float
    spacing_m: float


class Scene(NamedTuple):
    """Everything a ray can meet on one day, as plain arrays.

    `boxes` [N, BOX_COLUMNS], `crowns` [M, CROWN_COLUMNS]; `solids` lists k for box k and -1 - k for
    crown k, `around` [K, 4] the upright cylinder around each of them (east, north, radius, top),
    `first` [leaves + 1] where the list of each leaf begins. `cover` [H, W] is what the ground is
    made of, with 128 added below bridges; `lamps` [h, w] the light of street lamps;
    `relief` [leaves, 2] the ground's highest point and steepest slope in each leaf.
    """

    ground: Heights
    texture: Texture
    cover: Bytes
    lamps: Bytes
    boxes: Field
    crowns: Field
    first: Items
    solids: Items
    around: Field
    relief: Field
    tops: Field
    level_starts: Ints
    leaf_m: float
    west_m: float
    south_m: float
    across: int
    outside_amsl_m: float


def texture_of(picture: Bytes, west_m: float, north_m: float, gsd_m: float) -> Texture:
    """The pyramid of a picture [H, W, 3] of the ground."""
    levels, starts, at = [picture], [0], picture.shape[0] * picture.shape[1]
    while min(levels[-1].shape[:2]) >= 4 and len(levels) < _MOST_LEVELS:
        height, width = levels[-1].shape[0] // 2, levels[-1].shape[1] // 2
        whole = levels[-1][: 2 * height, : 2 * width]
        levels.append(
            np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        )
        starts.append(at)
        at += height * width
    texels = np.concatenate([level.reshape(-1, 3) for level in levels])
    table = [(start, *level.shape[:2]) for start, level in zip(starts, levels, strict=True)]
    return Texture(texels, np.array(table, np.int64), west_m, north_m, gsd_m)


def build_scene(
    ground: Heights,
    texture: Texture,
    cover: Bytes,
    lamps: Bytes,
    boxes: Rows,
    crowns: Rows,
    crown_colours: Field,
) -> Scene:
    """Put `BOX` and `CROWN` rows with [M, 3] colours on the ground, ready to be traced."""
    box_table, crown_table = _box_table(boxes), _crown_table(crowns, crown_colours)
    leaf_m = float(np.clip(8.0 * ground.spacing_m, 8.0, 16.0))
    rows, columns = ground.alt_amsl_m.shape
    width_m, height_m = (columns - 1) * ground.spacing_m, (rows - 1) * ground.spacing_m
    across = 1 << int(np.ceil(np.log2(max(width_m, height_m, leaf_m) / leaf_m)))
    west_m, south_m = ground.west_m, ground.north_m - height_m
    leaves = _Leaves(leaf_m, west_m, south_m, across)
    first, solids = leaves.lists(box_table, crown_table)
    relief = leaves.relief(ground)
    tops, starts = leaves.pyramid(relief[:, 0], box_table, crown_table, first, solids)
    edge = np.concatenate(
        [ground.alt_amsl_m[[0, -1]].ravel(), ground.alt_amsl_m[:, [0, -1]].ravel()]
    )
    return Scene(
        ground,
        texture,
        cover,
        lamps,
        box_table,
        crown_table,
        first,
        solids,
        _cylinders(box_table, crown_table)[solids],
        relief,
        tops,
        starts,
        leaf_m,
        west_m,
        south_m,
        across,
        float(np.median(edge)),
    )


def _box_table(boxes: Rows) -> Field:
    table = np.zeros((len(boxes), BOX_COLUMNS), np.float32)
    table[:, BOX_EAST], table[:, BOX_NORTH] = boxes["east_m"], boxes["north_m"]
    table[:, BOX_COS], table[:, BOX_SIN] = np.cos(boxes["angle_rad"]), np.sin(boxes["angle_rad"])
    table[:, BOX_HALF_LENGTH] = boxes["length_m"] / 2.0
    table[:, BOX_HALF_WIDTH] = boxes["width_m"] / 2.0
    table[:, BOX_BASE] = boxes["base_amsl_m"]
    table[:, BOX_EAVES] = boxes["base_amsl_m"] + boxes["height_m"]
    table[:, BOX_RISE], table[:, BOX_SHAPE] = boxes["rise_m"], boxes["shape"]
    table[:, BOX_FACADE], table[:, BOX_SEAM] = boxes["facade"], boxes["seam_m"]
    table[:, BOX_TOP] = table[:, BOX_EAVES] + table[:, BOX_RISE]
    table[:, BOX_REACH] = np.hypot(table[:, BOX_HALF_LENGTH], table[:, BOX_HALF_WIDTH])
    table[:, BOX_RED : BOX_BLUE + 1] = boxes["colour"]
    return table


def _crown_table(crowns: Rows, colours: Field) -> Field:
    table = np.zeros((len(crowns), CROWN_COLUMNS), np.float32)
    table[:, CROWN_EAST], table[:, CROWN_NORTH] = crowns["east_m"], crowns["north_m"]
    table[:, CROWN_RADIUS], table[:, CROWN_BASE] = crowns["radius_m"], crowns["base_amsl_m"]
    table[:, CROWN_HEIGHT], table[:, CROWN_SPECIES] = crowns["height_m"], crowns["species"]
    table[:, CROWN_RED : CROWN_BLUE + 1] = colours
    return table


def _cylinders(boxes: Field, crowns: Field) -> Field:
    """[N + M, 4] around every solid: box k at k, crown k at -1 - k."""
    top = crowns[:, CROWN_BASE] + crowns[:, CROWN_HEIGHT]
    high = np.column_stack([crowns[:, [CROWN_EAST, CROWN_NORTH, CROWN_RADIUS]], top])
    low = boxes[:, [BOX_EAST, BOX_NORTH, BOX_REACH, BOX_TOP]]
    return np.concatenate([low, high[::-1]])


class _Leaves(NamedTuple):
    leaf_m: float
    west_m: float
    south_m: float
    across: int

    def lists(self, boxes: Field, crowns: Field) -> tuple[Items, Items]:
        """The solids of each leaf, one leaf after the other."""
        turned = np.abs(boxes[:, [BOX_COS, BOX_SIN]])
        half = boxes[:, [BOX_HALF_LENGTH, BOX_HALF_WIDTH]]
        reach = np.stack([(turned * half).sum(1), (turned[:, ::-1] * half).sum(1)], axis=1)
        crown_reach = np.repeat(crowns[:, CROWN_RADIUS, None] * _REACH_OF_CROWN, 2, axis=1)
        centre = np.concatenate([boxes[:, :2], crowns[:, :2]])
        around = np.concatenate([reach, crown_reach])
        items = np.concatenate([np.arange(len(boxes)), -1 - np.arange(len(crowns))])
        leaf, which = self._touched(centre - around, centre + around)
        order = np.argsort(leaf, kind="stable")
        count = np.bincount(leaf, minlength=self.across**2)
        first = np.concatenate([[0], np.cumsum(count)]).astype(np.int32)
        return first, items[which[order]].astype(np.int32)

    def _touched(self, low_m: Field, high_m: Field) -> tuple[Ints, Ints]:
        """Every pair of a leaf and a rectangle that touches it."""
        corner = np.array([self.west_m, self.south_m])
        low = np.clip((low_m - corner) // self.leaf_m, 0, self.across - 1).astype(np.int64)
        high = np.clip((high_m - corner) // self.leaf_m, 0, self.across - 1).astype(np.int64)
        wide, tall = (high - low + 1).T
        which = np.repeat(np.arange(len(low)), wide * tall)
        begin = np.cumsum(wide * tall) - wide * tall
        step = np.arange(len(which)) - begin[which]
        column = low[which, 0] + step % wide[which]
        row = low[which, 1] + step // wide[which]
        return row * self.across + column, which

    def pyramid(
        self, ground: Field, boxes: Field, crowns: Field, first: Items, solids: Items
    ) -> tuple[Field, Ints]:
        """The highest point of every leaf, then of every four, up to one; where levels begin."""
        tops = ground.reshape(self.across, self.across).copy()
        top = np.concatenate(
            [boxes[:, BOX_TOP] + 0.05, (crowns[:, CROWN_BASE] + crowns[:, CROWN_HEIGHT])[::-1]]
        )
        leaf = np.repeat(np.arange(self.across**2), np.diff(first))
        np.maximum.at(tops.reshape(-1), leaf, top[solids])  # crown -1 is the last one
        levels = [tops]
        while levels[-1].shape[0] > 1:
            finer = levels[-1]
            levels.append(finer.reshape(finer.shape[0] // 2, 2, -1, 2).max(axis=(1, 3)))
        starts = np.cumsum([0, *(level.size for level in levels)])
        return np.concatenate([level.ravel() for level in levels]), starts.astype(np.int64)

    def relief(self, ground: Heights) -> Field:
        """[leaves, 2] highest point and steepest slope of the ground in each leaf; a patch between
        four nodes is no steeper than two of its sides together."""
        heights = ground.alt_amsl_m
        east = cv2.dilate(np.abs(np.diff(heights, axis=1, append=heights[:, -1:])), _PATCH)
        north = cv2.dilate(np.abs(np.diff(heights, axis=0, append=heights[-1:])), _PATCH)
        slope = np.asarray(np.hypot(east, north) / ground.spacing_m, np.float32)
        tops = self._highest(heights, ground.spacing_m, -1e4)
        return np.stack([tops, self._highest(slope, ground.spacing_m, 0.0)], axis=1)

    def _highest(self, nodes: Field, spacing_m: float, beyond: float) -> Field:
        """[leaves] of nodes of the ground, a little more than the leaf's own; the first leaf is at
        the south edge."""
        reach = int(np.ceil(self.leaf_m / (2.0 * spacing_m))) + 1
        highest = cv2.dilate(nodes, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
        middle = (np.arange(self.across) + 0.5) * self.leaf_m / spacing_m
        rows, columns = nodes.shape
        column, row = np.rint(middle).astype(int), rows - 1 - np.rint(middle).astype(int)
        inside = (row > -reach)[:, None] & (column < columns + reach)[None, :]
        taken = highest[np.clip(row, 0, rows - 1)][:, np.clip(column, 0, columns - 1)]
        return np.where(inside, taken, np.float32(beyond)).astype(np.float32).ravel()
