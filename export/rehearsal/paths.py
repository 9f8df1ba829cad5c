"""What a rehearsal flies: one route at drawn heights, or lanes over an area in several courses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import Floats, LocalFrame
from geobridge.onboard.simulation.flying.read_route import SPEED_M_S
from geobridge.onboard.simulation.flying.route import Datum, Route, Stop, lay
from geobridge.onboard.simulation.flying.terrain import Terrain

from .conditions import Range

COURSES = 4
_EDGE_M = 40.0
"""Lanes end so far inside the map, for the vehicle to turn in."""

Box = tuple[float, float, float, float]
"""West, south, east, north: metres on a plane, or degrees."""


def at_height(route: Route, height_agl_m: float, terrain: Terrain) -> Route:
    """The same way over the ground, that high above it.

    Raises:
        DataError: too low; names the place.
    """
    stops = [
        Stop(w.name, w.east_m, w.north_m, height_agl_m, Datum.GROUND, w.speed_m_s)
        for w in route.waypoints
    ]
    return lay(route.source, stops, terrain, (stops[0].east_m, stops[0].north_m))


def area_of(box_deg: Box, terrain: Terrain) -> Box:
    """A box of latitudes and longitudes (west, south, east, north) on the plane of a terrain.

    Raises:
        DataError: no box, or one that leaves the map; names the corner.
    """
    west, south, east, north = box_deg
    sound = all(map(math.isfinite, box_deg)) and abs(south) <= 90.0 and abs(north) <= 90.0
    if not (sound and west < east and south < north and max(abs(west), abs(east)) <= 180.0):
        raise DataError(
            f"area {west:g},{south:g},{east:g},{north:g}:"
            " expected west,south,east,north in degrees, with west below east, south below north"
        )
    low = terrain.place(south, west, "area, south-west corner")
    high = terrain.place(north, east, "area, north-east corner")
    return *low, *high


@dataclass(frozen=True)
class Lanes:
    """Parallel lanes over an area; together the flights cross every cell in each of the courses.

    The courses divide the range of headings; every other lane is flown the other way. Flights of
    one course lie `cell_m` apart and share the lanes among themselves.
    """

    area: Box
    headings_deg: Range
    cell_m: float
    flights: int

    def route(self, number: int, height_agl_m: float, terrain: Terrain) -> Route:
        """The route of one flight.

        Raises:
            DataError: the area is too small for a lane.
        """
        share, turn = number % COURSES, number // COURSES
        of_course = math.ceil((self.flights - share) / COURSES)
        low, high = self.headings_deg
        course = math.radians(low + (high - low) * (share + 0.5) / COURSES)
        ends = list(_lanes(self._inner(terrain), course, self.cell_m, turn, of_course))
        if not ends:
            raise DataError("area: too small for a lane; expected 100 m or more to each side")
        stops = [
            Stop(f"lane {k // 2 + 1}", east, north, height_agl_m, Datum.GROUND, SPEED_M_S)
            for k, (east, north) in enumerate(np.concatenate(ends).tolist())
        ]
        return lay(f"flight {number}", stops, terrain, (stops[0].east_m, stops[0].north_m))

    def _inner(self, terrain: Terrain) -> Box:
        west, south, east, north = self.area
        return (
            max(west, terrain.west_m + _EDGE_M),
            max(south, terrain.south_m + _EDGE_M),
            min(east, terrain.east_m - _EDGE_M),
            min(north, terrain.north_m - _EDGE_M),
        )


def _lanes(box: Box, course: float, cell_m: float, turn: int, of_course: int) -> Iterator[Floats]:
    """[2, 2] ends of the lanes of one flight, each where the last one's neighbour ends."""
    corners = np.array([(box[e], box[n]) for e, n in ((0, 1), (2, 1), (2, 3), (0, 3))])
    along = np.array([math.sin(course), math.cos(course)])
    across = np.array([along[1], -along[0]])
    low, high = (corners @ across).min(), (corners @ across).max()
    count = max(1, round((high - low) / cell_m))
    for k, lane in enumerate(range(turn % of_course, count, of_course)):
        ends = _clip(box, across * (low + (lane + 0.5) * (high - low) / count), along)
        if ends is not None:
            yield ends if k % 2 == 0 else ends[::-1]


def _clip(box: Box, point: Floats, along: Floats) -> Floats | None:
    """[2, 2] where a line enters and leaves a box; None where it has less than 50 m in there."""
    enters, leaves = -math.inf, math.inf
    for axis in (0, 1):
        if abs(along[axis]) < 1e-9:
            if not box[axis] <= point[axis] <= box[axis + 2]:
                return None
            continue
        one, other = sorted((box[k] - point[axis]) / along[axis] for k in (axis, axis + 2))
        enters, leaves = max(enters, one), min(leaves, other)
    if not leaves - enters >= 50.0:
        return None
    return np.asarray(point + np.outer([enters, leaves], along))


def around(route: Route, frame: LocalFrame, every_m: float) -> tuple[Floats, Floats, Floats]:
    """[S] metres along a route, [S] latitudes, [S] longitudes, a step of at most `every_m`."""
    count = max(2, math.ceil(route.length_m / every_m) + 1)
    along_m = np.linspace(0.0, route.length_m, count)
    places = [np.interp(along_m, route.stations_m, route.points[:, axis]) for axis in (0, 1)]
    lat_deg, lon_deg = frame.to_geodetic(np.stack(places, axis=-1))
    return along_m, lat_deg, lon_deg
