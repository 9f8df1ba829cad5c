"""Which squares of the map to compare a frame with: those that look most like it, and hints.

A hint is a square that something else speaks for: a street picture, dead reckoning, somebody else's
belief. It is one more place to look at and nothing else: it confines no search, and it passes no
gate that another square would not pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, zip_longest

import numpy as np

from ..config import LocalizerConfig
from ..errors import BundleError
from ..geodesy import MAX_RADIUS_M, Floats, LocalFrame, distance_m
from ..manifest_entries import LayerEntry
from ..records import Candidate, Prior
from ..retrieval.halves import Descriptor
from ..retrieval.index import Index
from ..retrieval.layer import EVERYWHERE, Within
from ..views import View
from .filter import Position
from .rectify import Patch
from .verify import WINDOW_SPACING, separate

STREET_TOP_K, STREET_HINTS = 50, 2
"""Street pictures that are looked at, and places they may point at; neighbours point at one."""
SQUARES = (View.SATELLITE, View.DRONE)
"""Views whose places are squares of ground, as a rectified frame is one."""
TWINS = 2
"""Places that look like the one where the vehicle is said to be, and are looked at with it."""

Place = tuple[float, float]
"""Metres east and north in the bundle's local plane."""


@dataclass(frozen=True)
class Search:
    """The references of a bundle, and how they are searched.

    Raises:
        BundleError: it has no squares that a frame could be compared with.
    """

    index: Index
    config: LocalizerConfig

    def __post_init__(self) -> None:
        if not self.footprints_m:
            raise BundleError("its places are street pictures alone: nothing to align a frame with")

    @cached_property
    def footprints_m(self) -> tuple[float, ...]:
        """Sides of the squares that there are, largest first."""
        return tuple(sorted({layer.footprint_m for layer in self._squares()}, reverse=True))

    def look(
        self,
        descriptor: Descriptor,
        patch: Patch,
        footprint_m: float,
        expected: Position | None,
        prior: Believed | None,
    ) -> tuple[list[Candidate], list[Candidate]]:
        """The best squares for a patch, near an expected position or anywhere, and hints.

        `prior` is where the vehicle is said to be.
        """
        if expected is None:
            candidates = self._best(descriptor, footprint_m)
            hints = self._of_streets(descriptor, footprint_m)
            if prior is not None:
                seen_m = prior.at_m[0] + patch.east_m, prior.at_m[1] + patch.north_m
                hints += self._of_belief(descriptor, footprint_m, seen_m)
                hints += self._around(descriptor, footprint_m, seen_m, prior.sigma_m)
            return candidates, hints
        centre_m = expected.east_m + patch.east_m, expected.north_m + patch.north_m
        sigmas = self.config.retrieve.prior_sigmas
        within = Within(centre_m, sigmas * expected.sigma_m + footprint_m / 2)
        candidates = self._best(descriptor, footprint_m, within)
        hints = self._of_streets(descriptor, footprint_m, within)
        # where it is expected is looked at whatever the encoder thinks
        here = self._first_at(candidates, footprint_m, within)
        return candidates, hints + (here or self._at(descriptor, footprint_m, centre_m))

    def pointed_at(
        self, descriptor: Descriptor, footprint_m: float, places_m: Sequence[Place]
    ) -> list[Candidate]:
        """The squares around some places, where there are any."""
        found = (self._at(descriptor, footprint_m, place_m) for place_m in places_m)
        return [square for squares in found for square in squares]

    @property
    def window_apart_m(self) -> float:
        """From where on verification looks at two places in windows of their own."""
        return WINDOW_SPACING * self.config.verify.search_m

    def layer_of(self, candidate: Candidate) -> LayerEntry:
        """The layer that a candidate is a place of."""
        return next(
            layer.entry
            for layer in self.index.layers
            if 0 <= candidate.place - layer.entry.first < layer.entry.count
        )

    def centres_m(self, candidates: Sequence[Candidate]) -> list[Place]:
        """Where candidates lie."""
        rows = self.index.centres_m[[candidate.place for candidate in candidates]]
        return [(east_m, north_m) for east_m, north_m in rows.tolist()]

    def away_m(self, candidates: Sequence[Candidate], seen_m: Place) -> Floats:
        """[N] how far from a place each of the candidates has its middle."""
        rows = self.index.centres_m[[candidate.place for candidate in candidates]]
        return np.asarray(np.hypot(*(rows - seen_m).T))

    def _squares(self, footprint_m: float | None = None) -> list[LayerEntry]:
        return [layer.entry for view in SQUARES for layer in self.index.of(view, footprint_m)]

    def _best(
        self,
        descriptor: Descriptor,
        footprint_m: float,
        within: Within = EVERYWHERE,
        top_k: int | None = None,
    ) -> list[Candidate]:
        """The best squares of every view, the views taking turns: their scores do not compare."""
        top_k = top_k or self.config.retrieve.top_k
        found = (
            self.index.search(descriptor, top_k, within, view, footprint_m) for view in SQUARES
        )
        turns: Iterable[Candidate | None] = chain.from_iterable(zip_longest(*found))
        return [candidate for candidate in turns if candidate is not None]

    def _spacing_m(self, footprint_m: float) -> float:
        return max(layer.spacing_m or 0.0 for layer in self._squares(footprint_m))

    def _at(self, descriptor: Descriptor, footprint_m: float, seen_m: Place) -> list[Candidate]:
        """The square around a place, if there is one."""
        within = Within(seen_m, self._spacing_m(footprint_m))
        return self._best(descriptor, footprint_m, within, 1)[:1]

    def _first_at(
        self, candidates: Sequence[Candidate], footprint_m: float, within: Within
    ) -> list[Candidate]:
        """As `_at` of the gate's middle, of squares that a search within the gate found already;
        none where they do not tell."""
        near_m, seen_m = self._spacing_m(footprint_m), within.centre_m
        if seen_m is None or near_m > within.radius_m:
            return []
        first = [each for each in candidates if each.view is SQUARES[0]]
        near = np.flatnonzero(self.away_m(first, seen_m) <= near_m)
        return [first[row] for row in near[:1]]

    def _of_streets(
        self, descriptor: Descriptor, footprint_m: float, within: Within = EVERYWHERE
    ) -> list[Candidate]:
        """The most similar square around each of the best street pictures.

        The street picture's own score is on another scale and says nothing to the gate: a square
        it points at must pass what every other square must.
        """
        streets = self.index.search(descriptor, STREET_TOP_K, within, View.STREET)
        if not streets:
            return []
        reach_m = max(self._spacing_m(footprint_m), *(street.footprint_m for street in streets))
        centres = self._apart(streets, STREET_HINTS)
        around = [
            self._best(descriptor, footprint_m, Within(centre, reach_m), 1)[:1]
            for centre in centres
        ]
        return [square for squares in around for square in squares]

    def _of_belief(
        self, descriptor: Descriptor, footprint_m: float, seen_m: Place
    ) -> list[Candidate]:
        """The square that the vehicle is said to see, and those anywhere that look most like it.

        Alone it would be verified without its twins, which the encoder may not have found: then
        whoever deceives the receiver would choose the twin. Twins are scored by the picture as
        every square is: how like the believed one they are says nothing to the gate.
        """
        squares = self._at(descriptor, footprint_m, seen_m)
        if not squares:
            return []
        like_it = np.asarray(self.index.descriptors[squares[0].place], np.float32)
        like_it /= np.linalg.norm(like_it)
        alike = self._best(like_it, footprint_m)
        _, *elsewhere = self._apart([*squares, *alike], 1 + TWINS)
        twins = (self._at(descriptor, footprint_m, centre) for centre in elsewhere)
        return [*squares, *(square for found in twins for square in found)]

    def _around(
        self, descriptor: Descriptor, footprint_m: float, seen_m: Place, sigma_m: float
    ) -> list[Candidate]:
        """Of a belief that is wider than a square, those in it that look most like the patch."""
        if sigma_m <= footprint_m / 2:
            return []
        within = Within(seen_m, self.config.retrieve.prior_sigmas * sigma_m)
        likely = self._best(descriptor, footprint_m, within)
        centres = self._apart(likely, TWINS)
        return [square for at in centres for square in self._at(descriptor, footprint_m, at)]

    def _apart(self, candidates: Sequence[Candidate], at_most: int) -> list[Place]:
        """Where the first of them lie that verification would not look at in one window."""
        return separate(self.centres_m(candidates), self.window_apart_m, at_most)


@dataclass(frozen=True)
class Believed:
    """Where somebody else believes the vehicle to be, and how well, 1-sigma per axis."""

    at_m: Place
    sigma_m: float


def believed(prior: Prior | None, local: LocalFrame) -> Believed | None:
    """Where somebody else believes the vehicle to be; None beyond the reach of the plane, for
    nobody else's belief may be an error of ours."""
    if prior is None:
        return None
    origin = local.origin_lat_deg, local.origin_lon_deg
    if not distance_m(*origin, prior.lat_deg, prior.lon_deg) <= MAX_RADIUS_M:
        return None
    east_m, north_m = local.to_enu(prior.lat_deg, prior.lon_deg)
    return Believed((float(east_m), float(north_m)), prior.horiz_accuracy_m)
