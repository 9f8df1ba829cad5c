"""The cells of a localizability map: squares of the UTM grid, so that every GIS knows them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rasterio.warp import transform

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import LocalFrame

from ..geotiff import utm_of

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

MAX_CELLS = 100_000
WGS84 = "EPSG:4326"


@dataclass(frozen=True)
class Grid:
    """`rows` x `columns` squares of `cell_m` in the UTM zone `crs`, an EPSG code.

    Row 0 lies in the north, column 0 in the west.
    """

    crs: str
    west_m: float
    north_m: float
    cell_m: float
    rows: int
    columns: int

    @classmethod
    def around(cls, lat_deg: Floats, lon_deg: Floats, cell_m: float) -> Grid:
        """The cells that hold all of [N] places, and one more to each side.

        Raises:
            DataError: cells so small that there would be too many of them.
        """
        crs = utm_of(LocalFrame(float(np.mean(lat_deg)), float(np.mean(lon_deg))))
        places = _to_utm(crs, lat_deg, lon_deg) / cell_m
        west, south = np.floor(places.min(axis=0)) - 1.0
        east, north = np.ceil(places.max(axis=0)) + 1.0
        rows, columns = round(north - south), round(east - west)
        if rows * columns > MAX_CELLS:
            raise DataError(f"cell_m {cell_m:g}: {rows} x {columns} cells; choose larger ones")
        return cls(crs, float(west * cell_m), float(north * cell_m), cell_m, rows, columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns

    def cells(self, lat_deg: npt.ArrayLike, lon_deg: npt.ArrayLike) -> Whole:
        """[N] places to [N] numbers of cells, row by row; -1 off the grid."""
        places = _to_utm(self.crs, np.asarray(lat_deg, float), np.asarray(lon_deg, float))
        column = np.floor((places[:, 0] - self.west_m) / self.cell_m).astype(np.int64)
        row = np.floor((self.north_m - places[:, 1]) / self.cell_m).astype(np.int64)
        inside = (row >= 0) & (row < self.rows) & (column >= 0) & (column < self.columns)
        return np.where(inside, row * self.columns + column, -1)

    def corners(self) -> tuple[Floats, Floats]:
        """[rows * columns, 5] latitudes and longitudes of the closed outlines of all cells.

        Anticlockwise, as GeoJSON wants it.
        """
        column, row = np.meshgrid(np.arange(self.columns), np.arange(self.rows))
        across = column.reshape(-1, 1) + np.array([0, 1, 1, 0, 0])
        down = row.reshape(-1, 1) + np.array([1, 1, 0, 0, 1])
        east_m = self.west_m + across * self.cell_m
        north_m = self.north_m - down * self.cell_m
        lon_deg, lat_deg = transform(self.crs, WGS84, east_m.ravel(), north_m.ravel())
        return np.reshape(lat_deg, across.shape), np.reshape(lon_deg, across.shape)


def _to_utm(crs: str, lat_deg: Floats, lon_deg: Floats) -> Floats:
    east_m, north_m = transform(WGS84, crs, lon_deg.ravel(), lat_deg.ravel())
    return np.stack([np.asarray(east_m, float), np.asarray(north_m, float)], axis=-1)
