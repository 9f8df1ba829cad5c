"""Whatever bands a raster has, as 8-bit RGB and a mask of where it shows something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.windows import Window

from geobridge.onboard.errors import DataError
from geobridge.onboard.records import Image, Mask

MIN_BLACK_FRACTION = 0.01
"""A raster without nodata, alpha or mask whose exactly black part is larger means it as no data."""


class Bands:
    """Decides once how an open rasterio dataset becomes RGB, then reads windows of it.

    Palettes are looked up; one or two bands are grey; other depths than 8 bits are stretched
    between the 1st and 99th percentile of an overview, all colours alike.

    Raises:
        DataError: no band that could be shown, or no pixel with data.
    """

    def __init__(self, dataset: Any, path: Path) -> None:
        self._dataset = dataset
        self.palette = _palette(dataset)
        self._indexes = _colour_bands(dataset, path)
        self._stretch: tuple[float, float] | None = None
        self._black_is_empty = False
        overview, valid = self._overview()
        if not valid.any():
            raise DataError(f"{path}: holds no pixel with data")
        if self.palette is None and dataset.dtypes[0] != "uint8":
            low, high = np.percentile(overview[valid > 0], [1, 99])
            self._stretch = float(low), float(max(high, low + 1e-9))
        rgb, _ = self._to_rgb(overview, valid)
        unmarked = all(MaskFlags.all_valid in flags for flags in dataset.mask_flag_enums)
        black = np.all(rgb == 0, axis=2).mean()
        self._black_is_empty = unmarked and black > MIN_BLACK_FRACTION

    def read(self, window: Window, shape: tuple[int, int] | None = None) -> tuple[Image, Mask]:
        """[H, W, 3] RGB and [H, W] mask of a window; `shape` reads it so much smaller."""
        # indexes into a palette have no average
        how = Resampling.nearest if self.palette is not None else Resampling.average
        return self._to_rgb(*self._raw(window, shape, how))

    def _raw(
        self, window: Window, shape: tuple[int, int] | None, how: Resampling = Resampling.nearest
    ) -> tuple[npt.NDArray[Any], Mask]:
        size = shape or (int(window.height), int(window.width))
        values = self._dataset.read(
            self._indexes, window=window, out_shape=(len(self._indexes), *size), resampling=how
        )
        masks = self._dataset.read_masks(
            self._indexes, window=window, out_shape=(len(self._indexes), *size)
        )
        valid = (masks > 0).all(axis=0)
        if values.dtype.kind == "f":
            valid &= np.isfinite(values).all(axis=0)
        return values.transpose(1, 2, 0), valid.astype(np.uint8)

    def _to_rgb(self, values: npt.NDArray[Any], valid: Mask) -> tuple[Image, Mask]:
        if self.palette is not None:
            rgba = self.palette[np.clip(values[..., 0], 0, len(self.palette) - 1)]
            rgb, valid = rgba[..., :3], valid & (rgba[..., 3] > 0).astype(np.uint8)
        else:
            if self._stretch is not None:
                low, high = self._stretch
                finite = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
                values = np.clip((finite - low) * (255.0 / (high - low)), 0, 255)
            rgb = values.astype(np.uint8)
            rgb = rgb if rgb.shape[2] == 3 else np.repeat(rgb[..., :1], 3, axis=2)
        if self._black_is_empty:
            black = np.all(rgb == 0, axis=2).astype(np.uint8)
            # single black pixels are shadows; no data comes in patches
            patches = cv2.morphologyEx(black, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
            valid = valid & (1 - np.asarray(patches, np.uint8))
        return np.ascontiguousarray(rgb), np.asarray(valid, np.uint8)

    def _overview(self, longest_px: int = 1024) -> tuple[npt.NDArray[Any], Mask]:
        height, width = self._dataset.height, self._dataset.width
        factor = max(1.0, max(height, width) / longest_px)
        shape = max(1, round(height / factor)), max(1, round(width / factor))
        return self._raw(Window(0, 0, width, height), shape)


def _palette(dataset: Any) -> npt.NDArray[np.uint8] | None:
    """[K, 4] RGBA of a raster whose first band holds indexes into it."""
    if dataset.colorinterp[0] != ColorInterp.palette:
        return None
    table = dataset.colormap(1)
    palette = np.zeros((max(table) + 1, 4), np.uint8)
    for index, colour in table.items():
        palette[index] = colour
    return palette


def _colour_bands(dataset: Any, path: Path) -> list[int]:
    kinds = dataset.colorinterp
    named = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
    if all(kind in kinds for kind in named):
        return [kinds.index(kind) + 1 for kind in named]
    shown = [i + 1 for i, kind in enumerate(kinds) if kind != ColorInterp.alpha]
    if not shown:
        raise DataError(f"{path}: has no band but alpha")
    if any(dataset.dtypes[i - 1].startswith("complex") for i in shown):
        raise DataError(f"{path}: complex numbers are not a picture")
    return shown[:3] if len(shown) >= 3 else shown[:1]
