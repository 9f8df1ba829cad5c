"""What is likely to be where a raster knows nothing."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .land.raster import Field


def fill_gaps(values: Field, known: npt.NDArray[Any]) -> Field:
    """[H, W] or [H, W, C] with what lies around continued softly into pixels that are not `known`.

    Averages of known pixels, over twice the width again and again, until they reach across the gap
    (pull-push: Gortler et al. 1996). Known pixels keep their value.
    """
    have = np.asarray(known, bool)
    if have.all() or not have.any():
        return values
    height, width = have.shape
    weight = _layers(have.astype(np.float32), values.ndim)
    half = (max(1, width // 2), max(1, height // 2))
    total = cv2.resize(
        np.where(weight > 0, values, np.float32(0.0)), half, interpolation=cv2.INTER_AREA
    )
    share = cv2.resize(have.astype(np.float32), half, interpolation=cv2.INTER_AREA)
    coarse = total / np.maximum(_layers(share, values.ndim), 1e-6)
    coarse = fill_gaps(np.asarray(coarse, np.float32), share > 0.0)
    around = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.where(weight > 0, values, around), np.float32)


def _layers(raster: npt.NDArray[Any], dimensions: int) -> npt.NDArray[Any]:
    return raster[..., None] if dimensions == 3 else raster
