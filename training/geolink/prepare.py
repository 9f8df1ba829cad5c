"""From a cloud as it came to one to train with: filtered, upright, in metres, spread evenly.

Nothing is drawn: the same cloud gives the same bytes, in whatever order its points stand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from .clouds import CloudError, Floats, Raw
from .manifest import Axis, Entry

Points = npt.NDArray[np.float32]

_THINNED_TO = 16
"""So many times the points that are wanted are left before the slow steps."""
_NEIGHBOURS, _FAR_SIGMA = 8, 3.0
_GROUND_PERCENT = 2.0
_MOST_NOT_FINITE = 0.1
_LAID_AGAIN = 10
_RIGHT_HANDED: dict[str, tuple[int, int, int]] = {"x": (1, 2, 0), "y": (2, 0, 1), "z": (0, 1, 2)}
"""Which axes become east, north and up."""


@dataclass(frozen=True)
class Recipe:
    """How clouds are prepared.

    Args:
        count: points that are kept.
        min_confidence: points of less are left out, where a file tells it.
        max_error_px: COLMAP's points with a larger error are left out.
        fewest: a cloud with fewer points left tells too little.
        footprint_m: side of a place of which the manifest does not say it.
    """

    count: int = 2048
    min_confidence: float = 0.0
    max_error_px: float = 4.0
    fewest: int = 64
    footprint_m: float = 150.0


@dataclass(frozen=True)
class Prepared:
    """[n, 3] float32 metres east, north and up, every first part of it spread over the whole; how
    many points there were and how many were left; whether its metres were told or guessed.
    """

    points_m: Points
    given: int
    left: int
    is_metric: bool


def prepare(raw: Raw, entry: Entry, recipe: Recipe) -> Prepared:
    """One cloud, its ground at 0 and the place's middle at 0, 0.

    Raises:
        CloudError: too little is left of it, it is of another place, or lies on its side.
    """
    given = len(raw)
    points = upright(_trusted(raw, recipe), entry.up)
    points = points[np.lexsort(points.T)]
    footprint_m = entry.footprint_m or recipe.footprint_m
    is_metric = entry.is_crop or entry.metres_per_unit is not None
    scale = 1.0 if entry.is_crop else entry.metres_per_unit or 1.0
    middle = entry.middle or (np.zeros(2) if entry.is_crop else np.median(points[:, :2], axis=0))
    points = (points - [*middle, 0.0]) * scale
    points = without_outliers(thinned(points, _THINNED_TO * recipe.count))
    if not is_metric:
        points = points * (footprint_m / 2.0 / _reach(points))
    else:
        points = _of_this_place(points, footprint_m)
    _check_axes(points, entry.up)
    if len(points) < recipe.fewest:
        raise CloudError(f"{len(points)} points are left of {given}, expected {recipe.fewest}")
    points[:, 2] -= np.percentile(points[:, 2], _GROUND_PERCENT)
    spread = points[farthest_first(points, recipe.count)]
    return Prepared(spread.astype(np.float32), given, len(points), is_metric)


def upright(points: Floats, up: Axis) -> Floats:
    """With the third axis up; right-handed as before."""
    if up == "auto":
        return _by_spread(points)
    turned = points[:, _RIGHT_HANDED[up[-1]]]
    return turned * [1.0, -1.0, -1.0] if up.startswith("-") else turned


def thinned(points: Floats, most: int) -> Floats:
    """At most about so many: the first of every cube of a grid, ever coarser."""
    if len(points) <= most:
        return points
    low, size = points.min(axis=0), np.ptp(points, axis=0)
    side = max(float(np.sqrt(size[0] * size[1] / most)), float(size.max()) / 1000.0, 1e-12)
    while True:
        cell = np.floor((points - low) / side).astype(np.int64)
        first = np.unique(cell @ [1, 1 << 20, 1 << 40], return_index=True)[1]
        if len(first) <= most:
            return np.asarray(points[np.sort(first)])
        side *= 1.2


def without_outliers(points: Floats) -> Floats:
    """Without those much farther from their neighbours than most (mean + 3 sigma)."""
    if len(points) <= _NEIGHBOURS:
        return points
    distances = cKDTree(points).query(points, k=_NEIGHBOURS + 1)[0][:, 1:].mean(axis=1)
    limit = distances.mean() + _FAR_SIGMA * distances.std()
    return np.asarray(points[distances <= limit])


def farthest_first(points: Floats, count: int) -> npt.NDArray[np.int64]:
    """[n] numbers of at most `count` points: the one nearest to 0, 0, then always the one that is
    farthest from all before it; of two the first.
    """
    count = min(count, len(points))
    chosen = np.empty(count, np.int64)
    columns = np.ascontiguousarray(points.T)
    far = np.full(len(points), np.inf)
    at = int(np.argmin(np.hypot(columns[0], columns[1])))
    for step in range(count):
        chosen[step] = at
        away = columns - columns[:, at : at + 1]
        np.minimum(far, np.einsum("ij,ij->j", away, away), out=far)
        at = int(np.argmax(far))
    return chosen


def _trusted(raw: Raw, recipe: Recipe) -> Floats:
    if not len(raw):
        raise CloudError("empty")
    finite = np.asarray(np.isfinite(raw.points).all(axis=1))
    lost = len(raw) - int(finite.sum())
    if lost > _MOST_NOT_FINITE * len(raw):
        raise CloudError(f"{lost} of {len(raw)} points are not finite")
    raw = raw.kept(finite)
    keep = np.ones(len(raw), bool)
    if raw.confidence is not None:
        keep &= raw.confidence >= recipe.min_confidence
    if raw.error_px is not None:
        keep &= raw.error_px <= recipe.max_error_px
    left = raw.kept(keep)
    if len(left) < recipe.fewest:
        raise CloudError(
            f"{len(left)} points of {len(keep)} can be trusted, expected {recipe.fewest}"
        )
    return left.points


def _by_spread(points: Floats) -> Floats:
    """Up is where the cloud is thinnest, and its thin end: roofs and crowns, not the ground.

    What stands on one side of a place tilts the plane of least spread; so it is laid again through
    the nearer half of the points, until it lies on the ground.
    """
    around = points - np.median(points, axis=0)
    far = np.linalg.norm(around, axis=1)
    plane = core = around[far <= np.percentile(far, 95.0)]
    for _ in range(_LAID_AGAIN):
        axes = np.linalg.svd(plane - plane.mean(axis=0), full_matrices=False)[2]
        heights = core @ axes[2]
        away = np.abs(heights - np.median(heights))
        plane = core[away <= np.median(away)]
    axes = axes if np.linalg.det(axes) > 0 else axes * [[1.0], [1.0], [-1.0]]
    turned = around @ axes.T
    low, high = np.percentile(turned[:, 2] - np.median(turned[:, 2]), [2.0, 98.0])
    return np.asarray(turned * [1.0, -1.0, -1.0] if high + low < 0 else turned)


def _reach(points: Floats) -> float:
    """Half of the side of the square that holds nearly all of them."""
    reach = float(np.percentile(np.abs(points[:, :2]).max(axis=1), 95.0)) if len(points) else 0.0
    if not reach > 0.0:
        raise CloudError("has no extent")
    return reach


def _of_this_place(points: Floats, footprint_m: float) -> Floats:
    """Those above the place's square.

    Raises:
        CloudError: the cloud lies elsewhere, or is much larger or smaller than a place can be.
    """
    half_m = footprint_m / 2.0
    away_m = float(np.hypot(*np.median(points[:, :2], axis=0))) if len(points) else 0.0
    inside = (np.abs(points[:, :2]) <= half_m).all(axis=1)
    if not inside.any() or (away_m > half_m and inside.mean() < 0.05):
        raise CloudError(f"lies {away_m:.0f} m from its place, which is {footprint_m:.0f} m wide")
    reach_m = _reach(points)
    if reach_m < half_m / 4.0:
        raise CloudError(
            f"is {2 * reach_m:.2g} m wide, its place {footprint_m:.0f} m; is metres_per_unit right?"
        )
    if not inside.mean() >= 0.01:
        raise CloudError(f"is {2 * reach_m:.0f} m wide, its place {footprint_m:.0f} m")
    return points[inside]


def _check_axes(points: Floats, up: Axis) -> None:
    """Ground seen from above is wider than high."""
    spread = np.percentile(points, 95.0, axis=0) - np.percentile(points, 5.0, axis=0)
    if spread[2] > 1.5 * spread[:2].min():
        wide = "x", "y", "z"
        thin = wide[_RIGHT_HANDED[up[-1]][int(np.argmin(spread[:2]))]] if up != "auto" else "none"
        raise CloudError(
            f"stands {spread[2]:.0f} m high on {spread[:2].min():.0f} m; up is {up}, its flattest"
            f" axis {thin}"
        )
