"""A raster to the reference imagery of a bundle: RGBA tiles, row 0 at the north edge."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from geobridge.onboard import durable
from geobridge.onboard.manifest import ImageryEntry
from geobridge.onboard.records import Image, Mask
from geobridge.onboard.retrieval.imagery import read_tile, tile_path
from geobridge.training.rasters.raster import Raster

TILE_PX = 256


def write_imagery(raster: Raster, folder: Path) -> ImageryEntry:
    """Write every tile that shows something and is not there yet."""
    grid = raster.grid
    rows, columns = math.ceil(grid.height_px / TILE_PX), math.ceil(grid.width_px / TILE_PX)
    for row in range(rows):
        for column in range(columns):
            path = folder / tile_path(row, column)
            if path.exists():
                continue
            image, valid = raster.read(row * TILE_PX, column * TILE_PX, TILE_PX, TILE_PX)
            if valid.any():
                durable.write_bytes(path, _png(image, valid))
    return ImageryEntry(
        gsd_m=grid.gsd_m,
        tile_px=TILE_PX,
        west_m=grid.west_m,
        north_m=grid.north_m,
        rows=rows,
        columns=columns,
    )


def tile_reader(folder: Path, tile_px: int) -> Callable[[int, int], Image | None]:
    """Reads tiles that `write_imagery` wrote: [T, T, 4] RGBA, or None where there is none."""

    return lambda row, column: read_tile(folder / tile_path(row, column), tile_px)


def _png(image: Image, valid: Mask) -> bytes:
    bgra = np.dstack([image[..., ::-1], valid * np.uint8(255)])
    _, encoded = cv2.imencode(".png", bgra)
    return encoded.tobytes()
