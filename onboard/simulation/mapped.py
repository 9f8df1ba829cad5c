"""A picture of real land, with or without a model of its surface, as a `Place` to look at."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..geodesy import LocalFrame
from ..records import Image, Mask
from .gaps import fill_gaps
from .land.ground import Ground
from .land.palette import Season
from .land.raster import Bytes, Field, Floats
from .land.solids import BOX, CROWN
from .land.terrain import Terrain
from .render.day import Day
from .render.scene import Heights, Scene, build_scene, texture_of

_BAND_PX = 512
_FLAT_SPACING_M = 16.0
_LEAVES = {Season.AUTUMN: (1.22, 0.98, 0.62), Season.WINTER: (1.04, 0.99, 0.92)}
_SHARE = {Season.AUTUMN: 0.6, Season.WINTER: 0.75}


class MappedPlace:
    """A `Place` from a map: a draped picture, no boxes and no crowns.

    The picture is taken to be of summer and in even light: shadows that it holds stay where they
    are, and what stands on the ground is as high as `surface` has it. For other seasons green is
    turned towards ochre (autumn) or grey straw (winter) and nothing else: no leaf falls, no field
    is ploughed, no snow. Where the picture is not valid its surroundings are continued. What a
    `Day` says of cars, small things and missing buildings changes nothing here.

    Args:
        frame: the plane's origin.
        picture: [H, W, 3] RGB, north up, its north-west corner at (`west_m`, `north_m`).
        valid: [H, W], 0 where the picture shows nothing.
        gsd_m: side of a pixel.
        surface: heights of ground, roofs and trees AMSL; they reach over the whole picture.
        alt_amsl_m: the height of level ground, where there is no `surface`.

    Raises:
        DataError: arrays that do not fit together, nothing valid, heights with gaps.
    """

    def __init__(
        self,
        frame: LocalFrame,
        picture: Image,
        valid: Mask,
        west_m: float,
        north_m: float,
        gsd_m: float,
        surface: Heights | None = None,
        alt_amsl_m: float = 0.0,
    ) -> None:
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.shape[:2] != valid.shape:
            raise DataError(f"picture {picture.shape}, valid {valid.shape}: expected one size")
        if not (math.isfinite(gsd_m) and gsd_m > 0.0):
            raise DataError(f"gsd_m {gsd_m}: expected a number above 0")
        if not valid.any():
            raise DataError("the picture shows nothing: no pixel of it is valid")
        self.frame = frame
        self.valid = valid
        self.gsd_m = gsd_m
        height_px, width_px = valid.shape
        self.bounds_m = (west_m, north_m - height_px * gsd_m, west_m + width_px * gsd_m, north_m)
        self.has_surface = surface is not None
        self._heights = surface or _level(self.bounds_m, alt_amsl_m)
        _check_heights(self._heights, self.bounds_m)
        self._picture = _continued(picture, valid)
        self._terrain = Terrain(
            self._heights.alt_amsl_m,
            self._heights.spacing_m,
            self._heights.west_m,
            self._heights.north_m,
        )
        self._scene = lru_cache(2)(self._furnish)

    def ground_amsl_m(self, enu_m: npt.ArrayLike) -> Floats:
        """[...] heights of the surface at [..., 2] metres east and north."""
        return self._terrain.alt_amsl_m(enu_m)

    def valid_share(self, east_m: float, north_m: float, width_m: float) -> float:
        """How much of a square around a point the picture shows, 0..1."""
        width_px = max(1, round(width_m / self.gsd_m))
        column = round((east_m - self.bounds_m[0]) / self.gsd_m - width_px / 2.0)
        row = round((self.bounds_m[3] - north_m) / self.gsd_m - width_px / 2.0)
        rows = slice(max(0, row), max(0, row + width_px))
        shown = self.valid[rows, max(0, column) : max(0, column + width_px)]
        return float(np.count_nonzero(shown) / width_px**2)

    def scene(self, day: Day) -> Scene:
        """What rays meet on that day."""
        return self._scene(day.season)

    def _furnish(self, season: Season) -> Scene:
        west_m, _, _, north_m = self.bounds_m
        return build_scene(
            self._heights,
            texture_of(in_season(self._picture, season), west_m, north_m, self.gsd_m),
            _cover(self._picture),
            np.zeros((2, 2), np.uint8),
            np.zeros(0, BOX),
            np.zeros(0, CROWN),
            np.zeros((0, 3), np.float32),
        )


def in_season(picture: Image, season: Season) -> Image:
    """[H, W, 3] a summer picture with its green as it is in that season."""
    if season is Season.SUMMER:
        return picture
    tint, most = np.array(_LEAVES[season], np.float32), np.float32(_SHARE[season])
    turned = np.empty_like(picture)
    for top in range(0, len(picture), _BAND_PX):
        band = picture[top : top + _BAND_PX].astype(np.float32)
        grey = band @ np.array([0.30, 0.59, 0.11], np.float32)
        share = (most * _greenness(band))[..., None]
        mixed = band + (grey[..., None] * tint - band) * share
        turned[top : top + _BAND_PX] = np.clip(np.rint(mixed), 0, 255)
    return turned


def _greenness(band: Field) -> Field:
    """[h, W] 0 for what is surely no plant, 1 for a plant: excess of green over red and blue."""
    red, green, blue = band[..., 0], band[..., 1], band[..., 2]
    excess = (2.0 * green - red - blue) / (red + green + blue + 30.0)
    share = np.clip((excess - 0.02) / 0.10, 0.0, 1.0)
    return np.asarray(share * share * (3.0 - 2.0 * share), np.float32)


def _cover(picture: Image) -> Bytes:
    """[H, W] plants or bare ground: rain stands on one and not on the other."""
    cover = np.empty(picture.shape[:2], np.uint8)
    for top in range(0, len(picture), _BAND_PX):
        green = _greenness(picture[top : top + _BAND_PX].astype(np.float32)) > 0.5
        cover[top : top + _BAND_PX] = np.where(green, Ground.MEADOW, Ground.BARE)
    return cover


def _check_heights(heights: Heights, bounds_m: tuple[float, float, float, float]) -> None:
    rows, columns = heights.alt_amsl_m.shape
    if min(rows, columns) < 2:
        raise DataError(f"surface heights: {rows} x {columns} nodes, expected at least 2 x 2")
    if not np.isfinite(heights.alt_amsl_m).all():
        raise DataError("surface heights: expected a number at every node")
    east_m = heights.west_m + (columns - 1) * heights.spacing_m
    south_m = heights.north_m - (rows - 1) * heights.spacing_m
    west_gap, south_gap = heights.west_m - bounds_m[0], south_m - bounds_m[1]
    east_gap, north_gap = bounds_m[2] - east_m, bounds_m[3] - heights.north_m
    if max(west_gap, south_gap, east_gap, north_gap) > 1e-6:
        raise DataError("surface heights: expected them to reach over the whole picture")


def _continued(picture: Image, valid: Mask) -> Image:
    if valid.all():
        return picture
    filled = fill_gaps(picture.astype(np.float32), valid)
    return np.asarray(np.clip(np.rint(filled), 0, 255), np.uint8)


def _level(bounds_m: tuple[float, float, float, float], alt_amsl_m: float) -> Heights:
    west, south, east, north = bounds_m
    rows = max(2, math.ceil((north - south) / _FLAT_SPACING_M) + 1)
    columns = max(2, math.ceil((east - west) / _FLAT_SPACING_M) + 1)
    flat = np.full((rows, columns), alt_amsl_m, np.float32)
    return Heights(flat, west, north, _FLAT_SPACING_M)
