"""The land of a flight and the route over it."""

from __future__ import annotations

import logging
import math
from pathlib import Path

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import MAX_RADIUS_M, LocalFrame
from geobridge.onboard.simulation.flying.read_route import HEIGHT_AGL_M, read_route
from geobridge.onboard.simulation.flying.route import Route
from geobridge.onboard.simulation.flying.terrain import Terrain
from geobridge.onboard.simulation.render.scenery import Place, Scenery
from geobridge.onboard.simulation.world import MAX_SIZE_PX, make_world

log = logging.getLogger(__name__)

SIZE_KM = (0.2, 10.0)
DEFAULT_SIZE_KM = 1.0
METRES = "m:"
"""Begins a route in metres east and north of the middle of the land."""
_GSD_M = 0.5


def land_of(seed: int, size_km: float | None, raster: Path | None, dsm: Path | None) -> Place:
    """A world from the seed, or one's own map.

    Raises:
        DataError: a size out of range or given with a map, heights without a map, a map that
            cannot be used.
    """
    if raster is None:
        if dsm is not None:
            raise DataError(f"--dsm {dsm}: expected with --map")
        return _world(seed, DEFAULT_SIZE_KM if size_km is None else size_km)
    if size_km is not None:
        raise DataError(f"--size-km {size_km:g}: a map has its own size; expected without --map")
    from geobridge.training.rasters.place import read_place  # a world is made without rasterio

    log.info("reading %s", raster)
    return read_place(raster, dsm)


def _world(seed: int, size_km: float) -> Place:
    low_km, high_km = SIZE_KM
    if not low_km <= size_km <= high_km:
        raise DataError(f"--size-km {size_km:g}: expected {low_km:g} to {high_km:g}")
    log.info("making a world of %g x %g km; about %.0f s", size_km, size_km, 1 + 2 * size_km**2)
    size_m = 1000.0 * size_km
    return Scenery(make_world(seed, size_m, max(_GSD_M, size_m / MAX_SIZE_PX)))


def route_over(
    terrain: Terrain,
    text: str,
    speed_m_s: float | None = None,
    height_agl_m: float = HEIGHT_AGL_M,
) -> Route:
    """A route from a file, from coordinates, or from metres as `m:-200,0:150,80`.

    Raises:
        DataError: see `read_route`; says what was expected, or where the route leaves the map.
    """
    if text.startswith(METRES):
        text = _coordinates(terrain.frame, text.removeprefix(METRES))
    return read_route(text, terrain, speed_m_s=speed_m_s, height_agl_m=height_agl_m)


def _coordinates(frame: LocalFrame, text: str) -> str:
    return ":".join(
        _place(frame, place, f"route, place {number}")
        for number, place in enumerate(text.split(":"), 1)
    )


def _place(frame: LocalFrame, text: str, where: str) -> str:
    """`east,north[,height]` as `lat,lon[,height]`, to a fraction of a millimetre."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (2, 3) or not all(map(math.isfinite, values)):
        raise DataError(
            f"{where}: expected metres east,north or east,north,height_agl_m, found {text!r}"
        )
    if math.hypot(*values[:2]) > MAX_RADIUS_M:
        raise DataError(f"{where}: off the map, {math.hypot(*values[:2]) / 1000.0:.0f} km away")
    lat_deg, lon_deg = frame.to_geodetic(values[:2])
    height = [repr(value) for value in values[2:]]
    return ",".join([f"{float(lat_deg):.10f}", f"{float(lon_deg):.10f}", *height])
