"""The first thing along a ray: down the pyramid of heights where the ray may meet something, up
again where it cannot (maximum mipmaps: Tevs, Ihrke, Seidel 2008)."""

from __future__ import annotations

from .compiled import compiled
from .hit import MISS, meet_ground
from .hit_box import meet_box
from .hit_crown import meet_crown
from .scene import (
    Scene,
)

SKY, GROUND, BOX, CROWN, OUTSIDE = 0, 1, 2, 3, 4

Met = tuple[float, int, int, float, float, float]
"""Distance in metres, kind, index of the box or crown, normal east, north, up."""

_STEP_M = 1e-4


@compiled
def trace(
    scene: Scene,
    bare: bool,
    any_hit: bool,
    ox: float,
    oy: float,
    oz: float,
    dx: float,
    dy: float,
    dz: float,
) -> Met:
    """What a ray from (ox, oy, oz) in the unit direction (dx, dy, dz) meets first.

    `bare`: broadleaved trees have no leaves. `any_hit`: the first thing found is good enough, as
    for shadows.
    """
    near, far = _within(scene, ox, oy, oz, dx, dy, dz)
    level_top = scene.level_starts.size - 2
    level = 0 if any_hit else min(1, level_top)  # shadows begin where things are
    into_x = 1.0 / dx if abs(dx) > 1e-9 else MISS
    into_y = 1.0 / dy if abs(dy) > 1e-9 else MISS
    into_z = 1.0 / dz if abs(dz) > 1e-9 else MISS
    side_x, side_y = (1 if into_x > 0.0 else 0), (1 if into_y > 0.0 else 0)
    west, south = ox - scene.west_m, oy - scene.south_m
    cell_m = scene.leaf_m * (1 << level)
    per_m = 1.0 / cell_m
    at = near + _STEP_M
    while at < far:
        cells = scene.across >> level
        column, row = int((west + dx * at) * per_m), int((south + dy * at) * per_m)
        if not (0 <= column < cells and 0 <= row < cells):
            break
        leave_x = ((column + side_x) * cell_m - west) * into_x
        leave_y = ((row + side_y) * cell_m - south) * into_y
        leave = max(min(far, leave_x, leave_y), at)
        top = scene.tops[scene.level_starts[level] + row * cells + column]
        if min(oz + dz * at, oz + dz * leave) > top:
            at = leave + _STEP_M
            if level < level_top:
                level, cell_m, per_m = level + 1, 2.0 * cell_m, 0.5 * per_m
            continue
        through = (top - oz) * into_z  # the ray is below the highest point before, or after
        at = max(at, through) if dz < 0.0 else at
        if level > 0:
            level, cell_m, per_m = level - 1, 0.5 * cell_m, 2.0 * per_m
        else:
            until = min(leave, through) if dz > 0.0 else leave
            met = _trace_leaf(
                scene, row * cells + column, bare, any_hit, ox, oy, oz, dx, dy, dz, at, until
            )
            if met[1] != SKY:
                return met
            at = leave + _STEP_M
    return _meet_outside(scene, ox, oy, oz, dx, dy, dz, max(at, 0.0))


@compiled
def _within(
    scene: Scene, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float
) -> tuple[float, float]:
    """From where to where a ray is over the map and below its highest point; (0, -1): nowhere."""
    size_m = scene.leaf_m * scene.across
    near, far = 0.0, MISS
    if abs(dx) > 1e-9:
        one, other = (scene.west_m - ox) / dx, (scene.west_m + size_m - ox) / dx
        near, far = max(near, min(one, other)), min(far, max(one, other))
    elif not 0.0 < ox - scene.west_m < size_m:
        far = -1.0
    if abs(dy) > 1e-9:
        one, other = (scene.south_m - oy) / dy, (scene.south_m + size_m - oy) / dy
        near, far = max(near, min(one, other)), min(far, max(one, other))
    elif not 0.0 < oy - scene.south_m < size_m:
        far = -1.0
    highest = scene.tops[scene.tops.size - 1]
    if dz < 0.0:
        near = max(near, (highest - oz) / dz)
    elif oz + dz * near > highest:
        far = -1.0
    elif dz > 1e-9:
        far = min(far, (highest - oz) / dz)
    return near, far


@compiled
def _trace_leaf(
    scene: Scene,
    leaf: int,
    bare: bool,
    any_hit: bool,
    ox: float,
    oy: float,
    oz: float,
    dx: float,
    dy: float,
    dz: float,
    near: float,
    far: float,
) -> Met:
    """The first thing in one leaf, between two distances."""
    best, kind, index = far, SKY, 0
    bx, by, bz = 0.0, 0.0, 1.0
    lowest = min(oz + dz * near, oz + dz * far)
    level2 = dx * dx + dy * dy
    for entry in range(scene.first[leaf], scene.first[leaf + 1]):
        if lowest > scene.around[entry, 3]:
            continue
        east, north = scene.around[entry, 0] - ox, scene.around[entry, 1] - oy
        reach = scene.around[entry, 2]
        closest = near
        if level2 > 1e-12:
            closest = min(max((east * dx + north * dy) / level2, near), best)
        away_east, away_north = east - dx * closest, north - dy * closest
        if away_east * away_east + away_north * away_north > reach * reach:
            continue
        item = scene.solids[entry]
        if item >= 0:
            at, nx, ny, nz = meet_box(scene.boxes, item, ox, oy, oz, dx, dy, dz)
        else:
            at, nx, ny, nz = meet_crown(scene.crowns, -1 - item, bare, ox, oy, oz, dx, dy, dz)
        if at < best and at > 1e-3:
            best, bx, by, bz = at, nx, ny, nz
            kind, index = (BOX, item) if item >= 0 else (CROWN, -1 - item)
            if any_hit:
                return best, kind, index, bx, by, bz
    top, steepest = scene.relief[leaf, 0], scene.relief[leaf, 1]
    at = meet_ground(scene.ground, top, steepest, ox, oy, oz, dx, dy, dz, near, best)
    if at < MISS:
        return at, GROUND, 0, 0.0, 0.0, 1.0
    return best, kind, index, bx, by, bz


@compiled
def _meet_outside(
    scene: Scene, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float, near: float
) -> Met:
    """Beyond the map lies level land."""
    if dz < -1e-6:
        at = (scene.outside_amsl_m - oz) / dz
        if at >= near - 1.0:
            return at, OUTSIDE, 0, 0.0, 0.0, 1.0
        return near, OUTSIDE, 0, 0.0, 0.0, 1.0
    return MISS, SKY, 0, 0.0, 0.0, 1.0
