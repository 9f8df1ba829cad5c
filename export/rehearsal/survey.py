"""What is to be rehearsed: a route or an area, in which conditions, by how many flights."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from geobridge.onboard.config import ReplayConfig
from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import Floats
from geobridge.onboard.simulation.flying.read_route import read_route
from geobridge.onboard.simulation.flying.route import Route
from geobridge.onboard.simulation.render.scenery import Place

from .campaign import AREA_HEIGHTS_AGL_M, Task
from .conditions import Ranges
from .flight import Rules, terrain_of
from .paths import Box, Lanes, area_of, around
from .sources import PlaceSource

RATE_HZ, CELL_M, FLIGHTS = 2.0, 50.0, 24
SIZE_PX = (320, 240)
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
        for name in ("flights", "cell_m", "rate_hz", "processes"):
            value = getattr(self, name)
            if value is not None and not 0 < value < np.inf:
                raise DataError(f"{name} {value}: expected more than 0")
        if self.seed < 0:
            raise DataError(f"seed {self.seed}: expected 0 or more")


def task_of(
    place: PlaceSource, map_name: str, bundle: Path, survey: Survey, settings: ReplayConfig
) -> Task:
    """With the route or area laid over the place: what is wrong with them is said here."""
    camera = settings.camera.camera(*_size_px(survey, settings))
    keys = settings.trusted_keys or ()
    rules = Rules(camera, settings.localizer, survey.rate_hz, survey.seed, keys)
    terrain = terrain_of(place())
    ranges = survey.ranges
    if survey.route is not None:
        course: Route | Lanes = read_route(survey.route, terrain)
    else:
        ranges = replace(ranges, heights_agl_m=ranges.heights_agl_m or AREA_HEIGHTS_AGL_M)
        whole = terrain.west_m, terrain.south_m, terrain.east_m, terrain.north_m
        area = area_of(survey.area, terrain) if survey.area else whole
        course = Lanes(area, ranges.headings_deg, survey.cell_m, survey.flights)
    task = Task(place, map_name, bundle, rules, ranges, course)
    task.route(0, terrain, ranges.heights_agl_m[0] if ranges.heights_agl_m else None)
    return task


def _size_px(survey: Survey, settings: ReplayConfig) -> tuple[int, int]:
    known = settings.camera.intrinsics
    return (known.width_px, known.height_px) if known else survey.size_px


def outline(task: Task, place: Place) -> tuple[Floats, Floats, Floats]:
    """Places along the route, or around the area."""
    if isinstance(task.course, Route):
        return around(task.course, place.frame, _STEP_M)
    west, south, east, north = task.course.area
    corners = np.array([(west, south), (east, south), (east, north), (west, north)])
    return np.zeros(4), *place.frame.to_geodetic(corners)
