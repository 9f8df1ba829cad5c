"""What is to be rehearsed: a route or an area, in which conditions, by how many flights."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from geobridge.onboard.config import ReplayConfig
from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import Floats, LocalFrame
from geobridge.onboard.simulation.flying.route import Route
from geobridge.onboard.simulation.flying.terrain import Terrain

from ..flights.land import route_over
from ..flights.options import MAX_RATE_HZ
from .campaign import AREA_HEIGHTS_AGL_M, Task
from .conditions import Ranges
from .flight import Rules
from .grid import Grid
from .paths import Box, Lanes, area_of, around
from .sources import PlaceSource

RATE_HZ, CELL_M, FLIGHTS = 2.0, 50.0, 24
SIZE_PX = (320, 240)
CELLS_M = (0.1, 10_000.0)
_STEP_M = 5.0


@dataclass(frozen=True)
class Survey:
    """What is to be rehearsed, and how: one route, or an area (west, south, east, north in
    degrees), or with neither all that the map shows."""

    route: str | None = None
    area: Box | None = None
    ranges: Ranges = field(default_factory=Ranges)
    flights: int = FLIGHTS
    cell_m: float = CELL_M
    rate_hz: float = RATE_HZ
    size_px: tuple[int, int] = SIZE_PX
    seed: int = 0
    processes: int | None = None

    def __post_init__(self) -> None:
        if self.route is not None and self.area is not None:
            raise DataError("route and area: expected one of them")
        for name in ("flights", "processes"):
            value = getattr(self, name)
            if value is not None and not 0 < value < np.inf:
                raise DataError(f"{name} {value}: expected more than 0")
        if not 0.0 < self.rate_hz <= MAX_RATE_HZ:
            raise DataError(
                f"rate_hz {self.rate_hz:g}: expected more than 0, at most {MAX_RATE_HZ:g}"
            )
        if not CELLS_M[0] <= self.cell_m <= CELLS_M[1]:
            raise DataError(f"cell_m {self.cell_m:g}: expected {CELLS_M[0]:g} to {CELLS_M[1]:g}")
        if self.seed < 0:
            raise DataError(f"seed {self.seed}: expected 0 or more")


def task_of(
    place: PlaceSource, map_name: str, bundle: Path, survey: Survey, settings: ReplayConfig
) -> Task:
    """With the route or area laid over the place: what is wrong with them is said here."""
    camera = settings.camera.camera(*_size_px(survey, settings))
    trusted = settings.trusted_keys, settings.trust
    rules = Rules(camera, settings.localizer, survey.rate_hz, survey.seed, *trusted)
    terrain = Terrain.of(place())
    ranges = survey.ranges
    if survey.route is not None:
        course: Route | Lanes = route_over(terrain, survey.route)
    else:
        ranges = replace(ranges, heights_agl_m=ranges.heights_agl_m or AREA_HEIGHTS_AGL_M)
        whole = terrain.west_m, terrain.south_m, terrain.east_m, terrain.north_m
        area = area_of(survey.area, terrain) if survey.area else whole
        course = Lanes(area, ranges.headings_deg, survey.cell_m, survey.flights)
    grid_of(course, terrain.frame, survey.cell_m)  # too many cells are refused before a flight
    task = Task(place, map_name, bundle, rules, ranges, course)
    task.route(0, terrain, ranges.heights_agl_m[0] if ranges.heights_agl_m else None)
    return task


def _size_px(survey: Survey, settings: ReplayConfig) -> tuple[int, int]:
    return settings.camera.size_px() or survey.size_px


def grid_of(course: Route | Lanes, frame: LocalFrame, cell_m: float) -> Grid:
    """The cells of what is flown.

    Raises:
        DataError: too many of them.
    """
    _, lat_deg, lon_deg = outline(course, frame)
    return Grid.around(lat_deg, lon_deg, cell_m)


def outline(course: Route | Lanes, frame: LocalFrame) -> tuple[Floats, Floats, Floats]:
    """Metres along, latitudes and longitudes of places along a route, or around an area."""
    if isinstance(course, Route):
        return around(course, frame, _STEP_M)
    west, south, east, north = course.area
    corners = np.array([(west, south), (east, south), (east, north), (west, north)])
    return np.zeros(4), *frame.to_geodetic(corners)
