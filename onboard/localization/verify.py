"""From a retrieved tile to metres: the frame's ground aligned with the reference imagery."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ..config import VerifyConfig
from ..records import Image, Mask
from .local_matches import local_matches, reach_px
from .pose import Pose, fit_pose
from .rectify import Patch
from .structure import Field, correlate, peak, second_peak, structure


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


CLOSE = 1.5
"""A rival this near to the best match is looked at as closely as the best."""

WINDOW_SPACING = 1.5
"""Distance of windows in search radii: neighbours of the best candidate are not another place."""

Rectifier = Callable[[float, float], Patch | None]
"""Patch of the frame for a heading error in degrees and a relative error of scale."""


def verify(
    rectify: Rectifier,
    centres_m: Sequence[tuple[float, float]],
    imagery: Imagery,
    config: VerifyConfig,
    hints_m: Sequence[tuple[float, float]] = (),
) -> Alignment | None:
    """The best alignment near any of the centres; None if the frame shows no ground.

    Args:
        rectify: gives the frame's ground patch under a hypothesis.
        centres_m: where the patch's centre may lie, most likely first.
        imagery: what it is compared with.
        config: how far and how closely to look.
        hints_m: more such centres; each has a window of its own and takes none from the others,
            so all it can do is to be a better match or a rival.
    """
    template = Template.make(rectify, 0.0, 0.0)
    if template is None or not centres_m:
        return None
    gsd_m = template.patch.gsd_m
    side_px = template.patch.image.shape[0] + 2 * round(config.search_m / gsd_m)
    apart_m = WINDOW_SPACING * config.search_m
    chosen = separate(centres_m, apart_m, config.windows)
    chosen = separate([*chosen, *hints_m], apart_m, len(chosen) + len(hints_m))
    windows = [Window.make(imagery, centre, side_px) for centre in chosen]
    turns = [0.0, -config.heading_search_deg, config.heading_search_deg]
    tried = [(turn, 0.0) for turn in dict.fromkeys(turns)]
    found = _align_all(rectify, windows, tried, config)
    if not found:
        return None
    best, rival = _best_and_rival(found, config.exclusion_m)
    refined = _refine(rectify, best, config)
    aligned = _by_parts(rectify, refined, config)
    if rival is None:
        return aligned
    contrast = _ratio(_correlation(best), _correlation(rival))
    if contrast < CLOSE:  # the telemetry's heading may be wrong for both: refine the rival too
        other = _refine(rectify, rival, config)
        if _apart_m(other, refined) > config.exclusion_m:
            contrast = _ratio(_correlation(refined), _correlation(other))
    return replace(aligned, peak_ratio=min(aligned.peak_ratio, contrast))


def separate(
    centres_m: Sequence[tuple[float, float]], apart_m: float, at_most: int
) -> list[tuple[float, float]]:
    """The first centres of which no two lie closer than `apart_m`."""
    kept: list[tuple[float, float]] = []
    for east, north in centres_m:
        near = any((east - e) ** 2 + (north - n) ** 2 < apart_m**2 for e, n in kept)
        if not near and len(kept) < at_most:
            kept.append((east, north))
    return kept


@dataclass(frozen=True)
class Template:
    """A rectified frame as structure."""

    patch: Patch
    field: Field
    mask: Field

    @classmethod
    def make(cls, rectify: Rectifier, heading_deg: float, scale: float) -> Template | None:
        """The frame under a hypothesis, or None above the horizon."""
        patch = rectify(heading_deg, scale)
        return None if patch is None else cls(patch, *structure(patch.image, patch.valid))


@dataclass(frozen=True)
class Window:
    """Reference structure around a centre, in local metres."""

    field: Field
    east_m: float
    north_m: float

    @classmethod
    def make(cls, imagery: Imagery, centre_m: tuple[float, float], side_px: int) -> Window:
        """Read the imagery and find its structure."""
        image, valid, (east_m, north_m) = imagery.read(*centre_m, side_px)
        return cls(structure(image, valid)[0], east_m, north_m)

    def around(
        self, aligned: Alignment, patch: Patch, margin_px: int
    ) -> tuple[Field, float, float]:
        """What it shows where a patch was aligned, with a margin that is empty beyond its edge;
        and where the vehicle is if the patch lies exactly so, at whole pixels."""
        size_px, gsd_m = len(patch.image), patch.gsd_m
        middle = (len(self.field) - size_px) / 2.0
        column = round((aligned.east_m + patch.east_m - self.east_m) / gsd_m + middle)
        row = round((self.north_m - aligned.north_m - patch.north_m) / gsd_m + middle)
        wide = np.pad(self.field, ((margin_px, margin_px), (margin_px, margin_px), (0, 0)))
        side_px = size_px + 2 * margin_px
        shown = np.asarray(wide[row : row + side_px, column : column + side_px], np.float32)
        east_m = self.east_m + (column - middle) * gsd_m - patch.east_m
        north_m = self.north_m - (row - middle) * gsd_m - patch.north_m
        return shown, east_m, north_m


_Found = tuple[Alignment, float, float, Window]


def _correlation(found: _Found) -> float:
    return found[0].correlation


def _apart_m(a: _Found, b: _Found) -> float:
    return math.hypot(a[0].east_m - b[0].east_m, a[0].north_m - b[0].north_m)


def _best_and_rival(found: Sequence[_Found], exclusion_m: float) -> tuple[_Found, _Found | None]:
    """The best match, and the best one of another place in any window."""
    best = max(found, key=_correlation)
    elsewhere = [each for each in found if _apart_m(each, best) > exclusion_m]
    return best, max(elsewhere, key=_correlation, default=None)


def _refine(rectify: Rectifier, start: _Found, config: VerifyConfig) -> _Found:
    """Smaller and smaller steps of heading and scale around a match."""
    half, scale = config.heading_search_deg / 2, config.scale_search
    best = start
    for turn, stretch in ((half, scale), (half / 2, scale / 2)):
        _, heading, size, window = best
        around = [(heading + turn, size), (heading - turn, size)]
        around += [(heading, size + stretch), (heading, size - stretch)]
        best = max([best, *_align_all(rectify, [window], around, config)], key=_correlation)
    return best


def _by_parts(rectify: Rectifier, found: _Found, config: VerifyConfig) -> Alignment:
    """The alignment as the parts of the picture have it, where they agree."""
    aligned, heading_deg, scale, window = found
    template = Template.make(rectify, heading_deg, scale)
    if template is None:
        return aligned
    patch = template.patch
    reach = reach_px(len(template.field))
    reference, east_m, north_m = window.around(aligned, patch, reach)
    matches = local_matches(template.field, template.mask, reference)
    ground_m = patch.ground_m(matches.at_px)
    pose = fit_pose(
        ground_m,
        matches.shift_px * [patch.gsd_m, -patch.gsd_m],
        matches.of,
        patch.gsd_m,
        len(template.field) * patch.gsd_m,
        config.heading_search_deg / 4,
        config.scale_search / 2,
    )
    if pose is None:
        return aligned
    return replace(
        aligned,
        east_m=east_m + pose.east_m,
        north_m=north_m + pose.north_m,
        heading_error_deg=heading_deg + pose.turn_deg,
        scale_error=(1.0 + scale) * (1.0 + pose.stretch) - 1.0,
        pose=pose,
    )


def _ratio(best: float, other: float) -> float:
    return best / other if other > 1e-6 else float(best > 0) * 1e3


def _align_all(
    rectify: Rectifier,
    windows: Sequence[Window],
    hypotheses: Sequence[tuple[float, float]],
    config: VerifyConfig,
) -> list[_Found]:
    found: list[_Found] = []
    for heading_deg, scale in hypotheses:
        template = Template.make(rectify, heading_deg, scale)
        if template is None:
            continue
        for window in windows:
            aligned = align(template, window, heading_deg, scale, config.exclusion_m)
            found.append((aligned, heading_deg, scale, window))
    return found


def align(
    template: Template, window: Window, heading_deg: float, scale: float, exclusion_m: float
) -> Alignment:
    """Slide the frame over the window."""
    patch = template.patch
    surface = correlate(template.field, template.mask, window.field)
    top, row, column = peak(surface)
    other = second_peak(surface, row, column, exclusion_m / patch.gsd_m)
    middle = (surface.shape[0] - 1) / 2.0
    return Alignment(
        east_m=window.east_m + (column - middle) * patch.gsd_m - patch.east_m,
        north_m=window.north_m - (row - middle) * patch.gsd_m - patch.north_m,
        heading_error_deg=heading_deg,
        scale_error=scale,
        correlation=top,
        peak_ratio=_ratio(top, other),
    )
