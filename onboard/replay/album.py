"""The moments of a flight that the report can show: a set number, chosen as the frames go by.

A third is spread evenly, a third are the largest errors, and the rest are the first of every
reason and where fixes begin and end. Nothing is looked at twice, and what is kept does not grow
with the flight.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from ..geodesy import distance_m
from ..localization.local_matches import match_structure, reach_px
from ..localization.localizer import Localizer
from ..localization.structure import Ground
from ..localization.supposed import Looked
from ..records import Candidate, Fix, Frame, Image, Rejection
from .outcome import Outcome

FRAME_PX, REFERENCE_PX, JPEG_QUALITY = 480, 96, 72
CANDIDATES = 4
AGREES_PX = 2.5
"""A part that lies this near to where the whole lies agrees with it, as for `pose`."""


@dataclass(frozen=True)
class Pictured:
    """A moment: number of the frame, why there was no fix, pictures as JPEG, and plain facts."""

    number: int
    facts: dict[str, Any]
    frame: bytes
    patch: bytes | None = None
    reference: bytes | None = None
    candidates: list[bytes] = field(default_factory=list)


@dataclass
class Spread:
    """Every so many frames, twice as many whenever there are too many."""

    most: int
    step: int = 1
    held: list[int] = field(default_factory=list)

    def take(self, number: int) -> tuple[bool, list[int]]:
        """Whether a frame is among them so far, and those that are no longer."""
        if self.most < 1 or number % self.step:
            return False, []
        self.held.append(number)
        if len(self.held) <= self.most:
            return True, []
        self.step *= 2
        dropped = [each for each in self.held if each % self.step and each != number]
        self.held = [each for each in self.held if each % self.step == 0]
        return number % self.step == 0, dropped


@dataclass
class Worst:
    """Those with the largest errors."""

    most: int
    _heap: list[tuple[float, int]] = field(default_factory=list)

    def take(self, number: int, error_m: float | None) -> tuple[bool, list[int]]:
        """Whether a frame is among them so far, and those that are no longer."""
        if error_m is None or self.most < 1:
            return False, []
        heapq.heappush(self._heap, (error_m, -number))
        if len(self._heap) <= self.most:
            return True, []
        dropped = -heapq.heappop(self._heap)[1]
        return dropped != number, [dropped] if dropped != number else []


@dataclass
class Firsts:
    """The first of every reason, and where fixes begin and end; as many as there is room for."""

    most: int
    of_each: int = 2
    _seen: dict[str, int] = field(default_factory=dict)
    _held: int = 0
    _before: str | None = None

    def take(self, kind: str) -> bool:
        """Whether a frame is one of them."""
        is_change = self._before is not None and (kind == "fix") != (self._before == "fix")
        seen, self._before = self._seen.get(kind, 0), kind
        self._seen[kind] = seen + 1
        if self._held >= self.most or not (is_change or seen < self.of_each):
            return False
        self._held += 1
        return True


class Album:
    """Shows frames to three who choose, and keeps pictures of what any of them holds."""

    def __init__(self, localizer: Localizer, most: int) -> None:
        self._localizer = localizer
        self._spread, self._worst = Spread(most // 3), Worst(most // 3)
        self._firsts = Firsts(most - 2 * (most // 3))
        self._wanted: dict[int, int] = {}
        self._kept: dict[int, Pictured] = {}
        self._number = -1

    def consider(self, frame: Frame, outcome: Outcome, looked: Looked | None) -> None:
        """A frame, in the order of the flight."""
        self._number = number = self._number + 1
        result = outcome.result
        kind = "fix" if isinstance(result, Fix) else result.reason.value
        is_spread, dropped = self._spread.take(number)
        is_bad, good = self._worst.take(number, outcome.error_m)
        held = is_spread + is_bad + self._firsts.take(kind)
        if held:
            self._wanted[number] = held
            self._kept[number] = pictured(number, frame, outcome, looked, self._localizer)
        for each in [*dropped, *good]:
            self._let_go(each)

    def pictured(self) -> list[Pictured]:
        """In the order of the flight."""
        return [self._kept[number] for number in sorted(self._kept)]

    def _let_go(self, number: int) -> None:
        self._wanted[number] -= 1
        if not self._wanted[number]:
            del self._wanted[number], self._kept[number]


def pictured(
    number: int, frame: Frame, outcome: Outcome, looked: Looked | None, localizer: Localizer
) -> Pictured:
    """A moment as it is shown: the frame, and as far as it came, the ground it shows, the
    reference imagery there, the places that look most like it, and which parts agree."""
    result = outcome.result
    facts: dict[str, Any] = {"detail": result.detail if isinstance(result, Rejection) else ""}
    shown = _jpeg(_small(frame.image, FRAME_PX))
    patch = looked.aligned_patch if looked else None
    if looked is None or patch is None:
        return Pictured(number, facts, shown)
    aligned, side_px = looked.aligned, len(patch.image)
    reach = reach_px(side_px)
    place_m = aligned.east_m + patch.east_m, aligned.north_m + patch.north_m
    reference, valid, _ = localizer.imagery.read(*place_m, side_px + 2 * reach)
    ground = Ground.of(patch.image, patch.valid)
    parts = match_structure(ground, Ground.of(reference, valid))
    inside = np.hypot(*parts.shift_px.T) <= AGREES_PX
    facts |= {
        "parts": [
            [*map(_rounded, at), *map(_rounded, shift), bool(agrees)]
            for at, shift, agrees in zip(parts.at_px, parts.shift_px, inside, strict=True)
        ],
        "side_px": side_px,
        "gsd_m": patch.gsd_m,
        "correlation": _rounded(aligned.correlation, 3),
        "peak_ratio": _rounded(min(aligned.peak_ratio, 999.0), 2),
        "candidates": [_told(each, outcome) for each in looked.found.candidates[:CANDIDATES]],
    }
    inner = slice(reach, reach + side_px)
    squares = [_square(each, localizer) for each in looked.found.candidates[:CANDIDATES]]
    return Pictured(
        number, facts, shown, _jpeg(patch.image), _jpeg(reference[inner, inner]), squares
    )


def _told(candidate: Candidate, outcome: Outcome) -> dict[str, Any]:
    away_m = None
    if outcome.truth is not None:
        away_m = _rounded(distance_m(candidate.lat_deg, candidate.lon_deg, *outcome.truth))
    return {"score": _rounded(candidate.score, 3), "view": candidate.view.value, "away_m": away_m}


def _square(candidate: Candidate, localizer: Localizer) -> bytes:
    east_m, north_m = localizer.index.centres_m[candidate.place]
    side_px = max(8, round(candidate.footprint_m / localizer.gsd_m))
    image, _, _ = localizer.imagery.read(float(east_m), float(north_m), side_px)
    return _jpeg(_small(image, REFERENCE_PX))


def _small(image: Image, width_px: int) -> Image:
    height, width = image.shape[:2]
    if width <= width_px:
        return image
    size = width_px, max(1, round(height * width_px / width))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _jpeg(image: Image) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return data.tobytes()


def _rounded(value: float, digits: int = 1) -> float:
    return round(float(value), digits)
