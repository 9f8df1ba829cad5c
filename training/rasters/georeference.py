"""Where on Earth a raster says it lies, and whether that can be."""

from __future__ import annotations

import logging
import math
import os
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.warp import transform

from geobridge.onboard.errors import DataError

from .datum import datum_error_m

RASTER_ERRORS = (RasterioError, CPLE_BaseError, OSError, UnicodeDecodeError)
"""What rasterio raises over a file; what GDAL says of a projection comes as it is, and so do names
that are no UTF-8."""

# else GDAL keeps a twentieth of all memory full of a raster's blocks; in megabytes, read once
os.environ.setdefault("GDAL_CACHEMAX", "128")
logging.getLogger("rasterio").setLevel(logging.CRITICAL)  # what GDAL says stands in our error

_EARTH_RADIUS_M = (6_340_000.0, 6_400_000.0)
_MOST_LAT_DEG = 89.9
"""Closer to a pole neither degrees nor most projections make a map."""


def outline_of(path: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Latitudes and longitudes of points along the edge of a raster.

    Raises:
        DataError: not readable, without CRS or with one that is not of the Earth.
    """
    with open_raster(path) as dataset:
        try:
            return edge_of(path, dataset)
        except RASTER_ERRORS as error:
            raise DataError(f"{path}: damaged: {in_one_line(error)}") from None


def open_raster(path: Path) -> Any:
    """A rasterio dataset that says where on Earth it lies.

    Raises:
        DataError: unreadable, without a place for its pixels or without CRS, or with one of another
            body, of a building site, geocentric, or of a datum that nobody related to WGS84.
    """
    try:
        dataset = rasterio.open(path)
    except RASTER_ERRORS as error:
        raise DataError(f"{path}: not a readable raster: {in_one_line(error)}") from None
    if dataset.gcps[0]:
        raise DataError(f"{path}: has control points alone; warp it by them first (gdalwarp)")
    _require_earthly(path, dataset.crs)
    if dataset.transform == rasterio.Affine.identity():
        raise DataError(
            f"{path}: has a CRS, but does not say where its corners lie (gdal_translate -a_ullr)"
        )
    _datum_error(path, dataset)
    return dataset


def datum_error_of(path: Path) -> float:
    """1-sigma horizontal error in metres of a raster's datum against WGS84, at its middle.

    Raises:
        DataError: see `open_raster`.
    """
    with open_raster(path) as dataset:
        return _datum_error(path, dataset)


def require_file(path: Path) -> None:
    """See that there is a file, which may be a raster.

    Raises:
        DataError: there is nothing, or a folder.
    """
    if not path.is_file():
        raise DataError(f"{path}: {'expected a file' if path.exists() else 'no such file'}")


def require_on_earth(path: Path) -> None:
    """See that a raster says where on Earth it lies.

    Raises:
        DataError: see `open_raster`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # it is told as an error
        open_raster(path).close()


def edge_of(path: Path, dataset: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Latitudes and longitudes of points along the edge of an open raster.

    Raises:
        DataError: they are none, or too near to a pole.
    """
    x, y = dataset.transform @ along_edge(dataset.width, dataset.height)
    lon_deg, lat_deg = transform(dataset.crs, "EPSG:4326", list(x), list(y))
    if not (np.abs(lat_deg) <= 90).all():
        metres = " (metres tagged as degrees?)" if dataset.crs.is_geographic else ""
        raise DataError(f"{path}: {bounds_of(dataset)}: latitudes beyond the poles{metres}")
    if not (np.abs(lat_deg) <= _MOST_LAT_DEG).all():
        raise DataError(f"{path}: {bounds_of(dataset)}: reaches a pole; expected to end before")
    return np.asarray(lat_deg), np.asarray(lon_deg)


def bounds_of(dataset: Any) -> str:
    """Its bounds and CRS, for complaints."""
    bounds = " ".join(f"{value:.6g}" for value in dataset.bounds)
    return f"bounds {bounds} in {dataset.crs.to_string()[:40]}"


def _require_earthly(path: Path, crs: CRS | None) -> None:
    if crs is None:
        raise DataError(f"{path}: has no CRS; georeference it first (gdal_translate -a_srs)")
    if not (crs.is_geographic or crs.is_projected):
        raise DataError(f"{path}: its CRS {_name(crs)!r} does not say where on Earth the map lies")
    radius_m = _radius_m(crs)
    if not _EARTH_RADIUS_M[0] <= radius_m <= _EARTH_RADIUS_M[1]:
        raise DataError(
            f"{path}: its CRS {_name(crs)!r} is of a body of {radius_m / 1000:.0f} km radius,"
            " not of the Earth"
        )


def _datum_error(path: Path, dataset: Any) -> float:
    x, y = dataset.transform @ (dataset.width / 2.0, dataset.height / 2.0)
    try:
        [lon_deg], [lat_deg] = transform(dataset.crs, "EPSG:4326", [x], [y])
    except RASTER_ERRORS:
        return 0.0  # it lies nowhere, which is told where its edge is asked for
    if not (abs(lat_deg) <= _MOST_LAT_DEG and abs(lon_deg) <= 180.0):
        return 0.0
    wkt = dataset.crs.to_wkt(version="WKT2_2019")
    error_m = datum_error_m(wkt, round(lat_deg, 2), round(lon_deg, 2))
    if error_m is None:
        raise DataError(
            f"{path}: how the datum of its CRS {_name(dataset.crs)!r} lies to WGS84 is not known;"
            " say a CRS that knows it (gdal_translate -a_srs)"
        )
    return error_m


def _radius_m(crs: CRS) -> float:
    found = re.search(r'ELLIPSOID\["[^"]*",([0-9.]+)', crs.to_wkt(version="WKT2_2019"))
    return float(found.group(1)) if found else math.nan


def _name(crs: CRS) -> str:
    found = re.search(r'\["([^"]*)"', crs.to_wkt(version="WKT2_2019"))
    return found.group(1) if found else "unnamed"


def along_edge(width: int, height: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Columns and rows of points along the edge of a raster."""
    along = np.linspace(0.0, 1.0, 33)
    zero, one = np.zeros_like(along), np.ones_like(along)
    return (
        np.concatenate([along, one, along, zero]) * width,
        np.concatenate([zero, along, one, along]) * height,
    )


def in_one_line(error: Exception) -> str:
    """What GDAL says, not too long."""
    return " ".join(str(error.__cause__ or error).split())[:200]
