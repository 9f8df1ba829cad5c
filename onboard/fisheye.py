"""The equidistant lens: the angle off the axis, bent by an odd polynomial, is the radius.

    r = a + k1 a^3 + k2 a^5 + k3 a^7 + k4 a^9        (Kannala and Brandt 2006, as in OpenCV)

`flat` coordinates are pixels without focal length and centre: [N, 2].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_NEWTON_STEPS, _NEAR = 12, 1e-4


def flat(rays: Floats, coefficients: Sequence[float]) -> Floats:
    """[N, 3] directions, also at right angles to the axis, to [N, 2]."""
    across = np.hypot(rays[:, 0], rays[:, 1])
    angle = np.arctan2(across, rays[:, 2])
    radius, _ = _bent(angle, coefficients)
    on_axis = 1.0 / np.maximum(rays[:, 2], 1e-12)
    scale = np.where(across > 1e-12, radius / np.maximum(across, 1e-12), on_axis)
    return np.asarray(rays[:, :2] * scale[:, None])


def rays(flat: Floats, coefficients: Sequence[float]) -> Floats:
    """[N, 2] to [N, 3] unit directions; NaN where the polynomial reaches no such radius."""
    radius = np.hypot(flat[:, 0], flat[:, 1])
    angle = np.minimum(radius, np.pi / 2.0)
    for _ in range(_NEWTON_STEPS):
        bent, slope = _bent(angle, coefficients)
        angle = np.clip(angle - (bent - radius) / np.maximum(slope, 0.05), 0.0, np.pi)
    bent, _ = _bent(angle, coefficients)
    angle[np.abs(bent - radius) > _NEAR] = np.nan
    share = np.where(radius > 1e-12, np.sin(angle) / np.maximum(radius, 1e-12), 1.0)
    return np.column_stack([flat * share[:, None], np.cos(angle)])


def _bent(angle: Floats, coefficients: Sequence[float]) -> tuple[Floats, Floats]:
    """The radius at an angle, and its slope."""
    square, power = angle * angle, np.ones_like(angle)
    radius, slope = angle.copy(), np.ones_like(angle)
    for number, k in enumerate(coefficients, start=1):
        power = power * square
        radius += k * angle * power
        slope += (2 * number + 1) * k * power
    return radius, slope
