"""Pictures a whole number of times smaller, in a fraction of the time that OpenCV needs for it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Levels = npt.NDArray[np.uint8]

_BLURRED = (3, 5)
"""Sides of squares of pixels whose means OpenCV finds in half of the time by running sums; the
bytes are the same, for of an odd number of pixels no mean lies halfway between two levels."""


def shrink(image: Levels, factor: int) -> Levels:
    """[H, W] or [H, W, 3] to one that many times smaller, each pixel the mean of its square; what
    is left at the right and lower edge is left out.

    Halved as often as that goes, which OpenCV does fastest of all. Each time rounds quarters, a
    half up, and so takes up to a quarter of a level or adds up to a half.
    """
    height_px, width_px = image.shape[0] // factor, image.shape[1] // factor
    image = image[: height_px * factor, : width_px * factor]
    while factor % 2 == 0:
        factor //= 2
        image = _resized(image, width_px * factor, height_px * factor, cv2.INTER_AREA)
    if factor in _BLURRED:
        means = np.asarray(cv2.blur(image, (factor, factor), anchor=(0, 0)), np.uint8)
        return _resized(means, width_px, height_px, cv2.INTER_NEAREST)
    return image if factor == 1 else _resized(image, width_px, height_px, cv2.INTER_AREA)


def factor_to(image: Levels, width_px: int) -> int:
    """How many times smaller a picture is not much wider than this, and not gone."""
    factor: int = round(image.shape[1] / width_px)
    return max(1, min(factor, len(image)))


def _resized(image: Levels, width_px: int, height_px: int, interpolation: int) -> Levels:
    return np.asarray(cv2.resize(image, (width_px, height_px), interpolation=interpolation))
