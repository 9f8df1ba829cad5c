"""A line through the middle that has two sides to tell things by."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..land.geometry import unit
from ..land.raster import Floats, Grid
from .words import ern, wind

_ONE_SIDE = 0.9
_FILLS = 0.6


@dataclass(frozen=True, eq=False)
class Divide:
    """What it is called with its article, and which pixels [n, n] lie to its left."""

    name: str
    left: npt.NDArray[np.bool_]
    left_wind: str
    right_wind: str

    @classmethod
    def along(cls, name: str, line_m: Floats, grid: Grid) -> Divide:
        """By a line [K, 2] through the square with these pixels, led on straight beyond it."""
        angle = math.atan2(*(line_m[-1] - line_m[0])[::-1])
        ahead, across = unit(angle) * grid.size_m, unit(angle + math.pi / 2.0) * grid.size_m
        start_m, end_m = line_m[0] - ahead, line_m[-1] + ahead
        left = np.zeros((grid.size_px, grid.size_px), np.uint8)
        corners = [end_m, end_m + 2.0 * across, start_m + 2.0 * across, start_m]
        grid.fill(left, np.concatenate([line_m, corners]), 1)
        return cls(name, left > 0, wind(*across), wind(*-across))

    def side(self, mask: npt.NDArray[np.bool_], part: str) -> str:
        """`on the southern side of the river` where that says no less than `part`; else nothing."""
        on_left = float(self.left[mask].mean())
        if min(on_left, 1.0 - on_left) > 1.0 - _ONE_SIDE:
            return ""
        side, name = (self.left, self.left_wind) if on_left > 0.5 else (~self.left, self.right_wind)
        says_all = part.endswith((f" the {name}", f"{name}ern half", "the centre"))
        if says_all or mask[side].mean() > _FILLS:
            return f"on the {ern(name)} side of {self.name}"
        return ""
