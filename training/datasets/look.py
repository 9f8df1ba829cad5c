"""How a place looks in one batch: which of its sides there are, turned and recoloured as drawn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from geobridge.onboard.preprocess import apply
from geobridge.onboard.records import Image
from geobridge.onboard.views import VIEW_CODES, View

from ..appearance.augment import another_sensor
from ..appearance.turned import Turn
from ..config_data import AugmentConfig
from ..config_model import PreprocessConfig
from .batch import TEXT
from .decode import UnreadableError

UNCHANGED = AugmentConfig(rotate=False, flip=False, appearance=0.0)

SIDES = (*(view.value for view in VIEW_CODES), TEXT)
Edges = Collection[tuple[str, str]]
"""Pairs of sides that are compared."""
ALL_EDGES: Edges = tuple(combinations(SIDES, 2))


@dataclass(frozen=True)
class Look:
    """The encoder input of the views that there are, the text, what could not be read, and how the
    place was turned.
    """

    images: Mapping[View, Image]
    text: str
    unreadable: tuple[str, ...]
    turn: Turn


def look(
    views: Collection[View],
    read: Callable[[View], Image],
    text: str,
    preprocess: PreprocessConfig,
    augment: AugmentConfig,
    rng: np.random.Generator,
    edges: Edges = ALL_EDGES,
) -> Look:
    """One look at a place. What is drawn for one side does not depend on the others, but a place
    that has an edge is left one.

    Turns come before the resize, for they must know the shape; colour, blur and noise after it, for
    they belong to the input's pixels.

    Args:
        views: that the place has.
        read: gives the picture of a view, or raises UnreadableError.
        text: empty where there is none.
        edges: that have a weight.
    """
    there = {*(view.value for view in views), *([TEXT] if text else [])}
    kept = kept_sides(there, augment, rng, edges)
    turn = Turn.draw(rng, augment)
    seeds = rng.integers(2**63, size=len(VIEW_CODES))
    pictures: dict[View, Image] = {}
    unreadable = []
    for view in views:
        try:
            if view.value in kept:
                pictures[view] = read(view)
        except UnreadableError as error:
            unreadable.append(str(error))
    text = text if TEXT in kept else ""
    rewriting = augment.text == "rewrite"
    turn = turn.allowed(pictures, text, rewriting)
    if text and not turn.words(text, rewriting) and _only_by_text(pictures, edges):
        turn = Turn()
    images = {}
    for view, picture in pictures.items():
        image = apply(turn.picture(view, picture), preprocess.spec_of(view))
        if augment.appearance:
            own = np.random.default_rng(seeds[VIEW_CODES[view]])
            image = another_sensor(image, own, augment.appearance)
        images[view] = image
    return Look(images, turn.words(text, rewriting), tuple(unreadable), turn)


def kept_sides(
    there: Collection[str], augment: AugmentConfig, rng: np.random.Generator, edges: Edges
) -> set[str]:
    """Those of the sides `there` that are not dropped; always as many draws.

    Where no edge would be left, the one that was dropped most narrowly is kept; a side that is
    always to be missing stays away.
    """
    margin = {
        side: rng.random() - augment.missing.get(side, 0.0)  # type: ignore[call-overload]
        for side in SIDES
    }
    kept = {side for side in there if margin[side] >= 0}
    may = {side for side in there if augment.missing.get(side, 0.0) < 1.0}  # type: ignore[call-overload]
    own = [edge for edge in edges if set(edge) <= may]
    if own and not any(set(edge) <= kept for edge in own):
        kept |= set(max(own, key=lambda edge: min(margin[side] for side in edge)))
    return kept


def _only_by_text(pictures: Mapping[View, Image], edges: Edges) -> bool:
    """Whether a place with these pictures and a text has no edge without the text."""
    views = {view.value for view in pictures}
    with_text = any(TEXT in edge and set(edge) <= views | {TEXT} for edge in edges)
    return with_text and not any(set(edge) <= views for edge in edges)
