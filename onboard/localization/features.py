"""Points by which a picture of ground is recognised: SIFT, and a robust fit.

The picture lies where it was aligned, within a margin: points are looked for in one another's
neighbourhood alone, and what no view of a plane explains is left out (MAGSAC++, by OpenCV).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .local_matches import LocalMatches, parts_of_points
from .structure import Ground

Floats = npt.NDArray[np.float64]
Descriptors = npt.NDArray[np.float32]

MOST_POINTS = 1500
MAX_RATIO = 0.85
"""Of the distance to the best point against that to the second best, both within reach."""
CONTRAST = 0.01
"""Weaker points than OpenCV's default: fields and sand have no others."""
FIT_PX, FIT_TRIES, MIN_MATCHES = 3.0, 2000, 6


def match_features(picture: Ground, reference: Ground) -> LocalMatches:
    """The `Matcher` that knows points by SIFT."""
    reach = (len(reference.image) - len(picture.image)) // 2
    at_px, descriptors = _points(picture)
    there_px, others = _points(reference)
    pairs = _near_pairs(at_px + reach, descriptors, there_px, others, reach)
    at_px, there_px = explained(at_px[pairs[:, 0]], there_px[pairs[:, 1]])
    return parts_of_points(at_px, there_px, picture, reference)


def _points(ground: Ground) -> tuple[Floats, Descriptors]:
    """[N, 2] columns and rows, and [N, 128] descriptors."""
    grey = cv2.cvtColor(np.ascontiguousarray(ground.image), cv2.COLOR_RGB2GRAY)
    finder = cv2.SIFT.create(MOST_POINTS, contrastThreshold=CONTRAST)
    mask = np.ascontiguousarray(ground.mask > 0).astype(np.uint8)
    points, found = finder.detectAndCompute(grey, mask)
    if found is None:
        return np.empty((0, 2)), np.empty((0, 128), np.float32)
    return np.array([point.pt for point in points]), np.asarray(found, np.float32)


def explained(at_px: Floats, there_px: Floats) -> tuple[Floats, Floats]:
    """The pairs of [N, 2] points that one view of a plane explains; none where too few are left."""
    if len(at_px) < MIN_MATCHES:
        return at_px[:0], there_px[:0]
    _, inside = cv2.findHomography(
        at_px, there_px, cv2.USAC_MAGSAC, FIT_PX, maxIters=FIT_TRIES, confidence=0.999
    )
    kept = np.zeros(len(at_px), np.bool_) if inside is None else inside.ravel() > 0
    if kept.sum() < MIN_MATCHES:
        return at_px[:0], there_px[:0]
    return at_px[kept], there_px[kept]


def _near_pairs(
    at_px: Floats, ours: Descriptors, there_px: Floats, theirs: Descriptors, reach: int
) -> npt.NDArray[np.int64]:
    """[K, 2] rows of points that are most alike within reach of each other, and more so than the
    next; a point without a next one says nothing."""
    if not len(at_px) or len(there_px) < 2:
        return np.empty((0, 2), np.int64)
    away2 = (ours**2).sum(axis=1)[:, None] + (theirs**2).sum(axis=1) - 2.0 * ours @ theirs.T
    near = np.abs(at_px[:, None] - there_px).max(axis=2) <= reach
    away2 = np.where(near, np.maximum(away2, 0.0), np.inf)
    best = np.argmin(away2, axis=1)
    rows = np.arange(len(best))
    first = away2[rows, best]
    away2[rows, best] = np.inf
    second = away2.min(axis=1)
    clear = np.isfinite(second) & (first <= MAX_RATIO**2 * second)
    return np.column_stack([rows[clear], best[clear]])
