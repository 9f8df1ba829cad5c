"""The plan of the land: waters, settlements, main roads, districts, blocks, landmarks.

A square larger than the map is cut by straight lines, main roads first, until the pieces are as
large as blocks; a smooth displacement then bends everything. Metres east and north of the middle.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from .crossings import BANK_M, SLOPE_M, cross
from .districts import District, assign, draw_uses
from .geometry import dense, nearest_m, subdivide
from .junctions import find_junctions
from .landmarks import choose_landmarks
from .network import Plan, main_roads, on_map
from .plan import Area, Block, Layout, Road, Trunk, Use, Waters
from .raster import Floats, Grid
from .settlements import plan_settlements
from .terrain import node_grid
from .trunks import plan_stations, plan_trunks
from .warp import Warp
from .waters import LAKE, SEA, plan_waters, water_mask


def plan_land(seed: int, size_m: float) -> Layout:
    """Plan a map of `size_m` x `size_m`; the same arguments give the same plan."""
    rng = np.random.default_rng([seed, 1])
    angle = rng.uniform(0.0, math.pi / 2.0)
    hub_m = rng.uniform(-0.16, 0.16, 2) * size_m
    waters = plan_waters(rng, size_m, angle, hub_m)
    settlements = plan_settlements(rng, size_m, hub_m, waters)
    trunks = plan_trunks(rng, size_m, angle, settlements, waters)
    waters = replace(waters, lakes=tuple(m for m in waters.lakes if _clear_of(m, trunks)))
    plan = Plan(Warp(rng, size_m), angle, size_m, settlements)

    cells, roads = main_roads(plan, rng)
    districts = assign([plan.warp(cell.mean(axis=0)) for cell in cells], settlements, rng)
    blocks: list[Block] = []
    for cell, district in zip(cells, districts, strict=True):
        some_blocks, streets = _build_out(plan, cell, district, rng)
        blocks += some_blocks
        roads += streets
    grid = node_grid(size_m)
    roads, bridges = cross([r for r in roads if on_map(r.line_m, size_m)], waters, trunks, grid)
    blocks, clear = _on_dry_land(blocks, waters, trunks, grid)
    blocks, landmarks = choose_landmarks(blocks, clear, settlements, size_m, rng)
    return Layout(
        size_m,
        waters,
        settlements,
        tuple(
            Area(plan.warp(dense(cell, closed=True)), district.name)
            for cell, district in zip(cells, districts, strict=True)
        ),
        tuple(roads),
        trunks,
        find_junctions(roads, settlements, size_m, rng),
        tuple(bridges),
        plan_stations(trunks, settlements, size_m),
        landmarks,
        tuple(blocks),
    )


def _clear_of(shore_m: Floats, trunks: tuple[Trunk, ...]) -> bool:
    return all(nearest_m(at_m, trunk.line_m) > 45.0 for trunk in trunks for at_m in shore_m[::4])


def _on_dry_land(
    blocks: list[Block], waters: Waters, trunks: tuple[Trunk, ...], grid: Grid
) -> tuple[list[Block], list[bool]]:
    """The blocks that are not all lake or sea, and which of them nothing cuts into."""
    water = water_mask(waters, grid)
    cut = water_mask(waters, grid, BANK_M)
    for trunk in trunks:
        grid.stroke(cut, trunk.line_m, trunk.kind.width_m + 2.0 * SLOPE_M, SEA)
    left: list[Block] = []
    clear: list[bool] = []
    for block in blocks:
        if grid.sample(water, block.outline_m).min() < LAKE:
            window, inside = grid.cut_out(block.outline_m)
            clear.append(not cut[window][inside].any())
            whole = clear[-1] or block.use is not Use.PITCH
            left.append(block if whole else replace(block, use=Use.MEADOW))
    return left, clear


def _build_out(
    plan: Plan, cell: Floats, district: District, rng: np.random.Generator
) -> tuple[list[Block], list[Road]]:
    """The blocks of one cell and the streets between them, as far as they touch the map."""
    block_m = min(district.block_m, plan.town_cell_m if plan.size_m < 1100.0 else math.inf)
    pieces, cuts = subdivide(cell, block_m, district.aspect, district.wobble_deg, rng)
    uses = draw_uses(district, len(pieces), rng)
    blocks = [
        Block(plan.warp(dense(piece, closed=True)), plan.warp(piece), use)
        for piece, use in zip(pieces, uses, strict=True)
    ]
    kept = rng.random(len(cuts)) < district.road_share
    roads = [
        Road(plan.warp(dense(cut)), district.road)
        for cut, keep in zip(cuts, kept, strict=True)
        if keep
    ]
    return [block for block in blocks if on_map(block.outline_m, plan.size_m)], roads
