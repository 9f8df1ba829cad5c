"""Which blocks become landmarks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .geometry import long_axis, nearest_m
from .plan import Block, Landmark, Settlement, Use


@dataclass(frozen=True)
class _Wish:
    """Blocks of these uses, at least so wide, may become the landmark; so many per km²."""

    use: Use
    hosts: tuple[Use, ...]
    width_m: float
    per_km2: float


_WISHES = (
    _Wish(Use.STADIUM, (Use.PITCH, Use.PARK, Use.SLABS, Use.HALLS), 100.0, 0.12),
    _Wish(Use.POWER_STATION, (Use.HALLS,), 80.0, 0.07),
    _Wish(Use.BIG_HALL, (Use.HALLS,), 75.0, 0.35),
    _Wish(Use.SILOS, (Use.HALLS, Use.FARM, Use.FIELD), 60.0, 0.2),
    _Wish(Use.WATER_TOWER, (Use.FIELD, Use.MEADOW, Use.PARK, Use.BARE), 50.0, 0.2),
    _Wish(Use.CASTLE, (Use.FOREST, Use.MEADOW), 90.0, 0.07),
    _Wish(Use.QUARRY, (Use.FOREST, Use.BARE, Use.MEADOW), 110.0, 0.08),
    _Wish(Use.WIND_TURBINES, (Use.FIELD, Use.MEADOW), 100.0, 0.45),
)


def choose_landmarks(
    blocks: list[Block],
    clear: list[bool],
    settlements: tuple[Settlement, ...],
    size_m: float,
    rng: np.random.Generator,
) -> tuple[list[Block], tuple[Landmark, ...]]:
    """The blocks, some with a new use, and those as landmarks; a church for every settlement.

    Only blocks that are `clear` of water and trunk lines are chosen.
    """
    chosen: dict[int, Use] = {}
    for settlement in settlements:
        home = _church_site(blocks, clear, settlement)
        if home is not None:
            chosen[home] = Use.CHURCH
    inner = [k for k, block in enumerate(blocks) if clear[k] and _fully_on(block, size_m)]
    for wish in _WISHES:
        hosts = [
            k
            for k in inner
            if k not in chosen
            and blocks[k].use in wish.hosts
            and long_axis(blocks[k].corners_m)[2] >= wish.width_m
        ]
        expected = wish.per_km2 * size_m**2 / 1e6
        count = math.floor(expected) + int(rng.random() < expected % 1.0)
        for k in rng.permutation(hosts)[:count]:
            chosen[int(k)] = wish.use
    found = tuple(
        Landmark(blocks[k].corners_m.mean(axis=0), use, long_axis(blocks[k].corners_m)[1] / 2.0)
        for k, use in sorted(chosen.items())
    )
    return [replace(b, use=chosen.get(k, b.use)) for k, b in enumerate(blocks)], found


def _church_site(blocks: list[Block], clear: list[bool], settlement: Settlement) -> int | None:
    """The block nearest to the middle that is large enough and lived in."""
    homes = [
        k
        for k, block in enumerate(blocks)
        if clear[k]
        and block.use in (Use.PERIMETER, Use.HOUSES)
        and nearest_m(settlement.at_m, block.corners_m) < settlement.radius_m
        and 44.0 <= long_axis(block.corners_m)[2] <= 110.0
    ]
    far = [nearest_m(settlement.at_m, blocks[k].corners_m.mean(axis=0)[None]) for k in homes]
    return homes[int(np.argmin(far))] if homes else None


def _fully_on(block: Block, size_m: float) -> bool:
    return bool(np.abs(block.corners_m).max() < size_m / 2.0 + 10.0)
