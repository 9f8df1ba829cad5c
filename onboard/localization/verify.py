"""From a retrieved tile to metres: the frame's ground aligned with the reference imagery.

The place is searched for on coarse pictures, whatever the references' sampling, and measured on
finer ones: what tells places apart is some metres large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..config import VerifyConfig
from .alignment import (
    Alignment,
    Imagery,
    Rectifier,
    Template,
    Window,
    align,
    align_parts,
    between_m,
    contrast,
)
from .local_matches import Matcher, match_structure

SEARCHED_PX, MEASURED_PX = 160, 256
"""Sides of the largest patches that are searched for and that are measured; finer ones are made
coarser by the least whole number that leads there."""
CLOSE = 1.5
"""A rival this near to the best match is looked at as closely as the best."""
WINDOW_SPACING = 1.5
"""Distance of windows in search radii: neighbours of the best candidate are not another place."""
REFINED_PX = 8
"""How far from a match it is looked for under slightly other headings and scales."""


def verify(
    rectify: Rectifier,
    centres_m: Sequence[tuple[float, float]],
    imagery: Imagery,
    config: VerifyConfig,
    hints_m: Sequence[tuple[float, float]] = (),
    match: Matcher = match_structure,
) -> Alignment | None:
    """The best alignment near any of the centres; None if the frame shows no ground.

    Args:
        rectify: gives the frame's ground patch under a hypothesis.
        centres_m: where the patch's centre may lie, most likely first.
        imagery: what it is compared with.
        config: how far and how closely to look.
        hints_m: more such centres; each has a window of its own and takes none from the others,
            so all it can do is to be a better match or a rival.
        match: finds the parts of the picture where the whole lies.
    """
    whole = rectify(0.0, 0.0, 1)
    if whole is None or not centres_m:
        return None
    size_px = len(whole.image)
    apart_m = WINDOW_SPACING * config.search_m
    chosen = separate(centres_m, apart_m, config.windows)
    chosen = separate([*chosen, *hints_m], apart_m, len(chosen) + len(hints_m))
    factor = coarser(size_px, SEARCHED_PX)
    straight = Template.make(rectify, 0.0, 0.0, factor)
    if straight is None:
        return None
    search = _Search.over(chosen, straight, rectify, imagery, config, factor)
    found = search.all_over()
    best, rival = _best_and_rival(found, config.exclusion_m)
    refined = search.refined(best)
    aligned = _measured(rectify, imagery, refined, config, coarser(size_px, MEASURED_PX), match)
    if rival is None:
        return aligned
    ratio = contrast(best.correlation, rival.correlation)
    if ratio < CLOSE:  # the telemetry's heading may be wrong for both: refine the rival too
        other = search.refined(rival)
        if between_m(other.alignment, refined.alignment) > config.exclusion_m:
            ratio = contrast(refined.correlation, other.correlation)
    return replace(aligned, peak_ratio=min(aligned.peak_ratio, ratio))


def coarser(size_px: int, at_most_px: int) -> int:
    """By how much a patch of this side is made coarser to be no larger."""
    return -(-size_px // at_most_px)


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
class _Found:
    """A match and the window it is in."""

    alignment: Alignment
    window: Window

    @property
    def correlation(self) -> float:
        return self.alignment.correlation


@dataclass(frozen=True)
class _Search:
    """A frame and the neighbourhoods in which it may lie, all so many times coarser."""

    straight: Template
    rectify: Rectifier
    windows: Sequence[Window]
    config: VerifyConfig
    coarser: int

    @classmethod
    def over(
        cls,
        centres_m: Sequence[tuple[float, float]],
        straight: Template,
        rectify: Rectifier,
        imagery: Imagery,
        config: VerifyConfig,
        coarser: int,
    ) -> _Search:
        patch = straight.patch
        side_px = len(patch.image) + 2 * round(config.search_m / patch.gsd_m)
        windows = [Window.make(imagery, centre_m, side_px, coarser) for centre_m in centres_m]
        return cls(straight, rectify, windows, config, coarser)

    def all_over(self) -> list[_Found]:
        """The best match in every window under every heading that is far from the others."""
        turn_deg = self.config.heading_search_deg
        turned = [
            Template.make(self.rectify, heading_deg, 0.0, self.coarser)
            for heading_deg in ((-turn_deg, turn_deg) if turn_deg else ())
        ]
        templates = [self.straight, *(each for each in turned if each is not None)]
        return [self._in(window, each) for each in templates for window in self.windows]

    def refined(self, start: _Found) -> _Found:
        """The match after smaller and smaller steps of heading and scale."""
        half, scale = self.config.heading_search_deg / 2, self.config.scale_search
        best = start.alignment
        for turn, stretch in ((half, scale), (half / 2, scale / 2)):
            heading, size = best.heading_error_deg, best.scale_error
            around = [(heading + turn, size), (heading - turn, size)]
            around += [(heading, size + stretch), (heading, size - stretch)]
            tried = [self._near(best, start.window, *hypothesis) for hypothesis in around]
            best = max([best, *filter(None, tried)], key=lambda each: each.correlation)
        template = Template.make(
            self.rectify, best.heading_error_deg, best.scale_error, self.coarser
        )
        return start if template is None else self._in(start.window, template)

    def _near(
        self, place: Alignment, window: Window, heading_deg: float, scale: float
    ) -> Alignment | None:
        template = Template.make(self.rectify, heading_deg, scale, self.coarser)
        if template is None:
            return None
        near = window.around(place, template.patch, REFINED_PX)
        return align(template, near, self.config.exclusion_m)

    def _in(self, window: Window, template: Template) -> _Found:
        return _Found(align(template, window, self.config.exclusion_m), window)


def _best_and_rival(found: Sequence[_Found], exclusion_m: float) -> tuple[_Found, _Found | None]:
    """The best match, and the best one of another place in any window."""
    best = max(found, key=lambda each: each.correlation)
    elsewhere = [each for each in found if between_m(each.alignment, best.alignment) > exclusion_m]
    return best, max(elsewhere, key=lambda each: each.correlation, default=None)


def _measured(
    rectify: Rectifier,
    imagery: Imagery,
    found: _Found,
    config: VerifyConfig,
    coarser: int,
    match: Matcher,
) -> Alignment:
    """What was found on coarse pictures, as finer ones show it."""
    roughly = found.alignment
    template = Template.make(rectify, roughly.heading_error_deg, roughly.scale_error, coarser)
    if template is None:
        return roughly
    # where nothing is searched, as good as nothing is left
    turn_sigma_deg = max(config.heading_search_deg / 4, 0.01)
    stretch_sigma = max(config.scale_search / 2, 1e-4)
    return align_parts(template, imagery, roughly, coarser, turn_sigma_deg, stretch_sigma, match)
