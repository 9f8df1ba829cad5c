"""Pictures to look for each other: squares of a raster, and the same places seen again.

Agreement of an exported encoder with its checkpoint counts where it decides something: which of
many similar squares a picture finds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.preprocess import Preprocess, apply
from geobridge.onboard.records import Image, Mask
from geobridge.training.rasters.raster import Raster

PLACES = 200
"""So many, because agreement is asked for to half a percent."""
MIN_VALID_FRACTION = 0.5
_LAND_SEED, _OVERLAP = 41, 0.6

Read = Callable[[int, int, int, int], tuple[Image, Mask]]
"""Row, column, height and width in pixels to a picture and its mask."""
Picture = tuple[Image, Mask]


@dataclass(frozen=True)
class Gallery:
    """Reference squares, and for each of them a query: moved, turned, in other light."""

    name: str
    references: tuple[Picture, ...]
    queries: tuple[Picture, ...]

    def prepared(self, spec: Preprocess) -> tuple[Image, Image]:
        """[R, h, w, 3] references and [Q, h, w, 3] queries, as an encoder sees them."""
        references, queries = (
            np.stack([apply(image, spec, valid) for image, valid in pictures])
            for pictures in (self.references, self.queries)
        )
        return references, queries


def gallery_of(raster: Path, footprint_m: float, gsd_m: float, places: int = PLACES) -> Gallery:
    """Squares of a georeferenced raster, so many or a few more.

    Raises:
        DataError: it cannot be read, or is too small for two squares.
    """
    with Raster(raster, gsd_m) as opened:
        grid, side_px = opened.grid, round(footprint_m / gsd_m)
        return _cut(str(raster), opened.read, (grid.height_px, grid.width_px), side_px, places)


def rendered_gallery(footprint_m: float, gsd_m: float) -> Gallery:
    """Squares of a rendered land, always the same one."""
    from geobridge.onboard.simulation.render.day import SUMMER_NOON
    from geobridge.onboard.simulation.render.scenery import Scenery, on_day
    from geobridge.onboard.simulation.render.views import orthomap
    from geobridge.onboard.simulation.world import make_world

    across = (1.0 - _OVERLAP) * math.sqrt(PLACES) + 2.0
    size_px = math.ceil(across * footprint_m / gsd_m)
    size_m = size_px * gsd_m
    world = make_world(_LAND_SEED, size_m=size_m, frame=LocalFrame(47.4, 8.5))
    setting = on_day(Scenery(world), SUMMER_NOON)
    land = orthomap(setting, -size_m / 2, size_m / 2, gsd_m, (size_px, size_px)).image
    everywhere = np.ones(land.shape[:2], np.uint8)

    def read(row: int, column: int, height: int, width: int) -> Picture:
        window = np.s_[row : row + height, column : column + width]
        return land[window], everywhere[window]

    return _cut("a rendered land", read, (size_px, size_px), round(footprint_m / gsd_m), PLACES)


def _cut(name: str, read: Read, size_px: tuple[int, int], side_px: int, places: int) -> Gallery:
    for more in (1, 2, 4):  # where much of a raster shows nothing
        gallery = _cut_some(name, read, size_px, side_px, more * places)
        if len(gallery.queries) >= places:
            break
    if len(gallery.queries) < 2:
        raise DataError(f"{name}: too small for a gallery of squares of {side_px} pixels")
    return gallery


def _cut_some(
    name: str, read: Read, size_px: tuple[int, int], side_px: int, wanted: int
) -> Gallery:
    rng = np.random.default_rng(0)
    around = math.ceil(0.5 * side_px)  # room to move and to turn
    whole = side_px + 2 * around
    references, queries = [], []
    for row, column in _corners(size_px[0] - whole, size_px[1] - whole, wanted):
        image, valid = read(row, column, whole, whole)
        if valid.mean() < MIN_VALID_FRACTION:
            continue
        middle = np.s_[around : around + side_px, around : around + side_px]
        references.append(
            (np.ascontiguousarray(image[middle]), np.ascontiguousarray(valid[middle]))
        )
        queries.append(_seen_again(image, valid, side_px, rng))
    return Gallery(name, tuple(references), tuple(queries))


def _corners(height_px: int, width_px: int, wanted: int) -> list[tuple[int, int]]:
    """So many or a few more, evenly over the room that there is."""
    if height_px < 0 or width_px < 0:
        return []
    rows = max(1, round(math.sqrt(wanted * (height_px + 1) / (width_px + 1))))
    columns = math.ceil(wanted / rows)
    at_rows = np.unique(np.linspace(0, height_px, min(rows, wanted)).astype(int))
    at_columns = np.unique(np.linspace(0, width_px, columns).astype(int))
    return [(int(row), int(column)) for row in at_rows for column in at_columns]


def _seen_again(image: Image, valid: Mask, side_px: int, rng: np.random.Generator) -> Picture:
    """Up to an eighth of its side aside, turned by up to 8 degrees, in other light."""
    centre = (len(image) - 1) / 2 + rng.uniform(-0.125, 0.125, 2) * side_px
    middle = float(centre[0]), float(centre[1])
    turn = np.asarray(cv2.getRotationMatrix2D(middle, rng.uniform(-8, 8), 1.0), np.float64)
    turn[:, 2] += (side_px - 1) / 2 - centre
    size = (side_px, side_px)
    moved = cv2.warpAffine(image, turn, size, flags=cv2.INTER_LINEAR)
    shown = cv2.warpAffine(valid, turn, size, flags=cv2.INTER_NEAREST)
    gain, offset = rng.uniform(0.8, 1.2), rng.uniform(-15, 15)
    lit = np.clip(gain * moved.astype(np.float32) + offset, 0, 255)
    return lit.astype(np.uint8), np.asarray(shown, np.uint8)
