from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard import metrics

NAN = float("nan")

# Query 0 finds its reference first, query 1 third (after a tie), query 2 last.
SCORES = [[0.9, 0.5, 0.1, 0.0], [0.5, 0.7, 0.5, 0.1], [0.4, 0.3, 0.2, 0.1]]
RELEVANT = [[True, False, False, False], [False, False, True, False], [False, False, False, True]]


def test_ranks_and_recall_by_hand() -> None:
    ranks = metrics.first_ranks(SCORES, RELEVANT)
    assert ranks.tolist() == [1, 3, 4]
    assert metrics.first_ranks(SCORES, RELEVANT, ties="optimistic").tolist() == [1, 2, 4]
    assert [metrics.recall_at_k(ranks, k) for k in (1, 3, 4)] == [1 / 3, 2 / 3, 1.0]


def test_equal_descriptors_everywhere_find_nothing() -> None:
    ranks = metrics.first_ranks(np.zeros((5, 100)), np.eye(5, 100, dtype=bool))
    assert metrics.recall_at_k(ranks, 99) == 0.0
    precision = metrics.average_precision(np.zeros((1, 100)), np.eye(1, 100, dtype=bool), "step")
    assert precision == pytest.approx([0.01])


@pytest.mark.parametrize(
    ("references", "layumi", "floor"),
    [(951, 11, 9), (51_355, 515, 513), (8_884, 90, 88), (14_640, 147, 146), (50, 1, 1)],
)
def test_one_percent(references: int, layumi: int, floor: int) -> None:
    assert metrics.one_percent_k(references, "layumi") == layumi
    assert metrics.one_percent_k(references, "floor") == floor


def test_recall_within_looks_at_the_first_k_only() -> None:
    distances_m = [[80.0, 20.0, 5.0], [50.0, 60.0, 70.0]]
    assert metrics.recall_within(distances_m, 1, 50.0) == 0.5
    assert metrics.recall_within(distances_m, 1, 49.0) == 0.0
    assert metrics.recall_within(distances_m, 3, 49.0) == 0.5
    with pytest.raises(ValueError, match="3 candidates per query, k is 4"):
        metrics.recall_within(distances_m, 4, 50.0)


def test_average_precision_by_hand() -> None:
    scores = [[0.9, 0.8, 0.7, 0.6, 0.5]]
    relevant = [[True, False, True, False, True]]
    step = (1 / 1 + 2 / 3 + 3 / 5) / 3
    trapezoid = ((1 + 1) / 2 + (1 / 2 + 2 / 3) / 2 + (2 / 4 + 3 / 5) / 2) / 3
    assert metrics.average_precision(scores, relevant, "step") == pytest.approx([step])
    assert metrics.average_precision(scores, relevant, "trapezoid") == pytest.approx([trapezoid])


@given(st.integers(1, 40), st.integers(1, 40))
def test_one_relevant_reference_at_rank_r(rank: int, references: int) -> None:
    rank = min(rank, references)
    relevant = np.zeros((1, references), bool)
    relevant[0, rank - 1] = True
    scores = -np.arange(references, dtype=float)[None]
    assert metrics.first_ranks(scores, relevant).tolist() == [rank]
    assert metrics.average_precision(scores, relevant, "step") == pytest.approx([1 / rank])
    expected = 1.0 if rank == 1 else 0.5 / rank
    assert metrics.average_precision(scores, relevant, "trapezoid") == pytest.approx([expected])


@given(st.integers(0, 2**32 - 1))
def test_average_precision_is_the_same_for_every_order_of_the_references(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 6, (3, 12)) / 5.0  # many ties
    relevant = rng.random((3, 12)) < 0.3
    relevant[:, 0] = True
    order = rng.permutation(12)
    for kind in ("step", "trapezoid"):
        before = metrics.average_precision(scores, relevant, kind)
        after = metrics.average_precision(scores[:, order], relevant[:, order], kind)
        assert np.allclose(before, after)
        assert np.all((before > 0) & (before <= 1))


def test_error_quantiles() -> None:
    errors_m = np.arange(101.0)[::-1]
    assert metrics.error_quantiles_m(errors_m).tolist() == [50.0, 90.0, 95.0, 99.0]
    assert metrics.error_quantiles_m([3.0], [0.5, 0.99]).tolist() == [3.0, 3.0]


def test_nees_by_hand() -> None:
    covariance_m2 = [[[4.0, 0.0], [0.0, 9.0]], [[2.0, 1.0], [1.0, 2.0]]]
    values = metrics.nees([[2.0, 3.0], [1.0, -1.0]], covariance_m2)
    assert values == pytest.approx([2.0, 2.0])


@given(st.floats(0.01, 1e3), st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_isotropic_nees_is_the_squared_error_in_sigmas(
    accuracy_m: float, east_m: float, north_m: float
) -> None:
    covariances_m2 = metrics.isotropic_covariances_m2([accuracy_m])
    expected = (east_m**2 + north_m**2) / accuracy_m**2
    assert metrics.nees([[east_m, north_m]], covariances_m2) == pytest.approx([expected])


def test_honest_errors_reach_the_expected_nees_and_coverage() -> None:
    rng = np.random.default_rng(20)
    covariance_m2 = np.array([[30.0, 12.0], [12.0, 9.0]])
    errors_m = rng.multivariate_normal([0.0, 0.0], covariance_m2, 20_000)
    values = metrics.nees(errors_m, np.broadcast_to(covariance_m2, (20_000, 2, 2)))
    assert np.mean(values) == pytest.approx(2.0, abs=0.05)
    assert metrics.expected_coverage() == pytest.approx([0.3935, 0.8647, 0.9889], abs=5e-5)
    assert metrics.coverage(values) == pytest.approx(metrics.expected_coverage(), abs=0.01)


def test_half_the_true_sigma_shows_in_nees_and_coverage() -> None:
    errors_m = np.random.default_rng(21).normal(0.0, 4.0, (5_000, 2))
    values = metrics.nees(errors_m, metrics.isotropic_covariances_m2(np.full(5_000, 2.0)))
    assert np.mean(values) == pytest.approx(8.0, rel=0.1)
    assert metrics.coverage(values, [2.0])[0] == pytest.approx(1 - math.exp(-0.5), abs=0.03)


@pytest.mark.parametrize(
    "covariance_m2",
    [[[1.0, 0.0], [0.0, 0.0]], [[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.5], [0.0, 1.0]]],
    ids=["singular", "indefinite", "not symmetric"],
)
def test_what_is_no_covariance_is_refused(covariance_m2: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="symmetric positive definite"):
        metrics.nees([[1.0, 1.0]], [covariance_m2])


S = 1_000_000_000


@pytest.mark.parametrize(
    ("t_fix_s", "expected"),
    [
        ([], 0.0),
        ([0, 2, 4, 6, 8], 1.0),
        ([0], 0.2),
        ([9], 0.1),
        ([3, 4], 0.3),
        ([4, 3, 4], 0.3),
        ([-1], 0.1),
        ([-5, 12], 0.0),
    ],
)
def test_availability_of_ten_seconds(t_fix_s: list[int], expected: float) -> None:
    assert metrics.availability([t * S for t in t_fix_s], 0, 10 * S, 2.0) == pytest.approx(expected)


@given(st.lists(st.integers(-30, 130), max_size=20), st.integers(1, 20))
def test_availability_counts_the_instants_with_a_fresh_fix(times: list[int], age: int) -> None:
    fresh = [any(t <= instant < t + age for t in times) for instant in range(100)]
    found = metrics.availability(np.array(times, np.int64) * S, 0, 100 * S, float(age))
    assert found == pytest.approx(np.mean(fresh))


def test_a_wrong_fix_is_beyond_both_the_limit_and_five_sigmas() -> None:
    errors_m = [49.0, 51.0, 99.0, 101.0]
    accuracy_m = [1.0, 1.0, 20.0, 20.0]
    assert metrics.wrong_fixes(errors_m, accuracy_m, 50.0).tolist() == [False, True, False, True]


@pytest.mark.parametrize(
    ("wrong", "expected_s"),
    [
        ([0, 0, 0, 0, 0], 0.0),
        ([0, 1, 0, 0, 0], 1.0),
        ([0, 0, 0, 1, 0], 3.0),
        ([0, 0, 0, 0, 1], 3.0),
        ([1, 1, 0, 1, 1], 11.0),
        ([1, 1, 1, 1, 1], 16.0),
    ],
)
def test_longest_wrong_run(wrong: list[int], expected_s: float) -> None:
    times_ns = np.array([0, 1, 2, 5, 13]) * S
    assert metrics.longest_wrong_run_s(times_ns, wrong, hold_s=3.0) == expected_s


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(0, 29))
def test_one_more_wrong_fix_never_shortens_the_longest_run(wrong: list[bool], at: int) -> None:
    times_ns = np.arange(len(wrong)) * S
    more = list(wrong)
    more[at % len(wrong)] = True
    before = metrics.longest_wrong_run_s(times_ns, wrong, 0.5)
    assert metrics.longest_wrong_run_s(times_ns, more, 0.5) >= before


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (metrics.first_ranks, ([[NAN, 1.0]], [[True, False]])),
        (metrics.recall_at_k, ([1.0, NAN], 1)),
        (metrics.recall_within, ([[NAN]], 1, 10.0)),
        (metrics.average_precision, ([[NAN, 1.0]], [[True, False]], "step")),
        (metrics.error_quantiles_m, ([1.0, NAN],)),
        (metrics.isotropic_covariances_m2, ([NAN],)),
        (metrics.nees, ([[NAN, 1.0]], [np.eye(2)])),
        (metrics.nees, ([[1.0, 1.0]], [np.full((2, 2), NAN)])),
        (metrics.coverage, ([NAN],)),
        (metrics.availability, ([0], 0, 10, NAN)),
        (metrics.availability, ([NAN], 0, 10, 1.0)),
        (metrics.wrong_fixes, ([NAN], [1.0], 1.0)),
        (metrics.wrong_fixes, ([1.0], [NAN], 1.0)),
        (metrics.wrong_fixes, ([1.0], [1.0], NAN)),
        (metrics.longest_wrong_run_s, ([NAN], [True], 1.0)),
        (metrics.longest_wrong_run_s, ([0], [True], NAN)),
    ],
)
def test_nan_fails_closed(function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected|NaN"):
        function(*arguments)


@pytest.mark.parametrize(
    ("function", "arguments", "complaint"),
    [
        (metrics.first_ranks, ([[1.0]], [[False]]), "query 0 has no relevant reference"),
        (metrics.first_ranks, ([[1.0]], [[1]]), r"relevant: expected \(1, 1\) bool"),
        (metrics.recall_at_k, ([1], 0), "k: expected 1 or more"),
        (metrics.error_quantiles_m, ([],), "errors_m: expected values"),
        (metrics.nees, ([[1.0, 1.0, 1.0]], [np.eye(3)]), "errors_m and covariances_m2"),
        (metrics.wrong_fixes, ([1.0, 2.0], [1.0], 5.0), "2 and 1 values"),
        (metrics.availability, ([0], 5, 5, 1.0), "start before end"),
        (metrics.longest_wrong_run_s, ([2, 1], [True, True], 1.0), "ascending"),
    ],
)
def test_misuse_is_named(
    function: Callable[..., object], arguments: tuple[Any, ...], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        function(*arguments)
