"""Trees: forests, clumps in parks, single ones in gardens, rows where people plant rows."""

from __future__ import annotations

import math

import cv2
import numpy as np

from .geometry import length_m, long_axis, unit, walk
from .ground import Ground
from .layout import Layout, RoadKind, Use
from .raster import Bytes, Field, Floats, Grid, noise
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
"""Share of the places, one every `_SPACING_M`, that carry a tree where trees are neither scarce nor
dense."""


def plant(layout: Layout, cover: Bytes, relief: Relief, grid: Grid, seed: int) -> Rows:
    """[T] `CROWN` rows that keep clear of buildings and carriageways."""
    rng = np.random.default_rng([seed, 4])
    scattered_m = _scatter(cover, grid, rng)
    rows_m = _rows(layout, cover, grid, rng)
    places_m = np.concatenate([scattered_m, rows_m])
    forest = grid.sample(cover, places_m) == Ground.FOREST
    stands = grid.sample(noise(grid, rng, 90.0, 2), places_m)
    crowns = np.zeros(len(places_m), CROWN)
    crowns["east_m"], crowns["north_m"] = places_m.T
    crowns["tint"] = np.clip(rng.normal(0.0, 0.45, len(crowns)), -1.0, 1.0)
    crowns["species"] = _species(forest, stands, rng)
    in_row = np.arange(len(crowns)) >= len(scattered_m)
    radius_m = np.where(
        forest, rng.uniform(1.8, 4.0, len(crowns)), rng.uniform(1.6, 4.6, len(crowns))
    )
    radius_m = np.where(in_row, rng.uniform(2.0, 2.7, len(crowns)), radius_m)
    conifer, shrub = (crowns["species"] == kind for kind in (Species.CONIFER, Species.SHRUB))
    radius_m = np.where(conifer, 0.75 * radius_m, np.where(shrub, 0.4 * radius_m + 0.4, radius_m))
    tall = np.where(conifer, 4.2, np.where(shrub, 1.3, 2.6)) * rng.uniform(0.85, 1.15, len(crowns))
    crowns["radius_m"], crowns["height_m"] = radius_m, tall * radius_m + np.where(shrub, 0.0, 2.0)
    kept = crowns[_clear(crowns, cover, relief, grid)]
    return kept[rng.permutation(len(kept))]


def _scatter(cover: Bytes, grid: Grid, rng: np.random.Generator) -> Floats:
    """Places on a shaken lattice, kept by the ground they fall on and a noise that clumps them."""
    count = math.ceil(grid.size_m / _SPACING_M) + 1
    east, north = np.meshgrid(np.arange(count), np.arange(count))
    lattice = np.stack([east, north], axis=-1).reshape(-1, 2) * _SPACING_M - grid.size_m / 2.0
    places_m = lattice + rng.uniform(-0.48, 0.48, lattice.shape) * _SPACING_M
    table = np.zeros(len(Ground))
    for kind, density in _DENSITY.items():
        table[kind] = density
    density = table[grid.sample(cover, places_m).astype(int)]
    clumps = grid.sample(noise(grid, rng, 38.0, 2), places_m)
    clumped = np.where(density > 0.9, density, density * np.exp(1.4 * clumps - 0.7))
    return np.asarray(places_m[rng.random(len(places_m)) < clumped])


def _species(forest: np.ndarray, stands: Floats, rng: np.random.Generator) -> np.ndarray:
    conifers = np.where(forest, 1.0 / (1.0 + np.exp(-5.0 * (stands - 0.25))), 0.14)
    species = np.where(rng.random(len(stands)) < conifers, Species.CONIFER, Species.BROADLEAF)
    shrubs = ~forest & (rng.random(len(stands)) < 0.3)
    return np.where(shrubs, Species.SHRUB, species)


def _rows(layout: Layout, cover: Bytes, grid: Grid, rng: np.random.Generator) -> Floats:
    """Avenues along some main roads, hedgerows along some tracks, orchards."""
    lines: list[Floats] = [np.zeros((0, 2))]
    for road in layout.roads:
        if road.kind.bridges and rng.random() < 0.5:
            lines += [
                _beside(road.line_m, 9.5, side * (road.kind.width_m / 2.0 + 4.3))
                for side in (-1, 1)
            ]
        elif road.kind is RoadKind.TRACK and rng.random() < 0.45:
            line = _beside(road.line_m, 3.4, rng.choice((-1.0, 1.0)) * 4.2)
            lines.append(line[rng.random(len(line)) < 0.75])
    for block in layout.blocks:
        if block.use is Use.ORCHARD:
            lines.append(_orchard(block.corners_m, block.outline_m, grid, cover))
    places_m = np.concatenate(lines)
    return places_m + rng.normal(0.0, 0.35, places_m.shape)


def _beside(line_m: Floats, step_m: float, aside_m: float) -> Floats:
    points, angles = walk(line_m, np.arange(12.0, max(length_m(line_m) - 12.0, 12.0), step_m))
    return points + aside_m * np.stack([-np.sin(angles), np.cos(angles)], axis=-1)


def _orchard(corners_m: Floats, outline_m: Floats, grid: Grid, cover: Bytes) -> Floats:
    angle, long_m, short_m = long_axis(corners_m)
    along, across = np.meshgrid(
        np.arange(-long_m, long_m, 5.5) / 2, np.arange(-short_m, short_m, 7.0) / 2
    )
    places_m = corners_m.mean(axis=0) + np.stack([along.ravel(), across.ravel()], -1) @ np.stack(
        [unit(angle), unit(angle + math.pi / 2.0)]
    )
    outline = np.asarray(outline_m, np.float32)
    inside = [
        cv2.pointPolygonTest(outline, (float(east), float(north)), True) > 7.0
        for east, north in places_m
    ]
    return places_m[np.array(inside, bool)]


def _clear(crowns: Rows, cover: Bytes, relief: Relief, grid: Grid) -> np.ndarray:
    at_m = np.stack([crowns["east_m"], crowns["north_m"]], axis=-1)
    roads = np.isin(
        cover, (Ground.ASPHALT, Ground.STREET, Ground.TRACK, Ground.WATER, Ground.PITCH)
    )
    roads |= np.isin(cover, (Ground.CLAY, Ground.CAR_PARK, Ground.FIELD, Ground.BRIDGE))
    to_road_m = _distance_m(roads, at_m, grid)
    to_building_m = _distance_m(relief.owner > 0, at_m, grid)
    radius_m = crowns["radius_m"]
    return (to_road_m > 0.45 * radius_m) & (to_building_m > 0.8 * radius_m)


def _distance_m(obstacle: np.ndarray, at_m: Floats, grid: Grid) -> Floats:
    free = np.asarray(~obstacle, np.uint8)
    return grid.sample(cv2.distanceTransform(free, cv2.DIST_L2, 3), at_m) * grid.gsd_m
