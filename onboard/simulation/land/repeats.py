"""Districts that look alike from one spot to the next: rows, allotments, panels, plantations."""

from __future__ import annotations

import math

import cv2
import numpy as np

from .cars import bays
from .construction import TILE, TIMBER, Site
from .geometry import inset, long_axis, rectangle, unit
from .ground import Ground
from .plan import Block
from .raster import Floats
from .solids import Facade, Shape

_ROW_HOUSE_M = (6.0, 9.5, 5.8)
_PANEL: tuple[int, int, int] = (42, 50, 74)
_FOIL: tuple[int, int, int] = (206, 212, 210)


def equal_rows(block: Block, site: Site) -> None:
    """Rows of one and the same house at one spacing, all under the same roof tiles."""
    axis, places = _lattice(block, (7.0, 27.0), 11.0)
    ends_m = 6.0 * _ROW_HOUSE_M[0]
    for place_m in places:
        along = float((place_m - block.corners_m.mean(axis=0)) @ unit(axis))
        if abs(along) % (ends_m + 7.0) < 6.0 or not site.fits(rectangle(place_m, axis, 6.2, 10.5)):
            continue
        site.build(
            place_m, axis, (7.0, *_ROW_HOUSE_M[1:]), TILE[0], 3.2, Shape.GABLE, 0, Facade.HOUSE
        )
        back_m = place_m + unit(axis + math.pi / 2.0) * 8.5
        site.scatter(back_m, axis, (2.4, 2.0, 2.2), TIMBER[0])
        front_m = place_m - unit(axis + math.pi / 2.0) * 7.6
        bays(site, front_m, axis, 2.7)


def allotments(block: Block, site: Site) -> None:
    """Small gardens on a grid, a hut in each, paths between."""
    axis, places = _lattice(block, (16.0, 13.0), 7.0)
    for place_m in places:
        corner_m = place_m + unit(axis) * 4.0
        for side_m in (-6.5, 6.5):
            path_m = place_m + unit(axis + math.pi / 2.0) * side_m
            site.pave(rectangle(path_m, axis, 17.0, 1.4), Ground.PATH)
        site.pave(rectangle(place_m - unit(axis) * 3.0, axis, 7.0, 7.5), Ground.BARE)
        if site.fits(rectangle(corner_m, axis, 4.4, 4.4)):
            site.build(corner_m, axis, (4.0, 3.6, 2.3), site.pick(TIMBER), 0.9, Shape.GABLE)


def solar_park(block: Block, site: Site) -> None:
    """Rows of panels that face south, whatever the block's own direction."""
    outline = np.asarray(block.outline_m, np.float32)
    low, high = block.outline_m.min(axis=0), block.outline_m.max(axis=0)
    for north in np.arange(low[1] + 8.0, high[1] - 8.0, 7.5):
        for east in np.arange(low[0] + 8.0, high[0] - 8.0, 18.0):
            place_m = np.array([east, north])
            deep = cv2.pointPolygonTest(outline, (float(east), float(north)), True) > 13.0
            if deep and site.fits(rectangle(place_m, 0.0, 17.0, 4.0)):
                site.build(place_m, 0.0, (17.4, 3.8, 1.6), _PANEL, seam_m=1.1)


def greenhouses(block: Block, site: Site) -> None:
    """Long equal greenhouses side by side."""
    line = inset(block.corners_m, 9.0)
    if line is None:
        return
    axis, long_m, short_m = long_axis(line)
    across, length_m = axis + math.pi / 2.0, 0.82 * short_m
    for along_m in np.arange(-long_m / 2.0 + 6.0, long_m / 2.0 - 5.0, 9.6):
        place_m = line.mean(axis=0) + unit(axis) * along_m
        if site.fits(rectangle(place_m, across, length_m, 8.5)):
            size_m = (length_m, 8.4, 3.2)
            site.build(place_m, across, size_m, _FOIL, 1.6, Shape.GABLE, 4.0, Facade.GLASS)


def orchard(block: Block, site: Site) -> None:
    """Fruit trees in rows 7 m apart, one every 5.5 m."""
    site.trees_m.append(_lattice(block, (5.5, 7.0), 7.0)[1])


def plantation(block: Block, site: Site) -> None:
    """Poplars on a square grid."""
    site.trees_m.append(_lattice(block, (6.0, 6.0), 6.0)[1])


def _lattice(block: Block, step_m: tuple[float, float], edge_m: float) -> tuple[float, Floats]:
    """The longer axis, and [P, 2] points of a grid along it, `edge_m` and more inside the block."""
    axis, long_m, short_m = long_axis(block.corners_m)
    along, across = np.meshgrid(
        np.arange(-long_m / 2.0, long_m / 2.0, step_m[0]),
        np.arange(-short_m / 2.0, short_m / 2.0, step_m[1]),
    )
    steps = along.reshape(-1, 1) * unit(axis) + across.reshape(-1, 1) * unit(axis + math.pi / 2.0)
    places_m = block.corners_m.mean(axis=0) + steps
    outline = np.asarray(block.outline_m, np.float32)
    deep = [cv2.pointPolygonTest(outline, (e, n), True) > edge_m for e, n in places_m.tolist()]
    return axis, np.asarray(places_m[np.array(deep, bool)])
