"""Is a picture one that a camera took of something, now?

Every limit lies between what whole pictures of three recorded flights and a street walk measure and
what the same pictures measure with the fault (`scripts/measure_frames`). Accepted is only what is
finite and within its limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from ..records import Frame, Grey, Reason
from .shrink import factor_to, shrink

Field = npt.NDArray[np.float32]
Problem = tuple[Reason, str]

DARK, WHITE = 16, 250
"""Grey levels: below the first is nothing but noise, from the second on detail is lost."""
MAX_WHITE_SHARE = 0.25
MIN_SHARPNESS = 0.28
"""Mean step over 1 px against that over 4 px, in the direction where it is less, at about 640 px
across; without any detail it is a quarter."""
MAX_TEAR = 2.5
"""Step from one row to the next against the largest step beside it, averaged over the rows."""
MAX_ALIKE = 0.9
"""Correlation of two pictures' detail, not shifted, that motion leaves none of."""
MIN_MOTION = 0.01
"""Of the picture's width; less motion than this leaves pictures alike."""
_LOOK_PX, _DETAIL_PX, _LIGHT_STEP_PX, _ROW_STEP = 640, 213, 8, 8
_BESIDE = np.array([[1], [1], [1], [1], [0], [1], [1], [1], [1]], np.uint8)
"""The rows near a row."""
_NOISE = 0.1
"""Grey levels that make a step of nothing against nothing no fault."""


def picture_problem(
    frame: Frame, width_px: int, height_px: int, min_contrast: float
) -> Problem | None:
    """What is wrong with one picture, and its figures; None where nothing is."""
    image = frame.image
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        return Reason.BAD_IMAGE, f"picture is {image.dtype} {image.shape}, expected RGB of 8 bits"
    if image.shape != (height_px, width_px, 3):
        size = f"{image.shape[1]}x{image.shape[0]}"
        return Reason.WRONG_SIZE, f"picture is {size} px, the camera gives {width_px}x{height_px}"
    found = figures(frame.grey)
    brightest, white, contrast = found["brightest"], found["white"], found["contrast"]
    if not brightest >= DARK:
        return Reason.BLACK, f"brightest hundredth at {brightest:.0f} grey levels, {DARK} needed"
    if not white <= MAX_WHITE_SHARE:
        return Reason.OVEREXPOSED, f"{white:.0%} white, {MAX_WHITE_SHARE:.0%} allowed"
    if not contrast >= min_contrast:
        return Reason.BAD_IMAGE, f"contrast {contrast:.1f} grey levels, {min_contrast:g} needed"
    if not found["sharpness"] >= MIN_SHARPNESS:
        return Reason.BLURRED, f"sharpness {found['sharpness']:.2f}, {MIN_SHARPNESS:g} needed"
    if not found["tear"] <= MAX_TEAR:
        return Reason.TORN, f"a step of {found['tear']:.1f} between rows, {MAX_TEAR:g} allowed"
    return None


def figures(grey: Grey) -> dict[str, float]:
    """What the limits are on: `brightest` hundredth and `contrast` in grey levels, the share that
    is `white`, `sharpness` and `tear`."""
    small = shrink(grey, factor_to(grey, _LOOK_PX))
    some = small[::_LIGHT_STEP_PX, ::_LIGHT_STEP_PX].ravel()
    return {
        "brightest": _brightest(some),
        "white": np.count_nonzero(some >= WHITE) / some.size,
        "contrast": float(cv2.meanStdDev(some)[1].item()),
        "sharpness": _sharpness(small),
        "tear": _tear(grey),
    }


@dataclass(frozen=True, eq=False)
class Look:
    """A frame, and its detail for the comparison with the one after it."""

    frame: Frame

    @cached_property
    def detail(self) -> Field:
        """What is finer than some pixels of the shrunk picture, in grey levels."""
        grey = self.frame.grey
        levels = shrink(grey, factor_to(grey, _DETAIL_PX)).astype(np.float32)
        return np.asarray(levels - cv2.GaussianBlur(levels, (0, 0), 2.0), np.float32)


def motion_problem(before: Look, now: Look, motion_px: float | None) -> Problem | None:
    """Whether a picture is all or in part the one before it.

    Args:
        before: the picture before, of the same size.
        now: the picture.
        motion_px: how far its middle should have moved; None where nobody knows.
    """
    earlier, image = before.frame.image, now.frame.image
    some = image[::_ROW_STEP]
    rows = np.all(earlier[::_ROW_STEP] == some, axis=(1, 2))
    if rows.all() and np.array_equal(earlier, image):
        return Reason.FROZEN, "the same picture to the last bit as before"
    if motion_px is None or not motion_px >= MIN_MOTION * some.shape[1]:
        return None
    alike = likeness(before, now)
    if not alike <= MAX_ALIKE:
        detail = f"{alike:.2f} like the picture before, after {motion_px:.0f} px of motion"
        return Reason.FROZEN, detail
    if rows.any():  # black or white rows are equal for another reason
        rows &= (some.max(axis=(1, 2)) > DARK) & (some.min(axis=(1, 2)) < WHITE)
    if rows.any():
        return Reason.TORN, f"{rows.mean():.0%} of the rows are those of the picture before"
    return None


def _brightest(levels: Grey) -> float:
    """What all but a hundredth of [N] levels do not exceed, between the two nearest levels:
    numpy's percentile to the last bit, which itself takes eight times as long."""
    rank = 0.99 * (len(levels) - 1)
    below, above = math.floor(rank), math.ceil(rank)
    low, high = np.partition(levels, (below, above))[[below, above]].tolist()
    share, step = rank - below, high - low
    return float(low + step * share if share < 0.5 else high - step * (1.0 - share))


def _sharpness(grey: Grey) -> float:
    """By `MIN_SHARPNESS`'s measure."""
    across = _step(grey[:, 1:], grey[:, :-1]) / (_step(grey[:, 4:], grey[:, :-4]) + _NOISE)
    down = _step(grey[1:], grey[:-1]) / (_step(grey[4:], grey[:-4]) + _NOISE)
    return min(across, down)


def _step(a: Grey, b: Grey) -> float:
    return float(cv2.norm(a, b, cv2.NORM_L1) / max(a.size, 1))


def _tear(grey: Grey) -> float:
    """The worst step between rows by `MAX_TEAR`'s measure: all of one row has it, none near it."""
    steps = cv2.reduce(cv2.absdiff(grey[1:], grey[:-1]), 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F)
    beside = cv2.dilate(steps, _BESIDE, borderType=cv2.BORDER_REPLICATE)
    return float(np.max(np.asarray(steps) / (np.asarray(beside) + 5 * _NOISE)))


def likeness(before: Look, now: Look) -> float:
    """Correlation of the detail of two pictures of one size, -1 to 1."""
    a, b = before.detail, now.detail
    power = float(np.sum(a * a)) * float(np.sum(b * b))
    return float(np.sum(a * b)) / math.sqrt(max(power, 1e-12))
