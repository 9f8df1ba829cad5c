from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from geobridge.training.geolink.relations import apart, relation_loss

PLACES, LENGTH = 9, 5
VIEWS = ("drone", "satellite", "street")
Floats = npt.NDArray[np.float64]


def batch(seed: int = 0) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """Unit descriptors, which places have them, and their relation: 1 and 2 are kin."""
    rng = np.random.default_rng(seed)
    rows = {
        side: torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(PLACES, LENGTH))))
        for side in (*VIEWS, "points")
    }
    present = {side: torch.ones(PLACES, dtype=torch.bool) for side in rows}
    present["street"][5:] = False
    present["points"][[0, 6]] = False
    relation = torch.eye(PLACES, dtype=torch.int8)
    relation[1, 2] = relation[2, 1] = 1
    relation[3, 4] = relation[4, 3] = -1
    return rows, present, relation


def plain(rows: dict[str, Floats], present: Any, relation: Any, kind: str, across: bool) -> float:
    """By the formula of the module, a pair at a time."""
    terms = []
    for one, other in [(v, v) for v in VIEWS] + (list(combinations(VIEWS, 2)) if across else []):
        pupil, teacher = [], []
        for i in range(PLACES):
            for j in range(PLACES):
                has = present[one][i] and present[other][j]
                has = has and present["points"][i] and present["points"][j]
                if i != j and has and relation[i][j] != 1:
                    pupil.append(math.dist(rows[one][i], rows[other][j]))
                    teacher.append(math.dist(rows["points"][i], rows["points"][j]))
        if len(pupil) < 2:
            continue
        means = sum(pupil) / len(pupil), sum(teacher) / len(teacher)
        gaps = [abs(p / means[0] - t / means[1]) for p, t in zip(pupil, teacher, strict=True)]
        values = [
            g**2 if kind == "mse" else (0.5 * g**2 if g < 1.0 else g - 0.5) for g in gaps
        ]  # fmt: skip
        terms.append(sum(values) / len(values))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("kind", ["smooth_l1", "mse"])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_the_formula_says(seed: int, kind: Any, across: bool) -> None:
    rows, present, relation = batch(seed)
    found = relation_loss(rows, present, relation, VIEWS, kind, across)
    expected = plain(
        {side: values.numpy() for side, values in rows.items()},
        {side: mask.tolist() for side, mask in present.items()},
        relation.tolist(),
        kind,
        across,
    )
    assert float(found) == pytest.approx(expected, abs=1e-9)
    assert expected > 1e-3


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 100.0))
def test_turning_and_scaling_the_teachers_space_changes_nothing(seed: int, scale: float) -> None:
    rows, present, relation = batch(seed)
    turn = np.linalg.qr(np.random.default_rng(seed + 1).normal(size=(LENGTH, LENGTH)))[0]
    moved = rows | {"points": scale * rows["points"] @ torch.from_numpy(turn) + 3.0}
    before, after = (float(relation_loss(r, present, relation, VIEWS)) for r in (rows, moved))
    assert after == pytest.approx(before, rel=1e-9)
    other = rows | {"points": rows["points"].roll(1, dims=0)}
    assert float(relation_loss(other, present, relation, VIEWS)) != pytest.approx(before, rel=1e-6)


def test_pupils_learn_and_the_teacher_does_not() -> None:
    rows, present, relation = batch()
    rows = {side: values.requires_grad_() for side, values in rows.items()}
    torch.autograd.backward([relation_loss(rows, present, relation, VIEWS, across=True)])
    assert rows["points"].grad is None
    for view in VIEWS:
        slope = rows[view].grad
        assert slope is not None
        assert bool(slope[present["points"] & present[view]].any(dim=1).all())
        assert not bool(slope[~(present["points"] & present[view])].any())


def test_a_place_and_its_kin_are_no_pair() -> None:
    rows, present, relation = batch()
    rows["drone"] = rows["drone"].clone().requires_grad_()
    alone = {side: mask.clone() for side, mask in present.items()}
    alone["points"][:] = False
    alone["points"][[1, 2]] = True  # these two are one place
    loss = relation_loss(rows, alone, relation, ("drone",))
    torch.autograd.backward([loss])
    assert float(loss.detach()) == 0.0
    assert rows["drone"].grad is not None
    assert not bool(rows["drone"].grad.any())


def test_a_pupil_with_the_teachers_distances_has_nothing_to_learn() -> None:
    rows, present, relation = batch()
    rows["drone"] = 7.0 * rows["points"]
    assert float(relation_loss(rows, present, relation, ("drone",), "mse")) < 1e-24


def test_small_distances_are_exact() -> None:
    """As a product of matrices they would be lost in float32, from 26 rows on."""
    near = torch.nn.functional.normalize(torch.ones(40, 64) + 1e-5 * torch.randn(40, 64))
    found = apart(near, near).double()
    exact = (near.double()[:, None] - near.double()).square().sum(dim=2).sqrt()
    assert torch.allclose(found, exact, rtol=1e-4, atol=1e-9)
