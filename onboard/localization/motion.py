"""Visual odometry: how far the vehicle moved between two frames, by the ground they both show.

Corners are followed from frame to frame by optical flow and laid on the ground by each frame's own
attitude and height, which takes the rotation out and puts metres in. What is left is a similarity
of the ground between both: its shift is the motion, its turn and stretch what attitude and height
changed wrongly meanwhile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..records import Frame, Grey
from .shrink import factor_to, shrink
from .sight import Sight

Floats = npt.NDArray[np.float64]

WIDTH_PX = 480
"""Frames are shrunk by a whole factor to about this width."""
MOST, LEAST = 120, 24
"""Corners that are followed, and that must agree."""
MIN_AGREEING = 0.5
"""Share of the followed corners that must agree: the rest is traffic, shadows, tall things."""
MAX_GAP_S = 2.0
MAX_TURN_DEG, MAX_STRETCH = 12.0, 0.12
"""Attitude and height do not err by more between two frames: such a fit is not of the ground."""
INLIER_PX, RETURN_PX = 1.5, 1.0
"""How near a corner must be to where the similarity, and the flow backwards, put it."""
MIN_SPREAD = 0.15
"""Of the picture's smaller side, 1-sigma: corners in one spot tell no turn from a shift."""
STEP_ACCURACY_DEG = 0.1
"""1-sigma of what roll and pitch are wrong by in one frame and not in the other. Over its lever,
the height, it is nearly all of the error: flow alone is good to centimetres."""
_FLOW_PX, _LEVELS, _APART_PX = 21, 3, 10


@dataclass(frozen=True)
class Motion:
    """From `t0_ns` to `t1_ns` the vehicle moved so many metres north and east.

    `covariance_m2` [2, 2], north first, is what differs from step to step. Errors of heading and
    height are not in it: they turn and stretch all steps alike.
    """

    t0_ns: int
    t1_ns: int
    north_m: float
    east_m: float
    covariance_m2: Floats

    def velocity_m_s(self) -> tuple[float, float]:
        """North and east, on the mean over the time between."""
        elapsed_s = (self.t1_ns - self.t0_ns) * 1e-9
        return self.north_m / elapsed_s, self.east_m / elapsed_s


@dataclass(frozen=True)
class NoMotion:
    """Nothing can be said, and why, with the figures."""

    detail: str


@dataclass(frozen=True, eq=False)
class _View:
    t_ns: int
    grey: Grey
    factor: int
    sight: Sight

    def ground_m(self, points: Floats) -> Floats:
        """[N, 2] pixels of the shrunk frame to metres from the vehicle."""
        return self.sight.ground_m((points + 0.5) * self.factor - 0.5)

    def shrunk_px(self, ground_m: Floats) -> Floats:
        return (self.sight.frame_px(ground_m) + 0.5) / self.factor - 0.5


class VisualOdometry:
    """Feed frames in order of exposure."""

    def __init__(self) -> None:
        self._before: _View | None = None
        self._moved_m_s = np.zeros(2)

    def step(self, frame: Frame, sight: Sight) -> Motion | NoMotion:
        """The motion since the frame before; `sight` is where this frame's camera sees what."""
        factor = factor_to(frame.grey, WIDTH_PX)
        grey = shrink(frame.grey, factor)
        before, now = self._before, _View(frame.t_capture_ns, grey, factor, sight)
        self._before = now
        if before is None:
            return NoMotion("the first frame")
        elapsed_s = (now.t_ns - before.t_ns) * 1e-9
        if not 0.0 < elapsed_s <= MAX_GAP_S or before.grey.shape != grey.shape:
            return NoMotion(f"{elapsed_s:.2f} s after the frame before, {MAX_GAP_S:g} allowed")
        found = _between(before, now, self._moved_m_s * elapsed_s)
        self._moved_m_s = np.zeros(2)
        if isinstance(found, Motion):
            self._moved_m_s += found.velocity_m_s()[::-1]
        return found


def _between(before: _View, now: _View, expected_m: Floats) -> Motion | NoMotion:
    start, end = _follow(before, now, _corners(before), expected_m)
    ground0, ground1 = before.ground_m(start), now.ground_m(end)
    known = np.isfinite(ground0).all(axis=1) & np.isfinite(ground1).all(axis=1)
    start, ground0, ground1 = start[known], ground0[known], ground1[known]
    if len(start) < LEAST:
        return NoMotion(f"{len(start)} corners followed, {LEAST} needed")
    near_m = INLIER_PX * _pixel_m(before, start, ground0)
    fit, kept = cv2.estimateAffinePartial2D(
        ground1, ground0, method=cv2.RANSAC, ransacReprojThreshold=near_m
    )
    agreeing = np.zeros(len(start), bool) if fit is None else np.asarray(kept).ravel() > 0
    if not (agreeing.sum() >= LEAST and agreeing.mean() >= MIN_AGREEING):
        return NoMotion(f"{agreeing.sum()} of {len(start)} corners agree")
    spread_px, needed_px = _spread_px(start[agreeing]), MIN_SPREAD * min(before.grey.shape)
    if not spread_px >= needed_px:
        return NoMotion(f"corners spread by {spread_px:.0f} px, {needed_px:.0f} needed")
    turn_deg = math.degrees(math.atan2(fit[1, 0], fit[0, 0]))
    stretch = math.hypot(fit[0, 0], fit[1, 0]) - 1.0
    if not (abs(turn_deg) <= MAX_TURN_DEG and abs(stretch) <= MAX_STRETCH):
        return NoMotion(f"the ground turned by {turn_deg:.1f} deg, stretched by {stretch:.0%}")
    (east_m, north_m), covariance = _shift(ground0[agreeing], ground1[agreeing])
    lever_m = now.sight.camera_m[2] * math.radians(STEP_ACCURACY_DEG) * math.sqrt(2.0)
    covariance = covariance[::-1, ::-1] + np.eye(2) * lever_m**2
    return Motion(before.t_ns, now.t_ns, float(north_m), float(east_m), covariance)


def _corners(view: _View) -> Floats:
    """[N, 2] places that can be followed."""
    found = cv2.goodFeaturesToTrack(view.grey, MOST, 0.01, _APART_PX)
    return np.empty((0, 2)) if found is None else np.asarray(found, float).reshape(-1, 2)


def _follow(before: _View, now: _View, start: Floats, expected_m: Floats) -> tuple[Floats, Floats]:
    """[N, 2] corners of the frame before, and where they are now; those that are lost left out."""
    if not len(start):
        return start, start
    guess = now.shrunk_px(before.ground_m(start) - expected_m)
    end, there = _flow(before.grey, now.grey, start, np.where(np.isfinite(guess), guess, start))
    back, again = _flow(now.grey, before.grey, end, start)
    kept = there & again & (np.hypot(*(back - start).T) <= RETURN_PX)
    return start[kept], end[kept]


def _flow(a: Grey, b: Grey, at: Floats, guess: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """[N, 2] places of a to [N, 2] of b, from a guess, and [N] which of them were found."""
    found, status, _ = cv2.calcOpticalFlowPyrLK(
        a,
        b,
        at[:, None].astype(np.float32),
        guess[:, None].astype(np.float32),
        winSize=(_FLOW_PX, _FLOW_PX),
        maxLevel=_LEVELS,
        criteria=(cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 0.02),
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return np.asarray(found, float).reshape(-1, 2), np.asarray(status).ravel() > 0


def _spread_px(points: Floats) -> float:
    """1-sigma of [N, 2] points in the direction where it is least."""
    return math.sqrt(max(float(np.linalg.eigvalsh(np.cov(points.T))[0]), 0.0))


def _shift(ground0: Floats, ground1: Floats) -> tuple[Floats, Floats]:
    """[2] where the ground below the second frame's vehicle lies from the first's, and [2, 2] its
    covariance: least squares over turn, stretch and shift."""
    east, north = ground1.T
    none, one = np.zeros(len(east)), np.ones(len(east))
    rows = np.concatenate(
        [np.column_stack([east, -north, one, none]), np.column_stack([north, east, none, one])]
    )
    seen = np.concatenate(ground0.T)
    inverse = np.linalg.inv(rows.T @ rows)
    found = inverse @ (rows.T @ seen)
    variance = float(np.sum((seen - rows @ found) ** 2)) / (len(seen) - 4)
    return found[2:], variance * inverse[2:, 2:]


def _pixel_m(view: _View, points: Floats, ground: Floats) -> float:
    """Metres of ground in a pixel, where most of the corners are."""
    beside = view.ground_m(points + np.array([1.0, 0.0]))
    return float(np.nanmedian(np.hypot(*(beside - ground).T)))
