"""A picture in any CRS to pixels of a local plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.warp import reproject

from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Image, Mask

_FIXED_KERNEL = {"XSCALE": "1", "YSCALE": "1"}
"""GDAL would guess the width of its bilinear kernel anew from the shape of every window."""

_FALSE_M = 100_000.0
"""GDAL takes pixels of one unit whose corner lies at (0, 0) for not georeferenced at all."""
_UNREFERENCED = (rasterio.Affine.identity(), rasterio.Affine.scale(1.0, -1.0))


@dataclass(frozen=True)
class Georeferenced:
    """[H, W, 3] RGB, [H, W] mask, and the CRS coordinates of the pixels' corners."""

    image: Image
    valid: Mask
    transform: rasterio.Affine
    crs: Any

    def off_the_corner(self) -> Georeferenced:
        """The same picture; with an edge of nothing where GDAL would not take it for referenced."""
        if not any(self.transform.almost_equals(each, 1e-3) for each in _UNREFERENCED):
            return self
        image = np.pad(self.image, ((1, 1), (1, 1), (0, 0)))
        own = self.transform @ rasterio.Affine.translation(-1.0, -1.0)
        return Georeferenced(image, np.pad(self.valid, 1), own, self.crs)


def warp(
    source: Georeferenced,
    frame: LocalFrame,
    to_local: rasterio.Affine,
    shape: tuple[int, int],
    shrinks: bool,
) -> tuple[Image, Mask]:
    """[H, W, 3] and [H, W] of pixels whose corners lie at `to_local` metres of the plane.

    Colours are weighted by validity, so that what is no data stains nothing. `shrinks`: a pixel
    holds so many of the source that they must be averaged.
    """
    source = source.off_the_corner()
    weight = source.valid.astype(np.float32)
    layers = np.concatenate([source.image * weight[..., None], weight[..., None]], axis=2)
    target = np.zeros((4, *shape), np.float32)
    reproject(
        np.ascontiguousarray(layers.transpose(2, 0, 1), np.float32),
        target,
        src_transform=source.transform,
        src_crs=source.crs,
        dst_transform=rasterio.Affine.translation(_FALSE_M, _FALSE_M) @ to_local,
        dst_crs=f"{frame.proj} +x_0={_FALSE_M} +y_0={_FALSE_M}",
        resampling=Resampling.average if shrinks else Resampling.bilinear,
        **_FIXED_KERNEL,
    )
    covered = target[3] >= 0.5
    colours = target[:3] / np.maximum(target[3], 1e-6)
    picture = np.clip(np.rint(colours), 0, 255) * covered
    return np.ascontiguousarray(picture.transpose(1, 2, 0), np.uint8), covered.astype(np.uint8)


def nothing(shape: tuple[int, int]) -> tuple[Image, Mask]:
    """Black that shows nothing."""
    return np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8)
