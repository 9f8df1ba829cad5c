from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from geobridge.training.geolink.information import GaussianEstimator, LabelEstimator


def correlated(r: float, count: int, dims: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pairs of standard Gaussians, correlated by r in every number."""
    random = torch.Generator().manual_seed(seed)
    x, noise = (torch.randn(count, dims, generator=random) for _ in range(2))
    return x, r * x + math.sqrt(1.0 - r * r) * noise


def trained(x: Tensor, y: Tensor, steps: int = 300) -> GaussianEstimator:
    torch.manual_seed(0)
    estimator = GaussianEstimator(x.shape[1], y.shape[1], 48)
    optimizer = torch.optim.Adam(estimator.parameters(), lr=4e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.autograd.backward([estimator.surprise(x, y)])
        optimizer.step()
    return estimator


def test_both_are_what_the_formulas_say() -> None:
    torch.manual_seed(1)
    estimator = GaussianEstimator(3, 4, 6).double().requires_grad_(False)
    x, y = torch.randn(7, 3).double(), torch.randn(7, 4).double()
    mean, log_variance = (part.detach().numpy() for part in estimator(x))
    told = y.numpy()

    def log_q(i: int, j: int) -> float:
        """Of y_j, given x_i."""
        density = 0.0
        for d in range(4):
            variance = math.exp(log_variance[i, d])
            density -= 0.5 * (told[j, d] - mean[i, d]) ** 2 / variance
            density -= 0.5 * math.log(2.0 * math.pi * variance)
        return density

    own = sum(log_q(i, i) for i in range(7)) / 7
    every = sum(log_q(i, j) for i in range(7) for j in range(7)) / 49
    assert float(estimator.bound(x, y)) == pytest.approx((own - every) / 4, abs=1e-12)
    constant = 0.5 * math.log(2.0 * math.pi)
    assert float(estimator.surprise(x, y)) == pytest.approx(-own / 4 - constant, abs=1e-12)


def test_the_label_bound_is_what_the_formula_says() -> None:
    torch.manual_seed(1)
    estimator = LabelEstimator(3, 3, 6).double().requires_grad_(False)
    x, labels = torch.randn(8, 3).double(), torch.tensor([0, 1, 2, 2, 1, 0, 0, 2])
    scores = estimator.scores(x).detach().numpy()
    log_q = [[s - math.log(sum(math.exp(v) for v in row)) for s in row] for row in scores]
    own = sum(log_q[i][labels[i]] for i in range(8)) / 8
    every = sum(log_q[i][labels[j]] for i in range(8) for j in range(8)) / 64
    assert float(estimator.bound(x, labels)) == pytest.approx(own - every, abs=1e-12)
    assert float(estimator.surprise(x, labels)) == pytest.approx(-own, abs=1e-12)


@pytest.mark.parametrize("r", [0.0, 0.3, 0.6, 0.8])
def test_gaussians_of_known_information(r: float) -> None:
    """On pairs that it has not seen: the bound that the true conditional gives, above the truth."""
    estimator = trained(*correlated(r, 4000, 4, seed=3))
    with torch.no_grad():
        bound = float(estimator.bound(*correlated(r, 20_000, 4, seed=4)))
    truth = -0.5 * math.log(1.0 - r * r)
    assert bound == pytest.approx(r * r / (1.0 - r * r), rel=0.12, abs=0.02)
    assert bound > truth - 0.02


def test_without_training_it_is_no_bound() -> None:
    torch.manual_seed(0)
    estimator = GaussianEstimator(4, 4, 48)
    with torch.no_grad():
        bound = float(estimator.bound(*correlated(0.8, 20_000, 4, seed=4)))
    assert bound < -0.5 * math.log(1.0 - 0.8**2) / 4


@pytest.mark.parametrize("apart", [0.0, 0.5, 1.0])
def test_a_label_of_known_information(apart: float) -> None:
    """Two Gaussians that lie 2 `apart`, one for each label."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 20_000)
    x = rng.normal(size=20_000) + apart * (2 * labels - 1)
    torch.manual_seed(0)
    estimator = LabelEstimator(1, 2, 16)
    optimizer = torch.optim.Adam(estimator.parameters(), lr=1e-2)
    pair = torch.from_numpy(x[:, None]).float(), torch.from_numpy(labels)
    for _ in range(150):
        optimizer.zero_grad()
        torch.autograd.backward([estimator.surprise(*pair)])
        optimizer.step()
    log_q = -np.log1p(np.exp(-2.0 * apart * np.outer(x, [-1.0, 1.0])))  # by the true posterior
    own, every = log_q[np.arange(20_000), labels].mean(), log_q.mean(axis=0)[labels].mean()
    assert float(estimator.bound(*pair).detach()) == pytest.approx(own - every, rel=0.1, abs=0.01)
