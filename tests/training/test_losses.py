from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.views import View
from geobridge.training.losses import (
    IMAGE_EDGES,
    Loss,
    NothingToCompareError,
    geobridge_loss,
    info_nce,
)

Array = npt.NDArray[np.float64]
Masks = dict[str, npt.NDArray[np.bool_]]

SCALE, DIMENSION = 7.0, 5
SIDES = ("drone", "satellite", "street", "text")
EDGES = [f"{a}-{b}" for a, b in IMAGE_EDGES] + [f"text-{view}" for view in View]

seeds = st.integers(0, 2**32 - 1)


def descriptors(rows: int, seed: int) -> dict[str, Array]:
    vectors = np.random.default_rng(seed).normal(size=(len(SIDES), rows, DIMENSION))
    unit = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
    return dict(zip(SIDES, unit, strict=True))


def everywhere(rows: int) -> Masks:
    return {side: np.ones(rows, bool) for side in SIDES}


def one_way(logits: Array, smoothing: float) -> float:
    """Mean cross entropy of rows against the diagonal, from its definition."""
    n = len(logits)
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    target = (1 - smoothing) * np.eye(n) + smoothing / n
    return float(-(target * np.log(probability)).sum() / n)


def expected_edge(a: Array, b: Array, smoothing: float = 0.0) -> float:
    logits = SCALE * a @ b.T
    return 0.5 * (one_way(logits, smoothing) + one_way(logits.T, smoothing))


def expected(rows: dict[str, Array], masks: Masks, smoothing: float = 0.0) -> dict[str, float]:
    edges = {}
    for name in EDGES:
        a, b = name.split("-")
        both = masks[a] & masks[b]
        if both.sum() >= 2:
            edges[name] = expected_edge(rows[a][both], rows[b][both], smoothing)
    return edges


def mean(edges: dict[str, float], text: bool) -> float:
    chosen = [value for name, value in edges.items() if name.startswith("text") == text]
    return float(np.mean(chosen)) if chosen else 0.0


def compute(rows: dict[str, Array], masks: Masks, **options: float) -> Loss:
    tensors = {side: torch.from_numpy(values) for side, values in rows.items()}
    present = {side: torch.from_numpy(mask) for side, mask in masks.items()}
    return geobridge_loss(
        {view: tensors[view.value] for view in View},
        {view: present[view.value] for view in View},
        tensors["text"],
        present["text"],
        torch.tensor(SCALE, dtype=torch.float64),
        **options,
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.05, 1.0])
def test_six_edges_are_those_of_the_definition(smoothing: float) -> None:
    rows, masks = descriptors(9, seed=1), everywhere(9)
    loss = compute(rows, masks, image_weight=2.0, text_weight=0.5, label_smoothing=smoothing)
    edges = expected(rows, masks, smoothing)
    assert sorted(edges) == sorted(EDGES)
    assert {name: float(value) for name, value in loss.edges.items()} == pytest.approx(
        edges, abs=1e-6
    )
    total = 2.0 * mean(edges, text=False) + 0.5 * mean(edges, text=True)
    assert float(loss.total) == pytest.approx(total, abs=1e-6)


@given(seeds, st.integers(2, 7), st.data())
def test_rows_that_lack_a_side_take_no_part(seed: int, count: int, data: st.DataObject) -> None:
    flags = st.lists(st.booleans(), min_size=count, max_size=count)
    masks = {side: np.array(data.draw(flags)) for side in SIDES}
    rows = descriptors(count, seed)
    for side in SIDES:
        rows[side][~masks[side]] = 0.0
    edges = expected(rows, masks)
    if not edges:
        with pytest.raises(NothingToCompareError, match="nothing to learn from"):
            compute(rows, masks)
        return
    loss = compute(rows, masks)
    assert {name: float(value) for name, value in loss.edges.items()} == pytest.approx(edges)
    total = mean(edges, text=False) + mean(edges, text=True)
    assert float(loss.total) == pytest.approx(total, abs=1e-9)


@given(seeds, st.permutations(range(6)))
def test_the_order_of_places_does_not_matter(seed: int, order: list[int]) -> None:
    rows, masks = descriptors(6, seed), everywhere(6)
    masks["street"] = np.arange(6) % 2 == 0
    shuffled = {side: values[order] for side, values in rows.items()}
    shuffled_masks = {side: mask[order] for side, mask in masks.items()}
    first, second = compute(rows, masks), compute(shuffled, shuffled_masks)
    assert float(first.total) == pytest.approx(float(second.total), abs=1e-9)


@given(seeds)
def test_both_directions_count_alike(seed: int) -> None:
    rows, scale = descriptors(5, seed), torch.tensor(SCALE)
    a, b = torch.from_numpy(rows["drone"]), torch.from_numpy(rows["text"])
    there, back = info_nce(a, b, scale)[0], info_nce(b, a, scale)[0]
    assert float(there) == pytest.approx(float(back), abs=1e-9)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gradient_is_the_one_derived_by_hand(smoothing: float) -> None:
    rows, n = descriptors(6, seed=3), 6
    a = torch.from_numpy(rows["drone"]).requires_grad_()
    b = torch.from_numpy(rows["satellite"]).requires_grad_()
    scale = torch.tensor(SCALE, dtype=torch.float64, requires_grad=True)
    slopes = torch.autograd.grad(info_nce(a, b, scale, smoothing)[0], [a, b, scale])

    products = rows["drone"] @ rows["satellite"].T
    exponentials, target = np.exp(SCALE * products), np.eye(n) * (1 - smoothing) + smoothing / n
    by_row = exponentials / exponentials.sum(axis=1, keepdims=True)
    by_column = exponentials / exponentials.sum(axis=0, keepdims=True)
    slope = 0.5 / n * (by_row + by_column - 2 * target)  # of the loss against each logit
    np.testing.assert_allclose(slopes[0], SCALE * slope @ rows["satellite"], atol=1e-9)
    np.testing.assert_allclose(slopes[1], SCALE * slope.T @ rows["drone"], atol=1e-9)
    np.testing.assert_allclose(slopes[2], (slope * products).sum(), atol=1e-9)


def test_an_edge_without_rows_teaches_its_towers_nothing() -> None:
    rows, masks = descriptors(4, seed=5), everywhere(4)
    masks["street"][1:] = False
    tensors = {view: torch.from_numpy(rows[view.value]).requires_grad_() for view in View}
    present = {view: torch.from_numpy(masks[view.value]) for view in View}
    loss = geobridge_loss(tensors, present, None, None, torch.tensor(SCALE))
    assert list(loss.edges) == ["drone-satellite"]
    gradients = torch.autograd.grad(loss.total, list(tensors.values()), allow_unused=True)
    moved = {
        view for view, g in zip(tensors, gradients, strict=True) if g is not None and bool(g.any())
    }
    assert moved == {View.DRONE, View.SATELLITE}


def test_accuracy_is_the_share_of_rows_that_find_theirs() -> None:
    eye = torch.eye(4)
    swapped = eye[[1, 0, 2, 3]]
    assert float(info_nce(eye, eye, torch.tensor(10.0))[1]) == 1.0
    assert float(info_nce(eye, swapped, torch.tensor(10.0))[1]) == 0.5
