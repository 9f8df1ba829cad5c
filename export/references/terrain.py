"""A surface model to the heights that a bundle carries."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.manifest_entries import ImageryEntry, TerrainEntry
from geobridge.onboard.records import Mask
from geobridge.training.rasters.georeference import require_on_earth
from geobridge.training.rasters.raster import Grid
from geobridge.training.rasters.surface import read_surface

from .imagery import tile_reader

PATH = "reference/terrain.npy"
SPACING_M = 10.0
"""Between nodes: relief, and no roofs; a bundle of 25 km2 carries a megabyte of it."""


def lay_terrain(
    dsm: Path, frame: LocalFrame, imagery: ImageryEntry, folder: Path
) -> tuple[TerrainEntry, npt.NDArray[np.float32]]:
    """Heights AMSL over all that the reference imagery in `folder` shows.

    Raises:
        DataError: not heights in metres above mean sea level, or not all over the imagery.
    """
    require_on_earth(dsm)
    step = max(1, round(SPACING_M / imagery.gsd_m))
    valid = _shown(imagery, folder, step)
    spacing_m = step * imagery.gsd_m
    grid = Grid(imagery.west_m, imagery.north_m, spacing_m, valid.shape[1], valid.shape[0])
    model = read_surface(dsm, frame, grid, valid)
    heights = np.ascontiguousarray(model.alt_amsl_m, "<f4")
    entry = TerrainEntry(
        path=PATH,
        spacing_m=model.spacing_m,
        west_m=model.west_m,
        north_m=model.north_m,
        rows=heights.shape[0],
        columns=heights.shape[1],
    )
    return entry, heights


def _shown(imagery: ImageryEntry, folder: Path, step: int) -> Mask:
    """Which of every `step`-th pixel of the imagery shows something."""
    size, tile_at = imagery.tile_px, tile_reader(folder, imagery.tile_px)
    shape = [math.ceil(count * size / step) for count in (imagery.rows, imagery.columns)]
    valid = np.zeros(shape, np.uint8)
    for row in range(imagery.rows):
        for column in range(imagery.columns):
            tile = tile_at(row, column)
            if tile is None:
                continue
            top, left = -(row * size) % step, -(column * size) % step
            part = tile[top::step, left::step, 3] > 127
            at = np.s_[(row * size + top) // step :, (column * size + left) // step :]
            valid[at][: part.shape[0], : part.shape[1]] = part
    return valid
