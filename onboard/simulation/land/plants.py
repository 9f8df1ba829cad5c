"""Trees: forests, clumps in parks, single ones in gardens, rows where people plant rows."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from .geometry import length_m, long_axis, unit, walk
from .ground import Ground
from .layout import Block, Layout, RoadKind, Use
from .raster import Bytes, Floats, Grid, noise
from .relief import CROWN, Relief, Rows, Species

_SPACING_M = 4.6

_DENSITY = {
    Ground.FOREST: 0.97,
    Ground.BANK: 0.34,
    Ground.PARK: 0.16,
    Ground.YARD: 0.13,
    Ground.LAWN: 0.09,
    Ground.MEADOW: 0.035,
    Ground.BARE: 0.02,
    Ground.PAVING: 0.012,
}
"""Share of the places, one every `_SPACING_M`, that carry a tree where the noise is even."""

_BARRED = (
    Ground.ASPHALT,
    Ground.STREET,
    Ground.TRACK,
    Ground.WATER,
    Ground.PITCH,
    Ground.CLAY,
    Ground.CAR_PARK,
    Ground.FIELD,
    Ground.BRIDGE,
)
Flags = npt.NDArray[np.bool_]


def plant(layout: Layout, cover: Bytes, relief: Relief, grid: Grid, seed: int) -> Rows:
    """[T] `CROWN` rows that keep clear of buildings and carriageways."""
    rng = np.random.default_rng([seed, 4])
    scattered_m = _scatter(cover, grid, rng)
    places_m = np.concatenate([scattered_m, _planted(layout, rng)])
    forest = grid.sample(cover, places_m) == Ground.FOREST
    stands = grid.sample(noise(grid, rng, 90.0, 2), places_m)
    in_row = np.arange(len(places_m)) >= len(scattered_m)
    species = _species(forest, in_row, stands, rng)
    crowns = np.zeros(len(places_m), CROWN)
    crowns["east_m"], crowns["north_m"] = places_m.T
    crowns["species"] = species
    crowns["tint"] = np.clip(rng.normal(0.0, 0.45, len(crowns)), -1.0, 1.0)
    crowns["radius_m"], crowns["height_m"] = _sizes(species, in_row, rng)
    kept = crowns[_clear(crowns, cover, relief, grid)]
    return np.asarray(kept[rng.permutation(len(kept))])


def _scatter(cover: Bytes, grid: Grid, rng: np.random.Generator) -> Floats:
    """Places on a shaken lattice, kept by the ground they fall on and a noise that clumps them."""
    count = math.ceil(grid.size_m / _SPACING_M) + 1
    east, north = np.meshgrid(np.arange(count), np.arange(count))
    lattice = np.stack([east, north], axis=-1).reshape(-1, 2) * _SPACING_M - grid.size_m / 2.0
    places_m = lattice + rng.uniform(-0.48, 0.48, lattice.shape) * _SPACING_M
    density = np.array([_DENSITY.get(kind, 0.0) for kind in Ground])
    here = density[grid.sample(cover, places_m).astype(int)]
    clumps = grid.sample(noise(grid, rng, 38.0, 2), places_m)
    share = np.where(here > 0.9, here, here * np.exp(1.4 * clumps - 0.7))
    return np.asarray(places_m[rng.random(len(places_m)) < share])


def _species(
    forest: Flags, in_row: Flags, stands: Floats, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Stands of conifers in the forest, a few elsewhere; shrubs outside it."""
    conifers = np.where(forest, 1.0 / (1.0 + np.exp(-5.0 * (stands - 0.25))), 0.14)
    species = np.where(rng.random(len(stands)) < conifers, Species.CONIFER, Species.BROADLEAF)
    species[~forest & (rng.random(len(stands)) < 0.3)] = Species.SHRUB
    species[in_row] = Species.BROADLEAF
    return species.astype(np.uint8)


def _sizes(
    species: npt.NDArray[np.uint8], in_row: Flags, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """[T] radius and height in metres."""
    conifer, shrub = species == Species.CONIFER, species == Species.SHRUB
    radius_m = rng.uniform(1.6, 4.4, len(species))
    radius_m[in_row] = rng.uniform(2.0, 2.7, int(in_row.sum()))
    radius_m[conifer] *= 0.75
    radius_m[shrub] = 0.4 * radius_m[shrub] + 0.4
    slender = np.where(conifer, 4.2, np.where(shrub, 1.3, 2.6))
    slender = slender * rng.uniform(0.85, 1.15, len(species))
    return radius_m, slender * radius_m + np.where(shrub, 0.0, 2.0)


def _planted(layout: Layout, rng: np.random.Generator) -> Floats:
    """[R, 2] avenues along some main roads, hedgerows along some tracks, orchards."""
    lines = [_orchard(block) for block in layout.blocks if block.use is Use.ORCHARD]
    for road in layout.roads:
        if road.kind.bridges and rng.random() < 0.5:
            aside_m = road.kind.width_m / 2.0 + 4.3
            lines += [_beside(road.line_m, 9.5, side * aside_m) for side in (-1.0, 1.0)]
        elif road.kind is RoadKind.TRACK and rng.random() < 0.45:
            line = _beside(road.line_m, 3.4, rng.choice((-1.0, 1.0)) * 4.2)
            lines.append(line[rng.random(len(line)) < 0.75])
    places_m = np.concatenate([np.zeros((0, 2)), *lines])
    return np.asarray(places_m + rng.normal(0.0, 0.35, places_m.shape))


def _beside(line_m: Floats, step_m: float, aside_m: float) -> Floats:
    points, angles = walk(line_m, np.arange(12.0, max(length_m(line_m) - 12.0, 12.0), step_m))
    return np.asarray(points + aside_m * np.stack([-np.sin(angles), np.cos(angles)], axis=-1))


def _orchard(block: Block) -> Floats:
    """Rows 7 m apart, a tree every 5.5 m, well inside the block."""
    angle, long_m, short_m = long_axis(block.corners_m)
    along, across = np.meshgrid(
        np.arange(-long_m / 2.0, long_m / 2.0, 5.5), np.arange(-short_m / 2.0, short_m / 2.0, 7.0)
    )
    steps = along.reshape(-1, 1) * unit(angle) + across.reshape(-1, 1) * unit(angle + math.pi / 2.0)
    places_m = block.corners_m.mean(axis=0) + steps
    outline = np.asarray(block.outline_m, np.float32)
    inside = [cv2.pointPolygonTest(outline, (e, n), True) > 7.0 for e, n in places_m.tolist()]
    return np.asarray(places_m[np.array(inside, bool)])


def _clear(crowns: Rows, cover: Bytes, relief: Relief, grid: Grid) -> Flags:
    at_m = np.stack([crowns["east_m"], crowns["north_m"]], axis=-1)
    to_road_m = _distance_m(np.isin(cover, _BARRED), at_m, grid)
    to_building_m = _distance_m(relief.owner > 0, at_m, grid)
    radius_m = crowns["radius_m"]
    return np.asarray((to_road_m > 0.45 * radius_m) & (to_building_m > 0.8 * radius_m))


def _distance_m(obstacle: Flags, at_m: Floats, grid: Grid) -> Floats:
    free = np.asarray(~obstacle, np.uint8)
    return grid.sample(cv2.distanceTransform(free, cv2.DIST_L2, 3), at_m) * grid.gsd_m
