"""A whole place turned by quarters and mirrored: its map views, its panorama and its words alike.

Satellite and drone pictures are north up, or at least turned as one. A panorama shows a bearing in
its middle column and grows eastwards to the right, so the bearings of a place that was turned a
quarter anticlockwise lie a quarter of its width further left. Mirroring is east to west.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from geobridge.onboard.records import Image
from geobridge.onboard.views import View

from ..config_data import AugmentConfig
from .compass import has_hand, has_points, has_sides, is_loose, rewrite

_ROUGHLY = 0.03
"""How far the aspect of a square or a panorama may be from 1 or 2; a share of it."""


@dataclass(frozen=True)
class Turn:
    """First so many quarters anticlockwise, as seen from above, then mirrored or not."""

    quarters: int = 0
    mirrored: bool = False

    def __bool__(self) -> bool:
        return bool(self.quarters or self.mirrored)

    @classmethod
    def draw(cls, rng: np.random.Generator, augment: AugmentConfig) -> Turn:
        """Any of the eight alike, as far as `augment` has them; always two draws."""
        quarters, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        return cls(quarters if augment.rotate else 0, mirrored and augment.flip)

    def allowed(self, pictures: Mapping[View, Image], text: str, rewriting: bool) -> Turn:
        """As much of it as these views and words can follow.

        A street photo shows no more than it shows, and so cannot be rolled; an oblong picture stays
        upright or upside down; words for left and right follow no turn.
        """
        street = pictures.get(View.STREET)
        fixed = street is not None and not _is(street, 2.0)
        if fixed or (rewriting and has_sides(text)):
            return replace(self, quarters=0)
        if all(_is(image, 1.0) for view, image in pictures.items() if view is not View.STREET):
            return self
        return replace(self, quarters=self.quarters - self.quarters % 2)

    def picture(self, view: View, image: Image) -> Image:
        """[H, W, 3] of a view, turned; a view of the same memory where that is enough."""
        if view is View.STREET:
            shift = -round(self.quarters * image.shape[1] / 4)
            turned = np.roll(image, shift, axis=1) if shift else image
        else:
            turned = np.rot90(image, self.quarters)
        return turned[:, ::-1] if self.mirrored else turned

    def words(self, text: str, rewriting: bool) -> str:
        """The text, rewritten; or none, where it would be wrong and no rule, or wish, mends it."""
        if not self:
            return text
        if is_loose(text):
            return ""
        if rewriting:
            return rewrite(text, self.quarters, self.mirrored)
        wrong = has_points(text) or has_sides(text) or (self.mirrored and has_hand(text))
        return "" if wrong else text


def _is(image: Image, aspect: float) -> bool:
    """Whether it is so many times as wide as high, or very nearly."""
    height_px, width_px = image.shape[:2]
    return bool(abs(width_px - aspect * height_px) <= _ROUGHLY * width_px)
