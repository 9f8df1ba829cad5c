"""Where places are on a rendered world and on one's own map, and what can be said of them."""

from __future__ import annotations

import math

import numpy as np

from geobridge.onboard.simulation.describe.describe import describe
from geobridge.onboard.simulation.land.geometry import length_m, walk
from geobridge.onboard.simulation.land.raster import Floats
from geobridge.onboard.simulation.mapped import MappedPlace
from geobridge.onboard.simulation.render.scenery import Scenery
from geobridge.onboard.simulation.world import World

from .render_blocks import Bounds, Spot

_EVERY_M = 5.0
_OFF_ROAD = 0.1
_ASIDE = 0.15
"""How far a street camera may be from the middle of its place, as a share of the footprint."""
_SHOWN = 0.98


class WorldLand:
    """Nine places of ten lie on a road, the others anywhere and have no street view."""

    def __init__(self, world: World) -> None:
        self.place = Scenery(world)
        self._world = world
        self._stands = _stands(world)

    @property
    def bounds_m(self) -> Bounds:
        """West, south, east, north."""
        return self.place.bounds_m

    def shown(self, east_m: float, north_m: float, width_m: float) -> float:
        """All of it."""
        return 1.0

    def propose(self, rng: np.random.Generator, footprint_m: float) -> Spot | None:
        """A point of a road a little beside the middle, or anywhere."""
        half_m = self._world.size_m / 2.0
        if not len(self._stands) or rng.random() < _OFF_ROAD:
            at_m = rng.uniform(-half_m, half_m, 2)
            return Spot(float(at_m[0]), float(at_m[1]), footprint_m, None)
        east_m, north_m, angle_rad = self._stands[rng.integers(len(self._stands))]
        aside_m = rng.uniform(-_ASIDE, _ASIDE, 2) * footprint_m
        ahead_deg = math.degrees(math.pi / 2.0 - angle_rad) + 180.0 * rng.integers(2)
        street = (float(east_m), float(north_m), ahead_deg % 360.0)
        return Spot(float(east_m + aside_m[0]), float(north_m + aside_m[1]), footprint_m, street)

    def text(self, spot: Spot) -> str:
        """What a person would name there."""
        return describe(self._world, spot.east_m, spot.north_m, spot.footprint_m / 2.0)


class MapLand:
    """Places anywhere on the map; nobody has said anything about them.

    Where heights are known, a street camera stands on the lowest of a few points near the middle:
    open ground, more likely than not.
    """

    def __init__(self, place: MappedPlace) -> None:
        self.place = place

    @property
    def bounds_m(self) -> Bounds:
        """West, south, east, north."""
        return self.place.bounds_m

    def shown(self, east_m: float, north_m: float, width_m: float) -> float:
        """How much of a square the map shows, 0..1."""
        return self.place.valid_share(east_m, north_m, width_m)

    def propose(self, rng: np.random.Generator, footprint_m: float) -> Spot | None:
        """Anywhere that the map shows."""
        west, south, east, north = self.bounds_m
        east_m, north_m = float(rng.uniform(west, east)), float(rng.uniform(south, north))
        points = rng.uniform(-_ASIDE, _ASIDE, (24, 2)) * footprint_m + [east_m, north_m]
        heading_deg = float(rng.uniform(0.0, 360.0))
        spot = Spot(east_m, north_m, footprint_m, None)
        if self.place.valid_share(east_m, north_m, 2.0 * spot.reach_m) < _SHOWN:
            return None
        if not self.place.has_surface:
            return spot
        lowest = points[int(np.argmin(self.place.ground_amsl_m(points)))]
        street = (float(lowest[0]), float(lowest[1]), heading_deg)
        return Spot(east_m, north_m, footprint_m, street)

    def text(self, spot: Spot) -> str:
        """Nothing: a picture has no names."""
        return ""


def _stands(world: World) -> Floats:
    """[N, 3] points along all roads, metres east and north, and the road's direction in radians.

    Not on bridges: their ground lies below them.
    """
    found = [np.zeros((0, 3))]
    for road in world.layout.roads:
        stations = np.arange(_EVERY_M, length_m(road.line_m) - _EVERY_M, _EVERY_M)
        at_m, angle = walk(road.line_m, stations)
        found.append(np.column_stack([at_m, angle]))
    stands = np.concatenate(found)
    half_m = world.size_m / 2.0
    stands = stands[np.all(np.abs(stands[:, :2]) < half_m, axis=1)]
    return np.asarray(stands[world.grid.sample(world.surface.deck, stands[:, :2]) == 0.0])
