"""Stage 3: what a picture is worth, in three numbers; what is below a threshold is thrown away.

BH  blur: variance of the Laplacian, in squared grey levels
C   contrast: mean strength of the edges, in grey levels a pixel
UN  uniformity: entropy that half of the parts of a picture do not reach, in bits, without the
    noise; sky and water have little, and a shore beside them does not make up for it

All are measured on the picture made SIDE_PX high, so that they mean the same at every size, and of
a panorama on the band around the horizon: half of it is sky and road by its nature.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from geobridge.onboard.records import Image

from .config import Gates
from .stage import Line

GATES = ("bh", "c", "un")
SIDE_PX = 256
_PARTS, _LEVELS = 8, 32
_BAND = (0.3, 0.7)
"""Of the height of a panorama."""


def measured(image: Image) -> dict[str, float]:
    """The three numbers of [H, W, 3]."""
    grey = _grey(image)
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.0)
    right, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    return {
        "bh": round(float(cv2.Laplacian(grey, cv2.CV_32F).var()), 3),
        "c": round(float(np.sqrt(right * right + down * down).mean()) / 8.0, 3),
        "un": round(_entropy(smooth), 3),
    }


def _grey(image: Image) -> cv2.typing.MatLike:
    height, width = image.shape[:2]
    if width >= 1.8 * height:
        image = image[int(_BAND[0] * height) : int(_BAND[1] * height)]
    factor = SIDE_PX / height
    size = max(8, round(image.shape[1] * factor)), max(8, round(image.shape[0] * factor))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.float32)


def _entropy(grey: cv2.typing.MatLike) -> float:
    levels = (np.asarray(grey) * (_LEVELS / 256.0)).astype(np.int64).clip(0, _LEVELS - 1)
    found = []
    for band in np.array_split(levels, _PARTS, axis=0):
        for part in np.array_split(band, _PARTS, axis=1):
            share = np.bincount(part.ravel(), minlength=_LEVELS) / part.size
            found.append(-sum(p * math.log2(p) for p in share if p > 0.0))
    return float(np.median(found))


def thresholds(lines: Sequence[Line], view: str, gates: Gates) -> dict[str, float]:
    """Of each gate: the one that was set, else that which throws away a share of these lines."""
    chosen = {}
    for gate in GATES:
        told = getattr(gates, gate)
        values = [line["gates"][view][gate] for line in lines if view in line["gates"]]
        calibrated = float(np.quantile(values, gates.reject)) if values and gates.reject else 0.0
        chosen[gate] = calibrated if told is None else float(told)
    return chosen


def failed(line: Line, limits: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The gates that a place does not pass, as `view gate`."""
    return [
        f"{view} {gate}"
        for view, of_view in limits.items()
        if view in line["gates"]
        for gate, limit in of_view.items()
        if not line["gates"][view][gate] >= limit
    ]
