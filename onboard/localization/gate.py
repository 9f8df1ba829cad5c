"""Publish or withhold: a pure function of the evidence. Everything is accepted only if it is finite
and reaches its threshold, so NaN fails closed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..config import GateConfig
from ..manifest_entries import ScoresEntry
from ..records import Reason

MAX_COSINE = 1.01
"""A cosine above is no cosine."""
UNCALIBRATED_MIN_SCORE = 0.2

Refusal = tuple[Reason, str]


@dataclass(frozen=True)
class Evidence:
    """What speaks for a position: the retrieval's cosine, the alignment, the motion.

    `inliers` parts of the picture agree with the place, `agreeing` of those that were looked for;
    `spread` is how far they lie apart, 1-sigma, in sides of what 5 x 5 parts fill (`Pose`).
    `geometry_sigmas`: how far turn and scale are from heading and height, in sigmas of what is
    stated. `tracking`: earlier positions are confirmed, and this one only has to continue them.
    `min_score`: what the bundle says that a right place reaches; None where it says nothing.
    `looks_alike`: another place of the map, farther away, may look like the one that is accepted.
    `flown_m`: how far agreement reaches back. `disputed`: the autopilot does not believe what it
    was sent. `doubtful_s`: how long there has been nothing but doubtful evidence.
    """

    score: float
    correlation: float
    peak_ratio: float
    inliers: int
    agreeing: float
    spread: float
    geometry_sigmas: float
    innovation_sigmas: float | None
    tracking: bool
    min_score: float | None = None
    looks_alike: bool = False
    flown_m: float = 0.0
    disputed: bool = False
    doubtful_s: float = 0.0


def gate(evidence: Evidence, config: GateConfig) -> Refusal | None:
    """The first reason to withhold, with its figures; None where there is none."""
    return (
        _by_score(evidence, config)
        or _by_correlation(evidence, config)
        or _by_parts(evidence, config)
        or _by_contrast(evidence, config)
        or _by_geometry(evidence, config)
        or _by_motion(evidence, config)
        or _by_doubt(evidence, config)
    )


def is_doubtful(evidence: Evidence, config: GateConfig) -> bool:
    """Whether it would not do for a first position: good to continue a track, for a while."""
    alone = (_by_correlation, _by_parts, _by_contrast)
    anew = replace(evidence, tracking=False)
    return evidence.disputed or any(refuses(anew, config) is not None for refuses in alone)


def may_confirm(evidence: Evidence, config: GateConfig) -> Refusal | None:
    """Why agreement does not confirm a track yet; None where it may.

    A place and its twin agree with the motion alike, until the vehicle has left them. Where the
    twin fits far worse, it is none.
    """
    if evidence.tracking or not evidence.looks_alike:
        return None
    if evidence.peak_ratio >= config.min_peak_ratio_alone:
        return None
    if not evidence.flown_m >= config.min_flown_alike_m:
        return (
            Reason.UNCONFIRMED,
            f"agreement over {evidence.flown_m:.0f} m, {config.min_flown_alike_m:g} needed where"
            " the map looks alike elsewhere",
        )
    return None


def _by_score(evidence: Evidence, config: GateConfig) -> Refusal | None:
    least = needed_score(evidence.min_score, config)
    if not least <= evidence.score <= MAX_COSINE:
        return Reason.LOW_SCORE, f"score {evidence.score:.3f}, at least {least:.3g} needed"
    return None


def _by_correlation(evidence: Evidence, config: GateConfig) -> Refusal | None:
    needed = config.min_correlation if evidence.tracking else config.min_correlation_untracked
    if not needed <= evidence.correlation <= MAX_COSINE:
        return Reason.NOT_VERIFIED, f"correlation {evidence.correlation:.3f} below {needed:g}"
    return None


def _by_parts(evidence: Evidence, config: GateConfig) -> Refusal | None:
    needed = config.min_agreeing if evidence.tracking else config.min_agreeing_untracked
    if not (evidence.inliers >= config.min_inliers and needed <= evidence.agreeing <= 1.0):
        return (
            Reason.SCATTERED,
            f"{evidence.inliers} parts of the picture agree, {evidence.agreeing:.0%} of those"
            f" shown; {config.min_inliers} and {needed:.0%} needed",
        )
    if not evidence.spread >= config.min_spread:
        return (
            Reason.SCATTERED,
            f"parts that agree are spread by {evidence.spread:.2f} of what 5 x 5 of them fill,"
            f" {config.min_spread:g} needed",
        )
    return None


def _by_contrast(evidence: Evidence, config: GateConfig) -> Refusal | None:
    doubtful = evidence.looks_alike and not evidence.tracking
    contrast = config.min_peak_ratio_alike if doubtful else config.min_peak_ratio
    if not evidence.peak_ratio >= contrast:
        why = ", and the map looks alike elsewhere" if doubtful else ""
        return Reason.AMBIGUOUS, f"peak ratio {evidence.peak_ratio:.2f} below {contrast:g}{why}"
    return None


def _by_geometry(evidence: Evidence, config: GateConfig) -> Refusal | None:
    if not evidence.geometry_sigmas <= config.max_geometry_sigmas:
        return (
            Reason.IMPLAUSIBLE,
            f"heading or height {evidence.geometry_sigmas:.1f} sigma from what is told,"
            f" {config.max_geometry_sigmas:g} allowed",
        )
    return None


def _by_motion(evidence: Evidence, config: GateConfig) -> Refusal | None:
    innovation = evidence.innovation_sigmas
    if innovation is not None and not innovation <= config.max_innovation_sigmas:
        return (
            Reason.INCONSISTENT,
            f"{innovation:.1f} sigma from the predicted position,"
            f" {config.max_innovation_sigmas:g} allowed",
        )
    return None


def _by_doubt(evidence: Evidence, config: GateConfig) -> Refusal | None:
    if not evidence.doubtful_s <= config.max_doubtful_s:
        return (
            Reason.DOUBTFUL,
            f"nothing but doubtful evidence for {evidence.doubtful_s:.1f} s,"
            f" {config.max_doubtful_s:g} allowed",
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
