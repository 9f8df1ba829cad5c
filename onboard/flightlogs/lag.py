"""How much a camera's times are off the log's: turns that pictures show against turns that the
autopilot's gyroscopes told.

Where the log's attitude at both exposures is right, some motion of the camera explains how the
ground moved from one picture to the next; where it is not, none does. The shift of time at which
what is left over is least is the lag. A flight without turns tells nothing, and neither does one
whose attitude is logged too seldom: how sure the answer is comes from how sharply it fits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from ..camera import Camera, Matrix, enu_from_gimbal
from ..errors import DataError
from ..frames.picture import read_picture
from .series import Floats
from .telemetry_csv import TelemetryLog

NS_PER_S = 1_000_000_000
RANGE_S, STEP_S = 3.0, 0.02
NEAR_S = 0.3
"""Over this to both sides of the best shift the cost is taken for a parabola."""
MAX_BETWEEN_S = 3.0
"""Pictures farther apart show too little of the same ground."""
WIDTH_PX = 1000
MOST_POINTS, LEAST_AGREEING, COMPARED = 2000, 40, 150
MATCH_RATIO, INLIER_PX = 0.75, 2.0
EVENED_PX, LEAST_SPREAD = 15.0, 0.5
OUTLIER_RAD = math.radians(1.0)
"""A pair that fits worse counts no more than this."""
LEAST_PAIRS, MOST_PAIRS = 5, 40
MOST_SIGMA_S, LEAST_CONTRAST = 0.15, 2.0


_Features = tuple[Floats, Floats]
"""[N, 2] pixels and [N, 128] descriptions."""


@dataclass(frozen=True)
class Lag:
    """Add `lag_s` to the times of pictures to be on the log's clock.

    `sigma_s` is by the sharpness of the fit. `contrast` is how many times worse the turns fit at a
    shift taken at random. `pairs` are the pictures that could be compared; `why_not` names what the
    answer lacks to be believed, empty where it is.
    """

    lag_s: float
    sigma_s: float
    contrast: float
    pairs: int
    residual_deg: float
    why_not: str

    @property
    def is_confident(self) -> bool:
        """Whether to use it."""
        return not self.why_not


@dataclass(frozen=True)
class _Pair:
    """[N, 3] rays of the same ground in a picture and the next, 1 along the camera's axis."""

    t0_ns: int
    t1_ns: int
    earlier: Floats
    later: Floats


def estimate_lag(
    folder: Path, times_ns: Mapping[str, int], telemetry: TelemetryLog, camera: Camera
) -> Lag:
    """By the pictures of a folder that have a time, in its order.

    Raises:
        DataError: no two pictures that overlap, or no attitude at their times.
    """
    taken = sorted((t_ns, name) for name, t_ns in times_ns.items())
    pairs = list(_pairs(folder, taken, camera))
    shifts_s = np.arange(-RANGE_S, RANGE_S + STEP_S / 2, STEP_S)
    left_rad = np.array(
        [[_left_over_rad(pair, telemetry, camera, shift) for pair in pairs] for shift in shifts_s]
    ).reshape(len(shifts_s), len(pairs))
    known = np.isfinite(left_rad).all(axis=0)
    if not known.any():
        raise DataError(
            f"{folder}: {len(pairs)} pairs of pictures show the same ground, none of them within"
            " the attitude of the log: no lag to be found"
        )
    return _fitted(shifts_s, np.minimum(left_rad[:, known], OUTLIER_RAD) ** 2)


def _fitted(shifts_s: Floats, squares: Floats) -> Lag:
    """From [S, P] squared errors of every pair at every shift."""
    cost = squares.sum(axis=1)
    best, pairs = int(np.argmin(cost)), squares.shape[1]
    near = np.abs(shifts_s - shifts_s[best]) <= NEAR_S
    curvature, slope, _ = np.polyfit(shifts_s[near] - shifts_s[best], cost[near], 2)
    at_edge = best in (0, len(shifts_s) - 1)
    is_sharp = curvature > 0.0 and abs(slope) <= 2.0 * curvature * NEAR_S
    lag_s = float(shifts_s[best] - (slope / (2.0 * curvature) if is_sharp else 0.0))
    variance = cost[best] / max(pairs - 1, 1)
    sigma_s = float(math.sqrt(variance / curvature)) if is_sharp else math.inf
    contrast = float(np.median(cost) / cost[best]) if cost[best] else math.inf
    reasons = {
        f"only {pairs} pairs of pictures": pairs < LEAST_PAIRS,
        "the best shift lies at the edge of the search": at_edge,
        "it fits about as well elsewhere": contrast < LEAST_CONTRAST,
        "the fit is not sharp": not sigma_s <= MOST_SIGMA_S,
    }
    why_not = next((reason for reason, holds in reasons.items() if holds), "")
    residual_deg = math.degrees(math.sqrt(cost[best] / pairs))
    return Lag(lag_s, sigma_s, contrast, pairs, residual_deg, why_not)


def _left_over_rad(pair: _Pair, telemetry: TelemetryLog, camera: Camera, shift_s: float) -> float:
    """Root mean square of the angle that no motion over level ground explains, NaN where the log
    tells no attitude.

    A ray p of the earlier picture is one of `turned p + (n.p) motion` in the later one, n being
    down and the motion in heights above the ground: three unknowns for all rays together.
    """
    shift_ns = round(shift_s * NS_PER_S)
    earlier = _enu_from_camera(telemetry, pair.t0_ns + shift_ns, camera)
    later = _enu_from_camera(telemetry, pair.t1_ns + shift_ns, camera)
    if earlier is None or later is None:
        return math.nan
    turned = pair.earlier @ (later.T @ earlier).T
    depth = -(pair.earlier @ earlier[2])
    seen = pair.later
    rows = np.zeros((len(seen), 2, 3))
    rows[:, 0, 0] = rows[:, 1, 1] = depth
    rows[:, :, 2] = -seen[:, :2] * depth[:, None]
    wanted = seen[:, :2] * turned[:, 2:] - turned[:, :2]
    motion, *_ = np.linalg.lstsq(rows.reshape(-1, 3), wanted.ravel(), rcond=None)
    left = (rows @ motion - wanted) / np.maximum(turned[:, 2:], 0.1)
    return float(np.sqrt((left**2).sum(axis=1).mean()))


def _enu_from_camera(telemetry: TelemetryLog, t_ns: int, camera: Camera) -> Matrix | None:
    sample = telemetry.at(t_ns)
    if sample.t_ns != t_ns:
        return None
    if sample.gimbal is not None:
        return enu_from_gimbal(sample.gimbal)
    return None if sample.attitude is None else camera.enu_from_camera(sample.attitude)


def _pairs(folder: Path, taken: Sequence[tuple[int, str]], camera: Camera) -> Iterator[_Pair]:
    """Of pictures that follow each other closely, evenly over the flight."""
    near = [(a, b) for a, b in pairwise(taken) if b[0] - a[0] <= MAX_BETWEEN_S * NS_PER_S]
    chosen = np.unique(np.linspace(0, len(near) - 1, min(MOST_PAIRS, len(near))).astype(int))
    before: tuple[str, _Features] | None = None
    for (t0_ns, first), (t1_ns, second) in (near[row] for row in chosen):
        known = before[1] if before and before[0] == first else _features(folder / first)
        found = _features(folder / second)
        before = second, found
        rays = _same_ground(known, found, camera)
        if rays is not None:
            yield _Pair(t0_ns, t1_ns, *rays)


def _features(path: Path) -> _Features:
    """[N, 2] pixels of the picture and [N, 128] descriptions."""
    grey = cv2.cvtColor(read_picture(path), cv2.COLOR_RGB2GRAY)
    scale = min(1.0, WIDTH_PX / grey.shape[1])
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    sift = cv2.SIFT.create(MOST_POINTS)
    points, descriptions = sift.detectAndCompute(_evened(small), None)
    if descriptions is None:
        return np.empty((0, 2)), np.empty((0, 128))
    pixels = (np.array([point.pt for point in points]) + 0.5) / scale - 0.5
    return pixels, np.asarray(descriptions, np.float32)


def _evened(grey: cv2.typing.MatLike) -> cv2.typing.MatLike:
    """Of even brightness and contrast everywhere: dark pictures and dark corners have structure."""
    values = grey.astype(np.float32)
    mean = cv2.GaussianBlur(values, (0, 0), EVENED_PX)
    spread = np.sqrt(cv2.GaussianBlur((values - mean) ** 2, (0, 0), EVENED_PX)) + LEAST_SPREAD
    return np.clip(128.0 + 40.0 * (values - mean) / spread, 0, 255).astype(np.uint8)


def _same_ground(
    first: _Features, second: _Features, camera: Camera
) -> tuple[Floats, Floats] | None:
    """Rays that one homography relates, evenly taken; None where two pictures share too little."""
    rows = _matched(first[1], second[1])
    if len(rows) < LEAST_AGREEING:
        return None
    with np.errstate(over="ignore", invalid="ignore"):  # beyond what the distortion is good for
        rays = [
            camera.rays(pixels[rows[:, side]]) for side, pixels in enumerate((first[0], second[0]))
        ]
    ahead = (rays[0][:, 2] > 0.1) & (rays[1][:, 2] > 0.1)
    before, after = (each[ahead] / each[ahead, 2:] for each in rays)
    if len(before) < LEAST_AGREEING:
        return None
    _, agreeing = cv2.findHomography(
        before[:, :2], after[:, :2], cv2.USAC_MAGSAC, INLIER_PX / camera.fx_px
    )
    kept = np.flatnonzero(agreeing) if agreeing is not None else np.empty(0, np.int64)
    if len(kept) < LEAST_AGREEING:
        return None
    kept = kept[np.linspace(0, len(kept) - 1, min(COMPARED, len(kept))).astype(int)]
    return before[kept], after[kept]


def _matched(first: Floats, second: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """[M, 2] rows that are each other's nearest, and clearly so."""
    if len(first) < 2 or len(second) < 2:
        return np.empty((0, 2), np.int64)
    matcher = cv2.BFMatcher(cv2.NORM_L2)
    there = matcher.knnMatch(first, second, k=2)
    back = {match.queryIdx: match.trainIdx for match in matcher.match(second, first)}
    rows = [
        (best.queryIdx, best.trainIdx)
        for best, other in there
        if best.distance < MATCH_RATIO * other.distance and back[best.trainIdx] == best.queryIdx
    ]
    return np.array(rows, np.int64).reshape(-1, 2)
