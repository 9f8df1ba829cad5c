"""Mutual information, bounded from above by a variational contrast (vCLUB, arXiv 2006.12013).

With q(y | x) an estimate of the conditional distribution,

    I(x; y) <= E over pairs of log q(y_i | x_i) - E over all i, j of log q(y_j | x_i)

as long as q is near enough to the truth; so an estimator must be trained, on the same features,
to the largest likelihood. For Gaussians of correlation r in each of d numbers and the true q the
right side is d r^2 / (1 - r^2), and I is -d/2 log(1 - r^2): a bound, and no tight one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_MOST_LOG_VARIANCE = 6.0


class GaussianEstimator(nn.Module):
    """q(y | x) as a Gaussian with a mean and a variance for each number of y."""

    def __init__(self, given: int, told: int, width: int) -> None:
        super().__init__()
        self.mean = _network(given, told, width)
        self.log_variance = _network(given, told, width)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[n, X] to [n, Y] means and [n, Y] logarithms of variances."""
        bounded = torch.tanh(self.log_variance(x) / _MOST_LOG_VARIANCE)
        return self.mean(x), _MOST_LOG_VARIANCE * bounded

    def surprise(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean over pairs and numbers of -log q(y_i | x_i), but for a constant; to be minimised."""
        mean, log_variance = self(x)
        terms: Tensor = (y - mean).square() / log_variance.exp() + log_variance
        return 0.5 * terms.mean()

    def bound(self, x: Tensor, y: Tensor) -> Tensor:
        """The upper bound of I(x; y) in nats, divided by the numbers of y."""
        mean, log_variance = self(x)
        own = (y - mean).square()
        # mean over j of (y_j - mean_i)^2, without the [n, n, Y] of it
        other = mean.square() - 2.0 * mean * y.mean(dim=0) + y.square().mean(dim=0)
        terms: Tensor = (other - own) / log_variance.exp()
        return 0.5 * terms.mean()


class LabelEstimator(nn.Module):
    """q(y | x) of a label."""

    def __init__(self, given: int, labels: int, width: int) -> None:
        super().__init__()
        self.scores = _network(given, labels, width)

    def surprise(self, x: Tensor, labels: Tensor) -> Tensor:
        """Mean over pairs of -log q(y_i | x_i)."""
        return F.cross_entropy(self.scores(x), labels)

    def bound(self, x: Tensor, labels: Tensor) -> Tensor:
        """The upper bound of I(x; y) in nats."""
        told: Tensor = self.scores(x).log_softmax(dim=1)
        own = told.gather(1, labels[:, None]).mean()
        return own - told.mean(dim=0)[labels].mean()


def _network(given: int, told: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(given, width), nn.ReLU(), nn.Linear(width, told))
