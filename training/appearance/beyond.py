"""What a drone sees where the map ends: it flies over some ground everywhere.

A drone's picture made of the map would end where the map does. No real one does so, and an encoder
that may tell places by the outline of what is mapped learns little else.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from geobridge.onboard.records import Image, Mask

OTHERS = 3
"""Pictures of other ground that are asked for, one after the other, until all is filled."""


def gone_on(image: Image, valid: Mask, others: Iterable[tuple[Image, Mask]]) -> tuple[Image, Mask]:
    """[S, S, 3] and [S, S] of a picture, gone on with others where it shows nothing."""
    if valid.all():
        return image, valid
    for other, there in others:
        image, valid = np.where((there > valid)[..., None], other, image), valid | there
        if valid.all():
            break
    return image, valid
