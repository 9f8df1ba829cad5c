"""Stage 1: windows that slide over the drone mosaics, and which of them show something.

A line: `id`, `mosaic`, `lat_deg`, `lon_deg` of the middle, `corners` [[latitude, longitude] x 4]
from the north-west clockwise, `side_m`, `valid` (share of the window that the mosaic shows),
`half_deg` (half the side in degrees of latitude and longitude).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..rasters.raster import Raster
from .config import Seeds
from .sources.mosaics import MosaicFile
from .squares import metres_per_degree
from .stage import Line

LOOK_PX = 24
"""Pixels across a window when its share of valid ones is counted."""


@dataclass(frozen=True)
class SeedWork:
    """One mosaic to go over."""

    mosaic: MosaicFile
    seeds: Seeds


def find_seeds(work: SeedWork) -> list[Line]:
    """The windows of a mosaic that show enough.

    Raises:
        DataError: the mosaic has no georeference, or is damaged.
    """
    window_m, step_m = work.seeds.window_m, work.seeds.step_m
    gsd_m = window_m / LOOK_PX
    with Raster(work.mosaic.path, gsd_m) as raster:
        grid = raster.grid
        width_m, height_m = grid.width_px * gsd_m, grid.height_px * gsd_m
        lines = []
        for row, down_m in enumerate(_steps(height_m, window_m, step_m)):
            north_m = grid.north_m - down_m
            _, strip = raster.read_at(grid.west_m, north_m, LOOK_PX, grid.width_px)
            for column, right_m in enumerate(_steps(width_m, window_m, step_m)):
                first = round(right_m / gsd_m)
                part = strip[:, first : first + LOOK_PX]
                valid = float(part.sum()) / LOOK_PX**2
                if valid >= work.seeds.min_valid and valid > 0.0:
                    at = (grid.west_m + right_m, north_m)
                    lines.append(_line(work, raster, row, column, at, valid))
    return lines


def _steps(length_m: float, window_m: float, step_m: float) -> Iterator[float]:
    """Where windows begin; a mosaic smaller than a window has one, beginning at its edge."""
    count = max(1, math.floor((length_m - window_m) / step_m) + 1)
    return (number * step_m for number in range(count))


def _line(
    work: SeedWork, raster: Raster, row: int, column: int, at: tuple[float, float], valid: float
) -> Line:
    side_m = work.seeds.window_m
    west_m, north_m = at
    ring = [(west_m + dx * side_m, north_m - dy * side_m) for dx, dy in _RING]
    lat_deg, lon_deg = raster.frame.to_geodetic(
        [*ring, (west_m + side_m / 2, north_m - side_m / 2)]
    )
    per_lat_m, per_lon_m = metres_per_degree(lat_deg[-1])
    return {
        "id": f"{work.mosaic.name}-{row:04d}-{column:04d}",
        "mosaic": work.mosaic.name,
        "lat_deg": float(lat_deg[-1]),
        "lon_deg": float(lon_deg[-1]),
        "corners": [[float(a), float(b)] for a, b in zip(lat_deg[:4], lon_deg[:4], strict=True)],
        "side_m": side_m,
        "valid": round(valid, 4),
        "half_deg": [side_m / 2 / float(per_lat_m), side_m / 2 / float(per_lon_m)],
    }


_RING = ((0, 0), (1, 0), (1, 1), (0, 1))
