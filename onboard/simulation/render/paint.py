"""What things are painted with: the ground, roofs and walls, leaves; wet, mirroring, lit inside."""

from __future__ import annotations

import math

from ..land.ground import Ground
from ..land.solids import Facade, Shape
from .compiled import compiled
from .day import Light
from .facade import wall_colour
from .ground_picture import UNDER_DECK, cover_at, is_painted, texel
from .hit import hash01
from .noise import value_noise
from .scene import (
    BOX_BASE,
    BOX_COS,
    BOX_EAST,
    BOX_EAVES,
    BOX_FACADE,
    BOX_HALF_LENGTH,
    BOX_HALF_WIDTH,
    BOX_NORTH,
    BOX_RED,
    BOX_SEAM,
    BOX_SHAPE,
    BOX_SIN,
    CROWN_BASE,
    CROWN_HEIGHT,
    CROWN_RED,
    Scene,
)
from .trace import BOX, CROWN, GROUND, trace

_WATER = int(Ground.WATER)
_ROUGHEST = int(Ground.FOREST)
_DECK = int(Facade.DECK)
_FLAT = int(Shape.FLAT)


@compiled
def paint(
    scene: Scene,
    light: Light,
    kind: int,
    index: int,
    x: float,
    y: float,
    z: float,
    nx: float,
    ny: float,
    nz: float,
    facing: float,
    wide: float,
) -> tuple[float, float, float, float, float]:
    """Linear colour of what was met, how much it mirrors and how much it glows at night."""
    mirror, glow = 0.0, 0.0
    if kind == GROUND:
        stretched = wide / math.sqrt(max(facing, 0.06))
        red, green, blue, mirror = _ground(scene, light, x, y, z, stretched)
    elif kind == BOX:
        red, green, blue, glow = _box(scene, index, x, y, z, nx, ny, nz, wide)
    elif kind == CROWN:
        red, green, blue = _crown(scene, index, x, y, z, nz)
    else:
        red, green, blue = _outside(x, y)
    return red * red, green * green, blue * blue, mirror, glow


@compiled
def _ground(
    scene: Scene, light: Light, x: float, y: float, z: float, wide: float
) -> tuple[float, float, float, float]:
    """The ground's colour, and how much it mirrors."""
    if not is_painted(scene, x, y):
        red, green, blue = _outside(x, y)
        return red, green, blue, 0.0
    red, green, blue = texel(scene.texture, x, y, wide)
    cover = cover_at(scene, x, y)
    if cover >= UNDER_DECK:
        cover -= UNDER_DECK
        above = trace(scene, light.bare, True, x, y, z + 0.05, 0.0, 0.0, 1.0)
        if above[1] == BOX:
            red, green, blue = 0.20, 0.25, 0.24
    mirror = 1.0 if cover == _WATER else 0.0
    if mirror == 0.0 and wide < 0.5 * scene.texture.gsd_m:
        grain = 0.22 if cover <= _ROUGHEST else 0.10
        fine = value_noise(x * 2.3, y * 2.3, 21) + value_noise(x * 9.0, y * 9.0, 22)
        if wide < 0.06:
            fine += value_noise(x * 40.0, y * 40.0, 23) - 0.5
        shade = 1.0 + grain * (fine - 1.0)
        red, green, blue = red * shade, green * shade, blue * shade
    if light.wet > 0.0 and mirror == 0.0:
        dark = 1.0 - 0.28 * light.wet
        red, green, blue = red * dark, green * dark, blue * dark
        if cover > _ROUGHEST:
            mirror = (
                0.5 * light.wet * min(max(3.0 * value_noise(x / 6.0, y / 6.0, 31) - 1.0, 0.1), 1.0)
            )
    return red, green, blue, mirror


@compiled
def _box(
    scene: Scene,
    index: int,
    x: float,
    y: float,
    z: float,
    nx: float,
    ny: float,
    nz: float,
    wide: float,
) -> tuple[float, float, float, float]:
    """Roof or wall of a box, and its light at night."""
    boxes = scene.boxes
    red, green = float(boxes[index, BOX_RED]), float(boxes[index, BOX_RED + 1])
    blue = float(boxes[index, BOX_RED + 2])
    cos, sin = float(boxes[index, BOX_COS]), float(boxes[index, BOX_SIN])
    east, north = x - float(boxes[index, BOX_EAST]), y - float(boxes[index, BOX_NORTH])
    along, across = east * cos + north * sin, north * cos - east * sin
    facade = int(boxes[index, BOX_FACADE])
    if nz < 0.2:
        u = north * nx - east * ny
        up = z - float(boxes[index, BOX_BASE])
        return wall_colour(facade, index, red, green, blue, u + 100.0, up, wide)
    if facade == _DECK:
        red, green, blue = texel(scene.texture, x, y, wide)
        return red, green, blue, 0.0
    light = 0.95 + 0.1 * value_noise(along * 0.5, across * 0.5, index)
    seam = float(boxes[index, BOX_SEAM])
    if seam > 0.0 and wide < seam:
        light *= 0.9 if along - seam * math.floor(along / seam) < 0.35 else 1.02
    if int(boxes[index, BOX_SHAPE]) == _FLAT:
        edge = min(
            float(boxes[index, BOX_HALF_LENGTH]) - abs(along),
            float(boxes[index, BOX_HALF_WIDTH]) - abs(across),
        )
        tall = boxes[index, BOX_EAVES] - boxes[index, BOX_BASE] > 5.0
        if tall and edge < 0.5:
            light *= 1.16
    elif wide < 0.15:
        rows = value_noise(along * 4.0, across * 3.0, index + 7)
        light *= 0.92 + 0.16 * rows
    return red * light, green * light, blue * light, 0.0


@compiled
def _crown(
    scene: Scene, index: int, x: float, y: float, z: float, nz: float
) -> tuple[float, float, float]:
    """Leaves, darker low in the crown; bark."""
    crowns = scene.crowns
    depth = (z - float(crowns[index, CROWN_BASE])) / float(crowns[index, CROWN_HEIGHT])
    if nz == 0.0:
        return 0.30, 0.25, 0.20
    leaf = 0.8 + 0.4 * hash01(int(x * 2.5), int(y * 2.5), int(z * 2.5) + index)
    light = (0.55 + 0.45 * min(max(depth, 0.0), 1.0)) * leaf
    return (
        float(crowns[index, CROWN_RED]) * light,
        float(crowns[index, CROWN_RED + 1]) * light,
        float(crowns[index, CROWN_RED + 2]) * light,
    )


@compiled
def _outside(x: float, y: float) -> tuple[float, float, float]:
    """Land beyond the map: patches of fields."""
    patch = hash01(math.floor(x / 210.0 + y / 900.0), math.floor(y / 170.0), 41)
    broad = value_noise(x / 800.0, y / 800.0, 42)
    return 0.36 + 0.14 * patch, 0.40 + 0.10 * patch * broad, 0.27 + 0.10 * patch
