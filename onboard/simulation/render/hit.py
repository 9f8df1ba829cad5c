"""Where a ray meets one thing; distances in metres along the ray, `MISS` where it does not.

Every function returns the distance and the normal (east, north, up) there.
"""

from __future__ import annotations

import math

from ..land.raster import Field
from ..land.solids import Facade, Shape, Species
from .compiled import compiled
from .scene import (
    BOX_BASE,
    BOX_COS,
    BOX_EAST,
    BOX_EAVES,
    BOX_FACADE,
    BOX_HALF_LENGTH,
    BOX_HALF_WIDTH,
    BOX_NORTH,
    BOX_RISE,
    BOX_SHAPE,
    BOX_SIN,
    CROWN_BASE,
    CROWN_EAST,
    CROWN_HEIGHT,
    CROWN_NORTH,
    CROWN_RADIUS,
    CROWN_SPECIES,
    Heights,
)

MISS = 1e30
_FLAT, _GABLE, _HIP, _ROUND = (int(shape) for shape in Shape)
_DECK = int(Facade.DECK)
_CONIFER, _SHRUB = int(Species.CONIFER), int(Species.SHRUB)
_DECK_THICKNESS_M, _FOUNDATION_M = 1.4, 30.0

Hit = tuple[float, float, float, float]
"""Distance and normal."""


@compiled
def hash01(a: int, b: int, c: int) -> float:
    """A number in 0..1 that depends on three whole numbers alone."""
    mixed = (a * 73856093) ^ (b * 19349663) ^ (c * 83492791)
    mixed &= 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 16)) * 0x45D9F3B) & 0xFFFFFFFF
    return ((mixed ^ (mixed >> 16)) & 0xFFFFFF) / 16777216.0


@compiled
def height_at(ground: Heights, east_m: float, north_m: float) -> float:
    """Height of the ground above mean sea level; beyond its edge, that of the edge."""
    rows, columns = ground.alt_amsl_m.shape
    column = min(max((east_m - ground.west_m) / ground.spacing_m, 0.0), columns - 1.001)
    row = min(max((ground.north_m - north_m) / ground.spacing_m, 0.0), rows - 1.001)
    left, top = int(column), int(row)
    x, y = column - left, row - top
    upper = ground.alt_amsl_m[top, left] * (1 - x) + ground.alt_amsl_m[top, left + 1] * x
    lower = ground.alt_amsl_m[top + 1, left] * (1 - x) + ground.alt_amsl_m[top + 1, left + 1] * x
    return float(upper * (1 - y) + lower * y)


@compiled
def meet_ground(
    ground: Heights,
    ox: float,
    oy: float,
    oz: float,
    dx: float,
    dy: float,
    dz: float,
    near_m: float,
    far_m: float,
) -> float:
    """The first point of the ground between two distances."""
    above = near_m
    gap_above = oz + dz * near_m - height_at(ground, ox + dx * near_m, oy + dy * near_m)
    if gap_above <= 0.0:
        return near_m
    flat = math.hypot(dx, dy)
    closing = ground.steepest * flat - dz  # nowhere does the ground come nearer faster
    if closing <= 0.0:
        return MISS
    least_m = 0.7 * ground.spacing_m / (flat + 1e-9)
    while above < far_m:
        below = min(far_m, above + max(least_m, gap_above / closing))
        gap_below = oz + dz * below - height_at(ground, ox + dx * below, oy + dy * below)
        if gap_below <= 0.0:
            for _ in range(5):  # regula falsi; the ground is smooth between its nodes
                share = gap_above / (gap_above - gap_below)
                middle = above + (below - above) * share
                gap = oz + dz * middle - height_at(ground, ox + dx * middle, oy + dy * middle)
                if gap > 0.0:
                    above, gap_above = middle, gap
                else:
                    below, gap_below = middle, gap
                if abs(gap) < 1e-3:
                    break
            return above if gap_above < -gap_below else below
        above, gap_above = below, gap_below
    return MISS


@compiled
def meet_box(
    boxes: Field, k: int, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float
) -> Hit:
    """A box with its roof: the part of the ray within all of its planes."""
    cos, sin = float(boxes[k, BOX_COS]), float(boxes[k, BOX_SIN])
    east, north = ox - float(boxes[k, BOX_EAST]), oy - float(boxes[k, BOX_NORTH])
    px, py = east * cos + north * sin, north * cos - east * sin
    vx, vy = dx * cos + dy * sin, dy * cos - dx * sin
    half_x, half_y = float(boxes[k, BOX_HALF_LENGTH]), float(boxes[k, BOX_HALF_WIDTH])
    shape, rise = int(boxes[k, BOX_SHAPE]), float(boxes[k, BOX_RISE])
    pz = oz - float(boxes[k, BOX_EAVES])
    if shape == _ROUND:
        near, nx, ny, nz = _meet_round(px, py, pz, vx, vy, dz, half_x, half_y, rise)
        return near, nx * cos - ny * sin, nx * sin + ny * cos, nz
    near, far = -MISS, MISS
    nx, ny, nz = 0.0, 0.0, 1.0
    tilt = rise / half_y
    sides = 5
    if shape == _GABLE:
        sides = 6
    elif shape == _HIP:
        sides = 8
    for side in range(sides):
        ax, ay, az, reach = 0.0, 0.0, 0.0, 0.0
        if side == 0:
            ax, reach = 1.0, half_x
        elif side == 1:
            ax, reach = -1.0, half_x
        elif side == 2:
            ay, reach = 1.0, half_y
        elif side == 3:
            ay, reach = -1.0, half_y
        elif shape == _FLAT:
            az = 1.0
        elif side == 4:
            ay, az, reach = tilt, 1.0, rise
        elif side == 5:
            ay, az, reach = -tilt, 1.0, rise
        elif side == 6:
            ax, az, reach = tilt, 1.0, tilt * half_x
        else:
            ax, az, reach = -tilt, 1.0, tilt * half_x
        gap = reach - (ax * px + ay * py + az * pz)
        speed = ax * vx + ay * vy + az * dz
        if speed < -1e-12:
            at = gap / speed
            if at > near:
                near, nx, ny, nz = at, ax, ay, az
        elif speed > 1e-12:
            far = min(far, gap / speed)
        elif gap < 0.0:
            return MISS, 0.0, 0.0, 0.0
    if int(boxes[k, BOX_FACADE]) == _DECK:
        under = pz + _DECK_THICKNESS_M
    else:
        under = oz - float(boxes[k, BOX_BASE]) + _FOUNDATION_M
    if dz < -1e-12:
        far = min(far, -under / dz)
    elif dz > 1e-12:
        at = -under / dz
        if at > near:
            near, nx, ny, nz = at, 0.0, 0.0, -1.0
    elif under < 0.0:
        return MISS, 0.0, 0.0, 0.0
    if near > far or near <= 1e-4:
        return MISS, 0.0, 0.0, 0.0
    length = math.sqrt(nx * nx + ny * ny + nz * nz)
    return near, (nx * cos - ny * sin) / length, (nx * sin + ny * cos) / length, nz / length


@compiled
def _meet_round(
    px: float,
    py: float,
    pz: float,
    vx: float,
    vy: float,
    vz: float,
    half_x: float,
    half_y: float,
    rise: float,
) -> Hit:
    """An upright cylinder with a cap, a paraboloid of this rise; z is 0 at the eaves."""
    px, vx, py, vy = px / half_x, vx / half_x, py / half_y, vy / half_y
    a, b, c = vx * vx + vy * vy, px * vx + py * vy, px * px + py * py - 1.0
    # the cap: z = rise * (1 - r2)
    qa, qb, qc = rise * a, rise * b + 0.5 * vz, rise * c + pz
    at = _first_root(qa, qb, qc)
    if at < MISS:
        x, y = px + vx * at, py + vy * at
        if x * x + y * y <= 1.0:
            gx, gy = 2.0 * rise * x / half_x, 2.0 * rise * y / half_y
            length = math.sqrt(gx * gx + gy * gy + 1.0)
            return at, gx / length, gy / length, 1.0 / length
    at = _first_root(a, b, c)
    if at < MISS and pz + vz * at <= 0.0:
        gx, gy = (px + vx * at) / half_x, (py + vy * at) / half_y
        length = math.hypot(gx, gy)
        return at, gx / length, gy / length, 0.0
    return MISS, 0.0, 0.0, 0.0


@compiled
def _first_root(a: float, b: float, c: float) -> float:
    """The smaller positive root of a t² + 2 b t + c at which the ray goes in, from outside."""
    if abs(a) < 1e-9:
        return -0.5 * c / b if b < -1e-12 and c > 0.0 else MISS
    square = b * b - a * c
    if square < 0.0:
        return MISS
    at = (-b - math.sqrt(square)) / a
    return at if at > 1e-4 else MISS


@compiled
def meet_crown(
    crowns: Field,
    k: int,
    bare: bool,
    ox: float,
    oy: float,
    oz: float,
    dx: float,
    dy: float,
    dz: float,
) -> Hit:
    """A lumpy tree: leaves where they are, twigs here and there where it is bare, and its trunk."""
    radius, height = float(crowns[k, CROWN_RADIUS]), float(crowns[k, CROWN_HEIGHT])
    species = int(crowns[k, CROWN_SPECIES])
    px, py = ox - float(crowns[k, CROWN_EAST]), oy - float(crowns[k, CROWN_NORTH])
    pz = oz - float(crowns[k, CROWN_BASE])
    if species == _CONIFER:
        at, nx, ny, nz = _meet_cone(
            px, py, pz - height, dx, dy, dz, radius / (0.92 * height), height
        )
    else:
        half = 0.5 * height if species == _SHRUB else 0.36 * height
        middle = height - half
        at, nx, ny, nz = _meet_lumps(px, py, pz - middle, dx, dy, dz, radius, half, k)
        if bare and at < MISS:
            x, y, z = px + dx * at, py + dy * at, pz + dz * at
            if hash01(math.floor(x * 9.0), math.floor(y * 9.0), int(z * 9.0) + k) > 0.45:
                at = MISS
    trunk, tx, ty = _meet_trunk(px, py, pz, dx, dy, dz, 0.018 * height + 0.06, 0.6 * height)
    if trunk < at:
        return trunk, tx, ty, 0.0
    return at, nx, ny, nz


@compiled
def _meet_lumps(
    px: float,
    py: float,
    pz: float,
    dx: float,
    dy: float,
    dz: float,
    radius: float,
    half: float,
    k: int,
) -> Hit:
    """An ellipsoid, shrunk towards where the ray meets it by lobes and by leaves."""
    size = 1.0
    for turn in range(2):
        sx, sy, sz = 1.0 / (radius * size), 1.0 / (radius * size), 1.0 / (half * size)
        qx, qy, qz, vx, vy, vz = px * sx, py * sy, pz * sz, dx * sx, dy * sy, dz * sz
        a = vx * vx + vy * vy + vz * vz
        at = _first_root(a, qx * vx + qy * vy + qz * vz, qx * qx + qy * qy + qz * qz - 1.0)
        if at >= MISS:
            return MISS, 0.0, 0.0, 0.0
        x, y, z = qx + vx * at, qy + vy * at, qz + vz * at
        if turn == 0:
            around = math.atan2(y, x)
            lobes = math.sin(3.0 * around + k) + 0.7 * math.sin(5.0 * around + 2.3 * k + 4.0 * z)
            size = 0.9 + 0.06 * lobes
    east, north, up = px + dx * at, py + dy * at, pz + dz * at
    cell = 0.1 * radius + 0.08
    i, j, m = (
        math.floor(east / cell),
        math.floor(north / cell),
        math.floor(up / cell),
    )
    nx = x * sx + (hash01(i, j, m + k) - 0.5) * 1.1 / radius
    ny = y * sy + (hash01(j, m, i + k) - 0.5) * 1.1 / radius
    nz = z * sz + (hash01(m, i, j + k) - 0.35) * 1.1 / radius
    length = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
    return at, nx / length, ny / length, nz / length


@compiled
def _meet_cone(
    px: float,
    py: float,
    pz: float,
    dx: float,
    dy: float,
    dz: float,
    slope: float,
    height: float,
) -> Hit:
    """A cone with its tip at the origin, down to 8 % of its height above the ground."""
    k2 = slope * slope
    a = dx * dx + dy * dy - k2 * dz * dz
    b = px * dx + py * dy - k2 * pz * dz
    c = px * px + py * py - k2 * pz * pz
    square = b * b - a * c
    if square < 0.0 or abs(a) < 1e-12:
        return MISS, 0.0, 0.0, 0.0
    root = math.sqrt(square)
    near, far = (-b - root) / a, (-b + root) / a
    if near > far:
        near, far = far, near
    for turn in range(2):
        at = near if turn == 0 else far
        z = pz + dz * at
        if at > 1e-4 and -0.92 * height <= z <= 0.0:
            x, y = px + dx * at, py + dy * at
            tier = hash01(math.floor(z * 1.1), math.floor(4.0 * math.atan2(y, x)), 7)
            nz = slope * math.hypot(x, y) + (tier - 0.4) * 0.5 * slope * abs(z)
            length = math.sqrt(x * x + y * y + nz * nz) + 1e-9
            return at, x / length, y / length, nz / length
    return MISS, 0.0, 0.0, 0.0


@compiled
def _meet_trunk(
    px: float,
    py: float,
    pz: float,
    dx: float,
    dy: float,
    dz: float,
    radius: float,
    height: float,
) -> tuple[float, float, float]:
    a = dx * dx + dy * dy
    if a < 1e-6:
        return MISS, 0.0, 0.0
    at = _first_root(a, px * dx + py * dy, px * px + py * py - radius * radius)
    if at >= MISS or not 0.0 <= pz + dz * at <= height:
        return MISS, 0.0, 0.0
    return at, (px + dx * at) / radius, (py + dy * at) / radius
