"""What a route is laid over: the plane of a world, the edges of its map, its ground."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import DataError
from ...geodesy import MAX_RADIUS_M, Floats, LocalFrame, distance_m

if TYPE_CHECKING:  # rendering needs numba, and flying does not
    from ..render.scenery import Place


@dataclass(frozen=True)
class Terrain:
    """A rectangle of `frame`'s plane and its ground, metres above mean sea level.

    `ground_amsl_m` takes [..., 2] metres east and north within the rectangle and gives [...].
    """

    frame: LocalFrame
    west_m: float
    south_m: float
    east_m: float
    north_m: float
    ground_amsl_m: Callable[[Floats], Floats]

    @classmethod
    def of(cls, place: Place) -> Terrain:
        """The whole of a place that can be looked at."""
        return cls(place.frame, *place.bounds_m, place.ground_amsl_m)

    def outside_m(self, east_m: float, north_m: float) -> float:
        """How far beyond the edges a place lies; 0 on the map."""
        return max(
            self.west_m - east_m,
            east_m - self.east_m,
            self.south_m - north_m,
            north_m - self.north_m,
            0.0,
        )

    def ground_at(self, east_m: float, north_m: float) -> float:
        """The ground's height at one place; off the map, that at the nearest place on it."""
        east_m = min(max(east_m, self.west_m), self.east_m)
        north_m = min(max(north_m, self.south_m), self.north_m)
        return float(self.ground_amsl_m(np.array([east_m, north_m])))

    def place(self, lat_deg: float, lon_deg: float, name: str) -> tuple[float, float]:
        """Metres east and north of a place given in WGS84 degrees.

        Raises:
            DataError: it lies off the map; says under this name by how far.
        """
        centre = self.frame.origin_lat_deg, self.frame.origin_lon_deg
        away_m = distance_m(*centre, lat_deg, lon_deg)
        if away_m > MAX_RADIUS_M:  # so far away that the plane does not reach it
            raise DataError(f"{name}: off the map, {away_m / 1000.0:.0f} km from its origin")
        east_m, north_m = self.frame.to_enu(lat_deg, lon_deg).tolist()
        outside_m = self.outside_m(east_m, north_m)
        if outside_m > 0.0:
            raise DataError(f"{name}: off the map by {outside_m:.1f} m")
        return east_m, north_m
