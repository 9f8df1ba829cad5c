"""Trees: forests, clumps in parks, single ones in gardens, rows where people plant rows."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .construction import TAKEN
from .geometry import length_m, unit, walk
from .ground import Ground
from .noise import Noise
from .plan import Layout, RoadKind
from .raster import Bytes, Floats, Grid
from .solids import CROWN, Rows, Species

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
    Ground.BALLAST,
    Ground.SLEEPERS,
)
Flags = npt.NDArray[np.bool_]


def plant(
    layout: Layout, cover: Bytes, room: Bytes, orchards_m: list[Floats], grid: Grid, seed: int
) -> Rows:
    """[T] `CROWN` rows that keep clear of carriageways and of what `room` (as `Site` has it) holds.

    `orchards_m` are places [P, 2] where trees stand in straight rows.
    """
    rng = np.random.default_rng([seed, 4])
    scattered_m = _scatter(cover, grid, rng)
    places_m = np.concatenate([scattered_m, _planted(layout, orchards_m, rng)])
    forest = grid.sample(cover, places_m) == Ground.FOREST
    stands = Noise(rng, 90.0, 2).at(places_m)
    in_row = np.arange(len(places_m)) >= len(scattered_m)
    species = _species(forest, in_row, stands, rng)
    crowns = np.zeros(len(places_m), CROWN)
    crowns["east_m"], crowns["north_m"] = places_m.T
    crowns["species"] = species
    crowns["tint"] = np.clip(rng.normal(0.0, 0.45, len(crowns)), -1.0, 1.0)
    crowns["radius_m"], crowns["height_m"] = _sizes(species, in_row, rng)
    kept = crowns[_clear(crowns, cover, room, grid)]
    return np.asarray(kept[rng.permutation(len(kept))])


def _scatter(cover: Bytes, grid: Grid, rng: np.random.Generator) -> Floats:
    """Places on a shaken lattice, kept by the ground they fall on and a noise that clumps them."""
    count = math.ceil(grid.size_m / _SPACING_M) + 1
    density = np.array([_DENSITY.get(kind, 0.0) for kind in Ground])
    clumps = Noise(rng, 38.0, 2)
    parts = []
    for first in range(0, count, 256):
        east, north = np.meshgrid(np.arange(count), np.arange(first, min(first + 256, count)))
        lattice = np.stack([east, north], axis=-1).reshape(-1, 2) * _SPACING_M - grid.size_m / 2.0
        places_m = lattice + rng.uniform(-0.48, 0.48, lattice.shape) * _SPACING_M
        here = density[grid.sample(cover, places_m).astype(int)]
        share = np.where(here > 0.9, here, here * np.exp(1.4 * clumps.at(places_m) - 0.7))
        parts.append(places_m[rng.random(len(places_m)) < share])
    return np.concatenate(parts)


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


def _planted(layout: Layout, orchards_m: list[Floats], rng: np.random.Generator) -> Floats:
    """[R, 2] avenues along some main roads, hedgerows along some tracks, orchards."""
    lines = list(orchards_m)
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


def _clear(crowns: Rows, cover: Bytes, room: Bytes, grid: Grid) -> Flags:
    """[T] whether eight points around the stem lie off roads, eight farther out off buildings."""
    at_m = np.stack([crowns["east_m"], crowns["north_m"]], axis=-1)
    barred = np.isin(np.arange(len(Ground)), _BARRED)
    clear = grid.contains(at_m)
    for angle in np.arange(8) * math.pi / 4.0:
        reach_m = crowns["radius_m"][:, None] * unit(angle)
        clear &= ~barred[grid.sample(cover, at_m + 0.45 * reach_m).astype(int)]
        clear &= grid.sample(room, at_m + 0.8 * reach_m) != TAKEN
        clear &= grid.sample(room, at_m + 0.4 * reach_m) != TAKEN
    return np.asarray(clear)
