"""Where the parts of an aligned picture lie best, each for itself.

A correlation peak says that the whole fits somewhere. Whether its parts agree, and how closely,
only they can say: a picture of other land has a peak too, but its parts point anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .structure import Ground, correlate, peak

Floats = npt.NDArray[np.float64]

PARTS = 5
"""Parts along a side of a picture that shows, on ground that the map shows too, half of its square
or more; they do not overlap, so that their errors are their own."""
MIN_PART_PX, LEAST_SHARE = 12, 0.15
"""How small parts become, in pixels and by the share of a picture that is shown: what they are
worth where it is less was not measured."""
REACH = 0.2
"""How far around a part it is looked for, in sides of it: the turn and stretch that are left after
alignment move the outermost parts by less."""
MIN_SHOWN, MIN_CORRELATION = 0.6, 0.2
"""Share of a part that frame and map must show; how well it must fit."""
MIN_POINTS = 3
"""Points of a part that must be matched, where points are."""


@dataclass(frozen=True, eq=False)
class LocalMatches:
    """[N, 2] columns and rows of the parts' middles in the picture, and [N, 2] how many pixels to
    the right and down of there they lie in the reference. `of`: parts that were looked for, of a
    size that five by five of them fill a square of `side_px`."""

    at_px: Floats
    shift_px: Floats
    of: int
    side_px: float


class Matcher(Protocol):
    """A way to find the parts of a picture [S, S] in a reference [S + 2r, S + 2r], r its reach."""

    def __call__(self, picture: Ground, reference: Ground) -> LocalMatches:
        """Where the parts lie."""


def match_structure(picture: Ground, reference: Ground) -> LocalMatches:
    """The `Matcher` that correlates the structure of each part."""
    reach = reach_px(len(picture.field))
    at: list[tuple[float, float]] = []
    shifts: list[tuple[float, float]] = []
    parts = _Parts.shown(picture, reference, reach)
    part_px = parts.part_px
    for top, left in parts.corners:
        part = slice(top, top + part_px), slice(left, left + part_px)
        around = slice(top, top + part_px + 2 * reach), slice(left, left + part_px + 2 * reach)
        fit, row, column = peak(
            correlate(picture.field[part], picture.mask[part], reference.field[around])
        )
        # on the edge of the search it is no peak
        if fit >= MIN_CORRELATION and 0 < row < 2 * reach and 0 < column < 2 * reach:
            at.append((left + (part_px - 1) / 2.0, top + (part_px - 1) / 2.0))
            shifts.append((column - reach, row - reach))
    return parts.matched(at, shifts)


def reach_px(side_px: int) -> int:
    """Margin that the reference must have around a picture of this side."""
    return max(3, round(side_px / PARTS * REACH))


def parts_of_points(
    at_px: Floats, there_px: Floats, picture: Ground, reference: Ground
) -> LocalMatches:
    """Points that were matched one by one, as parts: the middle of what those of a part say.

    Args:
        at_px: [N, 2] columns and rows in the picture.
        there_px: [N, 2] of the same points in the reference.
        picture: [S, S].
        reference: [S + 2r, S + 2r], r its reach.
    """
    reach = reach_px(len(picture.field))
    moved = there_px - reach - at_px
    near = np.abs(moved).max(axis=1, initial=0.0) <= reach
    at_px, moved = at_px[near], moved[near]
    at: list[tuple[float, float]] = []
    shifts: list[tuple[float, float]] = []
    parts = _Parts.shown(picture, reference, reach)
    part_px = parts.part_px
    for top, left in parts.corners:
        inside = ((at_px >= [left, top]) & (at_px < [left + part_px, top + part_px])).all(axis=1)
        if inside.sum() >= MIN_POINTS:
            column, row = at_px[inside].mean(axis=0)
            right, down = np.median(moved[inside], axis=0)
            at.append((column, row))
            shifts.append((right, down))
    return parts.matched(at, shifts)


@dataclass(frozen=True)
class _Parts:
    """Top and left of the parts of a picture that are looked for, and their side; `side_px` as
    `LocalMatches` has it."""

    corners: list[tuple[int, int]]
    part_px: int
    side_px: float

    @classmethod
    def shown(cls, picture: Ground, reference: Ground, reach: int) -> _Parts:
        """Those that both show where they were aligned.

        What lies beyond the edge of the map, or of the frame, speaks neither for a place nor
        against it. Where that is most of the square the parts are smaller, so that there are as
        many as in half of one; below `LEAST_SHARE` and `MIN_PART_PX` there are fewer instead.
        """
        whole_px = len(picture.mask)
        if whole_px // PARTS < MIN_PART_PX:
            return cls([], whole_px // PARTS, whole_px)
        there = reference.mask[reach : reach + whole_px, reach : reach + whole_px]
        both = picture.mask * there
        side_px = whole_px * min(1.0, math.sqrt(2.0 * max(float(both.mean()), LEAST_SHARE)))
        part_px = max(MIN_PART_PX, int(side_px / PARTS))
        count = whole_px // part_px
        first = (whole_px - count * part_px) // 2
        along = [first + part_px * part for part in range(count)]
        corners = [
            (top, left)
            for top in along
            for left in along
            if both[top : top + part_px, left : left + part_px].mean() >= MIN_SHOWN
        ]
        return cls(corners, part_px, max(side_px, float(PARTS * MIN_PART_PX)))

    def matched(
        self, at_px: Sequence[tuple[float, float]], shift_px: Sequence[tuple[float, float]]
    ) -> LocalMatches:
        """What was found of them."""
        columns_and_rows, shifts = (np.reshape(each, (-1, 2)) for each in (at_px, shift_px))
        return LocalMatches(columns_and_rows, shifts, len(self.corners), self.side_px)
