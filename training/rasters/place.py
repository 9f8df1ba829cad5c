"""One's own map, with or without a model of its surface, as a place to render views of."""

from __future__ import annotations

import math
from pathlib import Path

import rasterio

from geobridge.onboard.errors import DataError
from geobridge.onboard.simulation.mapped import MappedPlace

from .georeference import require_on_earth
from .raster import Raster
from .surface import pixel_side_m, read_surface

DEFAULT_PIXELS = 64_000_000
"""Where no GSD is asked for, a finer map is read so coarsely that it has no more."""


def read_place(
    raster: Path, dsm: Path | None = None, gsd_m: float | None = None, alt_amsl_m: float = 0.0
) -> MappedPlace:
    """A GeoTIFF as a `Place`, draped over a surface model or over level ground.

    Args:
        raster: the picture of the land, any CRS.
        dsm: heights of ground, roofs and trees in metres AMSL, any CRS.
        gsd_m: side of a pixel; by default the map's own.
        alt_amsl_m: height of level ground, where there is no `dsm`.

    Raises:
        DataError: a file that cannot be used; see `Raster` and `surface.read_surface`.
    """
    if gsd_m is not None and not (math.isfinite(gsd_m) and gsd_m > 0.0):
        raise DataError(f"gsd_m {gsd_m}: expected metres per pixel")
    if not -500.0 <= alt_amsl_m <= 9000.0:
        raise DataError(f"alt_amsl_m {alt_amsl_m}: expected -500 to 9000 m")
    require_on_earth(raster)
    if gsd_m is None:
        with rasterio.open(raster) as dataset:
            most = dataset.width * dataset.height / DEFAULT_PIXELS
            gsd_m = pixel_side_m(raster, dataset) * math.sqrt(max(1.0, most))
    with Raster(raster, gsd_m) as opened:
        picture, valid = opened.read_all()
        frame, grid = opened.frame, opened.grid
    if not valid.any():
        raise DataError(f"{raster}: holds no pixel with data at {gsd_m} m per pixel")
    surface = None
    if dsm is not None:
        require_on_earth(dsm)
        surface = read_surface(dsm, frame, grid, valid)
    return MappedPlace(frame, picture, valid, grid.west_m, grid.north_m, gsd_m, surface, alt_amsl_m)
