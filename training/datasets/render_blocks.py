"""Which part of the land belongs to which split, and where the places of a data set lie."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from geobridge.onboard.errors import DataError

FOOTPRINTS_M = (80.0, 100.0, 120.0, 150.0, 180.0)
"""Sides of the squares of ground that places show, as in the published data set."""
MIN_BLOCK_M = 300.0
SPLITS = ("train", "val", "test")
MOST_OVERLAP = 0.5
"""Share of the ground that two places of the published data set have in common."""

_MARGIN_M = 10.0
_SHOWN = 0.8
_DRAWS_IN_VAIN = 3000

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class Spot:
    """A place to show: its middle, the side of its square, and where a street camera stands."""

    east_m: float
    north_m: float
    footprint_m: float
    street: tuple[float, float, float] | None
    """Metres east and north, and heading in degrees."""

    @property
    def reach_m(self) -> float:
        """No corner of the square lies farther from its middle, however it is turned."""
        return self.footprint_m / math.sqrt(2.0)


class Land(Protocol):
    """Where places can be."""

    @property
    def bounds_m(self) -> Bounds:
        """West, south, east, north."""

    def shown(self, east_m: float, north_m: float, width_m: float) -> float:
        """How much of a square there is anything to see of, 0..1."""

    def propose(self, rng: np.random.Generator, footprint_m: float) -> Spot | None:
        """Somewhere, if there is something to see."""


class Blocks:
    """A grid of blocks at least `block_m` wide, each wholly of one split; the seed draws which.

    Raises:
        DataError: too few blocks for the splits asked for.
    """

    def __init__(self, land: Land, block_m: float, val: float, test: float, seed: int) -> None:
        self.bounds_m = west, south, east, north = land.bounds_m
        rows, columns = (max(1, int(side // block_m)) for side in (north - south, east - west))
        self.side_m = (east - west) / columns, (north - south) / rows
        names = [(row, column) for row in range(rows) for column in range(columns)]
        self.splits = dict.fromkeys(names, "train")
        dealt = [name for name in names if self._shown(land, name) > _SHOWN]
        dealt.sort(key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
        counts = {"val": _share(val, len(dealt)), "test": _share(test, len(dealt))}
        if sum(counts.values()) >= max(1, len(dealt)):
            raise DataError(
                f"the land has {len(dealt)} blocks of {block_m:.0f} m, too few for train, val and"
                " test; lower --block-m, or set --val 0 --test 0"
            )
        for split, count in counts.items():
            self.splits |= dict.fromkeys(dealt[:count], split)
            dealt = dealt[count:]

    def _shown(self, land: Land, name: tuple[int, int]) -> float:
        east_m = self.bounds_m[0] + (name[1] + 0.5) * self.side_m[0]
        north_m = self.bounds_m[1] + (name[0] + 0.5) * self.side_m[1]
        return land.shown(east_m, north_m, min(self.side_m))

    def block_of(self, east_m: float, north_m: float) -> tuple[int, int]:
        """Row from the south and column from the west."""
        row = math.floor((north_m - self.bounds_m[1]) / self.side_m[1])
        return row, math.floor((east_m - self.bounds_m[0]) / self.side_m[0])

    def split_of(self, spot: Spot) -> str | None:
        """The split that all ground of a place and a margin belong to; None: more, or off the land.

        A block is wider than any place, so the corners tell of all that a place touches.
        """
        reach_m = spot.reach_m + _MARGIN_M
        corners = [
            self.block_of(spot.east_m + dx * reach_m, spot.north_m + dy * reach_m)
            for dx in (-1, 1)
            for dy in (-1, 1)
        ]
        west, south, east, north = self.bounds_m
        on_land = (
            west <= spot.east_m - spot.reach_m
            and spot.east_m + spot.reach_m <= east
            and south <= spot.north_m - spot.reach_m
            and spot.north_m + spot.reach_m <= north
        )
        found = {self.splits[corner] for corner in corners if corner in self.splits}
        return found.pop() if on_land and len(found) == 1 else None

    def count(self, split: str) -> int:
        """How many blocks a split has."""
        return sum(name == split for name in self.splits.values())


def choose(
    land: Land,
    blocks: Blocks,
    counts: dict[str, int],
    seed: int,
    footprints_m: Sequence[float] = FOOTPRINTS_M,
    most_overlap: float = MOST_OVERLAP,
) -> dict[str, list[Spot]]:
    """So many places for each split, none of which overlaps another by more than a share.

    Raises:
        DataError: the blocks of a split have no room for so many.
    """
    rng = np.random.default_rng([seed, 70])
    chosen: dict[str, list[Spot]] = {split: [] for split in counts}
    taken = _Taken(most_overlap)
    in_vain = dict.fromkeys(counts, 0)
    while any(len(chosen[split]) < counts[split] for split in counts):
        spot = land.propose(rng, float(rng.choice(footprints_m)))
        split = blocks.split_of(spot) if spot else None
        open_splits = [name for name in counts if len(chosen[name]) < counts[name]]
        if spot and split in open_splits and not taken.overlaps(spot):
            taken.add(spot)
            chosen[split].append(spot)
            in_vain[split] = 0
            continue
        for name in open_splits:
            in_vain[name] += 1
            if in_vain[name] > _DRAWS_IN_VAIN * max(1, len(blocks.splits) // blocks.count(name)):
                raise DataError(
                    f"{name}: room for about {len(chosen[name])} of {counts[name]} places in"
                    f" {blocks.count(name)} blocks of {min(blocks.side_m):.0f} m;"
                    " lower --count or take more land"
                )
    return chosen


class _Taken:
    """The places so far, by square of land."""

    def __init__(self, most_overlap: float) -> None:
        self._most_overlap = most_overlap
        self._cells: dict[tuple[int, int], list[Spot]] = {}

    def add(self, spot: Spot) -> None:
        self._cells.setdefault(self._cell(spot), []).append(spot)

    def overlaps(self, spot: Spot) -> bool:
        """Whether it has too much in common with one of them."""
        column, row = self._cell(spot)
        around = [(column + dx, row + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
        return any(
            _overlap(spot, other) > self._most_overlap
            for cell in around
            for other in self._cells.get(cell, ())
        )

    def _cell(self, spot: Spot) -> tuple[int, int]:
        width_m = max(FOOTPRINTS_M)
        return math.floor(spot.east_m / width_m), math.floor(spot.north_m / width_m)


def _overlap(one: Spot, other: Spot) -> float:
    """Common ground, as a share of the smaller one."""
    smaller_m = min(one.footprint_m, other.footprint_m)
    both_m = (one.footprint_m + other.footprint_m) / 2.0
    sides = (
        min(smaller_m, max(0.0, both_m - abs(away)))
        for away in (one.east_m - other.east_m, one.north_m - other.north_m)
    )
    return math.prod(sides) / smaller_m**2


def _share(share: float, count: int) -> int:
    return max(1, round(share * count)) if share > 0.0 else 0
