"""Do two ways to compute the same descriptors agree, where it counts: in what they find?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MIN_COSINE = {"fp32": 0.99999, "fp16": 0.9995}
"""By precision, worst case over the pictures. None for int8: outliers among the activations of
trained weights cost it cosine and need not cost it a single place."""
MIN_RANK1 = {"fp32": 0.995, "fp16": 0.995, "int8": 0.95}
"""Share of queries that must find the same reference first."""
TIE = 1e-4
"""References whose scores differ by no more are one find: half precision, in which a bundle keeps
their descriptors, moves a score by about as much."""
MIN_CONTROL_GAP = 1e-3
"""By how much other pictures' descriptors must agree less, or agreement would prove nothing."""
MAX_CONTROL_RANK1 = 0.5

Descriptors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Agreement:
    """Of N pictures' descriptors, expected and given.

    `rank1`: share of the queries whose first reference is the same, or as good to `TIE`. `rank10`:
    share of the ten first that are the same. None where there is no gallery. `shuffled_*`: the
    control, every picture's descriptor in the place of another's, which must not agree.
    """

    pictures: int
    cosine_mean: float
    cosine_min: float
    shuffled_cosine_mean: float
    queries: int = 0
    references: int = 0
    rank1: float | None = None
    rank10: float | None = None
    shuffled_rank1: float | None = None


def compare(
    expected: Descriptors,
    given: Descriptors,
    references: Descriptors | None = None,
    queries: int = 0,
) -> Agreement:
    """How far descriptors agree.

    Args:
        expected, given: [N, D] unit descriptors of the same pictures.
        references: [R, D], among which the last `queries` of the pictures are looked for.
    """
    cosines = np.sum(expected * given, axis=1)
    shuffled = np.sum(np.roll(given, 1, axis=0) * expected, axis=1)
    agreement = Agreement(
        pictures=len(expected),
        cosine_mean=float(cosines.mean()),
        cosine_min=float(cosines.min()),
        shuffled_cosine_mean=float(shuffled.mean()),
    )
    if references is None:
        return agreement
    scores = expected[-queries:] @ references.T
    wanted, found = _first_ten(scores), _first_ten(given[-queries:] @ references.T)
    same, other = (_as_good(scores, first) for first in (found[:, 0], np.roll(found[:, 0], 1)))
    shared = [len(np.intersect1d(a, b)) / len(a) for a, b in zip(wanted, found, strict=True)]
    return Agreement(
        **{
            **vars(agreement),
            "queries": queries,
            "references": len(references),
            "rank1": float(same.mean()),
            "rank10": float(np.mean(shared)),
            "shuffled_rank1": float(other.mean()),
        }
    )


def disagreement(agreement: Agreement, precision: str) -> str | None:
    """What is wrong, in a few words, or None. NaN agrees with nothing."""
    needed = MIN_COSINE.get(precision)
    if needed is not None and not agreement.cosine_min >= needed:
        return f"worst cosine {agreement.cosine_min:.6f} to the checkpoint, needed {needed}"
    if not np.isfinite(agreement.cosine_min):
        return "descriptors that are not finite"
    if not agreement.shuffled_cosine_mean <= agreement.cosine_mean - MIN_CONTROL_GAP:
        return (
            f"descriptors of different pictures agree to {agreement.shuffled_cosine_mean:.4f};"
            " the encoder tells nothing apart"
        )
    if agreement.rank1 is None or agreement.shuffled_rank1 is None:
        return None
    if not agreement.shuffled_rank1 <= MAX_CONTROL_RANK1:
        return (
            f"{agreement.shuffled_rank1:.1%} of other pictures find the same reference; the gallery"
            " tells nothing apart"
        )
    wanted = MIN_RANK1[precision]
    if not agreement.rank1 >= wanted:
        return (
            f"{agreement.rank1:.2%} of {agreement.queries} pictures find the reference that the"
            f" checkpoint finds, needed {wanted:.2%}"
        )
    return None


def _first_ten(scores: Descriptors) -> npt.NDArray[np.int64]:
    return np.argsort(-scores, axis=1, kind="stable")[:, :10]


def _as_good(scores: Descriptors, found: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """[Q] whether the reference found is the best by [Q, R] scores, or as good."""
    of_found = scores[np.arange(len(scores)), found]
    return np.asarray(of_found >= scores.max(axis=1) - np.float32(TIE))
