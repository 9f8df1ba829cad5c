"""What a frame shows under each heading and height that may be true, and what was found for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..config import LocalizerConfig
from ..records import Candidate, Rejection
from ..retrieval.halves import Descriptor
from .alignment import Alignment
from .doubt import AS_TOLD, Hypothesis
from .gate import Evidence
from .prepare import Prepared, ground
from .rectify import Patch

LOOKED_AT, UNLIKE_DEG, UNLIKE_SCALE = 3, 40.0, 0.2
"""How many of the headings and heights that may be true are verified, and how far apart they are:
verification finds its way from each of them to the next."""
WELL_SEEN = 0.85
"""Part of a footprint that a frame must show for a smaller one not to be better."""


@dataclass(frozen=True)
class Shown:
    """What a frame shows under a hypothesis: the patch to align, and its middle to encode."""

    hypothesis: Hypothesis
    patch: Patch
    query: Patch


@dataclass(frozen=True)
class Retrieved:
    """What retrieval found, and the patch that asked; all of it squares of ground.

    `hints` are squares that street pictures and dead reckoning and a prior point at: more
    places to look at, and nothing else. `descriptor` is that of the patch's middle.
    """

    candidates: list[Candidate]
    patch: Patch
    footprint_m: float
    hints: list[Candidate]
    descriptor: Descriptor
    hypothesis: Hypothesis = AS_TOLD

    @property
    def best_score(self) -> float:
        """Of its candidates; -2, which no cosine is, without any."""
        return max((each.score for each in self.candidates), default=-2.0)


@dataclass(frozen=True)
class Looked:
    """What a frame was judged by: for records and reports, and for nothing that is decided."""

    prepared: Prepared
    found: Retrieved
    aligned: Alignment
    evidence: Evidence

    @property
    def aligned_patch(self) -> Patch | None:
        """The ground that the frame shows, as it was found to lie."""
        found, size_px = self.found, len(self.found.patch.image)
        gsd_m = found.patch.gsd_m
        lies = found.hypothesis.further(self.aligned.heading_error_deg, self.aligned.scale_error)
        return self.prepared.rectify(size_px * gsd_m, gsd_m, lies.heading_offset_deg, lies.scale)


def shown(
    t_ns: int,
    prepared: Prepared,
    supposed: Sequence[Hypothesis],
    footprints_m: Sequence[float],
    gsd_m: float,
    config: LocalizerConfig,
) -> tuple[float, list[Shown] | Rejection]:
    """The patches of the largest footprint that the frame shows well, else of the smallest.

    `supposed`: the likeliest first. `footprints_m`: the largest first.
    """
    likely, *others = supposed
    for footprint_m in footprints_m:
        first = ground(t_ns, prepared, footprint_m, gsd_m, config, likely)
        if not isinstance(first, Rejection) and first[1].valid_fraction >= WELL_SEEN:
            break
    rest = [ground(t_ns, prepared, footprint_m, gsd_m, config, each) for each in others]
    seen = [
        Shown(each, *patches)
        for each, patches in zip(supposed, [first, *rest], strict=True)
        if not isinstance(patches, Rejection)
    ]
    if isinstance(first, Rejection) and not seen:
        return footprint_m, first
    return footprint_m, seen


def likeliest(found: Sequence[Retrieved]) -> list[Retrieved]:
    """The few with the best scores that differ in heading or height, best first; those without
    candidates are left out."""
    kept: list[Retrieved] = []
    for each in sorted(found, key=lambda each: each.best_score, reverse=True):
        if each.candidates and not any(_alike(each.hypothesis, one.hypothesis) for one in kept):
            kept.append(each)
    return kept[:LOOKED_AT]


def _alike(a: Hypothesis, b: Hypothesis) -> bool:
    turn_deg = (a.heading_offset_deg - b.heading_offset_deg + 180.0) % 360.0 - 180.0
    stretch = math.log((1.0 + a.scale) / (1.0 + b.scale))
    return abs(turn_deg) < UNLIKE_DEG and abs(stretch) < UNLIKE_SCALE
