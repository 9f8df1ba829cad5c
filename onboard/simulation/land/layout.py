"""The plan of the land as vectors: roads, a river, and blocks of ground with a use.

A square larger than the map is cut by straight lines, main roads first, until the pieces are as
large as blocks; a smooth displacement then bends everything. Metres east and north of the middle.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from .geometry import dense, long_axis, quarter, square, subdivide, unit
from .raster import Floats

Warp = Callable[[Floats], Floats]


class RoadKind(Enum):
    """Width of the carriageway and of each pavement in metres, and whether it has bridges."""

    HIGHWAY = (11.0, 2.6, True)
    COLLECTOR = (8.5, 2.2, True)
    STREET = (6.0, 1.6, False)
    TRACK = (3.0, 0.0, False)

    def __init__(self, width_m: float, pavement_m: float, bridges: bool) -> None:
        self.width_m = width_m
        self.pavement_m = pavement_m
        self.bridges = bridges


class Use(Enum):
    """What a block is for."""

    PERIMETER = "perimeter"
    HOUSES = "houses"
    SLABS = "slabs"
    HALLS = "halls"
    CAR_PARK = "car_park"
    PARK = "park"
    PITCH = "pitch"
    FIELD = "field"
    MEADOW = "meadow"
    ORCHARD = "orchard"
    FARM = "farm"
    FOREST = "forest"
    BARE = "bare"


@dataclass(frozen=True)
class District:
    """A part of the map with a character of its own.

    `block_m` and `aspect` shape its blocks, `wobble_deg` bends them; `road_share` of the cuts
    become a road; `uses` are drawn by weight.
    """

    block_m: float
    aspect: float
    wobble_deg: float
    road: RoadKind
    road_share: float
    uses: tuple[tuple[Use, float], ...]


OLD_TOWN = District(
    block_m=64.0,
    aspect=1.3,
    wobble_deg=11.0,
    road=RoadKind.STREET,
    road_share=1.0,
    uses=((Use.PERIMETER, 8), (Use.CAR_PARK, 1), (Use.PARK, 1)),
)
ESTATE = District(
    block_m=115.0,
    aspect=1.4,
    wobble_deg=3.0,
    road=RoadKind.STREET,
    road_share=1.0,
    uses=((Use.SLABS, 7), (Use.PITCH, 1), (Use.CAR_PARK, 0.6)),
)
SUBURB = District(
    block_m=80.0,
    aspect=1.8,
    wobble_deg=5.0,
    road=RoadKind.STREET,
    road_share=1.0,
    uses=((Use.HOUSES, 12), (Use.PARK, 1), (Use.BARE, 0.5)),
)
INDUSTRY = District(
    block_m=125.0,
    aspect=1.4,
    wobble_deg=2.0,
    road=RoadKind.STREET,
    road_share=1.0,
    uses=((Use.HALLS, 6), (Use.CAR_PARK, 1), (Use.BARE, 1.2)),
)
GREEN = District(
    block_m=150.0,
    aspect=1.2,
    wobble_deg=8.0,
    road=RoadKind.TRACK,
    road_share=0.5,
    uses=((Use.PARK, 4), (Use.PITCH, 1)),
)
FARMLAND = District(
    block_m=120.0,
    aspect=1.7,
    wobble_deg=7.0,
    road=RoadKind.TRACK,
    road_share=0.5,
    uses=((Use.FIELD, 9), (Use.MEADOW, 1.5), (Use.ORCHARD, 1), (Use.FARM, 1)),
)
WOODLAND = District(
    block_m=170.0,
    aspect=1.2,
    wobble_deg=12.0,
    road=RoadKind.TRACK,
    road_share=0.7,
    uses=((Use.FOREST, 6), (Use.MEADOW, 1)),
)

_TOWN = (SUBURB, ESTATE, INDUSTRY, SUBURB, GREEN)
_COUNTRY = (FARMLAND, WOODLAND, SUBURB, FARMLAND)


@dataclass(frozen=True, eq=False)
class Road:
    """A centre line [K, 2]; its ends lie on the roads that it meets."""

    line_m: Floats
    kind: RoadKind


@dataclass(frozen=True, eq=False)
class Block:
    """Ground between roads: bent outline [K, 2] and its corners [C, 2], both anticlockwise."""

    outline_m: Floats
    corners_m: Floats
    use: Use


@dataclass(frozen=True, eq=False)
class Layout:
    """The whole plan. `river_m` [K, 2] is the middle of the river, `river_width_m` [K] its width.

    `roundabout_m` [2] is where the two highways cross.
    """

    roads: tuple[Road, ...]
    blocks: tuple[Block, ...]
    roundabout_m: Floats
    river_m: Floats
    river_width_m: Floats


def plan_land(seed: int, size_m: float) -> Layout:
    """Cut a map of `size_m` x `size_m` into roads and blocks."""
    rng = np.random.default_rng([seed, 1])
    angle = rng.uniform(0.0, math.pi / 2.0)
    hub = rng.uniform(-0.16, 0.16, 2) * size_m
    warp = _warp(rng, size_m)
    cell_m = float(np.clip(size_m / 4.0, 90.0, 260.0))

    cells, roads = _main_roads(square(0.8 * size_m + 30.0, angle), hub, cell_m, warp, rng)
    blocks: list[Block] = []
    for cell, district in _districts(cells, size_m, rng):
        pieces, cuts = subdivide(
            cell, min(district.block_m, cell_m), district.aspect, district.wobble_deg, rng
        )
        uses = _draw_uses(district, len(pieces), rng)
        blocks += [
            Block(warp(dense(piece, closed=True)), warp(piece), use)
            for piece, use in zip(pieces, uses, strict=True)
        ]
        kept = rng.random(len(cuts)) < district.road_share
        roads += [
            Road(warp(dense(cut)), district.road)
            for cut, keep in zip(cuts, kept, strict=True)
            if keep
        ]
    return Layout(
        tuple(road for road in roads if _on_map(road.line_m, size_m)),
        tuple(block for block in blocks if _on_map(block.outline_m, size_m)),
        warp(hub[None])[0],
        *_river(rng, size_m, angle, hub),
    )


def _main_roads(
    root: Floats, hub: Floats, cell_m: float, warp: Warp, rng: np.random.Generator
) -> tuple[list[Floats], list[Road]]:
    quarters, cuts = quarter(root, hub, long_axis(root)[0] + rng.normal(0.0, 0.05))
    roads = [Road(warp(dense(cut)), RoadKind.HIGHWAY) for cut in cuts]
    cells: list[Floats] = []
    for piece in quarters:
        pieces, cuts = subdivide(piece, cell_m, 1.2, 8.0, rng)
        cells += pieces
        roads += [Road(warp(dense(cut)), RoadKind.COLLECTOR) for cut in cuts]
    return cells, roads


def _districts(
    cells: list[Floats], size_m: float, rng: np.random.Generator
) -> list[tuple[Floats, District]]:
    """A town around one point, country around the town; every kind of district has its turn."""
    town = rng.uniform(-0.25, 0.25, 2) * size_m
    cells = [cell for cell in cells if _on_map(cell, 1.2 * size_m)]  # the warp may bring it in
    cells.sort(key=lambda cell: float(np.hypot(*(cell.mean(axis=0) - town))))
    num_old, num_town = math.ceil(0.05 * len(cells)), math.ceil(0.4 * len(cells))
    turn = int(rng.integers(20))
    districts = [OLD_TOWN] * num_old
    districts += [_TOWN[(turn + k) % len(_TOWN)] for k in range(num_town - num_old)]
    districts += [_COUNTRY[(turn + k) % len(_COUNTRY)] for k in range(len(cells) - num_town)]
    return list(zip(cells, districts, strict=True))


def _draw_uses(district: District, count: int, rng: np.random.Generator) -> list[Use]:
    """By weight, but in shuffled turns: a use does not stay away by bad luck."""
    uses, weights = zip(*district.uses, strict=True)
    share = np.cumsum(weights) / sum(weights)
    drawn = (np.arange(count) + rng.random()) / max(count, 1)
    return [uses[int(np.searchsorted(share, at))] for at in rng.permutation(drawn % 1.0)]


def _river(
    rng: np.random.Generator, size_m: float, angle: float, hub: Floats
) -> tuple[Floats, Floats]:
    """Oblique to the main roads, so that every bridge is short, and away from where they cross."""
    turn = angle + math.radians(rng.uniform(35.0, 55.0)) + math.pi / 2.0 * rng.integers(0, 2)
    if hub @ unit(turn + math.pi / 2.0) > 0.0:
        turn += math.pi
    along = np.linspace(-size_m, size_m, 161)
    phase = rng.uniform(0.0, 2.0 * math.pi, 3)
    swing = np.sin(along * 9.0 / size_m + phase[0]) + 0.4 * np.sin(along * 23.0 / size_m + phase[1])
    offset = rng.uniform(0.14, 0.28) * size_m + 0.045 * size_m * swing
    line = along[:, None] * unit(turn) + offset[:, None] * unit(turn + math.pi / 2.0)
    width = min(24.0, 0.06 * size_m) * (1.0 + 0.18 * np.sin(along * 31.0 / size_m + phase[2]))
    return line, width


def _warp(rng: np.random.Generator, size_m: float) -> Warp:
    """A smooth displacement, gentle enough to fold nothing."""
    wavelength_m = np.array([0.9, 0.55, 0.35]) * max(size_m, 400.0)
    turns = rng.uniform(0.0, 2.0 * math.pi, (2, 3))
    waves = (
        np.stack([np.cos(turns), np.sin(turns)], axis=-1) * (2.0 * math.pi / wavelength_m)[:, None]
    )
    phases = rng.uniform(0.0, 2.0 * math.pi, (2, 3))
    reach_m = 0.03 * wavelength_m

    def warp(points_m: Floats) -> Floats:
        shift = np.sin(np.einsum("kd,awd->kaw", points_m, waves) + phases) @ reach_m
        return np.asarray(points_m + shift)

    return warp


def _on_map(points_m: Floats, size_m: float) -> bool:
    margin_m = size_m / 2.0 + 30.0
    low, high = points_m.min(axis=0), points_m.max(axis=0)
    return bool(np.all(low < margin_m) and np.all(high > -margin_m))
