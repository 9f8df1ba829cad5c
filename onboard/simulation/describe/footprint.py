"""The square that is described: the world's ground, blocks and buildings within it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from ..land.ground import Ground
from ..land.plan import Block, Layout, Road, Use
from ..land.raster import Bytes, Floats, Grid
from ..land.solids import Rows, corners, middles
from ..world import World

Mask = npt.NDArray[np.bool_]

_OFF_MAP = 255
_LONGEST_M = 80
_PART, _WHOLE = 0.3, 0.75
_NOT_LAND = (
    Ground.ASPHALT,
    Ground.STREET,
    Ground.TRACK,
    Ground.WATER,
    Ground.BANK,
    Ground.BRIDGE,
    Ground.BALLAST,
    Ground.SLEEPERS,
    Ground.SAND,
)


@dataclass(frozen=True, eq=False)
class Footprint:
    """A square of `2 reach_m` around (east, north); positions in it are metres from its middle.

    Masks are [n, n], one pixel a metre, row 0 at the north edge.
    """

    world: World
    east_m: float
    north_m: float
    reach_m: float

    @property
    def middle_m(self) -> Floats:
        """[2] on the map."""
        return np.array([self.east_m, self.north_m])

    @cached_property
    def grid(self) -> Grid:
        """Its pixels."""
        return Grid(round(2.0 * self.reach_m), 1.0)

    @cached_property
    def places_m(self) -> Floats:
        """[n, n, 2] the middles of the pixels."""
        steps = np.arange(self.grid.size_px) - (self.grid.size_px - 1) / 2.0
        return np.stack(np.meshgrid(steps, steps[::-1]), axis=-1)

    @cached_property
    def cover(self) -> Bytes:
        """[n, n] `Ground`; what is off the map is none of them."""
        at_m = self.places_m + self.middle_m
        cover = self.world.grid.sample(self.world.surface.cover, at_m).astype(np.uint8)
        cover[~self.world.grid.contains(at_m)] = _OFF_MAP
        return cover

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Those that reach in, moved."""
        layout = self.world.layout
        return tuple(
            replace(b, outline_m=self.moved(b.outline_m), corners_m=self.moved(b.corners_m))
            for b in (layout.blocks[k] for k in self._near(_block_bounds(layout)))
        )

    @cached_property
    def roads(self) -> tuple[Road, ...]:
        """Those that reach in, moved."""
        layout = self.world.layout
        near = (layout.roads[k] for k in self._near(_road_bounds(layout)))
        return tuple(replace(road, line_m=self.moved(road.line_m)) for road in near)

    @cached_property
    def owner(self) -> npt.NDArray[np.int32]:
        """[n, n] the block of each pixel as an index of `blocks`; -1 for none, roads and water."""
        owner = np.full((self.grid.size_px, self.grid.size_px), -1, np.int32)
        for index, block in enumerate(self.blocks):
            self.grid.fill(owner, block.outline_m, index)
        owner[np.isin(self.cover, (*_NOT_LAND, _OFF_MAP))] = -1
        return owner

    @cached_property
    def uses(self) -> dict[Use, Mask]:
        """The land of every use there is."""
        return {
            use: np.isin(self.owner, [k for k, b in enumerate(self.blocks) if b.use is use])
            for use in dict.fromkeys(block.use for block in self.blocks)
        }

    @cached_property
    def buildings(self) -> Rows:
        """The boxes of which a good part is inside, moved."""
        return self._boxes[self._inside > _PART]

    @cached_property
    def whole(self) -> Mask:
        """[N] which of the buildings are not cut by the edge."""
        return np.asarray(self._inside[self._inside > _PART] > _WHOLE)

    @cached_property
    def _boxes(self) -> Rows:
        return self._within(self.world.buildings, _LONGEST_M)

    @cached_property
    def _inside(self) -> Floats:
        """[N] share of each box."""
        boxes, steps = self._boxes, np.linspace(-0.4, 0.4, 5)
        along, across = np.meshgrid(steps, steps)
        sides = corners(boxes)
        points = sides.mean(axis=1)[:, None, None] + (
            along[..., None] * (sides[:, 1] - sides[:, 0])[:, None, None]
            + across[..., None] * (sides[:, 3] - sides[:, 0])[:, None, None]
        )
        return np.asarray((np.abs(points).max(axis=-1) < self.reach_m).mean(axis=(1, 2)))

    @cached_property
    def crowns(self) -> Rows:
        """The trees inside, moved."""
        return self._within(self.world.crowns)

    def moved(self, points_m: Floats) -> Floats:
        """Points [..., 2] of the map."""
        return np.asarray(points_m - self.middle_m)

    def holds(self, point_m: Floats, margin_m: float = 0.0) -> bool:
        """Whether a point [2] lies inside."""
        return bool(np.abs(point_m).max() <= self.reach_m - margin_m)

    @cached_property
    def building_uses(self) -> npt.NDArray[np.object_]:
        """[N] the use of the block that each building stands on; None for none."""
        around = Grid(self.grid.size_px + 2 * _LONGEST_M, 1.0)
        owner = np.full((around.size_px, around.size_px), -1, np.int32)
        for index, block in enumerate(self.blocks):
            around.fill(owner, block.outline_m, index)
        uses = np.array([*(block.use for block in self.blocks), None], object)
        return np.asarray(uses[around.sample(owner, middles(self.buildings)).astype(int)])

    def share(self, mask: Mask) -> float:
        """Part of the square."""
        return float(mask.mean())

    def _near(self, bounds: Floats) -> Sequence[int]:
        """The boxes [N, 4] (west, south, east, north) that reach in."""
        low, high = self.moved(bounds[:, :2]), self.moved(bounds[:, 2:])
        inside = np.all((low < self.reach_m) & (high > -self.reach_m), axis=1)
        return [int(k) for k in np.nonzero(inside)[0]]

    def _within(self, things: Rows, margin_m: float = 0.0) -> Rows:
        reach_m = self.reach_m + margin_m
        inside = np.abs(things["east_m"] - self.east_m) < reach_m
        inside &= np.abs(things["north_m"] - self.north_m) < reach_m
        found = things[inside]
        found["east_m"] -= self.east_m
        found["north_m"] -= self.north_m
        return found


@lru_cache(maxsize=4)
def _block_bounds(layout: Layout) -> Floats:
    return _bounds([block.outline_m for block in layout.blocks])


@lru_cache(maxsize=4)
def _road_bounds(layout: Layout) -> Floats:
    return _bounds([road.line_m for road in layout.roads])


def _bounds(lines_m: list[Floats]) -> Floats:
    boxes = [np.concatenate([line.min(axis=0), line.max(axis=0)]) for line in lines_m]
    return np.array(boxes).reshape(-1, 4)
