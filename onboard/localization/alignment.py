"""One picture of the ground laid on reference imagery: where it fits, and where its parts do."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ..records import Image, Mask
from .local_matches import Matcher, match_structure, reach_px
from .pose import Pose, fit_pose
from .rectify import Patch
from .shrink import shrink
from .structure import EDGE_PX, Ground, correlate, peak, second_peak

Rectifier = Callable[[float, float, int], Patch | None]
"""Patch of the frame for a heading error in degrees and a relative error of scale, so many times
coarser than the references."""


class Imagery(Protocol):
    """Reference pixels around a point of the local plane."""

    def read(
        self, east_m: float, north_m: float, size_px: int
    ) -> tuple[Image, Mask, tuple[float, float]]:
        """[S, S, 3], [S, S], and the local metres of the square's centre."""


@dataclass(frozen=True)
class Alignment:
    """Where the vehicle is if the frame shows what the imagery shows there.

    `east_m`, `north_m`: the vehicle in the local plane. `heading_error_deg`, `scale_error`: what
    the telemetry's heading and height were off by. `correlation` in -1..1 at the best place,
    `peak_ratio` against the best other place of any window. `pose` is what the parts of the picture
    say, each for itself, and already in the rest; None where they do not agree.
    """

    east_m: float
    north_m: float
    heading_error_deg: float
    scale_error: float
    correlation: float
    peak_ratio: float
    pose: Pose | None = None


@dataclass(frozen=True)
class Template:
    """A frame's ground, under a hypothesis of heading and scale."""

    patch: Patch
    ground: Ground
    heading_deg: float
    scale: float

    @classmethod
    def make(
        cls, rectify: Rectifier, heading_deg: float, scale: float, coarser: int
    ) -> Template | None:
        """The frame under a hypothesis, or None above the horizon."""
        patch = rectify(heading_deg, scale, coarser)
        if patch is None:
            return None
        return cls(patch, Ground.of(patch.image, patch.valid), heading_deg, scale)


@dataclass(frozen=True)
class Window:
    """Reference imagery around a centre, in local metres."""

    ground: Ground
    east_m: float
    north_m: float

    @classmethod
    def make(
        cls, imagery: Imagery, centre_m: tuple[float, float], side_px: int, coarser: int
    ) -> Window:
        """Read the imagery and find its structure; `side_px` is counted in coarser pixels."""
        margin_px = side_px + 2 * EDGE_PX
        image, valid, (east_m, north_m) = imagery.read(*centre_m, margin_px * coarser)
        if coarser > 1:
            image = shrink(image, coarser)
            valid = (shrink(255 * valid, coarser) > 127).astype(np.uint8)
        inner = slice(EDGE_PX, EDGE_PX + side_px)
        return cls(Ground.of(image, valid).cut(inner, inner), east_m, north_m)

    def around(self, place: Alignment, patch: Patch, reach_px: int) -> Window:
        """The part of it in which a patch may move so far from where it was aligned."""
        size_px, gsd_m, own_px = len(patch.image), patch.gsd_m, len(self.ground.image)
        middle = (own_px - size_px) / 2.0
        column = round((place.east_m + patch.east_m - self.east_m) / gsd_m + middle) - reach_px
        row = round((self.north_m - place.north_m - patch.north_m) / gsd_m + middle) - reach_px
        side_px = size_px + 2 * reach_px
        furthest = max(own_px - side_px, 0)
        row, column = min(max(row, 0), furthest), min(max(column, 0), furthest)
        part = self.ground.cut(slice(row, row + side_px), slice(column, column + side_px))
        off_px = (len(part.image) - own_px) / 2.0
        return Window(
            part,
            self.east_m + (column + off_px) * gsd_m,
            self.north_m - (row + off_px) * gsd_m,
        )


def align(template: Template, window: Window, exclusion_m: float) -> Alignment:
    """Slide the frame over the window."""
    gsd_m = template.patch.gsd_m
    picture = template.ground
    surface = correlate(picture.field, picture.mask, window.ground.field)
    top, row, column = peak(surface)
    other = second_peak(surface, row, column, exclusion_m / gsd_m)
    middle = (len(surface) - 1) / 2.0
    return Alignment(
        east_m=window.east_m + (column - middle) * gsd_m - template.patch.east_m,
        north_m=window.north_m - (row - middle) * gsd_m - template.patch.north_m,
        heading_error_deg=template.heading_deg,
        scale_error=template.scale,
        correlation=top,
        peak_ratio=contrast(top, other),
    )


def align_parts(
    template: Template,
    imagery: Imagery,
    roughly: Alignment,
    coarser: int,
    turn_sigma_deg: float,
    stretch_sigma: float,
    match: Matcher = match_structure,
) -> Alignment:
    """An alignment as the parts of the picture have it, where they agree; as the whole of it has
    it where they do not.

    Args:
        template: the frame, so many times coarser than the references.
        imagery: what it is aligned with.
        roughly: where the frame was found.
        coarser: than the references.
        turn_sigma_deg: 1-sigma of the turn that may be left.
        stretch_sigma: 1-sigma of the stretch.
        match: finds the parts.
    """
    patch, size_px = template.patch, len(template.ground.image)
    reach = reach_px(size_px)
    centre_m = roughly.east_m + patch.east_m, roughly.north_m + patch.north_m
    window = Window.make(imagery, centre_m, size_px + 2 * reach, coarser)
    whole = align(template, window, 0.0)
    found = replace(whole, peak_ratio=roughly.peak_ratio)
    matches = match(template.ground, window.ground)
    pose = fit_pose(
        patch.ground_m(matches.at_px),
        matches.shift_px * [patch.gsd_m, -patch.gsd_m],
        matches.of,
        patch.gsd_m,
        matches.side_px * patch.gsd_m,
        turn_sigma_deg,
        stretch_sigma,
    )
    if pose is None:
        return found
    return replace(
        found,
        east_m=window.east_m - patch.east_m + pose.east_m,
        north_m=window.north_m - patch.north_m + pose.north_m,
        heading_error_deg=template.heading_deg + pose.turn_deg,
        scale_error=(1.0 + template.scale) * (1.0 + pose.stretch) - 1.0,
        pose=pose,
    )


def between_m(a: Alignment, b: Alignment) -> float:
    """Between two places of the vehicle."""
    return math.hypot(a.east_m - b.east_m, a.north_m - b.north_m)


def contrast(best: float, other: float) -> float:
    """How many times better one correlation is than another that may be none."""
    return best / other if other > 1e-6 else float(best > 0) * 1e3
