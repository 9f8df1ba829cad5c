"""Publish or withhold: a pure function of the evidence. Everything is accepted only if it is finite
and reaches its threshold, so NaN fails closed."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import GateConfig
from ..manifest import ScoresEntry
from ..records import Reason

MAX_COSINE = 1.01
"""A cosine above is no cosine."""
UNCALIBRATED_MIN_SCORE = 0.2


@dataclass(frozen=True)
class Evidence:
    """What speaks for a position: the retrieval's cosine, the alignment, the motion.

    `tracking`: earlier positions are confirmed, and this one only has to continue them.
    `min_score`: what the bundle says that a right place reaches; None where it says nothing.
    `looks_alike`: another place of the map, farther away, may look like the one that is accepted.
    """

    score: float
    correlation: float
    peak_ratio: float
    innovation_sigmas: float | None
    tracking: bool
    min_score: float | None = None
    looks_alike: bool = False


def gate(evidence: Evidence, config: GateConfig) -> tuple[Reason, str] | None:
    """The first reason to withhold, with its figures; None where there is none."""
    least = needed_score(evidence.min_score, config)
    if not least <= evidence.score <= MAX_COSINE:
        return Reason.LOW_SCORE, f"score {evidence.score:.3f}, at least {least:.3g} needed"
    needed = config.min_correlation if evidence.tracking else config.min_correlation_untracked
    if not needed <= evidence.correlation <= MAX_COSINE:
        return Reason.NOT_VERIFIED, f"correlation {evidence.correlation:.3f} below {needed:g}"
    doubtful = evidence.looks_alike and not evidence.tracking
    contrast = config.min_peak_ratio_alike if doubtful else config.min_peak_ratio
    if not evidence.peak_ratio >= contrast:
        why = ", and the map looks alike elsewhere" if doubtful else ""
        return Reason.AMBIGUOUS, f"peak ratio {evidence.peak_ratio:.2f} below {contrast:g}{why}"
    innovation = evidence.innovation_sigmas
    if innovation is not None and not innovation <= config.max_innovation_sigmas:
        return (
            Reason.INCONSISTENT,
            f"{innovation:.1f} sigma from the predicted position,"
            f" {config.max_innovation_sigmas:g} allowed",
        )
    return None


def needed_score(of_bundle: float | None, config: GateConfig) -> float:
    """The configured score where one is configured, else that of the bundle, else a guess."""
    if config.min_score is not None:
        return config.min_score
    return UNCALIBRATED_MIN_SCORE if of_bundle is None else of_bundle


def looks_alike(aliasing: float, scores: ScoresEntry | None) -> bool:
    """Whether a far place is as similar to this one as its own neighbours are; where the bundle
    has the measure and the place no figure, it does."""
    return scores is not None and not aliasing < scores.alike
