"""What a training step sees, and how a source of it looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from geobridge.onboard.records import Image
from geobridge.onboard.views import View


@dataclass(frozen=True)
class Batch:
    """Row i of everything is one place, no two rows the same place.

    `images`: view to [B, H, W, 3] uint8, preprocessed; `present`: view to [B] bool, rows that are
    not present hold zeros; `texts`: [B], empty where the place has none.
    """

    images: Mapping[View, Image]
    present: Mapping[View, npt.NDArray[np.bool_]]
    texts: tuple[str, ...]


class BatchSource(Protocol):
    """Batches by number: the same number gives the same batch, whenever it is asked for."""

    def batch(self, step: int) -> Batch:
        """The batch of a training step, from 0."""
