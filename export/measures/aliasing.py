"""Where a map looks alike: how similar to every place the most similar far place is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geobridge.onboard.geodesy import Floats

NOBODY = -1.0
"""In the place of a similarity where there is no place so far away."""
MOST = 20_000
"""Places that every one is compared with; of a larger map so many, evenly spread: neighbours on a
lattice are alike enough for one of them to stand for the others."""
_BLOCK = 1024


def aliasing(
    descriptors: npt.NDArray[np.float16], centres_m: Floats, apart_m: float
) -> npt.NDArray[np.float32]:
    """[N] cosines of the most similar of [N, D] rows whose [N, 2] centres lie farther than that."""
    step = -(-len(descriptors) // MOST)
    others, there = np.asarray(descriptors[::step], np.float32), centres_m[::step]
    found = np.full(len(descriptors), NOBODY, np.float32)
    for first in range(0, len(descriptors), _BLOCK):
        rows = slice(first, first + _BLOCK)
        scores = np.asarray(descriptors[rows], np.float32) @ others.T
        away = centres_m[rows, None] - there[None]
        scores[np.hypot(away[..., 0], away[..., 1]) <= apart_m] = NOBODY
        found[rows] = np.minimum(scores.max(axis=1), 1.0)
    return np.round(found, 4)
