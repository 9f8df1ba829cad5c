"""Where things stand: level ground under buildings, the height of every base."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .ground import Ground
from .plan import Waters
from .raster import Bytes, Field, Grid
from .solids import Facade, Rows, corners, middles
from .terrain import Terrain
from .waters import water_mask

_UPHILL_M = 12.0
"""Boxes shorter than this stand on the slope as it is."""
_POND_M = 0.5
_APPROACH_M = 6.0


def settle(
    terrain: Terrain, boxes: Rows, decks: Rows, cover: Bytes, grid: Grid, waters: Waters
) -> Terrain:
    """The terrain with a level place under every large box and pond, smooth around it.

    Rivers, lakes, the sea and the ground at the ends of decks stay as they are.
    """
    nodes = Grid(len(terrain.heights_amsl_m), terrain.spacing_m)
    around = water_mask(waters, nodes, bank_m=2.0 * nodes.gsd_m)
    for outline_m in corners(_grown(decks, _APPROACH_M)):
        nodes.fill(around, outline_m, 1)
    kept = around > 0
    heights, level = terrain.heights_amsl_m.copy(), np.zeros(kept.shape, np.uint8)
    large = boxes[boxes["length_m"] >= _UPHILL_M]
    middle_m = terrain.alt_amsl_m(middles(large))
    outlines_m = corners(_grown(large, nodes.gsd_m))
    for outline_m, height_m in zip(outlines_m, middle_m, strict=True):
        nodes.fill(heights, outline_m, float(height_m))
        nodes.fill(level, outline_m, 1)
    _level_ponds(heights, level, _ponds(cover, grid, nodes) & ~kept)
    spread = cv2.GaussianBlur(heights, (0, 0), 1.2)
    near = np.clip(2.0 * cv2.GaussianBlur(level.astype(np.float32), (0, 0), 2.0), 0.0, 1.0)
    outside = terrain.heights_amsl_m + (spread - terrain.heights_amsl_m) * near
    settled = np.where(kept, terrain.heights_amsl_m, np.where(level > 0, heights, outside))
    return Terrain.on(nodes, settled.astype(np.float32))


def _grown(boxes: Rows, by_m: float) -> Rows:
    """The boxes, larger by this on every side."""
    grown = boxes.copy()
    grown["length_m"] += 2.0 * by_m
    grown["width_m"] += 2.0 * by_m
    return grown


def _ponds(cover: Bytes, grid: Grid, nodes: Grid) -> npt.NDArray[np.bool_]:
    """[h, w] where the ground next to a node is water."""
    reach_m = (nodes.size_px - 1) / 2.0 * nodes.gsd_m
    steps = np.linspace(-reach_m, reach_m, nodes.size_px)
    inside = np.abs(steps) <= grid.size_m / 2.0
    at = np.rint(grid.pixels(np.stack([steps, steps[::-1]], axis=-1))).astype(int)
    column, row = np.clip(at, 0, grid.size_px - 1).T
    wet = (cover[row][:, column] == Ground.WATER) & inside[:, None] & inside[None, :]
    return np.asarray(cv2.dilate(wet.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)


def _level_ponds(heights: Field, level: Bytes, ponds: npt.NDArray[np.bool_]) -> None:
    """Every pond lies a little below the lowest of its shore."""
    count, label = cv2.connectedComponents(ponds.astype(np.uint8))
    lowest = np.full(count, np.inf, np.float32)
    np.minimum.at(lowest, np.asarray(label[ponds], np.intp), heights[ponds])
    heights[ponds] = lowest[label[ponds]] - np.float32(_POND_M)
    level[ponds] = 1


def set_bases(things: Rows, terrain: Terrain) -> None:
    """`base_amsl_m` of boxes is the lowest ground at their corners and middle, of crowns at it."""
    base_m = terrain.alt_amsl_m(middles(things))
    if "length_m" in (things.dtype.names or ()):
        base_m = np.minimum(base_m, terrain.alt_amsl_m(corners(things)).min(axis=1))
    things["base_amsl_m"] = base_m


def stand_on_decks(things: Rows, decks: Rows) -> None:
    """What has its middle on a deck stands on that, not on the ground below."""
    at_m = middles(things)
    for deck in decks[decks["facade"] == Facade.DECK]:
        offset = at_m - [deck["east_m"], deck["north_m"]]
        cos, sin = np.cos(deck["angle_rad"]), np.sin(deck["angle_rad"])
        along, across = offset @ [cos, sin], offset @ [-sin, cos]
        on_it = (np.abs(along) <= deck["length_m"] / 2) & (np.abs(across) <= deck["width_m"] / 2)
        things["base_amsl_m"][on_it] = deck["base_amsl_m"] + deck["height_m"]
