"""The edges of the points, and the schedule of all terms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from geobridge.training.config import ObjectiveConfig
from geobridge.training.config_geolink import GeoLinkConfig
from geobridge.training.geolink.terms import Terms, following_loss
from geobridge.training.losses import Loss, geobridge_loss

SIDES = ("drone", "satellite", "points")
PLACES = 7
SCALE = 9.0


def batch() -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    rng = np.random.default_rng(2)
    rows = {
        side: torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(PLACES, 4))))
        for side in SIDES
    }
    present = {side: torch.ones(PLACES, dtype=torch.bool) for side in SIDES}
    present["points"][[1, 4]] = False
    relation = torch.eye(PLACES, dtype=torch.int8)
    relation[0, 2] = relation[2, 0] = -1
    return rows, present, relation


def edge(one: Tensor, other: Tensor, has: list[bool], relation: Tensor, smoothing: float) -> float:
    """Symmetric InfoNCE of the places that have both, masked and smoothed, a logit at a time."""
    there = [i for i in range(PLACES) if has[i]]
    total = 0.0
    for a, b in ((one, other), (other, one)):
        for i in there:
            negatives = [j for j in there if j != i and relation[i, j] == 0]
            logits = [SCALE * float(a[i] @ b[j]) for j in [i, *negatives]]
            log_sum = math.log(sum(map(math.exp, logits)))
            share = smoothing / len(logits)
            loss = -sum((1 - smoothing + share if k == 0 else share) * (v - log_sum)
                        for k, v in enumerate(logits))  # fmt: skip
            total += loss / len(there) / 2
    return total


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_points_are_a_node_of_the_graph(smoothing: float) -> None:
    rows, present, relation = batch()
    objective = ObjectiveConfig(
        label_smoothing=smoothing, points_weight=0.7, edge_weights={"points-drone": 3.0}
    )
    found = geobridge_loss(
        rows, present, rows, present, relation, torch.tensor(SCALE).double(), objective
    )
    has = present["points"].tolist()
    everywhere = [True] * PLACES
    image = edge(rows["drone"], rows["satellite"], everywhere, relation, smoothing)
    drone = edge(rows["points"], rows["drone"], has, relation, smoothing)
    satellite = edge(rows["points"], rows["satellite"], has, relation, smoothing)
    expected = image + 0.7 * (3.0 * drone + satellite) / 4.0
    assert float(found.total) == pytest.approx(expected, abs=1e-9)
    assert float(found.edges["points-drone"]) == pytest.approx(drone, abs=1e-9)
    assert found.edges.keys() == {"drone-satellite", "points-drone", "points-satellite"}


def test_while_points_follow_nothing_else_is_moved_by_them() -> None:
    rows, present, relation = batch()
    rows = {side: values.requires_grad_() for side, values in rows.items()}
    scale = torch.tensor(SCALE).double().requires_grad_()
    leaves = [*rows.values(), scale]

    def slopes(loss: Loss) -> list[Tensor]:
        return list(torch.autograd.grad(loss.total, leaves))

    objective = ObjectiveConfig()
    places = (rows, present, rows, present, relation, scale)
    together = geobridge_loss(*places, objective)
    following = following_loss(*places, objective)
    alone = geobridge_loss(*places, ObjectiveConfig(points_weight=0.0))
    led, own, all_ = slopes(following), slopes(alone), slopes(together)
    assert torch.allclose(following.total, together.total, atol=1e-12)
    assert following.edges.keys() == together.edges.keys()
    for found, expected in zip(led, [*own[:2], all_[2], own[3]], strict=True):
        assert torch.allclose(found, expected, atol=1e-12)
    present["points"][:] = False
    without = following_loss(*places, objective)
    assert without.edges.keys() == {"drone-satellite"}


def test_terms_wait_and_grow() -> None:
    config = GeoLinkConfig(
        points="somewhere", warmup_steps=3, ramp_steps=3, relation_weight=2.0,
        refinement="bottleneck", refinement_weight=0.5, refinement_width=8,
    )  # fmt: skip
    torch.manual_seed(0)
    terms = Terms(config, ("drone", "satellite"), 4, torch.device("cpu"), 1e-8)
    rows, present, relation = batch()
    rows = {side: values.float() for side, values in rows.items()}
    nothing = Loss(torch.zeros(()), {}, {})
    assert [terms.share(step) for step in range(8)] == [0, 0, 0, 0.25, 0.5, 0.75, 1, 1]
    for step in (0, 2):
        assert float(terms.added(nothing, rows, present, relation, step).total) == 0.0
    for step, share in ((3, 0.25), (6, 1.0)):
        found = terms.added(nothing, rows, present, relation, step)
        told = found.edges
        expected = share * (2.0 * float(told["relation"]) + 0.5 * float(told["refinement"]))
        assert float(found.total.detach()) == pytest.approx(expected, rel=1e-5)
