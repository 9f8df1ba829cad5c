"""The vehicle's place from where the parts of a picture lie: a robust fit, and what it is worth.

A part that the frame shows g metres from the vehicle lies at v + (1 + stretch) R(turn) g: v is the
place, the turn what is left of an error of heading, the stretch of one of height. Errors of roll
and pitch shift all parts alike and cannot be told from the place: they are not in the covariance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

INLIER_STEPS_PX = (6.0, 4.0, 2.5, 2.5, 2.5)
"""How near a part must lie to where the fit puts it, round after round."""
MIN_INLIERS = 4
"""Fewer say nothing about how well they agree."""
NOISE_PX = 0.3
"""1-sigma of a part on its own axis at best, whatever the residuals of a few say."""


@dataclass(frozen=True, eq=False)
class Pose:
    """Metres east and north that a place moves by, what is left of turn (counterclockwise) and
    stretch, and [2, 2] covariance of the place, east first.

    `inliers` parts of the `of` that were looked for agree, `residual_m` (1-sigma per axis) with
    each other; `spread` is their 1-sigma where it is least, in sides of what 5 x 5 parts fill.
    """

    east_m: float
    north_m: float
    turn_deg: float
    stretch: float
    covariance_m2: Floats
    inliers: int
    of: int
    spread: float
    residual_m: float

    @property
    def sigma_m(self) -> float:
        """1-sigma along the axis where it is largest."""
        return math.sqrt(float(np.linalg.eigvalsh(self.covariance_m2)[-1]))


def fit_pose(
    ground_m: Floats,
    shift_m: Floats,
    of: int,
    pixel_m: float,
    side_m: float,
    turn_sigma_deg: float,
    stretch_sigma: float,
) -> Pose | None:
    """Fit [N, 2] shifts of parts at [N, 2] metres from the vehicle; None where too few agree.

    Args:
        ground_m: metres east and north of the vehicle.
        shift_m: metres east and north that each part lies from where the place so far puts it.
        of: parts that were looked for.
        pixel_m: metres in a pixel, in which parts are measured.
        side_m: of what 5 x 5 parts fill: the picture, where the map shows half of it.
        turn_sigma_deg: 1-sigma of the turn that may be left.
        stretch_sigma: 1-sigma of the stretch.
    """
    if len(ground_m) < MIN_INLIERS:
        return None
    prior = np.diag([0.0, 0.0, math.radians(turn_sigma_deg) ** -2, stretch_sigma**-2])
    rows = _rows(ground_m)
    found = np.array([*np.median(shift_m, axis=0), 0.0, 0.0])
    sigma_m = pixel_m
    for near_px in INLIER_STEPS_PX:
        away_m = np.hypot(*(shift_m - rows @ found).T)
        inside = away_m <= near_px * pixel_m
        if inside.sum() < MIN_INLIERS:
            return None
        kept = rows[inside].reshape(-1, 4)
        information = kept.T @ kept / sigma_m**2 + prior
        found = np.linalg.solve(information, kept.T @ shift_m[inside].ravel() / sigma_m**2)
        left_m = shift_m[inside] - rows[inside] @ found
        freedom = max(2 * int(inside.sum()) - len(found), 1)
        residual_m = math.sqrt(float(np.sum(left_m**2)) / freedom)
        residual_m *= _cut_off(near_px * pixel_m / max(residual_m, NOISE_PX * pixel_m))
        sigma_m = math.hypot(residual_m, NOISE_PX * pixel_m)
    kept = rows[inside].reshape(-1, 4)
    covariance = np.linalg.inv(kept.T @ kept / sigma_m**2 + prior)[:2, :2]
    return Pose(
        east_m=float(found[0]),
        north_m=float(found[1]),
        turn_deg=math.degrees(float(found[2])),
        stretch=float(found[3]),
        covariance_m2=covariance,
        inliers=int(inside.sum()),
        of=of,
        spread=_spread_m(ground_m[inside]) / side_m,
        residual_m=residual_m,
    )


def _rows(ground_m: Floats) -> Floats:
    """[N, 2, 4] how place, turn and stretch move parts east and north."""
    east, north = ground_m.T
    one, none = np.ones(len(east)), np.zeros(len(east))
    of_east = np.column_stack([one, none, -north, east])
    of_north = np.column_stack([none, one, east, north])
    return np.stack([of_east, of_north], axis=1)


def _cut_off(sigmas: float) -> float:
    """How many times wider a round 2-D Gaussian is than what is left of it within so many of its
    sigmas; the parts beyond were taken for outliers."""
    half = sigmas**2 / 2.0
    return 1.0 / math.sqrt(1.0 - half / math.expm1(half))


def _spread_m(points_m: Floats) -> float:
    """1-sigma of [N, 2] points in the direction where it is least."""
    return math.sqrt(max(float(np.linalg.eigvalsh(np.cov(points_m.T))[0]), 0.0))
