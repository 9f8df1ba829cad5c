"""The height of the ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .raster import Field, Floats, Grid

MARGIN_M = 120.0
_MOST_NODES = 2560


@dataclass(frozen=True, eq=False)
class Terrain:
    """Heights [h, w] above mean sea level at nodes `spacing_m` apart, row 0 the northernmost.

    Node (0, 0) lies at (`west_m`, `north_m`) metres east and north of the middle of the map.
    """

    heights_amsl_m: Field
    spacing_m: float
    west_m: float
    north_m: float

    @classmethod
    def on(cls, grid: Grid, heights_amsl_m: Field) -> Terrain:
        """Nodes at the middles of a grid's pixels."""
        reach_m = (grid.size_px - 1) / 2.0 * grid.gsd_m
        return cls(heights_amsl_m, grid.gsd_m, -reach_m, reach_m)

    def alt_amsl_m(self, enu_m: npt.ArrayLike) -> Floats:
        """[...] heights of the ground at [..., 2] metres east and north, bilinear between nodes.

        Beyond the outermost nodes the ground keeps their height.
        """
        enu = np.asarray(enu_m, float)
        rows, columns = self.heights_amsl_m.shape
        column = np.clip((enu[..., 0] - self.west_m) / self.spacing_m, 0.0, columns - 1.0)
        row = np.clip((self.north_m - enu[..., 1]) / self.spacing_m, 0.0, rows - 1.0)
        left = np.minimum(column.astype(int), columns - 2)
        top = np.minimum(row.astype(int), rows - 2)
        east, south = column - left, row - top
        heights = self.heights_amsl_m
        upper = heights[top, left] * (1.0 - east) + heights[top, left + 1] * east
        lower = heights[top + 1, left] * (1.0 - east) + heights[top + 1, left + 1] * east
        return np.asarray(upper * (1.0 - south) + lower * south)


def node_grid(size_m: float) -> Grid:
    """The nodes of a map of this size, with a margin around it."""
    spacing_m = max(2.0, (size_m + 2.0 * MARGIN_M) / _MOST_NODES)
    return Grid(round((size_m + 2.0 * MARGIN_M) / spacing_m), spacing_m)
