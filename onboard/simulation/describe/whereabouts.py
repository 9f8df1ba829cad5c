"""In which part of the square something lies, in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..land.raster import Floats
from .divide import Divide
from .words import ern, wind

Mask = npt.NDArray[np.bool_]

CENTRAL = 0.3
"""What lies nearer to the middle than this, in half sides, is in the centre."""
_FULL, _EMPTY = 0.7, 0.12
_SPOT_M = 4.0


@dataclass(frozen=True, eq=False)
class Whereabouts:
    """Tells parts of a square by compass points, or by the sides of a line that divides it.

    Masks are [n, n]; `places_m` [n, n, 2] are metres from the middle of the square.
    """

    places_m: Floats
    reach_m: float
    divide: Divide | None

    def of(self, mask: Mask) -> str:
        """Of everything in a mask that is not empty; may be nothing."""
        return self._by_side(mask, _part(mask, self.places_m / self.reach_m))

    def at(self, point_m: Floats) -> str:
        """Of one point [2]; of the nearest point inside if it lies beyond the edge."""
        inner_m = self.reach_m - _SPOT_M
        point_m = np.clip(point_m, -inner_m, inner_m)
        spot = np.hypot(*(self.places_m - point_m).transpose(2, 0, 1)) < _SPOT_M
        return self._by_side(spot, corner(point_m / self.reach_m))

    def _by_side(self, mask: Mask, part: str) -> str:
        return part if self.divide is None else self.divide.side(mask, part) or part


def corner(point: Floats) -> str:
    """Where a point [2] lies in a square of -1 to 1."""
    if math.hypot(*point) < CENTRAL:
        return "in the centre"
    return f"in the {wind(*point)}"


def _part(mask: Mask, places: Floats) -> str:
    """Where a mask lies in a square of -1 to 1."""
    if mask.mean() > 0.85:
        return "nearly everywhere"
    half = _half(mask, places)
    if half:
        return f"in the {ern(half)} half"
    middle = places[mask].mean(axis=0)
    if math.hypot(*middle) > CENTRAL:
        return f"in the {wind(*middle)}"
    if mask.mean() > 0.5:
        return ""
    inner = np.abs(places).max(axis=-1) < 1.0 / 3.0
    if mask[inner].mean() > 0.4:
        return "in the centre"
    return _two_sides(mask, places)


def _half(mask: Mask, places: Floats) -> str:
    for east, north in ((0.0, 1.0), (1.0, 0.0), (0.0, -1.0), (-1.0, 0.0)):
        ahead = places @ [east, north] > 0.0
        if mask[ahead].mean() > _FULL and mask[~ahead].mean() < _EMPTY:
            return wind(east, north)
    return ""


def _two_sides(mask: Mask, places: Floats) -> str:
    """Opposite sides that hold nearly all of it."""
    found = places[mask]
    for east, north in ((0.0, 1.0), (1.0, 0.0), (0.7, 0.7), (0.7, -0.7)):
        along = found @ [east, north]
        outer = np.abs(along) > CENTRAL
        if outer.mean() > 0.8 and 0.25 < (along > 0.0).mean() < 0.75:
            return f"in the {wind(east, north)} and {wind(-east, -north)}"
    return ""
