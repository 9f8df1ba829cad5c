"""The heights of a log as in flight: above the ground by what looks down, and above home."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..mavlink.height import MAX_TILT_DEG, RANGE_ACCURACY_M, TERRAIN_ACCURACY_M
from .series import Series

THROUGHOUT = 0.9
"""Of the flight: a height that is known for less of it would change its meaning on the way."""
ABOVE_HOME = "above home: above the ground where that is level"


def above_ground(ranged: Series | None, terrain: Series | None) -> Series | None:
    """[N, 2] heights and their 1-sigma accuracy: as measured, and by the autopilot's terrain where
    nothing measures. Both [N, 1]."""
    measured = _stated(ranged, RANGE_ACCURACY_M)
    reckoned = _stated(terrain, TERRAIN_ACCURACY_M)
    if measured is None or reckoned is None:
        return measured or reckoned
    alone = np.isnan(measured.at(reckoned.times_ns)[:, 0])
    times_ns, first = np.unique(
        np.concatenate([measured.times_ns, reckoned.times_ns[alone]]), return_index=True
    )
    values = np.concatenate([measured.values, reckoned.values[alone]])[first]
    source = f"{measured.source}; where that is silent {reckoned.source}"
    return Series(times_ns, values, source, measured.max_gap_ns)


def _stated(height: Series | None, accuracy_m: float) -> Series | None:
    """With its accuracy; without what is not above the ground."""
    if height is None or not (above := height.values[:, 0] > 0.0).any():
        return None
    values = np.column_stack([height.values[above], np.full(above.sum(), accuracy_m)])
    return Series(height.times_ns[above], values, height.source, height.max_gap_ns)


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
    """Distances along the vehicle's own down, as heights; none while that looks elsewhere."""
    if ranges is None or attitude is None:
        return None
    tilt = np.radians(attitude.at(ranges.times_ns, turning=True)[:, :2])
    straight = np.cos(tilt).prod(axis=1, keepdims=True)
    heights = ranges.values * straight
    known = straight[:, 0] >= math.cos(math.radians(MAX_TILT_DEG))  # not where it is NaN either
    if not known.any():
        return None
    source = f"{ranges.source}, straightened by roll and pitch"
    return Series(ranges.times_ns[known], heights[known], source, ranges.max_gap_ns)
