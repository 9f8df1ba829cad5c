"""The part of a georeferenced surface model or LiDAR tile that is a place."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.warp import transform
from rasterio.windows import Window, from_bounds

from geobridge.onboard.geodesy import LocalFrame

from ..rasters.georeference import RASTER_ERRORS
from .clouds import CloudError, Floats, las_crs, las_within
from .manifest import Entry

_MOST_PX = 1024
"""Along a side of what is read of a surface model."""
_WGS84 = CRS.from_epsg(4326)


def crop(path: Path, entry: Entry) -> Floats:
    """[N, 3] metres east and north of the place's middle, and height as the file has it.

    Raises:
        CloudError: the file cannot be used, says not where it lies, or does not cover the place.
    """
    if path.suffix.lower() in (".las", ".laz"):
        return _of_lidar(path, entry)
    return _of_surface(path, entry)


def _of_surface(path: Path, entry: Entry) -> Floats:
    try:
        with rasterio.open(path) as dataset:
            if dataset.count != 1 or dataset.crs is None:
                raise CloudError("expected one band of heights with a CRS")
            xy = _projected(entry, dataset.crs)
            reach = _reach(entry, dataset.crs)
            bounds = xy[0] - reach[0], xy[1] - reach[1], xy[0] + reach[0], xy[1] + reach[1]
            whole = Window(0, 0, dataset.width, dataset.height)
            window = from_bounds(*bounds, dataset.transform).round_offsets().round_lengths()
            window = _common(window, whole)
            shrink = max(1.0, window.width / _MOST_PX, window.height / _MOST_PX)
            shape = max(1, round(window.height / shrink)), max(1, round(window.width / shrink))
            heights = dataset.read(1, window=window, out_shape=shape, masked=True)
            heights = heights.astype(float).filled(np.nan)
            rows, columns = np.indices(shape) + 0.5
            columns = window.col_off + columns * window.width / shape[1]
            rows = window.row_off + rows * window.height / shape[0]
            x, y = dataset.transform @ (columns.ravel(), rows.ravel())
            known = np.isfinite(heights.ravel())
            if not known.any():
                raise CloudError("has no heights there")
            return _around(entry, x[known], y[known], heights.ravel()[known], dataset.crs)
    except RASTER_ERRORS as error:
        raise CloudError(f"damaged: {' '.join(str(error).split())[:200]}") from None


def _of_lidar(path: Path, entry: Entry) -> Floats:
    if not path.exists():
        raise CloudError("No such file or directory")
    told = entry.crs or las_crs(path)
    if not told:
        raise CloudError("does not say its CRS; give it as crs in the manifest")
    try:
        crs = CRS.from_user_input(told)
    except CRSError:
        raise CloudError(f"crs {told[:60]!r}: not known") from None
    if not crs.is_projected:
        raise CloudError("its CRS is not projected; LiDAR tiles in degrees are not read")
    xy, reach = _projected(entry, crs), _reach(entry, crs)
    box = xy[0] - reach[0], xy[1] - reach[1], xy[0] + reach[0], xy[1] + reach[1]
    points = las_within(path, box)
    if not len(points):
        raise CloudError("does not cover the place")
    x, y, up_m = (points * [1.0, 1.0, crs.linear_units_factor[1]]).T
    return _around(entry, x, y, up_m, crs)


def _around(entry: Entry, x: Floats, y: Floats, up_m: Floats, crs: CRS) -> Floats:
    lon, lat = transform(crs, _WGS84, x.tolist(), y.tolist())
    assert entry.lat_deg is not None
    assert entry.lon_deg is not None
    east_north = LocalFrame(entry.lat_deg, entry.lon_deg).to_enu(lat, lon)
    return np.column_stack([east_north, up_m])


def _projected(entry: Entry, crs: CRS) -> tuple[float, float]:
    x, y = transform(_WGS84, crs, [entry.lon_deg], [entry.lat_deg])
    if not (math.isfinite(x[0]) and math.isfinite(y[0])):
        raise CloudError("does not cover the place")
    return x[0], y[0]


def _reach(entry: Entry, crs: CRS) -> tuple[float, float]:
    """Half of the sides of what is read, in the units of the CRS; room for it to be turned."""
    assert entry.footprint_m is not None
    assert entry.lat_deg is not None
    half_m = 0.75 * entry.footprint_m
    if crs.is_geographic:
        degree_m = 111_000.0
        return half_m / (degree_m * math.cos(math.radians(entry.lat_deg))), half_m / degree_m
    half = half_m / crs.linear_units_factor[1]
    return half, half


def _common(window: Window, whole: Window) -> Window:
    try:
        return window.intersection(whole)
    except RasterioError:
        raise CloudError("does not cover the place") from None
