"""Publish or withhold: a pure function of the evidence. Everything is accepted only if it is finite
and reaches its threshold, so NaN fails closed."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import GateConfig
from ..records import Reason

MAX_COSINE = 1.01
"""A cosine above is no cosine."""


@dataclass(frozen=True)
class Evidence:
    """What speaks for a position: the retrieval's cosine, the alignment, the motion.

    `tracking`: earlier positions are confirmed, and this one only has to continue them.
    """

    score: float
    correlation: float
    peak_ratio: float
    innovation_sigmas: float | None
    tracking: bool


def gate(evidence: Evidence, config: GateConfig) -> tuple[Reason, str] | None:
    """The first reason to withhold, with its figures; None where there is none."""
    if not config.min_score <= evidence.score <= MAX_COSINE:
        return Reason.LOW_SCORE, f"score {evidence.score:.3f}, at least {config.min_score:g} needed"
    needed = config.min_correlation if evidence.tracking else config.min_correlation_untracked
    if not needed <= evidence.correlation <= MAX_COSINE:
        return Reason.NOT_VERIFIED, f"correlation {evidence.correlation:.3f} below {needed:g}"
    if not evidence.peak_ratio >= config.min_peak_ratio:
        return (
            Reason.AMBIGUOUS,
            f"peak ratio {evidence.peak_ratio:.2f} below {config.min_peak_ratio:g}",
        )
    innovation = evidence.innovation_sigmas
    if innovation is not None and not innovation <= config.max_innovation_sigmas:
        return (
            Reason.INCONSISTENT,
            f"{innovation:.1f} sigma from the predicted position,"
            f" {config.max_innovation_sigmas:g} allowed",
        )
    return None
