"""Which of the heights of a log is the one above the ground."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .series import Series

THROUGHOUT = 0.9
"""Of the flight: a height that is known for less of it would change its meaning on the way."""
ABOVE_HOME = "above home: above the ground where that is level"


def height_of(candidates: Sequence[Series | None], during: Series | None) -> Series | None:
    """The first that is known throughout, best ones first; else the one that is known for longest.

    `during` has rows for as long as the flight lasts.
    """
    there = [each for each in candidates if each is not None]
    if during is None or not there:
        return there[0] if there else None
    known = [float(np.isfinite(each.at(during.times_ns)).mean()) for each in there]
    for each, share in zip(there, known, strict=True):
        if share > THROUGHOUT:
            return each
    return there[int(np.argmax(known))]


def upright(ranges: Series | None, attitude: Series | None) -> Series | None:
    """Distances along the vehicle's own down, as heights."""
    if ranges is None or attitude is None:
        return ranges
    tilt = np.radians(attitude.at(ranges.times_ns, turning=True)[:, :2])
    heights = ranges.values * np.cos(tilt).prod(axis=1, keepdims=True)
    known = np.isfinite(heights[:, 0])
    if not known.any():
        return None
    source = f"{ranges.source}, straightened by roll and pitch"
    return Series(ranges.times_ns[known], heights[known], source, ranges.max_gap_ns)
