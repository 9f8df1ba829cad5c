"""The characters that parts of a map have: how their blocks look and what stands on them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .geometry import nearest_m
from .noise import Noise
from .plan import RoadKind, Settlement, Use
from .raster import Floats


@dataclass(frozen=True)
class District:
    """A part of the map with a character of its own.

    `block_m` and `aspect` shape its blocks, `wobble_deg` bends them; `road_share` of the cuts
    become a road; `uses` are drawn by weight.
    """

    name: str
    block_m: float
    aspect: float
    wobble_deg: float
    road: RoadKind
    road_share: float
    uses: tuple[tuple[Use, float], ...]


def _town(name: str, block_m: float, aspect: float, wobble: float, **uses: float) -> District:
    weights = tuple((Use[use.upper()], weight) for use, weight in uses.items())
    return District(name, block_m, aspect, wobble, RoadKind.STREET, 1.0, weights)


def _country(
    name: str, block_m: float, aspect: float, wobble: float, share: float, **uses: float
) -> District:
    weights = tuple((Use[use.upper()], weight) for use, weight in uses.items())
    return District(name, block_m, aspect, wobble, RoadKind.TRACK, share, weights)


OLD_TOWN = _town("old_town", 64.0, 1.3, 11.0, perimeter=8, car_park=1, park=1)
VILLAGE = _town("village", 74.0, 1.5, 13.0, houses=7, perimeter=2.4, farm=1, meadow=0.6)
ESTATE = _town("estate", 115.0, 1.4, 3.0, slabs=7, pitch=1, car_park=0.6)
TOWERS = _town("towers", 130.0, 1.3, 4.0, towers=5, park=1, car_park=0.6)
SUBURB = _town("suburb", 80.0, 1.8, 5.0, houses=12, park=1, bare=0.5)
ROWS = _town("rows", 84.0, 1.6, 0.5, rows=1)
INDUSTRY = _town("industry", 125.0, 1.4, 2.0, halls=6, car_park=1, bare=1.2)
GREEN = _country("green", 150.0, 1.2, 8.0, 0.5, park=4, pitch=1)
ALLOTMENTS = _country("allotments", 105.0, 1.5, 1.0, 1.0, allotments=1)
FARMLAND = _country(
    "farmland", 140.0, 1.7, 7.0, 0.5, field=10, meadow=1.5, orchard=0.6, farm=0.9, forest=0.5
)
PASTURE = _country("pasture", 150.0, 1.5, 11.0, 0.5, meadow=5, field=2, forest=1, farm=0.7)
ORCHARDS = _country("orchards", 110.0, 1.5, 1.0, 0.8, orchard=1)
PLANTATION = _country("plantation", 180.0, 1.4, 1.0, 1.0, plantation=1)
SOLAR = _country("solar", 220.0, 1.4, 1.0, 1.0, solar=1)
GREENHOUSES = _country("greenhouses", 130.0, 1.5, 1.0, 1.0, greenhouses=5, field=1)
WOODLAND = _country("woodland", 170.0, 1.2, 12.0, 0.7, forest=9, meadow=1)

_IN_TOWN = (SUBURB, ESTATE, INDUSTRY, ROWS, GREEN, SUBURB, TOWERS)
_REPEATING = (SOLAR, ORCHARDS, PLANTATION, GREENHOUSES)
_TOWN_M = 340.0
"""Settlements smaller than this are villages, except the first."""
_WOOD_SHARE = 0.28


def assign(
    cells_m: list[Floats], settlements: tuple[Settlement, ...], rng: np.random.Generator
) -> list[District]:
    """A district for each cell, given by its middle [2]: towns in rings, country in patches."""
    middles = np.array(cells_m)
    reach = np.array(
        [[nearest_m(at, s.at_m[None]) / s.radius_m for s in settlements] for at in middles]
    )
    owner, ring = reach.argmin(axis=1), reach.min(axis=1)
    districts: list[District | None] = [None] * len(cells_m)
    for index, settlement in enumerate(settlements):
        inside = np.nonzero((owner == index) & (ring < 1.0))[0]
        is_small = index > 0 and settlement.radius_m < _TOWN_M
        _settle(districts, inside[np.argsort(ring[inside])], is_small, rng)
    _cultivate(districts, middles, ring, rng)
    return [district for district in districts if district is not None]


def _settle(
    districts: list[District | None],
    cells: npt.NDArray[np.int64],
    is_village: bool,
    rng: np.random.Generator,
) -> None:
    """The innermost cells first; every kind of district has its turn."""
    turn = int(rng.integers(len(_IN_TOWN)))
    num_old = math.ceil((0.6 if is_village else 0.12) * len(cells))
    for rank, cell in enumerate(cells):
        if rank < num_old:
            districts[cell] = VILLAGE if is_village else OLD_TOWN
        else:
            districts[cell] = SUBURB if is_village else _IN_TOWN[(turn + rank) % len(_IN_TOWN)]


def _cultivate(
    districts: list[District | None], middles: Floats, ring: Floats, rng: np.random.Generator
) -> None:
    """Woods where a broad noise is highest, repeating cultures and allotments in turns."""
    open_cells = np.array([k for k, district in enumerate(districts) if district is None], int)
    if not len(open_cells):
        return
    height = Noise(rng, 1300.0, 2).at(middles[open_cells])
    order = open_cells[np.argsort(height)]
    num_woods = math.ceil(_WOOD_SHARE * len(order))
    turn = int(rng.integers(len(_REPEATING)))
    for rank, cell in enumerate(order):
        if rank >= len(order) - num_woods:
            districts[cell] = WOODLAND
        elif ring[cell] < 1.35 and rng.random() < 0.12:
            districts[cell] = ALLOTMENTS
        elif rank % 11 == 7:
            districts[cell] = _REPEATING[(turn + rank // 11) % len(_REPEATING)]
        else:
            districts[cell] = PASTURE if rank > 0.55 * len(order) else FARMLAND


def draw_uses(district: District, count: int, rng: np.random.Generator) -> list[Use]:
    """By weight, but in shuffled turns: a use does not stay away by bad luck."""
    uses, weights = zip(*district.uses, strict=True)
    share = np.cumsum(weights) / sum(weights)
    drawn = (np.arange(count) + rng.random()) / max(count, 1)
    return [uses[int(np.searchsorted(share, at))] for at in rng.permutation(drawn % 1.0)]
