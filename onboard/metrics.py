"""How good retrieval and fixes are: pure functions over arrays, for training, rehearsal and replay.

NaN is never skipped: a figure over data with NaN raises ValueError. Ranks count from 1. Equal
scores count against us: a reference that ties with the right one is taken to stand before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

Ties = Literal["pessimistic", "optimistic"]
OnePercent = Literal["layumi", "floor"]
AveragePrecision = Literal["trapezoid", "step"]

WRONG_SIGMAS = 5.0
"""A fix whose error is beyond this many of its own sigmas, and beyond a limit, is wrong."""


def first_ranks(
    scores: npt.ArrayLike, relevant: npt.ArrayLike, ties: Ties = "pessimistic"
) -> npt.NDArray[np.int64]:
    """[Q] rank of the best relevant reference of every query.

    Args:
        scores: [Q, R], higher is better.
        relevant: [Q, R] bool.
        ties: `pessimistic` ranks irrelevant references of the same score before it, `optimistic`
            (Sample4Geo's strict comparison) behind it.

    Raises:
        ValueError: NaN, shapes that differ, or a query without a relevant reference.
    """
    score, right = _scored(scores, relevant)
    best = np.where(right, score, -np.inf).max(axis=1, keepdims=True)
    before = score >= best if ties == "pessimistic" else score > best
    return np.asarray(1 + np.count_nonzero(before & ~right, axis=1), np.int64)


def recall_at_k(ranks: npt.ArrayLike, k: int) -> float:
    """R@k: the part of the [Q] queries whose first relevant reference has rank k or better."""
    rank = _numbers("ranks", ranks, 1)
    _at_least_one("k", k)
    return float(np.mean(rank <= k))


def one_percent_k(references: int, rule: OnePercent) -> int:
    """The k of R@1%, which the field computes in two ways.

    `layumi`: round(0.01 R) + 1 with Python's rounding (University-1652's and DenseUAV's evaluators
    index a 0-based curve). `floor`: R // 100 (Sample4Geo on CVUSA, CVACT, VIGOR), at least 1 here.
    """
    _at_least_one("references", references)
    return round(0.01 * references) + 1 if rule == "layumi" else max(references // 100, 1)


def recall_within(distances_m: npt.ArrayLike, k: int, radius_m: float) -> float:
    """The part of the queries with one of the first k candidates within `radius_m` of the truth.

    Args:
        distances_m: [Q, K] distance of every candidate from the truth, best candidate first;
            infinite where there are fewer.
        k: candidates looked at, no more than K.
        radius_m: metres, inclusive.

    Raises:
        ValueError: NaN, or fewer than k candidates.
    """
    distance = _numbers("distances_m", distances_m, 2)
    _at_least_one("k", k)
    if k > distance.shape[1]:
        raise ValueError(f"distances_m has {distance.shape[1]} candidates per query, k is {k}")
    return float(np.mean((distance[:, :k] <= radius_m).any(axis=1)))


def average_precision(
    scores: npt.ArrayLike, relevant: npt.ArrayLike, kind: AveragePrecision
) -> Floats:
    """[Q] average precision over all relevant references of every query.

    With r_i the 0-based rank of the i-th of n relevant references and p_i = (i + 1) / (r_i + 1):
    `step` is sum p_i / n (scikit-learn's, GTA-UAV's); `trapezoid` is sum (q_i + p_i) / 2n with
    q_i = i / r_i, or 1 where r_i is 0 (University-1652's, DenseUAV's and Sample4Geo's).

    Args:
        scores: [Q, R], higher is better.
        relevant: [Q, R] bool.
        kind: which of the two; they differ by several points, so it has no default.

    Raises:
        ValueError: NaN, shapes that differ, or a query without a relevant reference.
    """
    score, right = _scored(scores, relevant)
    order = np.lexsort((right, -score), axis=1)
    hits = np.take_along_axis(right, order, axis=1)
    rank = np.arange(hits.shape[1])
    found = np.cumsum(hits, axis=1)
    precision = found / (rank + 1)
    if kind == "trapezoid":
        before = np.where(rank == 0, 1.0, (found - 1) / np.maximum(rank, 1))
        precision = (before + precision) / 2.0
    return np.asarray((precision * hits).sum(axis=1) / found[:, -1], float)


def guessing(references: int) -> dict[str, float]:
    """What a random order of references reaches on average, one of them right.

    R@1, 5, 10 and 1 % (`layumi`) as `r1`, `r5`, `r10` and `r1_percent`: the right one is as likely
    at every rank. Its trapezoid AP is 1 at the first rank and 1 / 2r at rank r behind it, which
    makes `ap` (1 + H) / 2n over n ranks, with H = 1 + 1/2 + ... + 1/n.
    """
    depths = {f"r{k}": k for k in (1, 5, 10)} | {"r1_percent": one_percent_k(references, "layumi")}
    harmonic = float(np.sum(1.0 / np.arange(1, references + 1)))
    recalls = {name: min(k / references, 1.0) for name, k in depths.items()}
    return recalls | {"ap": (1.0 + harmonic) / (2.0 * references)}


def error_quantiles_m(
    errors_m: npt.ArrayLike, quantiles: Sequence[float] = (0.5, 0.9, 0.95, 0.99)
) -> Floats:
    """[len(quantiles)] of [N] errors, linear between order statistics (Hyndman and Fan, type 7)."""
    return np.asarray(np.quantile(_numbers("errors_m", errors_m, 1), quantiles), float)


def isotropic_covariances_m2(horiz_accuracy_m: npt.ArrayLike) -> Floats:
    """[N, 2, 2] covariances of [N] 1-sigma accuracies that hold per axis."""
    accuracy_m = _positive("horiz_accuracy_m", horiz_accuracy_m)
    return np.asarray(accuracy_m[:, None, None] ** 2 * np.eye(2))


def nees(errors_m: npt.ArrayLike, covariances_m2: npt.ArrayLike) -> Floats:
    """[N] normalised estimation error squared, e' P^-1 e; its mean is 2 where P is honest.

    Bar-Shalom, Li and Kirubarajan 2001, 5.4. Below 2 the stated accuracy is too pessimistic, above
    2 it claims too much; successive frames are correlated, so do not read it as N samples.

    Args:
        errors_m: [N, 2] east and north error.
        covariances_m2: [N, 2, 2] stated with every fix.

    Raises:
        ValueError: NaN, shapes that differ, or a matrix that is no covariance.
    """
    error = _numbers("errors_m", errors_m, 2)
    covariance = _numbers("covariances_m2", covariances_m2, 3)
    if error.shape[1] != 2 or covariance.shape != (len(error), 2, 2):
        raise ValueError(
            "errors_m and covariances_m2: expected [N, 2] and [N, 2, 2],"
            f" got {error.shape} and {covariance.shape}"
        )
    transposed = covariance.transpose(0, 2, 1)
    if not (np.allclose(covariance, transposed) and np.all(np.linalg.eigvalsh(covariance) > 0)):
        raise ValueError("covariances_m2: expected symmetric positive definite matrices")
    weighted = np.linalg.solve(covariance, error[..., None])[..., 0]
    return np.asarray(np.sum(error * weighted, axis=1))


def coverage(nees_values: npt.ArrayLike, sigmas: Sequence[float] = (1.0, 2.0, 3.0)) -> Floats:
    """[len(sigmas)] part of [N] errors inside the s-sigma ellipse; see `expected_coverage`."""
    values = _numbers("nees_values", nees_values, 1)
    return np.array([np.mean(values <= s**2) for s in sigmas])


def expected_coverage(sigmas: Sequence[float] = (1.0, 2.0, 3.0)) -> Floats:
    """What honest 2-D Gaussian errors reach: 1 - exp(-s^2 / 2), so 39.35, 86.47 and 98.89 %."""
    return np.asarray(1.0 - np.exp(-np.square(np.asarray(sigmas, float)) / 2.0))


def availability(t_fix_ns: npt.ArrayLike, start_ns: int, end_ns: int, max_age_s: float) -> float:
    """The part of the time from `start_ns` to `end_ns` with a fix no older than `max_age_s`.

    Args:
        t_fix_ns: [N] times of the fixes, in any order; none at all is an availability of 0.
        start_ns: the span asked about, for example the time without GNSS above the map.
        end_ns: its end.
        max_age_s: how long a fix serves.

    Raises:
        ValueError: an empty span, or an age that is not positive.
    """
    if not (end_ns > start_ns and max_age_s > 0):
        raise ValueError(
            f"expected start before end and a positive age, got {start_ns}, {end_ns}, {max_age_s}"
        )
    begins = np.clip(np.sort(_times(t_fix_ns)), start_ns - round(max_age_s * 1e9), end_ns)
    ends = np.minimum(begins + round(max_age_s * 1e9), np.append(begins[1:], end_ns))
    served_ns = np.maximum(ends, start_ns) - np.maximum(begins, start_ns)
    return float(served_ns.sum()) / (end_ns - start_ns)


def wrong_fixes(errors_m: npt.ArrayLike, horiz_accuracy_m: npt.ArrayLike, limit_m: float) -> Flags:
    """[N] whether a fix is wrong: its error beyond `limit_m` and beyond 5 of its own sigmas.

    Args:
        errors_m: [N] horizontal distance from the truth at exposure time.
        horiz_accuracy_m: [N] stated 1-sigma accuracy.
        limit_m: the operation's alert limit.
    """
    error = _numbers("errors_m", errors_m, 1)
    accuracy_m = _positive("horiz_accuracy_m", horiz_accuracy_m)
    if error.shape != accuracy_m.shape:
        raise ValueError(
            f"errors_m and horiz_accuracy_m: {len(error)} and {len(accuracy_m)} values"
        )
    if not limit_m >= 0:
        raise ValueError(f"limit_m: expected a distance, got {limit_m}")
    return np.asarray(error > np.maximum(limit_m, WRONG_SIGMAS * accuracy_m))


def longest_wrong_run_s(t_fix_ns: npt.ArrayLike, wrong: npt.ArrayLike, hold_s: float) -> float:
    """Seconds of the longest stretch in which every published fix was wrong; 0 without any.

    A run starts with its first wrong fix. It ends with the next right one, or `hold_s` after its
    last wrong one, whichever comes first. Silence inside a run does not end it: nothing has put it
    right.

    Args:
        t_fix_ns: [N] ascending times of the fixes.
        wrong: [N] bool, as from `wrong_fixes`.
        hold_s: how long the autopilot goes on using a fix.

    Raises:
        ValueError: times that do not ascend, lengths that differ, or a negative hold.
    """
    times, flags = _times(t_fix_ns), np.asarray(wrong, bool)
    if times.shape != flags.shape or np.any(np.diff(times) < 0) or not hold_s >= 0:
        raise ValueError("expected ascending t_fix_ns, as many flags, and hold_s not below 0")
    edges = np.diff(np.concatenate([[False], flags, [False]]).astype(int))
    first, after = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    if not len(first):
        return 0.0
    held = times[after - 1] + round(hold_s * 1e9)
    put_right = np.append(times, np.iinfo(np.int64).max)[after]
    return float((np.minimum(held, put_right) - times[first]).max()) / 1e9


def _scored(scores: npt.ArrayLike, relevant: npt.ArrayLike) -> tuple[Floats, Flags]:
    score, right = _numbers("scores", scores, 2), np.asarray(relevant)
    if right.dtype != bool or right.shape != score.shape:
        raise ValueError(
            f"relevant: expected {score.shape} bool like scores, got {right.shape} {right.dtype}"
        )
    without = np.flatnonzero(~right.any(axis=1))
    if len(without):
        raise ValueError(f"relevant: query {without[0]} has no relevant reference")
    return score, right


def _numbers(name: str, values: npt.ArrayLike, dimensions: int) -> Floats:
    array = np.asarray(values, float)
    if array.ndim != dimensions or not array.size:
        raise ValueError(
            f"{name}: expected values in {dimensions} dimensions, got shape {array.shape}"
        )
    if np.isnan(array).any():
        raise ValueError(f"{name}: NaN among the values")
    return array


def _positive(name: str, values: npt.ArrayLike) -> Floats:
    array = _numbers(name, values, 1)
    if not np.all(array > 0):
        raise ValueError(f"{name}: expected positive values")
    return array


def _times(t_ns: npt.ArrayLike) -> npt.NDArray[np.int64]:
    times: npt.NDArray[Any] = np.asarray(t_ns)
    if times.ndim != 1 or (times.size and times.dtype.kind not in "iu"):
        raise ValueError(f"t_fix_ns: expected [N] whole nanoseconds, got {times.dtype}")
    return times.astype(np.int64)


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name}: expected 1 or more, got {value}")
