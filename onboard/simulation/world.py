"""A world to fly in: land with hills, water, roads, towns, fields and woods, from a seed."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..errors import DataError
from ..geodesy import LocalFrame
from .land.bridges import decks
from .land.buildings import build_up
from .land.construction import Site, rows
from .land.foundations import set_bases, settle, stand_on_decks
from .land.ground import Surface, paint_ground
from .land.landform import shape_land
from .land.layout import plan_land
from .land.plan import Layout
from .land.plants import plant
from .land.raster import Grid
from .land.solids import Rows
from .land.terrain import Terrain

MIN_SIZE_M, MAX_SIZE_PX = 100.0, 16_384
SOMEWHERE = LocalFrame(47.4, 8.5)


@dataclass(frozen=True, eq=False)
class World:
    """A square of land, north up, its middle at (0, 0) metres east and north of `frame`'s origin.

    Rasters are [H, W] with row 0 at the north edge. `terrain` is the height of the ground, water
    and cuttings included; `layout` is the plan as vectors; `buildings`, `decks` (bridges and their
    piers), `clutter` (small things) and `cars` (places for one) are rows of `solids.BOX`, `crowns`
    rows of `solids.CROWN`, all with the height of the ground they stand on.
    """

    seed: int
    grid: Grid
    frame: LocalFrame
    terrain: Terrain = field(repr=False)
    layout: Layout = field(repr=False)
    surface: Surface = field(repr=False)
    buildings: Rows = field(repr=False)
    decks: Rows = field(repr=False)
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


def make_world(
    seed: int, size_m: float, gsd_m: float = 0.5, frame: LocalFrame = SOMEWHERE
) -> World:
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
    shaped = shape_land(layout, seed)
    spans = decks(layout.bridges, shaped)
    surface = paint_ground(layout, spans, grid, seed)
    site = Site(grid, surface, np.random.default_rng([seed, 3]))
    build_up(layout, site)
    buildings, clutter, cars = rows(site.buildings), rows(site.clutter), rows(site.cars)
    terrain = settle(shaped, buildings, spans, surface.cover, grid, layout.waters)
    crowns = plant(layout, surface.cover, site.room, site.trees_m, grid, seed)
    for things in (buildings, clutter, cars, crowns):
        set_bases(things, terrain)
    stand_on_decks(cars, spans)
    return World(
        seed, grid, frame, terrain, layout, surface, buildings, spans, crowns, clutter, cars
    )
