"""Main roads: a plan larger than the map is cut by them until its pieces are as large as cells.

The first cuts are highways; a cut through a piece that holds a settlement runs through its middle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .geometry import area_m2, dense, halve, long_axis, nearest_m, quarter, square, unit
from .plan import Road, RoadKind, Settlement
from .raster import Floats
from .warp import Warp

_COUNTRY_CELL_M = 430.0
_HIGHWAY_M = 2300.0
"""Pieces at least this wide are cut by highways."""


@dataclass(frozen=True, eq=False)
class Plan:
    """The straight plan: its warp, its direction, the map's size and the settlements."""

    warp: Warp
    angle: float
    size_m: float
    settlements: tuple[Settlement, ...]

    @property
    def town_cell_m(self) -> float:
        """Width of a cell in a town."""
        return float(np.clip(self.size_m / 4.0, 90.0, 260.0))

    def cell_m(self, piece: Floats, reach_m: float) -> float:
        """How wide a piece may stay where this one lies; it is cut while it may hold a town."""
        middle = self.warp(piece.mean(axis=0))
        slack_m = 0.0 if reach_m < 1.5 * self.town_cell_m else 0.45 * reach_m
        in_town = any(
            nearest_m(middle, town.at_m[None]) < town.radius_m + slack_m
            for town in self.settlements
        )
        country_m = min(_COUNTRY_CELL_M, max(self.size_m / 4.0, 90.0))
        return self.town_cell_m if in_town else country_m


def main_roads(plan: Plan, rng: np.random.Generator) -> tuple[list[Floats], list[Road]]:
    """Cells of the straight plan, and the bent roads between them."""
    hubs = plan.warp.undo(np.array([town.at_m for town in plan.settlements]))
    todo = [square(0.8 * plan.size_m + 30.0, plan.angle)]
    cells: list[Floats] = []
    roads: list[Road] = []
    while todo:
        piece = todo.pop()
        reach_m = math.sqrt(area_m2(piece))
        cell_m = plan.cell_m(piece, reach_m)
        if not on_map(plan.warp(dense(piece, closed=True)), plan.size_m):
            continue
        if reach_m < cell_m * rng.uniform(1.0, 1.35):
            cells.append(piece)
            continue
        parts, cuts = _cut(piece, reach_m / cell_m, hubs, rng)
        kind = _kind(plan, reach_m, cell_m, first=reach_m > 1.5 * plan.size_m, rng=rng)
        todo += parts
        roads += [Road(plan.warp(dense(cut)), kind) for cut in cuts]
    return cells, roads


def _cut(
    piece: Floats, size: float, hubs: Floats, rng: np.random.Generator
) -> tuple[list[Floats], list[Floats]]:
    axis, long_m, short_m = long_axis(piece)
    inner = [hub for hub in hubs if _depth_m(piece, hub) > 0.12 * short_m]
    angle = axis + math.radians(9.0) * rng.uniform(-1.0, 1.0)
    if inner and size > 2.0:
        return quarter(piece, inner[0], angle)
    at_m = piece.mean(axis=0) + rng.uniform(-0.1, 0.1) * long_m * unit(axis)
    if long_m > 1.2 * short_m:
        angle += math.pi / 2.0
    cut = quarter if size > 2.0 and rng.random() < 0.5 else halve
    return cut(piece, at_m, angle)


def _depth_m(polygon: Floats, at_m: Floats) -> float:
    """How far inside a convex polygon a point lies; below 0: outside."""
    sides = np.roll(polygon, -1, axis=0) - polygon
    normals = np.stack([-sides[:, 1], sides[:, 0]], axis=-1) / np.hypot(*sides.T)[:, None]
    return float(((at_m - polygon) * normals).sum(axis=1).min())


def _kind(
    plan: Plan, reach_m: float, cell_m: float, first: bool, rng: np.random.Generator
) -> RoadKind:
    if first or reach_m > _HIGHWAY_M:
        return RoadKind.HIGHWAY
    if cell_m <= plan.town_cell_m or reach_m > 0.5 * _HIGHWAY_M or rng.random() < 0.2:
        return RoadKind.COLLECTOR
    return RoadKind.LANE


def on_map(points_m: Floats, size_m: float) -> bool:
    """Whether the rectangle around the points touches the map or 30 m around it."""
    margin_m = size_m / 2.0 + 30.0
    low, high = points_m.min(axis=0), points_m.max(axis=0)
    return bool(np.all(low < margin_m) and np.all(high > -margin_m))
