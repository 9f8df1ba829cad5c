"""What a drone sees where the map ends: it flies over some ground everywhere.

A drone's picture made of the map would end where the map does. No camera sees that outline, and an
encoder that may tell places by it learns little else.
"""

from __future__ import annotations

import cv2
import numpy as np

from geobridge.onboard.records import Image, Mask


def gone_on(image: Image, valid: Mask) -> Image:
    """[S, S, 3] of a picture that goes on where [S, S] says that it shows nothing: mirrored at the
    outline of what it shows, and with the nearest of that where the mirror shows nothing either.

    Other ground would be truer, and is learned from more slowly.
    """
    shown = valid > 0
    if shown.all() or not shown.any():
        return image
    _, labels = cv2.distanceTransformWithLabels(
        (~shown).astype(np.uint8),
        cv2.DIST_L2,
        cv2.DIST_MASK_5,
        labelType=cv2.DIST_LABEL_PIXEL,
    )
    row_of, column_of = (np.zeros(labels.max() + 1, np.int64) for _ in range(2))
    rows, columns = np.nonzero(shown)
    row_of[labels[shown]], column_of[labels[shown]] = rows, columns
    there = np.nonzero(~shown)
    nearest = row_of[labels[there]], column_of[labels[there]]
    last = np.array(shown.shape)[:, None] - 1
    mirrored = np.clip(2 * np.array(nearest) - np.array(there), 0, last)
    source = np.where(shown[tuple(mirrored)], mirrored, nearest)
    whole = image.copy()
    whole[there] = image[tuple(source)]
    return whole
