"""Which squares of the map to compare a frame with: those that look most like it, and hints.

A hint is a square that something else speaks for: a street picture, dead reckoning, somebody else's
belief. It is one more place to look at and nothing else: it confines no search, and it passes no
gate that another square would not pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..config import LocalizerConfig
from ..geodesy import MAX_RADIUS_M, LocalFrame, distance_m
from ..manifest import CoverageEntry
from ..records import Candidate, Prior
from ..retrieval.index import Descriptor, Index
from ..views import View
from .filter import Position
from .rectify import Patch
from .verify import WINDOW_SPACING, separate

STREET_TOP_K, STREET_HINTS = 50, 2
"""Street pictures that are looked at, and places they may point at; neighbours point at one."""
TWINS = 2
"""Places that look like the one where the vehicle is said to be, and are looked at with it."""

Place = tuple[float, float]
"""Metres east and north in the bundle's local plane."""


@dataclass(frozen=True)
class Search:
    """The references of a bundle, and how they are searched."""

    index: Index
    coverage: CoverageEntry
    config: LocalizerConfig

    def look(
        self, descriptor: Descriptor, patch: Patch, expected: Position | None, told_m: Place | None
    ) -> tuple[list[Candidate], list[Candidate]]:
        """The best squares for a patch, near an expected position or anywhere, and hints.

        `told_m` is where the vehicle is said to be.
        """
        top_k = self.config.retrieve.top_k
        if expected is None:
            candidates = self.index.search(descriptor, top_k)
            hints = self._of_streets(descriptor)
            if told_m is not None:
                seen_m = told_m[0] + patch.east_m, told_m[1] + patch.north_m
                hints += self._of_belief(descriptor, seen_m)
            return candidates, hints
        centre_m = expected.east_m + patch.east_m, expected.north_m + patch.north_m
        sigmas = self.config.retrieve.prior_sigmas
        reach_m = sigmas * expected.sigma_m + self.coverage.footprint_m / 2
        candidates = self.index.search(descriptor, top_k, centre_m, reach_m)
        hints = self._of_streets(descriptor, centre_m, reach_m)
        # where it is expected is looked at whatever the encoder thinks
        return candidates, hints + self._at(descriptor, centre_m)

    def centres_m(self, candidates: Sequence[Candidate]) -> list[Place]:
        """Where candidates lie."""
        rows = self.index.centres_m[[candidate.place for candidate in candidates]]
        return [(float(east), float(north)) for east, north in rows]

    def nearest(self, seen_m: Place, candidates: Sequence[Candidate]) -> Candidate:
        """The first of the candidates whose square lies nearest to a place."""
        return min(candidates, key=lambda each: math.dist(self.index.centres_m[each.place], seen_m))

    def _at(self, descriptor: Descriptor, seen_m: Place) -> list[Candidate]:
        """The square around a place, if there is one."""
        return self.index.search(descriptor, 1, seen_m, self.coverage.spacing_m)

    def _of_streets(
        self, descriptor: Descriptor, centre_m: Place | None = None, radius_m: float | None = None
    ) -> list[Candidate]:
        """The most similar square around each of the best street pictures.

        The street picture's own score is on another scale and says nothing to the gate: a square
        it points at must pass what every other square must.
        """
        streets = self.index.search(descriptor, STREET_TOP_K, centre_m, radius_m, View.STREET)
        if not streets:
            return []
        reach_m = max(self.coverage.spacing_m, *(street.footprint_m for street in streets))
        centres = self._apart(streets, STREET_HINTS)
        around = [self.index.search(descriptor, 1, centre, reach_m) for centre in centres]
        return [square for squares in around for square in squares]

    def _of_belief(self, descriptor: Descriptor, seen_m: Place) -> list[Candidate]:
        """The square that the vehicle is said to see, and those anywhere that look most like it.

        Alone it would be verified without its twins, which the encoder may not have found: then
        whoever deceives the receiver would choose the twin.
        """
        squares = self._at(descriptor, seen_m)
        if not squares:
            return []
        like_it = np.asarray(self.index.descriptors[squares[0].place], np.float32)
        like_it /= np.linalg.norm(like_it)
        alike = self.index.search(like_it, self.config.retrieve.top_k)
        _, *elsewhere = self._apart([*squares, *alike], 1 + TWINS)
        twins = (self._at(like_it, centre) for centre in elsewhere)
        return [*squares, *(square for found in twins for square in found)]

    def _apart(self, candidates: Sequence[Candidate], at_most: int) -> list[Place]:
        """Where the first of them lie that verification would not look at in one window."""
        apart_m = WINDOW_SPACING * self.config.verify.search_m
        return separate(self.centres_m(candidates), apart_m, at_most)


def believed(prior: Prior | None, local: LocalFrame) -> Place | None:
    """Where somebody else believes the vehicle to be; None beyond the reach of the plane, for
    nobody else's belief may be an error of ours."""
    if prior is None:
        return None
    origin = local.origin_lat_deg, local.origin_lon_deg
    if not distance_m(*origin, prior.lat_deg, prior.lon_deg) <= MAX_RADIUS_M:
        return None
    east_m, north_m = local.to_enu(prior.lat_deg, prior.lon_deg)
    return float(east_m), float(north_m)
