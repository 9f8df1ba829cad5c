"""A smooth displacement that bends a straight plan."""

from __future__ import annotations

import math

import numpy as np

from .raster import Floats


class Warp:
    """Moves points [..., 2]; gentle enough to fold nothing, hence it can be undone."""

    def __init__(self, rng: np.random.Generator, size_m: float) -> None:
        broad_m = max(size_m, 400.0)
        wavelengths_m = np.minimum(np.array([0.9, 0.55, 0.35]) * broad_m, [5200.0, 2100.0, 900.0])
        turns = rng.uniform(0.0, 2.0 * math.pi, (2, 3))
        directions = np.stack([np.cos(turns), np.sin(turns)], axis=-1)
        self._waves = directions * (2.0 * math.pi / wavelengths_m)[:, None]
        self._phases = rng.uniform(0.0, 2.0 * math.pi, (2, 3))
        self._reach_m = 0.03 * wavelengths_m * (1.0 if size_m < 1500.0 else 1.4)

    def __call__(self, points_m: Floats) -> Floats:
        """Where the points of the straight plan come to lie."""
        return np.asarray(points_m + self._shift(points_m))

    def undo(self, points_m: Floats) -> Floats:
        """Where points came from, to a millimetre: the displacement is a contraction."""
        straight = points_m
        for _ in range(60):
            straight = points_m - self._shift(straight)
        return np.asarray(straight)

    def _shift(self, points_m: Floats) -> Floats:
        phase = np.einsum("...d,awd->...aw", points_m, self._waves) + self._phases
        return np.asarray(np.sin(phase) @ self._reach_m)
