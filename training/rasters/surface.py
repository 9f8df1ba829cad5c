"""A surface model (DSM) as heights on the plane of the map that it belongs to."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.enums import Resampling
from rasterio.warp import reproject, transform

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Mask
from geobridge.onboard.simulation.gaps import fill_gaps
from geobridge.onboard.simulation.render.scene import Heights

from .georeference import RASTER_ERRORS
from .raster import Grid

MAX_GAP_M = 30.0
"""Holes no wider than this are filled with what lies around them."""

_MOST_NODES = 40_000_000
_LOWEST_M, _HIGHEST_M = -500.0, 9000.0
_METRES = {"", "m", "metre", "metres", "meter", "meters"}

Flags = npt.NDArray[np.bool_]


def read_surface(path: Path, frame: LocalFrame, grid: Grid, valid: Mask) -> Heights:
    """Heights AMSL at nodes over the whole of `grid`, where `valid` [H, W] says what is shown.

    A model in another CRS is warped. Holes up to `MAX_GAP_M` across are filled; so is everything
    that the map does not show.

    Raises:
        DataError: not one band of heights in metres above mean sea level, larger holes, or a part
            of the map more than a pixel beyond the model.
    """
    try:
        with rasterio.open(path) as dataset:
            _check(path, dataset)
            own_m = pixel_side_m(path, dataset)
            nodes = _nodes(own_m, grid)
            how = Resampling.average if nodes.gsd_m > 1.5 * own_m else Resampling.bilinear
            heights, reached = _warp(dataset, frame, nodes, how)
    except RASTER_ERRORS as error:
        raise DataError(f"{path}: damaged: {' '.join(str(error).split())[:200]}") from None
    shown = _shown(nodes, grid, valid)
    _check_reach(path, shown & ~reached, shown, nodes, frame)
    known = np.isfinite(heights)
    if not (known & shown).any():
        raise DataError(f"{path}: holds no height anywhere on the map")
    _check_holes(path, shown & reached & ~known, known, shown, nodes, frame)
    seen = heights[known & shown]
    if not (seen.min() >= _LOWEST_M and seen.max() <= _HIGHEST_M):
        raise DataError(
            f"{path}: heights from {seen.min():.0f} to {seen.max():.0f} are not metres above"
            " mean sea level; is its nodata value set?"
        )
    filled = fill_gaps(np.where(known, heights, np.float32(0.0)), known)
    middle_m = nodes.gsd_m / 2.0
    return Heights(filled, nodes.west_m + middle_m, nodes.north_m - middle_m, nodes.gsd_m)


def pixel_side_m(path: Path, dataset: Any) -> float:
    """Side of a square as large on the ground as the pixel in the middle of a raster.

    Raises:
        DataError: the raster does not lie where its CRS says.
    """
    column, row = dataset.width / 2, dataset.height / 2
    xy = [dataset.transform @ (column + dx, row + dy) for dx, dy in ((0, 0), (1, 0), (0, 1))]
    lon, lat = transform(dataset.crs, "EPSG:4326", *map(list, zip(*xy, strict=True)))
    try:
        enu_m = LocalFrame(lat[0], lon[0]).to_enu(lat, lon)
    except ValueError:
        raise DataError(f"{path}: does not lie where its CRS says") from None
    right, down = enu_m[1] - enu_m[0], enu_m[2] - enu_m[0]
    area_m2 = abs(float(right[0] * down[1] - right[1] * down[0]))
    if not (math.isfinite(area_m2) and area_m2 > 0.0):
        raise DataError(f"{path}: its pixels have no size on the ground")
    return math.sqrt(area_m2)


def _check(path: Path, dataset: Any) -> None:
    if dataset.count != 1:
        raise DataError(f"{path}: has {dataset.count} bands; expected one band of heights")
    if dataset.dtypes[0].startswith("complex"):
        raise DataError(f"{path}: complex numbers are not heights")
    wkt = dataset.crs.to_wkt(version="WKT2_2019")
    if "ellipsoidal height" in wkt or 'VDATUM["Ellipsoid' in wkt:
        raise DataError(
            f"{path}: its CRS says heights above the ellipsoid; expected above mean sea level"
            " (gdalwarp -t_srs with a geoid, as EPSG:4326+5773)"
        )
    vertical = re.search(r'VERTCRS\[.*?LENGTHUNIT\["([^"]*)"', wkt)
    for unit in (dataset.units[0] or "", vertical.group(1) if vertical else ""):
        if unit.lower() not in _METRES:
            raise DataError(f"{path}: its heights are in {unit!r}; expected metres")


def _nodes(own_m: float, grid: Grid) -> Grid:
    """Nodes as far apart as the model's, no closer than the map's pixels, over all of the map."""
    width_m, height_m = grid.width_px * grid.gsd_m, grid.height_px * grid.gsd_m
    coarsest_m = math.sqrt(width_m * height_m / _MOST_NODES)
    spacing_m = max(own_m, grid.gsd_m, coarsest_m)
    columns, rows = (math.ceil(side / spacing_m) + 2 for side in (width_m, height_m))
    return Grid(grid.west_m - spacing_m, grid.north_m + spacing_m, spacing_m, columns, rows)


def _warp(
    dataset: Any, frame: LocalFrame, nodes: Grid, how: Resampling
) -> tuple[npt.NDArray[np.float32], Flags]:
    """Heights, NaN where there are none, and how far the model reaches, give or take a pixel."""
    masked = dataset.read(1, masked=True).astype(np.float32)
    heights = masked.filled(np.nan)
    heights[~np.isfinite(heights)] = np.nan
    to_local = rasterio.Affine(nodes.gsd_m, 0.0, nodes.west_m, 0.0, -nodes.gsd_m, nodes.north_m)
    where = {
        "src_transform": dataset.transform,
        "src_crs": dataset.crs,
        "dst_transform": to_local,
        "dst_crs": frame.proj,
    }
    shape = (nodes.height_px, nodes.width_px)
    warped = np.full(shape, np.nan, np.float32)
    reproject(heights, warped, src_nodata=np.nan, dst_nodata=np.nan, resampling=how, **where)
    extent = np.zeros(shape, np.uint8)
    reproject(np.ones(heights.shape, np.uint8), extent, resampling=Resampling.nearest, **where)
    return warped, cv2.dilate(extent, np.ones((3, 3), np.uint8)) > 0


def _shown(nodes: Grid, grid: Grid, valid: Mask) -> Flags:
    """Which nodes lie where the map shows something."""
    east_m = nodes.west_m + (np.arange(nodes.width_px) + 0.5) * nodes.gsd_m
    north_m = nodes.north_m - (np.arange(nodes.height_px) + 0.5) * nodes.gsd_m
    column = np.floor((east_m - grid.west_m) / grid.gsd_m).astype(int)
    row = np.floor((grid.north_m - north_m) / grid.gsd_m).astype(int)
    inside = ((row >= 0) & (row < grid.height_px))[:, None] & (
        (column >= 0) & (column < grid.width_px)
    )
    rows, columns = np.clip(row, 0, grid.height_px - 1), np.clip(column, 0, grid.width_px - 1)
    return np.asarray(inside & (valid[np.ix_(rows, columns)] > 0))


def _check_reach(path: Path, beyond: Flags, shown: Flags, nodes: Grid, frame: LocalFrame) -> None:
    if not beyond.any():
        return
    share = 100.0 * np.count_nonzero(beyond) / np.count_nonzero(shown)
    if share > 99.9:
        raise DataError(f"{path}: does not cover the map at all; it lies elsewhere")
    raise DataError(
        f"{path}: does not cover {share:.2g} % of the map, {_where(beyond, nodes, frame)}"
    )


def _check_holes(
    path: Path, holes: Flags, known: Flags, shown: Flags, nodes: Grid, frame: LocalFrame
) -> None:
    if not holes.any():
        return
    away_m = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, 5) * nodes.gsd_m
    _, names = cv2.connectedComponents(holes.astype(np.uint8))
    wide = np.unique(names[holes & (away_m > MAX_GAP_M / 2.0)])
    if not wide.size:
        return
    large = np.isin(names, wide)
    share = 100.0 * np.count_nonzero(large) / np.count_nonzero(shown)
    raise DataError(
        f"{path}: no heights in {share:.2g} % of the map (holes more than {MAX_GAP_M:.0f} m"
        f" across), {_where(large, nodes, frame)}; fill them first (gdal_fillnodata)"
    )


def _where(flags: Flags, nodes: Grid, frame: LocalFrame) -> str:
    """Between which coordinates."""
    rows, columns = np.nonzero(flags)
    west_m, east_m = nodes.west_m + nodes.gsd_m * np.array([columns.min(), columns.max() + 1.0])
    north_m, south_m = nodes.north_m - nodes.gsd_m * np.array([rows.min(), rows.max() + 1.0])
    lat_deg, lon_deg = frame.to_geodetic([(west_m, south_m), (east_m, north_m)])
    return (
        f"between latitudes {lat_deg[0]:.5f} and {lat_deg[1]:.5f},"
        f" longitudes {lon_deg[0]:.5f} and {lon_deg[1]:.5f}"
    )
