"""Where a ray meets a box with its roof, a tank, a bridge."""

from __future__ import annotations

import math

from ..land.raster import Field
from ..land.solids import Facade, Shape
from .compiled import compiled
from .hit import MISS, Hit, first_root
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
)

_FLAT, _GABLE, _HIP, _ROUND = (int(shape) for shape in Shape)
_DECK = int(Facade.DECK)
_DECK_THICKNESS_M, _FOUNDATION_M = 1.4, 30.0


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
    at = first_root(qa, qb, qc)
    if at < MISS:
        x, y = px + vx * at, py + vy * at
        if x * x + y * y <= 1.0:
            gx, gy = 2.0 * rise * x / half_x, 2.0 * rise * y / half_y
            length = math.sqrt(gx * gx + gy * gy + 1.0)
            return at, gx / length, gy / length, 1.0 / length
    at = first_root(a, b, c)
    if at < MISS and pz + vz * at <= 0.0:
        gx, gy = (px + vx * at) / half_x, (py + vy * at) / half_y
        length = math.hypot(gx, gy)
        return at, gx / length, gy / length, 0.0
    return MISS, 0.0, 0.0, 0.0
