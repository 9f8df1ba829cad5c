"""Publish or withhold: a pure function of the evidence. Everything is accepted only if it is finite
and reaches its threshold, so NaN fails closed."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import GateConfig
from ..records import Reason


@dataclass(frozen=True)
class Evidence:
    """What speaks for a position: the retrieval's cosine, the alignment, the motion."""

    score: float
    correlation: float
    peak_ratio: float
    innovation_sigmas: float | None


def gate(evidence: Evidence, config: GateConfig) -> tuple[Reason, str] | None:
    """The first reason to withhold, with its figures; None where there is none."""
    if not evidence.score >= config.min_score:
        return Reason.LOW_SCORE, f"score {evidence.score:.3f} below {config.min_score:g}"
    if not evidence.correlation >= config.min_correlation:
        return (
            Reason.NOT_VERIFIED,
            f"correlation {evidence.correlation:.3f} below {config.min_correlation:g}",
        )
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
