"""A world to fly over: flat ground with roads, a river, buildings, fields, trees; from a seed."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from ..errors import DataError
from .land.buildings import build_up
from .land.construction import Site, rows
from .land.ground import DECK_M, Ground, Surface, paint_ground
from .land.layout import Layout, plan_land
from .land.plants import plant
from .land.raster import Bytes, Grid
from .land.relief import Relief, Rows

MIN_SIZE_M, MAX_SIZE_PX = 100.0, 16_384


@dataclass(frozen=True, eq=False)
class World:
    """A square of land, north up, its middle at (0, 0) metres east and north.

    Rasters are [H, W] with row 0 at the north edge. `layout` is the plan as vectors; `buildings`,
    `clutter` (small things) and `cars` (places for one) are rows of `relief.BOX`, `crowns` rows of
    `relief.CROWN`; `relief` holds the buildings and the crowns.
    """

    seed: int
    grid: Grid
    layout: Layout = field(repr=False)
    surface: Surface = field(repr=False)
    relief: Relief = field(repr=False)
    buildings: Rows = field(repr=False)
    crowns: Rows = field(repr=False)
    clutter: Rows = field(repr=False)
    cars: Rows = field(repr=False)

    @property
    def size_m(self) -> float:
        """Length of a side."""
        return self.grid.size_m

    @property
    def gsd_m(self) -> float:
        """Side of a pixel."""
        return self.grid.gsd_m


def make_world(seed: int, size_m: float, gsd_m: float = 0.5) -> World:
    """Make a world; the same arguments give the same bytes.

    Raises:
        DataError: the map would be too small for a town, or too large for memory.
    """
    if seed < 0:
        raise DataError(f"seed {seed}: expected 0 or more")
    if not (np.isfinite(gsd_m) and 0.05 <= gsd_m <= 4.0):
        raise DataError(f"gsd_m {gsd_m}: expected 0.05 to 4 m per pixel")
    if not MIN_SIZE_M <= size_m <= MAX_SIZE_PX * gsd_m:
        most_m = MAX_SIZE_PX * gsd_m
        raise DataError(f"size_m {size_m}: expected {MIN_SIZE_M:.0f} to {most_m:.0f} m")
    grid = Grid(round(size_m / gsd_m), gsd_m)
    layout = plan_land(seed, grid.size_m)
    surface = paint_ground(layout, grid, seed)
    site = Site(grid, surface, np.random.default_rng([seed, 3]))
    build_up(layout, site)
    relief = Relief.flat(grid)
    relief.height_m[surface.deck] = DECK_M
    buildings = rows(site.buildings)
    relief.raise_boxes(buildings, 1, grid)
    _lots(surface, site.lots, grid)
    crowns = plant(layout, surface.cover, relief, grid, seed)
    relief.grow_crowns(crowns, grid)
    return World(
        seed, grid, layout, surface, relief, buildings, crowns, rows(site.clutter), rows(site.cars)
    )


def _lots(surface: Surface, lots: Bytes, grid: Grid) -> None:
    """Gardens fall to the nearest house; between most neighbours stands a hedge."""
    _, nearest = cv2.distanceTransformWithLabels(
        1 - lots, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP
    )
    edge = np.zeros(lots.shape, np.uint8)
    for here, there in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        grown = (nearest[here] + nearest[there]) % 3 > 0
        edge[here] |= (nearest[here] != nearest[there]) & grown
    size_px = max(1, round(1.0 / grid.gsd_m))
    edge = np.asarray(cv2.dilate(edge, np.ones((size_px, size_px), np.uint8)), np.uint8)
    gardens = surface.cover == Ground.YARD
    surface.parcel[gardens] = surface.parcel.max() + nearest[gardens]
    surface.cover[gardens & (edge > 0)] = Ground.HEDGE
