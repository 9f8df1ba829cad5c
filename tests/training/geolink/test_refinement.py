from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor

from geobridge.training.geolink.refinement import Bottleneck, Residual

PLACES, LENGTH = 8, 3
VIEWS = ("drone", "satellite")
Rows = dict[str, Tensor]


def batch(seed: int = 0) -> tuple[Rows, Rows]:
    rng = np.random.default_rng(seed)
    rows = {
        side: torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(PLACES, LENGTH))))
        for side in (*VIEWS, "points")
    }
    present = {side: torch.ones(PLACES, dtype=torch.bool) for side in rows}
    present["points"][0] = present["satellite"][7] = False
    return rows, present


def gaussian(estimator: torch.nn.Module, x: list[Tensor], y: list[Tensor]) -> float:
    """The bound, a pair at a time."""
    told = [tuple(part[0] for part in estimator(row[None])) for row in x]
    total = 0.0
    for i, (mean, log_variance) in enumerate(told):
        for other in y:
            terms = ((other - mean) ** 2 - (y[i] - mean) ** 2) / log_variance.exp()
            total += 0.5 * float(terms.sum()) / len(mean) / len(x) / len(y)
    return total


def test_the_bottleneck_is_what_the_formula_says() -> None:
    torch.manual_seed(2)
    reading = Bottleneck(VIEWS, LENGTH, 5).double().requires_grad_(False)
    rows, present = batch()
    size = math.sqrt(LENGTH)
    expected = []
    for view in VIEWS:
        both = [i for i in range(PLACES) if present[view][i] and present["points"][i]]
        x = [size * rows[view][i] for i in both]
        y = [size * rows["points"][i] for i in both]
        expected.append(gaussian(reading.estimators[view], x, y))
    found = reading.bound(rows, present)
    assert found is not None
    assert float(found) == pytest.approx(sum(expected) / 2, abs=1e-12)


def test_the_residual_reading_is_what_the_formula_says() -> None:
    torch.manual_seed(2)
    reading = Residual(VIEWS, LENGTH, 5).double().requires_grad_(False)
    rows, present = batch()
    size = math.sqrt(LENGTH)
    rest = {
        view: [
            size * rows[view][i] - reading.predictors[view](size * rows["points"][i])
            for i in range(PLACES)
        ]
        for view in VIEWS
    }
    told = {
        view: [i for i in range(PLACES) if present[view][i] and present["points"][i]]
        for view in VIEWS
    }
    expected = 0.0
    for one, other in combinations(VIEWS, 2):
        both = [i for i in told[one] if i in told[other]]
        expected += gaussian(
            reading.shared[f"{one}-{other}"],
            [rest[one][i] for i in both],
            [rest[other][i] for i in both],
        )
    labelled = [(rest[view][i], label) for label, view in enumerate(VIEWS) for i in told[view]]
    log_q = [reading.view.scores(r[None])[0].log_softmax(0).tolist() for r, _ in labelled]
    count = len(labelled)
    own = sum(log_q[k][label] for k, (_, label) in enumerate(labelled)) / count
    every = sum(log_q[k][label] for k in range(count) for _, label in labelled) / count**2
    found = reading.bound(rows, present)
    assert found is not None
    assert float(found) == pytest.approx(expected + own - every, abs=1e-12)


@pytest.mark.parametrize("kind", [Bottleneck, Residual])
def test_the_points_guide_and_do_not_follow(kind: type[Bottleneck | Residual]) -> None:
    torch.manual_seed(2)
    reading = kind(VIEWS, LENGTH, 5).double()
    rows, present = batch()
    rows = {side: values.requires_grad_() for side, values in rows.items()}
    bound = reading.bound(rows, present)
    assert bound is not None
    torch.autograd.backward([bound])
    assert rows["points"].grad is None
    drone = rows["drone"].grad
    assert drone is not None
    assert bool(drone[present["points"]].any(dim=1).all())
    assert not bool(drone[~present["points"]].any())


@pytest.mark.parametrize("kind", [Bottleneck, Residual])
def test_too_few_places_say_nothing(kind: type[Bottleneck | Residual]) -> None:
    rows, present = batch()
    reading = kind(VIEWS, LENGTH, 5).double()
    present["points"][:] = False
    present["points"][:3] = True
    assert (reading.bound(rows, present) is None) == (kind is Bottleneck)  # labels say a little
    present["points"][:] = False
    assert reading.bound(rows, present) is None
    assert reading.surprise(rows, present) is None


def test_what_views_share_beyond_the_points_is_found_and_removed() -> None:
    """Two views of a shared number that the points do not tell: the towers learn to drop it."""
    torch.manual_seed(0)
    points, secret = torch.randn(512, 2), torch.randn(512, 1)
    noise = {view: 0.3 * torch.randn(512, 3) for view in VIEWS}
    towers = {view: torch.nn.Linear(3, 3) for view in VIEWS}
    for tower in towers.values():
        torch.nn.init.eye_(tower.weight)
    reading = Residual(VIEWS, 3, 32)
    estimators = torch.optim.Adam(reading.parameters(), lr=5e-3)
    weights = [weight for tower in towers.values() for weight in tower.parameters()]
    learner = torch.optim.Adam(weights, lr=5e-3)
    padded = torch.nn.functional.pad(points, (0, 1))
    present = {side: torch.ones(512, dtype=torch.bool) for side in (*VIEWS, "points")}
    bounds = []
    for step in range(500):
        seen = {v: towers[v](torch.cat([points, secret], 1) + noise[v]) for v in VIEWS}
        rows = {**seen, "points": padded}
        held = {side: values.detach() for side, values in rows.items()}
        for _ in range(2):
            estimators.zero_grad()
            surprise = reading.surprise(held, present)
            assert surprise is not None
            torch.autograd.backward([surprise])
            estimators.step()
        bound = reading.bound(rows, present)
        assert bound is not None
        bounds.append(float(bound.detach()))
        if step >= 250:
            learner.zero_grad()
            torch.autograd.backward([bound])
            learner.step()
    assert bounds[249] > 0.2
    assert bounds[-1] < 0.5 * bounds[249]
    assert float(towers["drone"].weight[:, :2].abs().max().detach()) > 0.5  # what points tell stays
