"""What roads do at water and at trunk lines: small roads end, main roads bridge what is narrow."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .geometry import length_m, walk
from .plan import Bridge, Over, Road, Trunk, TrunkKind, Waters
from .raster import Bytes, Floats, Grid
from .waters import LAKE, water_mask

BANK_M = 9.0
"""How far beside the water its banks slope."""
SLOPE_M = 12.0
"""How far beside the bed of a trunk line its cutting slopes."""

_STEP_M = 1.5
_LONGEST_BRIDGE_M = 190.0
_WIDE_WATER = 8
_MEET_M = 6.0
_OVER = {1: Over.RIVER, 4: Over.RAIL, 5: Over.MOTORWAY}
_TRUNK = {TrunkKind.RAIL: 4, TrunkKind.MOTORWAY: 5}


def cross(
    roads: list[Road], waters: Waters, trunks: tuple[Trunk, ...], grid: Grid
) -> tuple[list[Road], list[Bridge]]:
    """The roads that are left, and all bridges: of roads, and of trunk lines over rivers."""
    obstacles = _obstacles(waters, grid)
    bridges = [
        Bridge(line_m, trunk.kind.width_m, over)
        for trunk in trunks
        for line_m, over in _spans(trunk.line_m, obstacles, grid)
    ]
    for trunk in sorted(trunks, key=lambda trunk: trunk.kind is TrunkKind.RAIL):
        if trunk.kind is TrunkKind.RAIL:
            bridges += [
                Bridge(line_m, TrunkKind.MOTORWAY.width_m, over)
                for other in trunks
                if other.kind is TrunkKind.MOTORWAY
                for line_m, over in _spans(other.line_m, _bed(trunk, grid), grid)
            ]
        width_m = trunk.kind.width_m + 2.0 * SLOPE_M
        grid.stroke(obstacles, trunk.line_m, width_m, _TRUNK[trunk.kind])
    left = [Road(part_m, road.kind) for road in roads for part_m in _ashore(road, obstacles, grid)]
    left = _without_stubs(left, obstacles, grid)
    bridges += [
        Bridge(line_m, road.kind.full_width_m, over)
        for road in left
        if road.kind.bridges
        for line_m, over in _spans(road.line_m, obstacles, grid)
    ]
    return left, bridges


def _without_stubs(roads: list[Road], obstacles: Bytes, grid: Grid) -> list[Road]:
    """Main roads that end at wide water end at the last road before it instead."""
    ends_m = np.concatenate([road.line_m[[0, -1]] for road in roads])
    kept: list[Road] = []
    for index, road in enumerate(roads):
        at_water = [_near_wide_water(road.line_m[k], obstacles, grid) for k in (0, -1)]
        if not (road.kind.bridges and any(at_water)):
            kept.append(road)
            continue
        others_m = np.delete(ends_m, [2 * index, 2 * index + 1], axis=0)
        gaps = road.line_m[:, None] - others_m[None]
        met = np.nonzero(np.hypot(gaps[..., 0], gaps[..., 1]).min(axis=1) < _MEET_M)[0]
        first = met[0] if at_water[0] and len(met) else 0
        last = met[-1] if at_water[1] and len(met) else len(road.line_m) - 1
        if len(met) and last > first:
            kept.append(Road(road.line_m[first : last + 1], road.kind))
    return kept


def _near_wide_water(at_m: Floats, obstacles: Bytes, grid: Grid) -> bool:
    window, _ = grid.cut_out(at_m[None], 2.0 * grid.gsd_m + _STEP_M)
    return bool((obstacles[window] == _WIDE_WATER).any())


def _obstacles(waters: Waters, grid: Grid) -> Bytes:
    mask = water_mask(waters, grid, BANK_M)
    mask[mask >= LAKE] = _WIDE_WATER
    return mask


def _bed(trunk: Trunk, grid: Grid) -> Bytes:
    mask = np.zeros((grid.size_px, grid.size_px), np.uint8)
    grid.stroke(mask, trunk.line_m, trunk.kind.width_m + 2.0 * SLOPE_M, _TRUNK[trunk.kind])
    return mask


def _ashore(road: Road, obstacles: Bytes, grid: Grid) -> list[Floats]:
    """The parts of a road that can be built."""
    stations, met = _met(road.line_m, obstacles, grid)
    barred = met == _WIDE_WATER if road.kind.bridges else met > 0
    for first, last in _runs(met > 0):
        if stations[last] - stations[first] > _LONGEST_BRIDGE_M:
            barred[first : last + 1] = True
    if not barred.any():
        return [road.line_m]
    return [
        part_m
        for first, last in _runs(~barred)
        if stations[last] - stations[first] > 12.0
        for part_m in [_part(road.line_m, stations[first], stations[last])]
    ]


def _spans(line_m: Floats, obstacles: Bytes, grid: Grid) -> list[tuple[Floats, Over]]:
    """The parts of a line above narrow obstacles, and what the first of each is."""
    stations, met = _met(line_m, obstacles, grid)
    return [
        (_part(line_m, stations[first], stations[last]), _OVER[int(met[first])])
        for first, last in _runs((met > 0) & (met < _WIDE_WATER))
        if stations[last] - stations[first] > 4.0
    ]


def _met(line_m: Floats, obstacles: Bytes, grid: Grid) -> tuple[Floats, npt.NDArray[np.int64]]:
    total_m = length_m(line_m)
    stations = np.linspace(0.0, total_m, max(2, math.ceil(total_m / _STEP_M)))
    points, _ = walk(line_m, stations)
    met = grid.sample(obstacles, points).astype(np.int64)
    met[~grid.contains(points)] = 0
    return stations, met


def _runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of every unbroken stretch that is true."""
    edges = np.nonzero(np.diff(np.concatenate([[False], flags, [False]])))[0]
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _part(line_m: Floats, start_m: float, end_m: float) -> Floats:
    """A line between two distances along it, with its own points between."""
    steps = np.hypot(*np.diff(line_m, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    stations = np.concatenate(
        [[start_m], along[(along > start_m + 0.5) & (along < end_m - 0.5)], [end_m]]
    )
    return walk(line_m, stations)[0]
