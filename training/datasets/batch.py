"""What a training step sees, and how a source of it looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from geobridge.onboard.records import Image
from geobridge.onboard.views import View

POSITIVE, NEITHER, NEGATIVE = 1, -1, 0
"""What two places of a batch are to the loss."""

TEXT = "text"
"""The side of a place that is no view."""

POINTS = "points"
"""The side of a place that is its geometry."""


@dataclass(frozen=True)
class Batch:
    """The rows of one process; row i of everything is one place, no two rows the same one.

    Args:
        images: view to [b, H, W, 3] uint8, preprocessed; zeros where a place lacks the view. A wide
            panorama is wider than the rest.
        present: by side, a view's value, "text" or, where there are any, "points": [b] which rows
            have it.
        texts: [b], empty where there is none.
        relation: [b, B] what each place of the batch of all processes is to these rows: `POSITIVE`,
            `NEITHER` or `NEGATIVE`; a row is its own positive.
        names: [b] of the places, for evidence.
        unreadable: one line for every picture of these rows that could not be read, with its path
            and why.
        points: [b, P, 3] float32, metres east, north and up of the middle of each place's ground,
            each spread evenly over its cloud from the first points on; zeros where a row has none.
            None where training goes without.
    """

    images: Mapping[View, Image]
    present: Mapping[str, npt.NDArray[np.bool_]]
    texts: tuple[str, ...]
    relation: npt.NDArray[np.int8]
    names: tuple[str, ...]
    unreadable: tuple[str, ...] = ()
    points: npt.NDArray[np.float32] | None = None


class BatchSource(Protocol):
    """Batches by number: the same number gives the same batch, whenever it is asked for.

    An epoch of a finite source has `places // (batch_size * world)` batches.
    """

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """The rows of process `rank` of `world` in the batch of a training step, from 0."""

    @property
    def places(self) -> int | None:
        """How many there are; None if without end."""
