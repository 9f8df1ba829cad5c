"""Where to look besides while the vehicle is lost: a cloud of places, fed by what every frame
looks like and by the motion between them."""

from __future__ import annotations

import math

import numpy as np

from ..config import FilterConfig
from ..records import Candidate
from .filter import Position
from .motion import Motion
from .particles import Looks, Particles, Place
from .rectify import Patch
from .search import Search

HINTS = 2
"""Places that the cloud points at."""
_NS = 1e-9


class Lost:
    """From the last frame of a track to the first of the next one. Feed every frame."""

    def __init__(self, search: Search, config: FilterConfig) -> None:
        self._search, self._config = search, config
        self._cloud = Particles()
        self._since_ns: int | None = None
        self._tracked: Position | None = None

    def found(self, at: Position) -> None:
        """There is a track, and it expects the vehicle here."""
        self._tracked, self._since_ns = at, None

    def hints(
        self,
        t_ns: int,
        motion: Motion | None,
        candidates: list[Candidate],
        patch: Patch,
        footprint_m: float,
    ) -> list[Place]:
        """Where the patch may lie, by all that was seen since the track was lost."""
        shown_m = np.array([patch.east_m, patch.north_m])
        if self._since_ns is None:
            self._cloud.forget()
            if self._tracked is not None:
                self._cloud.start(self._tracked)
                self._since_ns = self._tracked.t_ns
        if self._since_ns is not None:
            self._move(self._since_ns, t_ns, motion)
        self._since_ns, self._tracked = t_ns, None
        centres_m = np.array(self._search.centres_m(candidates))
        scores = np.array([candidate.score for candidate in candidates])
        self._cloud.look(Looks(centres_m - shown_m, scores, footprint_m / 4.0))
        modes_m = self._cloud.modes_m(self._search.window_apart_m, HINTS)
        return [(east + patch.east_m, north + patch.north_m) for east, north in modes_m]

    def _move(self, since_ns: int, t_ns: int, motion: Motion | None) -> None:
        elapsed_s = (t_ns - since_ns) * _NS
        if motion is None:
            self._cloud.move((0.0, 0.0), self._config.unknown_speed_m_s * elapsed_s)
            return
        unseen_s = max(motion.t0_ns - since_ns, 0) * _NS
        spread_m = math.hypot(
            self._config.velocity_accuracy_m_s * elapsed_s,
            self._config.unknown_speed_m_s * unseen_s,
        )
        self._cloud.move((motion.east_m, motion.north_m), spread_m)
