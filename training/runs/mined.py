"""Whose neighbours were found by similarity, and when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Mined:
    """[N, K] neighbours by similarity of every place, and the step before which they were found."""

    step: int
    neighbours: npt.NDArray[np.int32]
