"""Squares that nothing can be aligned with: open water, and ground without structure.

Structure is what `localization.structure` sees: edges. Water has none in calm light, and where it
glitters its edges have no place; it is told by its colour being even over wide parts.
"""

from __future__ import annotations

import cv2
import numpy as np

from geobridge.onboard.bundle import FEATURELESS, WATER
from geobridge.onboard.records import Image, Mask

SIDE_PX = 64
"""Squares are looked at this coarsely."""
MIN_EDGE = 6.0
"""Mean step between neighbouring pixels, in grey levels, along the strongest twentieth."""
MAX_SPREAD, MAX_BRIGHTNESS = 7.0, 120.0
"""Of water: the spread of each colour, and how bright it is at most; snow and sand are brighter."""


def flags_of(image: Image, valid: Mask) -> int:
    """What is wrong with a square, as flags of a place."""
    small = cv2.resize(image, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    shown = cv2.resize(valid, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_NEAREST) > 0
    inner = cv2.erode(shown.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if not inner.any():
        return FEATURELESS
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    across, down = (cv2.Scharr(grey, cv2.CV_32F, *way)[inner] / 32.0 for way in ((1, 0), (0, 1)))
    steps = np.hypot(across, down)
    if np.quantile(steps, 0.95) >= MIN_EDGE:
        return 0
    colours = small[inner].astype(np.float32)
    red, _, blue = colours.mean(axis=0)
    even = colours.std(axis=0).max() <= MAX_SPREAD
    watery = even and grey[inner].mean() <= MAX_BRIGHTNESS and blue >= red
    return FEATURELESS | WATER if watery else FEATURELESS
