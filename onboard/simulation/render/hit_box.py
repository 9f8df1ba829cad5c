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

_FLAT, _, _HIP, _ROUND = (int(shape) for shape in Shape)
_DECK = int(Facade.DECK)
Part = tuple[float, float, float, float, float]
"""From where to where a ray is inside, and the outward normal, of any length, where it goes in."""

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
    if int(boxes[k, BOX_FACADE]) == _DECK:
        under = pz + _DECK_THICKNESS_M
    else:
        under = oz - float(boxes[k, BOX_BASE]) + _FOUNDATION_M
    part = _between_walls(px, py, vx, vy, half_x, half_y)
    if part[0] > part[1]:
        return MISS, 0.0, 0.0, 0.0
    tilt = rise / half_y
    if shape == _FLAT:
        part = _below(part, 0.0, 0.0, 1.0, -pz, dz)
    else:
        part = _below(part, 0.0, tilt, 1.0, rise - pz - tilt * py, dz + tilt * vy)
        part = _below(part, 0.0, -tilt, 1.0, rise - pz + tilt * py, dz - tilt * vy)
    if shape == _HIP:
        part = _below(part, tilt, 0.0, 1.0, tilt * (half_x - px) - pz, dz + tilt * vx)
        part = _below(part, -tilt, 0.0, 1.0, tilt * (half_x + px) - pz, dz - tilt * vx)
    near, far, nx, ny, nz = _below(part, 0.0, 0.0, -1.0, under, -dz)
    if near > far or near <= 1e-4:
        return MISS, 0.0, 0.0, 0.0
    length = math.sqrt(nx * nx + ny * ny + nz * nz)
    return near, (nx * cos - ny * sin) / length, (nx * sin + ny * cos) / length, nz / length


@compiled
def _between_walls(
    px: float, py: float, vx: float, vy: float, half_x: float, half_y: float
) -> Part:
    """The part between four walls; nothing where it begins after its end."""
    near, far = -MISS, MISS
    nx, ny, nz = 0.0, 0.0, 1.0
    if abs(vx) > 1e-12:
        middle, reach = -px / vx, half_x / abs(vx)
        near, far, nx, nz = middle - reach, middle + reach, math.copysign(1.0, -vx), 0.0
    elif abs(px) > half_x:
        far = -MISS
    if abs(vy) > 1e-12:
        middle, reach = -py / vy, half_y / abs(vy)
        far = min(far, middle + reach)
        if middle - reach > near:
            near, nx, ny, nz = middle - reach, 0.0, math.copysign(1.0, -vy), 0.0
    elif abs(py) > half_y:
        far = -MISS
    return near, far, nx, ny, nz


@compiled
def _below(part: Part, nx: float, ny: float, nz: float, gap: float, speed: float) -> Part:
    """What is left of a part below a plane: the ray's origin is `gap` below it and comes nearer
    by `speed` a metre."""
    near, far = part[0], part[1]
    if speed < -1e-12:
        if gap / speed > near:
            return gap / speed, far, nx, ny, nz
    elif speed > 1e-12:
        far = min(far, gap / speed)
    elif gap < 0.0:
        far = -MISS
    return near, far, part[2], part[3], part[4]


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
