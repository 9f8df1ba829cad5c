"""The light that comes along a ray: what it meets, in the sun, under the sky, through the air."""

from __future__ import annotations

import math

from ..land.ground import Ground
from ..land.solids import Facade, Shape
from .compiled import compiled
from .day import Light
from .facade import wall_colour
from .ground_picture import UNDER_DECK, cover_at, is_painted, lamp_at, texel
from .hit import MISS, hash01
from .noise import cloud_at, value_noise
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
from .sky import CLOUD_BASE_M, sky_colour
from .trace import BOX, CROWN, GROUND, SKY, trace

_WATER = int(Ground.WATER)
_ROUGHEST = int(Ground.FOREST)
_DECK = int(Facade.DECK)
_FLAT = int(Shape.FLAT)

Seen = tuple[float, float, float, float, int, int]
"""Linear red, green, blue; distance in metres; kind and index of what was met."""


@compiled
def look_along(
    scene: Scene,
    light: Light,
    ox: float,
    oy: float,
    oz: float,
    dx: float,
    dy: float,
    dz: float,
    width_m: float,
    spread: float,
    haze: float,
) -> Seen:
    """What is seen along a ray that is `width_m` wide at its origin and `spread` wider per metre.

    `haze` is the extinction per metre.
    """
    at, kind, index, nx, ny, nz = trace(scene, light.bare, False, ox, oy, oz, dx, dy, dz)
    if kind == SKY:
        red, green, blue = sky_colour(light, dx, dy, dz)
        return red, green, blue, MISS, SKY, 0
    x, y, z = ox + dx * at, oy + dy * at, oz + dz * at
    wide = width_m + spread * at
    mirror, glow = 0.0, 0.0
    if kind == GROUND:
        nx, ny, nz = _slope(scene, x, y)
        stretched = wide / math.sqrt(max(-(dx * nx + dy * ny + dz * nz), 0.06))
        red, green, blue, mirror = _ground(scene, light, x, y, z, stretched)
        if mirror > 0.0:
            facing = max(-(dx * nx + dy * ny + dz * nz), 0.0)
            ripple = 0.04 if wide < 2.0 else 0.015
            nx += ripple * (value_noise(x * 1.3, y * 1.3, 3) - 0.5)
            ny += ripple * (value_noise(x * 1.3, y * 1.3, 4) - 0.5)
            mirror *= 0.03 + 0.97 * (1.0 - facing) ** 5
    elif kind == BOX:
        red, green, blue, glow = _box(scene, index, x, y, z, nx, ny, nz, wide)
    elif kind == CROWN:
        red, green, blue = _crown(scene, index, x, y, z, nz)
    else:
        red, green, blue = _outside(x, y)
    red, green, blue = red * red, green * green, blue * blue
    sun_r, sun_g, sun_b = _sunlight(scene, light, kind, x, y, z, nx, ny, nz)
    above = 0.62 + 0.38 * nz
    lamp = 0.0
    if light.lamps > 0.0:
        lamp = 0.30 * light.lamps * lamp_at(scene, x, y) * (0.5 + 0.5 * abs(nz))
    red *= sun_r + light.sky[0] * above + 1.0 * lamp
    green *= sun_g + light.sky[1] * above + 0.78 * lamp
    blue *= sun_b + light.sky[2] * above + 0.45 * lamp
    if glow > 0.0 and light.lamps > 0.0:
        red, green, blue = red + 0.50 * glow, green + 0.38 * glow, blue + 0.2 * glow
    if mirror > 0.0:
        rx, ry, rz = _reflect(dx, dy, dz, nx, ny, nz)
        sky_r, sky_g, sky_b = sky_colour(light, rx, ry, rz)
        red, green = red + (sky_r - red) * mirror, green + (sky_g - green) * mirror
        blue += (sky_b - blue) * mirror
    clear = math.exp(-haze * at)
    return (
        red * clear + light.horizon[0] * (1.0 - clear),
        green * clear + light.horizon[1] * (1.0 - clear),
        blue * clear + light.horizon[2] * (1.0 - clear),
        at,
        kind,
        index,
    )


@compiled
def _reflect(
    dx: float, dy: float, dz: float, nx: float, ny: float, nz: float
) -> tuple[float, float, float]:
    twice = 2.0 * (dx * nx + dy * ny + dz * nz)
    return dx - twice * nx, dy - twice * ny, abs(dz - twice * nz)


@compiled
def _slope(scene: Scene, x: float, y: float) -> tuple[float, float, float]:
    """The normal of the patch of ground between four nodes."""
    ground = scene.ground
    rows, columns = ground.alt_amsl_m.shape
    column = min(max((x - ground.west_m) / ground.spacing_m, 0.0), columns - 1.001)
    row = min(max((ground.north_m - y) / ground.spacing_m, 0.0), rows - 1.001)
    left, top = int(column), int(row)
    u, v = column - left, row - top
    a, b = ground.alt_amsl_m[top, left], ground.alt_amsl_m[top, left + 1]
    c, d = ground.alt_amsl_m[top + 1, left], ground.alt_amsl_m[top + 1, left + 1]
    east = ((a - b) * (1.0 - v) + (c - d) * v) / ground.spacing_m
    north = ((c - a) * (1.0 - u) + (d - b) * u) / ground.spacing_m
    length = math.sqrt(east * east + north * north + 1.0)
    return east / length, north / length, 1.0 / length


@compiled
def _sunlight(
    scene: Scene,
    light: Light,
    kind: int,
    x: float,
    y: float,
    z: float,
    nx: float,
    ny: float,
    nz: float,
) -> tuple[float, float, float]:
    """The direct light on a surface: none in shadow."""
    facing = nx * light.sun_east + ny * light.sun_north + nz * light.sun_up
    if kind == CROWN:  # leaves let light through
        facing = 0.35 * light.sun_up + 0.65 * max(facing, 0.0)
    if facing <= 0.0 or light.sun[1] <= 0.0:
        return 0.0, 0.0, 0.0
    if light.broken_clouds > 0.0:
        reach = (CLOUD_BASE_M - z) / light.sun_up
        cloud = cloud_at(
            x + light.sun_east * reach,
            y + light.sun_north * reach,
            light.broken_clouds,
            light.cloud_seed,
        )
        facing *= 1.0 - 0.85 * cloud
    lift = 0.6 if kind == CROWN else 0.03
    met = trace(
        scene,
        light.bare,
        True,
        x + nx * lift + light.sun_east * lift,
        y + ny * lift + light.sun_north * lift,
        z + nz * lift + light.sun_up * lift,
        light.sun_east,
        light.sun_north,
        light.sun_up,
    )
    if met[1] != SKY:
        through = 0.12 if met[1] == CROWN else 0.0
        facing *= through
    return light.sun[0] * facing, light.sun[1] * facing, light.sun[2] * facing


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
