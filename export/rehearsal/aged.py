"""One's own map some years later: patches of its ground look like other patches of it.

A picture does not say what on it is a house and what a car, so what has changed since it was taken
can only be drawn blindly: squares of building size for the share of buildings that are gone,
squares of the size of cars and trees for the share of small things, each now a copy of ground
elsewhere on the map. Heights stay as they are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geobridge.onboard.geodesy import Floats, LocalFrame
from geobridge.onboard.records import Image
from geobridge.onboard.simulation.render.day import Day
from geobridge.onboard.simulation.render.scene import Scene, texture_of
from geobridge.onboard.simulation.render.scenery import Place

_BUILDING_M, _THING_M = (12.0, 35.0), (2.0, 6.0)
_THINGS_COVER = 0.04
"""Share of the ground under small things that come and go."""


class Aged:
    """A mapped place on which time passes: `Day.buildings_missing` and `small_changes` show."""

    def __init__(self, place: Place) -> None:
        self._place = place

    @property
    def frame(self) -> LocalFrame:
        """Where (0, 0) metres east and north lies."""
        return self._place.frame

    @property
    def bounds_m(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        return self._place.bounds_m

    def ground_amsl_m(self, enu_m: npt.ArrayLike) -> Floats:
        """[...] heights of the surface at [..., 2] metres east and north."""
        return self._place.ground_amsl_m(enu_m)

    def scene(self, day: Day) -> Scene:
        """What rays meet on that day."""
        scene = self._place.scene(day)
        texture = scene.texture
        height, width = texture.levels[0, 1:].tolist()
        picture = texture.texels[: height * width].reshape(height, width, 3).copy()
        rng = np.random.default_rng([day.seed, 32])
        things = _THINGS_COVER * day.small_changes
        for share, (least_m, most_m) in ((day.buildings_missing, _BUILDING_M), (things, _THING_M)):
            swap_patches(picture, share, (least_m / texture.gsd_m, most_m / texture.gsd_m), rng)
        changed = texture_of(picture, texture.west_m, texture.north_m, texture.gsd_m)
        return scene._replace(texture=changed)


def swap_patches(
    picture: Image, share: float, sides_px: tuple[float, float], rng: np.random.Generator
) -> None:
    """Cover about a share of a picture [H, W, 3] with copies of other patches of it, in place."""
    height, width = picture.shape[:2]
    least, most = (min(max(1, round(side)), height, width) for side in sides_px)
    mean_px2 = ((least + most) / 2.0) ** 2
    count = int(-np.log1p(-min(share, 0.99)) * height * width / mean_px2)
    before = picture.copy()
    for side in rng.integers(least, most + 1, count).tolist():
        to_row, from_row = rng.integers(0, height - side + 1, 2).tolist()
        to_column, from_column = rng.integers(0, width - side + 1, 2).tolist()
        patch = before[from_row : from_row + side, from_column : from_column + side]
        picture[to_row : to_row + side, to_column : to_column + side] = patch
