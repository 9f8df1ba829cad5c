"""What a frame shows under each heading and height that may be true, and what was found for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..config import LocalizerConfig
from ..records import Candidate, Rejection
from ..retrieval.halves import Descriptor
from .alignment import Alignment
from .doubt import Hypothesis
from .gate import Evidence
from .prepare import Prepared, ground
from .rectify import Patch
from .search import Place, Search
from .verify import separate

UNLIKE_DEG, UNLIKE_SCALE = 120.0, 0.6
"""How far apart headings and heights are that are verified, shared among as many as there may be:
with three, verification finds its way from each of them to the next."""
WELL_SEEN = 0.85
"""Part of a footprint that a frame must show for a smaller one not to be better."""


@dataclass(frozen=True)
class Shown:
    """What a frame shows under a hypothesis: the patch to align, and the square of it to encode."""

    hypothesis: Hypothesis
    patch: Patch
    query: Patch

    def patch_centres_m(self, query_centres_m: Sequence[Place]) -> list[Place]:
        """Where the patch's middle lies if that of the query lies there."""
        east_m = self.patch.east_m - self.query.east_m
        north_m = self.patch.north_m - self.query.north_m
        return [(east + east_m, north + north_m) for east, north in query_centres_m]


@dataclass(frozen=True)
class Retrieved:
    """What retrieval found for what a frame shows; all of it squares of ground.

    `hints` are squares that street pictures and dead reckoning and a prior point at: more
    places to look at, and nothing else. `descriptor` is that of the query. `beside` is what the
    other squares of the same patch found.
    """

    candidates: list[Candidate]
    shown: Shown
    footprint_m: float
    hints: list[Candidate]
    descriptor: Descriptor
    beside: tuple[Retrieved, ...] = ()

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
        shown, size_px = self.found.shown, len(self.found.shown.patch.image)
        gsd_m = shown.patch.gsd_m
        lies = shown.hypothesis.further(self.aligned.heading_error_deg, self.aligned.scale_error)
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
        if not isinstance(first, Rejection) and first[1][0].valid_fraction >= WELL_SEEN:
            break
    rest = [ground(t_ns, prepared, footprint_m, gsd_m, config, each) for each in others]
    seen = [
        Shown(each, found[0], query)
        for each, found in zip(supposed, [first, *rest], strict=True)
        if not isinstance(found, Rejection)
        for query in found[1]
    ]
    if isinstance(first, Rejection) and not seen:
        return footprint_m, first
    return footprint_m, seen


def likeliest(found: Sequence[Retrieved], at_most: int) -> list[Retrieved]:
    """The few with the best scores that differ in heading or height, best first, and beside each
    what the same patch found elsewhere; those without candidates are left out."""
    ranked = sorted(found, key=lambda each: each.best_score, reverse=True)
    ranked = [each for each in ranked if each.candidates]
    kept: list[Retrieved] = []
    for each in ranked:
        hypothesis = each.shown.hypothesis
        if not any(_alike(hypothesis, one.shown.hypothesis, at_most) for one in kept):
            kept.append(each)
    return [_together(each, ranked) for each in kept[:at_most]]


def patch_centres_m(found: Retrieved, search: Search) -> tuple[list[Place], list[Place]]:
    """Where the patch's middle may lie by the candidates, and by hints; what squares beside the
    first one look like is no more than a hint."""

    def centres_m(each: Retrieved, squares: Sequence[Candidate]) -> list[Place]:
        return each.shown.patch_centres_m(search.centres_m(squares))

    apart_m, windows = search.window_apart_m, search.config.verify.windows
    hints_m = centres_m(found, found.hints)
    for each in found.beside:
        hints_m += separate(centres_m(each, each.candidates), apart_m, windows)
        hints_m += centres_m(each, each.hints)
    return centres_m(found, found.candidates), hints_m


def supporting(aligned: Alignment, found: Retrieved, search: Search) -> Candidate:
    """The candidate or hint that lies where the picture was found to lie: of every square that
    asked the nearest one, and of these the most similar."""

    def nearest(each: Retrieved) -> tuple[float, Candidate]:
        query = each.shown.query
        seen_m = aligned.east_m + query.east_m, aligned.north_m + query.north_m
        squares = [*each.candidates, *each.hints]
        away_m = search.away_m(squares, seen_m)
        first = int(np.argmin(away_m))
        return float(away_m[first]), squares[first]

    half_m = found.footprint_m / 2.0  # a square that lies farther away shows other ground
    away = (nearest(each) for each in (found, *found.beside))
    return min(away, key=lambda each: (max(each[0], half_m), -each[1].score))[1]


def _together(first: Retrieved, ranked: Sequence[Retrieved]) -> Retrieved:
    same = (each for each in ranked if each.shown.hypothesis == first.shown.hypothesis)
    return replace(first, beside=tuple(each for each in same if each is not first))


def _alike(a: Hypothesis, b: Hypothesis, at_most: int) -> bool:
    turn_deg = (a.heading_offset_deg - b.heading_offset_deg + 180.0) % 360.0 - 180.0
    stretch = math.log((1.0 + a.scale) / (1.0 + b.scale))
    return abs(turn_deg) < UNLIKE_DEG / at_most and abs(stretch) < UNLIKE_SCALE / at_most
