"""Correlation of structure: where edges run, whatever the light.

A picture becomes a field of doubled edge directions (the two components of the gradient's structure
tensor), each weighed by its strength against its surroundings. Doubling the angle makes a dark-to-
bright edge equal to a bright-to-dark one, so shadows that moved and roofs repainted still agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..records import Image, Mask

Field = npt.NDArray[np.float32]

_BLUR_PX = 1.0
_NEIGHBOURHOOD_PX = 31
EDGE_PX = 18
"""How far from its edge a picture's structure depends on what lies beyond."""
_NOISE_LEVEL = 4.0
"""Gradient, in grey levels per Sobel step, below which an edge is taken for noise."""
_MAX_WEIGHT = 2.0


@dataclass(frozen=True, eq=False)
class Ground:
    """A picture of ground [H, W, 3], what of it is valid [H, W], and its structure."""

    image: Image
    valid: Mask
    field: Field
    mask: Field

    @classmethod
    def of(cls, image: Image, valid: Mask) -> Ground:
        """With the structure that the picture has."""
        return cls(image, valid, *structure(image, valid))

    def cut(self, rows: slice, columns: slice) -> Ground:
        """A part of it."""
        part = rows, columns
        return Ground(self.image[part], self.valid[part], self.field[part], self.mask[part])


def structure(image: Image, valid: Mask) -> tuple[Field, Field]:
    """[H, W, 3] and [H, W] to the field [H, W, 2] and the mask [H, W] where it is meaningful."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    smooth = cv2.GaussianBlur(grey, (0, 0), _BLUR_PX)
    right, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    # not cv2.magnitude: its last bit depends on where in memory the pictures happen to lie
    strength = np.sqrt(right * right + down * down)
    around = cv2.blur(strength, (_NEIGHBOURHOOD_PX, _NEIGHBOURHOOD_PX)) + _NOISE_LEVEL
    weight = np.minimum(strength / around, _MAX_WEIGHT) / np.maximum(strength**2, 1e-3)
    mask = cv2.erode(valid, np.ones((5, 5), np.uint8), borderValue=0).astype(np.float32)
    weight *= mask
    field = np.dstack([(right * right - down * down) * weight, 2 * right * down * weight])
    return np.asarray(field, np.float32), np.asarray(mask, np.float32)


def correlate(template: Field, mask: Field, window: Field) -> Field:
    """Normalised correlation of [h, w, 2] at every place of [H, W, 2]: [H-h+1, W-w+1] in -1..1."""
    products = cv2.matchTemplate(window, template, cv2.TM_CCORR)
    along, across = window[..., 0], window[..., 1]
    energy = cv2.matchTemplate(along * along + across * across, mask, cv2.TM_CCORR)
    own = float(np.sum(template**2))
    # a window that shows almost nothing must not match by dividing by almost nothing
    scale = np.sqrt(own * np.maximum(energy, 0.05 * own)) + 1e-6
    return np.asarray(products / scale, np.float32)


def peak(surface: Field) -> tuple[float, float, float]:
    """Height of the highest point, and its row and column refined by parabolas."""
    row, column = np.unravel_index(int(np.argmax(surface)), surface.shape)
    top = float(surface[row, column])
    return (
        top,
        row + _vertex(surface[:, column], int(row)),
        column + _vertex(surface[row], int(column)),
    )


def second_peak(surface: Field, row: float, column: float, exclusion_px: float) -> float:
    """The highest value farther than `exclusion_px` from a point; infinite where nothing is."""
    rows, columns = (np.arange(count) for count in surface.shape)
    far = ((rows - row) ** 2)[:, None] + (columns - column) ** 2 > exclusion_px**2
    return float(surface[far].max()) if far.any() else np.inf


def _vertex(line: Field, at: int) -> float:
    """Offset of a parabola's top through a maximum and its neighbours, within half a step."""
    if not 0 < at < len(line) - 1:
        return 0.0
    before, here, after = (float(v) for v in line[at - 1 : at + 2])
    bend = before - 2 * here + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0
