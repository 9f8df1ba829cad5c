"""How a place looks in one batch: which of its sides there are, turned and recoloured as drawn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Look:
    """The encoder input of the views that there are, the text, and what could not be read."""

    images: Mapping[View, Image]
    text: str
    unreadable: tuple[str, ...]


def look(
    views: Collection[View],
    read: Callable[[View], Image],
    text: str,
    preprocess: PreprocessConfig,
    augment: AugmentConfig,
    rng: np.random.Generator,
) -> Look:
    """One look at a place. What is drawn for one side does not depend on the others.

    Turns come before the resize, for they must know the shape; colour, blur and noise after it, for
    they belong to the input's pixels.

    Args:
        views: that the place has.
        read: gives the picture of a view, or raises UnreadableError.
        text: empty where there is none.
    """
    kept = {
        side
        for side in (*VIEW_CODES, TEXT)
        if rng.random() >= augment.missing.get(side, 0.0)  # type: ignore[call-overload]
    }
    turn = Turn.draw(rng, augment)
    seeds = rng.integers(2**63, size=len(VIEW_CODES))
    pictures: dict[View, Image] = {}
    unreadable = []
    for view in views:
        try:
            if view in kept:
                pictures[view] = read(view)
        except UnreadableError as error:
            unreadable.append(str(error))
    text = text if TEXT in kept else ""
    rewriting = augment.text == "rewrite"
    turn = turn.allowed(pictures, text, rewriting)
    images = {}
    for view, picture in pictures.items():
        image = apply(turn.picture(view, picture), preprocess.spec_of(view))
        if augment.appearance:
            own = np.random.default_rng(seeds[VIEW_CODES[view]])
            image = another_sensor(image, own, augment.appearance)
        images[view] = image
    return Look(images, turn.words(text, rewriting), tuple(unreadable))
