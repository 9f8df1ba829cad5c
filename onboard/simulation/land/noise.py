"""Smooth noise without an end: sampled at points, or by rows of a map."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from .raster import Field, Floats, Grid

_CELLS = 512
_GAIN = 1.35
"""Interpolation takes variance away; this brings it back to about one."""


class Noise:
    """Noise of about unit variance; every octave is finer and weaker by two.

    It repeats after 512 cells of `scale_m`, the same at every size and pixel of a map.
    """

    def __init__(self, rng: np.random.Generator, scale_m: float, octaves: int = 1) -> None:
        self._scales_m = [scale_m / 2**octave for octave in range(octaves)]
        self._lattices = [rng.standard_normal((_CELLS, _CELLS), np.float32) for _ in range(octaves)]

    def at(self, enu_m: npt.ArrayLike) -> Floats:
        """[...] values at [..., 2] metres east and north, linear between lattice points."""
        enu = np.asarray(enu_m, float)
        total, power = np.zeros(enu.shape[:-1]), 0.0
        for octave, (scale_m, lattice) in enumerate(
            zip(self._scales_m, self._lattices, strict=True)
        ):
            cell = enu / [scale_m, -scale_m]  # lattice rows run south, as those of maps do
            low = np.floor(cell).astype(int)
            share = cell - low
            share = share * share * (3.0 - 2.0 * share)
            column, row = low[..., 0] % _CELLS, low[..., 1] % _CELLS
            right, below = (column + 1) % _CELLS, (row + 1) % _CELLS
            east, south = share[..., 0], share[..., 1]
            upper = lattice[row, column] * (1.0 - east) + lattice[row, right] * east
            lower = lattice[below, column] * (1.0 - east) + lattice[below, right] * east
            total += 0.5**octave * (upper * (1.0 - south) + lower * south)
            power += 0.25**octave
        return total * (_GAIN / math.sqrt(power))

    def rows(self, grid: Grid, rows: slice) -> Field:
        """[h, W] values at the pixels of some rows of a map, octaves finer than a pixel left out.

        Cubic between lattice points, hence not the very numbers of `at`.
        """
        total = np.zeros((rows.stop - rows.start, grid.size_px), np.float32)
        power = 0.0
        for octave, (scale_m, lattice) in enumerate(
            zip(self._scales_m, self._lattices, strict=True)
        ):
            if scale_m < grid.gsd_m:
                break
            total += np.float32(0.5**octave) * _stretch(lattice, scale_m, grid, rows)
            power += 0.25**octave
        return total * np.float32(_GAIN / math.sqrt(power or 1.0))


def _stretch(lattice: Field, scale_m: float, grid: Grid, rows: slice) -> Field:
    """The part of the endless lattice under these rows, as pixels."""
    west_m, north_m = grid.size_m / -2.0, grid.size_m / 2.0
    step = grid.gsd_m / scale_m
    first_column = (west_m + 0.5 * grid.gsd_m) / scale_m
    first_row = -(north_m - (rows.start + 0.5) * grid.gsd_m) / scale_m
    left, top = math.floor(first_column) - 1, math.floor(first_row) - 1
    columns = np.arange(left, math.ceil(first_column + step * grid.size_px) + 3)
    lines = np.arange(top, math.ceil(first_row + step * (rows.stop - rows.start)) + 3)
    part = lattice.take(lines, 0, mode="wrap").take(columns, 1, mode="wrap")
    cell_from_pixel = np.array([[step, 0.0, first_column - left], [0.0, step, first_row - top]])
    stretched = cv2.warpAffine(
        part,
        cell_from_pixel,
        (grid.size_px, rows.stop - rows.start),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(stretched, np.float32)
