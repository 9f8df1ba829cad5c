"""Where a ray meets a tree: leaves, twigs, trunk."""

from __future__ import annotations

import math

from ..land.raster import Field
from ..land.solids import Species
from .compiled import compiled
from .hit import MISS, Hit, first_root, hash01
from .scene import (
    CROWN_BASE,
    CROWN_EAST,
    CROWN_HEIGHT,
    CROWN_NORTH,
    CROWN_RADIUS,
    CROWN_SPECIES,
)

_CONIFER, _SHRUB = int(Species.CONIFER), int(Species.SHRUB)


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
        at = first_root(a, qx * vx + qy * vy + qz * vz, qx * qx + qy * qy + qz * qz - 1.0)
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
    at = first_root(a, px * dx + py * dy, px * px + py * py - radius * radius)
    if at >= MISS or not 0.0 <= pz + dz * at <= height:
        return MISS, 0.0, 0.0
    return at, (px + dx * at) / radius, (py + dy * at) / radius
