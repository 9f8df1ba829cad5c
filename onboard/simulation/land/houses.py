"""Where people live: detached houses with gardens, town houses around a court, slabs in green."""

from __future__ import annotations

import math

import cv2
import numpy as np

from .cars import bays
from .construction import BITUMEN, GLASS, POOL, TILE, TIMBER, Site, plant_room
from .geometry import inset, length_m, long_axis, rectangle, unit, walk
from .ground import Ground
from .plan import Block
from .raster import Floats
from .solids import Facade, Shape


def detached_houses(block: Block, site: Site) -> None:
    """Houses along the street, each with a drive and a lot, some with a wing, a shed, a pool."""
    rng, lots = site.rng, []
    for point, inward in _frontage(block, rng.uniform(15.0, 19.5), site):
        long_m, deep_m, gap_m = rng.uniform(9, 13), rng.uniform(8, 10.5), rng.uniform(3.0, 5.5)
        centre_m = _set_back(site, point, inward, (long_m, deep_m), gap_m)
        if centre_m is None:
            continue
        across = inward - math.pi / 2.0
        lots.append(rectangle(centre_m - unit(inward) * gap_m, inward, deep_m + gap_m, 5.0))
        _house(site, centre_m, across, (long_m, deep_m))
        beside_m = centre_m + unit(across) * rng.choice((-1.0, 1.0)) * (long_m / 2.0 + 1.9)
        front_m = beside_m - unit(inward) * (deep_m / 2.0 + gap_m / 2.0 - 1.0)
        site.pave(rectangle(front_m, inward, gap_m + 9.0, 2.9), Ground.PAVING)
        site.build(beside_m + unit(inward), inward, (6.0, 3.2, 2.7), site.pick(BITUMEN))
        site.park_car(front_m, inward)
        behind_m = centre_m + unit(inward) * (deep_m / 2.0 + rng.uniform(5.0, 8.0))
        behind_m += unit(across) * rng.uniform(-5.0, 5.0)
        if rng.random() < 0.14:
            site.scatter(behind_m, across, (8.0, 4.0, 0.1), site.pick(POOL))
        else:
            site.scatter(behind_m, across, (3.6, 2.6, 2.3), site.pick(TIMBER))
    share_gardens(block, lots, site)


def share_gardens(block: Block, lots: list[Floats], site: Site) -> None:
    """The block's gardens fall to the nearest lot; between most neighbours stands a hedge."""
    window, inside = site.grid.cut_out(block.outline_m)
    cover, parcel = site.surface.cover[window], site.surface.parcel[window]
    if not lots or not inside.any():
        return
    away = np.ones(inside.shape, np.uint8)
    origin_px = np.array([window[1].start, window[0].start])
    for lot_m in lots:
        points = np.rint(site.grid.pixels(lot_m) - origin_px).astype(np.int32)
        cv2.fillConvexPoly(away, points, 0)
    _, nearest = cv2.distanceTransformWithLabels(away, cv2.DIST_L2, 5)
    edge = np.zeros(away.shape, np.uint8)
    for here, there in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        grown = (nearest[here] + nearest[there]) % 3 > 0
        edge[here] |= (nearest[here] != nearest[there]) & grown
    size_px = max(1, round(1.0 / site.grid.gsd_m))
    edge = np.asarray(cv2.dilate(edge, np.ones((size_px, size_px), np.uint8)), np.uint8)
    gardens = inside & (cover == Ground.YARD)
    parcel[gardens] = site.gardens + nearest[gardens]
    cover[gardens & (edge > 0)] = Ground.HEDGE
    site.gardens += int(nearest.max())


def _frontage(block: Block, step_m: float, site: Site) -> list[tuple[Floats, float]]:
    """Stations along the outline, and the direction into the block."""
    ring = np.concatenate([block.outline_m, block.outline_m[:1]])
    stations = np.arange(0.5 * step_m, length_m(ring), step_m)
    stations += site.rng.uniform(-0.06, 0.06, len(stations)) * step_m
    points, angles = walk(ring, stations)
    near = np.all(np.abs(points) < site.grid.size_m / 2.0 + 20.0, axis=1)
    return list(zip(points[near], angles[near] + math.pi / 2.0, strict=True))


def _set_back(
    site: Site, point_m: Floats, inward: float, size_m: tuple[float, float], gap_m: float
) -> Floats | None:
    """The centre of a free rectangle, `gap_m` behind the pavement, its length along it."""
    depth_m = gap_m + size_m[1]
    for behind_m in np.arange(4.5, 10.5, 1.0):
        plot_m = point_m + unit(inward) * (behind_m + depth_m / 2.0)
        if site.fits(rectangle(plot_m, inward, depth_m, size_m[0] + 2.0)):
            return np.asarray(plot_m + unit(inward) * gap_m / 2.0)
    return None


def _house(site: Site, centre_m: Floats, angle: float, size_m: tuple[float, float]) -> None:
    rng, colour = site.rng, site.pick(TILE)
    shape = Shape.HIP if rng.random() < 0.35 else Shape.GABLE
    eaves_m, rise_m = rng.uniform(3.2, 6.0), rng.uniform(2.4, 4.0)
    long_m, deep_m = size_m
    if rng.random() < 0.25:
        angle, long_m, deep_m = angle + math.pi / 2.0, deep_m, long_m
    site.build(
        centre_m, angle, (long_m, deep_m, eaves_m), colour, rise_m, shape, facade=Facade.HOUSE
    )
    across = angle + math.pi / 2.0
    if rng.random() < 0.4:
        wing_m = centre_m + unit(angle) * rng.uniform(-0.25, 0.25) * long_m
        reach_m = deep_m + rng.uniform(3.0, 6.0)
        wing = (reach_m, 0.6 * long_m, eaves_m)
        site.build(wing_m, across, wing, colour, 0.9 * rise_m, shape, facade=Facade.HOUSE)
    elif rng.random() < 0.35 and shape is Shape.GABLE:
        panel_m = centre_m + unit(across) * rng.choice((-0.24, 0.24)) * deep_m
        panel = (0.55 * long_m, 0.3 * deep_m, eaves_m + 0.85 * rise_m)
        site.build(panel_m, angle, panel, site.pick(GLASS), seam_m=1.2)


def town_houses(block: Block, site: Site) -> None:
    """Closed rows of different houses along the street, a court behind with a backhouse."""
    rng = site.rng
    line = inset(block.corners_m, 11.5)
    if line is None:
        return
    site.pave(line, (Ground.LAWN, Ground.CONCRETE, Ground.PAVING, Ground.YARD)[rng.integers(4)])
    for start, end in zip(line, np.roll(line, -1, axis=0), strict=True):
        total_m = math.dist(start, end)
        angle, done_m = math.atan2(*(end - start)[::-1]), -5.5
        while total_m > 8.0 and done_m < total_m + 1.5:
            part_m = min(rng.uniform(11.0, 24.0), total_m + 5.5 - done_m)
            centre_m = start + unit(angle) * (done_m + part_m / 2.0)
            done_m += part_m
            if site.fits(rectangle(centre_m, angle, 2.0, 9.0)):
                _town_house(site, centre_m, angle, part_m)
    court = inset(block.corners_m, 21.0)
    if court is not None and rng.random() < 0.7:
        angle, long_m, short_m = long_axis(court)
        size = (min(0.5 * long_m, 16.0), min(0.6 * short_m, 8.0), 4.0)
        if size[1] > 4.0 and site.fits(rectangle(court.mean(axis=0), angle, *size[:2])):
            site.build(court.mean(axis=0), angle, size, site.pick(BITUMEN))


def _town_house(site: Site, centre_m: Floats, angle: float, part_m: float) -> None:
    rng = site.rng
    size = (part_m, rng.uniform(10.5, 12.5), rng.uniform(9.5, 16.0))
    facade = (Facade.SHOPS, Facade.SHOPS, Facade.FLATS, Facade.BRICK)[rng.integers(4)]
    if rng.random() < 0.3:
        site.build(centre_m, angle, size, site.pick(BITUMEN), facade=facade)
        plant_room(site, centre_m, angle, size)
        return
    rise_m = rng.uniform(3.0, 4.5)
    site.build(centre_m, angle, size, site.pick(TILE), rise_m, Shape.GABLE, facade=facade)
    for _ in range(rng.integers(1, 4)):
        along_m, across_m = rng.uniform(-0.4, 0.4) * part_m, rng.uniform(-3.0, 3.0)
        chimney_m = centre_m + unit(angle) * along_m + unit(angle + math.pi / 2.0) * across_m
        site.build(chimney_m, angle, (1.4, 1.0, size[2] + rise_m + 0.6), (150, 120, 106))


def slabs(block: Block, site: Site) -> None:
    """Parallel slabs of equal flats in green, parked cars between."""
    height_m = site.rng.uniform(13.0, 26.0)
    _flats(block, site, ((0.8, 13.0), (0.5, 13.0)), 40.0, (height_m, height_m + 8.0), Facade.FLATS)


def towers(block: Block, site: Site) -> None:
    """High-rise towers in green."""
    facade = Facade.GLASS if site.rng.random() < 0.4 else Facade.FLATS
    _flats(block, site, ((24.0, 20.0), (18.0, 18.0)), 52.0, (40.0, 92.0), facade)


def _flats(
    block: Block,
    site: Site,
    plans: tuple[tuple[float, float], ...],
    step_m: float,
    heights_m: tuple[float, float],
    facade: Facade,
) -> None:
    """Each as large as there is room for; a length of 1 or less is a share of the depth."""
    rng, colour = site.rng, site.pick(BITUMEN)
    line = inset(block.corners_m, 14.0)
    if line is None:
        return
    axis, long_m, short_m = long_axis(line)
    across = axis + math.pi / 2.0
    for along_m in np.arange(-long_m / 2.0 + 9.0, long_m / 2.0 - 5.0, step_m):
        centre_m = line.mean(axis=0) + unit(axis) * along_m
        height_m = rng.uniform(*heights_m)
        for reach, wide_m in plans:
            plan = (reach * short_m if reach <= 1.0 else reach, wide_m)
            if site.fits(rectangle(centre_m, across, *plan)):
                site.build(centre_m, across, (*plan, height_m), colour, facade=facade)
                plant_room(site, centre_m, across, (*plan, height_m))
                break
        bays(site, centre_m + unit(axis) * step_m / 2.0, across, 0.7 * short_m)
