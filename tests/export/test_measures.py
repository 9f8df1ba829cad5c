from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rasterio")

from geobridge.export.measures import aliasing as aliasing_module
from geobridge.export.measures.aliasing import NOBODY, aliasing
from geobridge.export.measures.scores import AnotherDay, scores_of
from geobridge.onboard.localization.gate import looks_alike


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float16)


@given(st.integers(1, 60), st.floats(0.0, 800.0), st.integers(1, 9))
def test_aliasing_is_the_best_of_all_that_are_far(count: int, apart_m: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    descriptors = unit(rng.normal(size=(count, 8)))
    centres_m = rng.uniform(-400.0, 400.0, (count, 2))
    found = aliasing(descriptors, centres_m, apart_m)
    rows = descriptors.astype(float)
    for row in range(count):
        far = np.hypot(*(centres_m - centres_m[row]).T) > apart_m
        scores = rows[far] @ rows[row]
        expected = min(scores.max(), 1.0) if far.any() else NOBODY
        assert found[row] == pytest.approx(expected, abs=2e-3)


def test_of_a_large_map_every_place_is_compared_with_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """A twin is found through its neighbours, which are alike enough."""
    monkeypatch.setattr(aliasing_module, "MOST", 60)
    along = np.arange(200.0)
    angle = along / 100.0
    descriptors = unit(np.stack([np.cos(angle), np.sin(angle), 0.1 * np.ones(200)], axis=1))
    descriptors[150:] = descriptors[:50]
    centres_m = np.stack([along * 10.0, np.zeros(200)], axis=1)
    found = aliasing(descriptors, centres_m, 300.0)
    assert found[:50].min() > 0.99
    assert found[170:].min() > 0.99
    assert found[90] < 0.95


def test_right_and_wrong_scores_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    centres_m = np.stack(np.meshgrid(np.arange(20) * 50.0, np.arange(20) * 50.0), -1).reshape(-1, 2)
    descriptors = unit(rng.normal(size=(400, 32)))
    chosen = rng.choice(400, 60, replace=False)
    truth = descriptors[chosen].astype(float)
    queries = unit(truth + 0.08 * rng.normal(size=truth.shape))
    scores = scores_of(
        queries, centres_m[chosen], descriptors[chosen], descriptors, centres_m, 10.0, 200.0
    )
    assert scores is not None
    assert scores.queries == 60
    expected = np.quantile(np.sum(queries.astype(float) * truth, axis=1), [0.01, 0.5, 0.99])
    assert [scores.genuine[i] for i in (0, 3, 6)] == pytest.approx(expected, abs=3e-3)
    assert abs(scores.impostor[3]) < 0.05
    assert scores.alike == pytest.approx(1.0, abs=2e-3)
    assert scores.impostor[5] <= scores.min_score <= scores.genuine[0]


def test_a_map_too_small_for_wrong_places_says_nothing() -> None:
    rows = unit(np.random.default_rng(0).normal(size=(5, 8)))
    at = np.zeros((5, 2))
    assert scores_of(rows, at, rows, rows, at, 10.0, 200.0) is None
    none = np.empty((0, 8), np.float16)
    assert scores_of(none, np.empty((0, 2)), none, rows, at, 10.0, 200.0) is None


def test_another_day_is_the_same_every_time_and_another_for_every_row() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    changed = AnotherDay(lambda row: (image, None))
    assert np.array_equal(changed(3)[0], changed(3)[0])
    assert not np.array_equal(changed(3)[0], changed(4)[0])
    assert not np.array_equal(changed(3)[0], image)


def test_where_the_map_ends_a_drone_sees_ground() -> None:
    """Else right scores would owe something to an outline that no camera sees."""
    image = np.random.default_rng(0).integers(30, 226, (40, 40, 3)).astype(np.uint8)
    valid = np.ones((40, 40), np.uint8)
    image[:, 25:], valid[:, 25:] = 0, 0
    seen, mask = AnotherDay(lambda row: (image, valid))(0)
    assert mask is None
    assert seen[:, 25:].mean() > 0.5 * seen[:, :25].mean()


@pytest.mark.parametrize(
    ("aliased", "expected"), [(0.5, False), (0.9, True), (-1.0, False), (float("nan"), True)]
)
def test_what_looks_alike(aliased: float, expected: bool) -> None:
    from geobridge.onboard.manifest_entries import ScoresEntry

    scores = ScoresEntry(queries=1, genuine=(0.9,) * 7, impostor=(0.1,) * 7, alike=0.8)
    assert looks_alike(aliased, scores) == expected
    assert not looks_alike(aliased, None)
