"""Several sources of imagery as one picture of a plane; the first that shows a spot has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Image, Mask
from geobridge.training.rasters.raster import Grid
from geobridge.training.rasters.warp import nothing

NOBODY = 255
"""In the place of a source where none shows anything."""
MAX_SOURCES = 100


class Ground(Protocol):
    """Imagery of one source on a local plane."""

    def read_at(
        self, west_m: float, north_m: float, height_px: int, width_px: int
    ) -> tuple[Image, Mask]:
        """[H, W, 3] RGB and [H, W] mask with the upper left corner anywhere on the plane."""


@dataclass(frozen=True)
class Mosaic:
    """Sources by their rows in the manifest, in order of preference, over one grid."""

    frame: LocalFrame
    grid: Grid
    grounds: Mapping[int, Ground]

    def read(
        self, row_px: int, column_px: int, height_px: int, width_px: int
    ) -> tuple[Image, npt.NDArray[np.uint8]]:
        """[H, W, 3] RGB of a window of the grid, and [H, W] whose each pixel is, or `NOBODY`.

        Raises:
            DataError: a source is damaged there.
        """
        west_m = self.grid.west_m + column_px * self.grid.gsd_m
        north_m = self.grid.north_m - row_px * self.grid.gsd_m
        image, _ = nothing((height_px, width_px))
        owner = np.full((height_px, width_px), NOBODY, np.uint8)
        for source, ground in self.grounds.items():
            if not (owner == NOBODY).any():
                break
            picture, valid = ground.read_at(west_m, north_m, height_px, width_px)
            fresh = (valid > 0) & (owner == NOBODY)
            image[fresh], owner[fresh] = picture[fresh], source
        return image, owner
