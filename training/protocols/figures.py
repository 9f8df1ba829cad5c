"""From where references stand to the figures of a benchmark; nothing here knows a data set.

Arrays go by query. Ranks count from 1.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from pymap3d.vincenty import vdist

from geobridge.onboard.metrics import AveragePrecision

from ..batches.kin import Lists
from ..datasets.layouts.task import Floats, Plane
from ..evaluation.standing import Standing

Ints = npt.NDArray[np.int64]
Ties = Literal["argsort", "optimistic", "pessimistic"]

EARTH_RADIUS_M = 6_378_137.0
"""Of DenseUAV's haversine."""


def ranks(standing: Standing, listed: Lists, ties: Ties) -> Ints:
    """Rank of every listed reference, along the items of `listed`.

    Of references with equal scores, `argsort` takes the larger number first, as
    `numpy.argsort(scores)[::-1]` does where its sort is stable; `optimistic` the listed ones
    (Sample4Geo counts what is strictly better); `pessimistic` those that are not listed. Listed
    ones among themselves then go by number.
    """
    if ties == "argsort":
        return np.asarray(1 + standing.above + standing.tied_behind)
    earlier, others = _tied_listed(standing.score, listed)
    rank = 1 + standing.above + earlier
    if ties == "pessimistic":
        rank = rank + standing.tied_before + standing.tied_behind - others
    return np.asarray(rank)


def first_ranks(rank: Ints, listed: Lists) -> Ints:
    """[Q] the best rank of every query's list, none of which is empty."""
    return np.asarray(np.minimum.reduceat(rank, listed.offsets[:-1]))


def average_precisions(rank: Ints, listed: Lists, kind: AveragePrecision) -> Floats:
    """[Q] average precision over all listed references; the kinds are `metrics`'."""
    owner = owners(listed)
    order = np.lexsort((rank, owner))
    ahead = rank[order] - 1
    place = np.arange(len(owner)) - listed.offsets[owner]
    precision = (place + 1) / (ahead + 1)
    if kind == "trapezoid":
        before = np.where(ahead == 0, 1.0, place / np.maximum(ahead, 1))
        precision = (before + precision) / 2.0
    return np.asarray(np.add.reduceat(precision, listed.offsets[:-1]) / np.diff(listed.offsets))


def hits(standing: Standing, listed: Lists, is_semi: npt.NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """[Q] VIGOR's hit in its two readings, as 0 or 1.

    The first is Sample4Geo's code: nothing but semi-positives scores above the positive. The second
    is the paper's wording: the best reference shows the query, be it positive or semi-positive.
    Among equal scores ours is the best in both.

    Args:
        listed: one positive and its semi-positives for every query.
        is_semi: which of its items are semi-positives.
    """
    owner = owners(listed)
    positive = np.full(len(listed.offsets) - 1, -1)
    positive[owner[~is_semi]] = np.flatnonzero(~is_semi)
    over = is_semi & (standing.score > standing.score[positive[owner]])
    excused = np.bincount(owner[over], minlength=len(positive))
    strict = standing.above[positive] - excused < 1
    best = np.minimum.reduceat(standing.above, listed.offsets[:-1]) == 0
    return strict.astype(np.int64), best.astype(np.int64)


def distances_m(queries: Floats, references: Floats, top: Ints, plane: Plane) -> Floats:
    """[Q, K] metres from every query to its best references; geodesic on WGS84, or on the plane.

    Args:
        queries, references: [Q, 2] and [R, 2] latitude and longitude in degrees, or metres.
        top: [Q, K] numbers of references; infinite where there is none.
    """
    there = references[top]
    if plane == "metres":
        apart = np.linalg.norm(there - queries[:, None], axis=2)
    else:
        here = np.broadcast_to(queries[:, None], there.shape)
        apart = _geodesic_m(here.reshape(-1, 2), there.reshape(-1, 2)).reshape(top.shape)
    return np.where(top < 0, np.inf, apart)


def haversine_m(here: Floats, there: Floats) -> Floats:
    """[N] metres on DenseUAV's sphere between [N, 2] latitudes and longitudes."""
    (lat_a, lon_a), (lat_b, lon_b) = np.radians(here).T, np.radians(there).T
    half = np.sin((lat_a - lat_b) / 2) ** 2
    half = half + np.cos(lat_a) * np.cos(lat_b) * np.sin((lon_a - lon_b) / 2) ** 2
    return np.asarray(2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(half)))


def sdm(distances: Floats, k: int, per_unit: float) -> Floats:
    """[Q] spatial distance metric: exp(-distance) of the best k, weighted k, k - 1, ... 1.

    Args:
        distances: [Q, K] of the best references, best first.
        k: at most K.
        per_unit: 5000 of degrees (DenseUAV), 0.001 of metres (GTA-UAV).
    """
    weight = np.arange(k, 0, -1) / (k * (k + 1) / 2)
    return np.asarray(np.exp(-per_unit * distances[:, :k]) @ weight)


def degrees_apart(queries: Floats, references: Floats, top: Ints, single: bool) -> Floats:
    """[Q, K] Euclidean distance in degrees of longitude and latitude alike, as DenseUAV has it.

    Args:
        single: compute in float32, as the published evaluator does: near 120 degrees east it
            knows positions to 0.8 m.
    """
    here, there = queries[:, None], references[top]
    if single:
        step = there.astype(np.float32) - here.astype(np.float32)
        return np.asarray(np.sqrt((step**2).sum(axis=2)), float)
    return np.asarray(np.sqrt(((there - here) ** 2).sum(axis=2)))


def owners(listed: Lists) -> Ints:
    """The query of every item."""
    return np.repeat(np.arange(len(listed.offsets) - 1), np.diff(listed.offsets))


def _geodesic_m(here: Floats, there: Floats) -> Floats:
    """Vincenty's inverse; the same point, for which it has no answer, is 0 away."""
    apart = np.zeros(len(here))
    known = np.isfinite(here).all(axis=1) & np.isfinite(there).all(axis=1)
    apart[~known] = np.nan
    moved = known & (here != there).any(axis=1)
    if moved.any():
        apart[moved] = vdist(*here[moved].T, *there[moved].T)[0]
    return apart


def _tied_listed(score: Floats, listed: Lists) -> tuple[Ints, Ints]:
    """Of every item, how many items of its query tie with it: those before it, and all others."""
    owner = owners(listed)
    order = np.lexsort((listed.items, score, owner))
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(owner[order]) != 0) | (np.diff(score[order]) != 0)
    run = np.cumsum(new) - 1
    start = np.flatnonzero(new)
    earlier, others = np.empty(len(order), np.int64), np.empty(len(order), np.int64)
    earlier[order] = np.arange(len(order)) - start[run]
    others[order] = np.bincount(run)[run] - 1
    return earlier, others
