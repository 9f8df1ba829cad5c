"""A picture of the local plane as a GeoTIFF in UTM, as a surveyor would deliver it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.warp import calculate_default_transform, reproject

from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Image


def utm_of(frame: LocalFrame) -> str:
    """The UTM zone of a frame's origin, as an EPSG code."""
    zone = min(math.floor((frame.origin_lon_deg + 180.0) / 6.0) + 1, 60)
    return f"EPSG:{(32600 if frame.origin_lat_deg >= 0.0 else 32700) + zone}"


def write_geotiff(
    path: Path, picture: Image, frame: LocalFrame, west_m: float, north_m: float, gsd_m: float
) -> Path:
    """Write [H, W, 3], its north-west corner at (`west_m`, `north_m`) of the frame; the path."""
    height, width = picture.shape[:2]
    local = rasterio.Affine(gsd_m, 0.0, west_m, 0.0, -gsd_m, north_m)
    bounds = (west_m, north_m - height * gsd_m, west_m + width * gsd_m, north_m)
    crs = utm_of(frame)
    to_utm, columns, rows = calculate_default_transform(
        frame.proj, crs, width, height, *bounds, resolution=gsd_m
    )
    alpha = np.full((height, width, 1), 255, np.uint8)
    bands = np.ascontiguousarray(np.concatenate([picture, alpha], axis=2).transpose(2, 0, 1))
    warped = np.zeros((4, rows, columns), np.uint8)
    reproject(
        bands,
        warped,
        src_transform=local,
        src_crs=frame.proj,
        dst_transform=to_utm,
        dst_crs=crs,
        resampling=Resampling.cubic,
    )
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 4,
        "width": columns,
        "height": rows,
        "crs": crs,
        "transform": to_utm,
        "compress": "deflate",
        "photometric": "RGB",
        "alpha": "YES",
    }
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(warped)
    return path
