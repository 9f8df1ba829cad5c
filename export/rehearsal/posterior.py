"""What few passes tell about a share: the Beta distribution, without pretending to more."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_LOGIT = np.linspace(-14.0, 14.0, 1401)
_FROM_ZERO, _FROM_ONE = np.logaddexp(0.0, -_LOGIT), np.logaddexp(0.0, _LOGIT)


def mean(hits: npt.ArrayLike, misses: npt.ArrayLike, prior: float) -> Floats:
    """[...] expected shares after hits and misses, with a prior worth one pass."""
    a, b = _parameters(hits, misses, prior)
    return np.asarray(a / (a + b))


def quantile(hits: npt.ArrayLike, misses: npt.ArrayLike, prior: float, share: float) -> Floats:
    """[...] the value that the true share stays below with probability `share`.

    The density of the log-odds is smooth where that of the share has poles, so it is summed there.
    """
    a, b = _parameters(hits, misses, prior)
    logits = [_logit(*pair, share) for pair in zip(a.ravel(), b.ravel(), strict=True)]
    return np.asarray(1.0 / (1.0 + np.exp(-np.array(logits).reshape(a.shape))))


def _logit(a: float, b: float, share: float) -> float:
    # log of x**a (1 - x)**b for x = 1 / (1 + exp(-logit))
    log_density = -a * _FROM_ZERO - b * _FROM_ONE
    below = np.cumsum(np.exp(log_density - log_density.max()))
    return float(np.interp(share * below[-1], below, _LOGIT))


def _parameters(hits: npt.ArrayLike, misses: npt.ArrayLike, prior: float) -> tuple[Floats, Floats]:
    a, b = np.broadcast_arrays(np.asarray(hits, float), np.asarray(misses, float))
    return a + max(prior, 1e-3), b + max(1.0 - prior, 1e-3)
