"""The light that comes along a ray: `meet`, then `sun_share`, then `colour`."""

from __future__ import annotations

import math

from .compiled import compiled
from .day import Light, Rgb
from .ground_picture import lamp_at
from .noise import cloud_at, value_noise
from .paint import paint
from .scene import Scene
from .sky import CLOUD_BASE_M, sky_colour
from .trace import CROWN, GROUND, SKY, Met, trace


@compiled
def meet(
    scene: Scene, light: Light, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float
) -> Met:
    """What a ray meets first, with the slope of the ground."""
    at, kind, index, nx, ny, nz = trace(scene, light.bare, False, ox, oy, oz, dx, dy, dz)
    if kind == GROUND:
        nx, ny, nz = _slope(scene, ox + dx * at, oy + dy * at)
    return at, kind, index, nx, ny, nz


@compiled
def colour(
    scene: Scene,
    light: Light,
    ox: float,
    oy: float,
    oz: float,
    dx: float,
    dy: float,
    dz: float,
    met: Met,
    share: float,
    wide: float,
    haze: float,
) -> Rgb:
    """The light from what was met, on which a `share` of the sun shines; the ray is `wide` there,
    and the air takes `haze` of it per metre."""
    at, kind, index, nx, ny, nz = met
    if kind == SKY:
        return sky_colour(light, dx, dy, dz)
    x, y, z = ox + dx * at, oy + dy * at, oz + dz * at
    red, green, blue, mirror, glow = paint(
        scene, light, kind, index, x, y, z, nx, ny, nz, -(dx * nx + dy * ny + dz * nz), wide
    )
    red, green, blue = _under_light(scene, light, share, x, y, nz, red, green, blue)
    if glow > 0.0 and light.lamps > 0.0:
        red, green, blue = red + 0.50 * glow, green + 0.38 * glow, blue + 0.2 * glow
    if mirror > 0.0:
        sky_r, sky_g, sky_b, mirrored = _mirrored(light, x, y, dx, dy, dz, nx, ny, nz, wide)
        mirrored *= mirror
        red, green = red + (sky_r - red) * mirrored, green + (sky_g - green) * mirrored
        blue += (sky_b - blue) * mirrored
    clear = math.exp(-haze * at)
    return (
        red * clear + light.horizon[0] * (1.0 - clear),
        green * clear + light.horizon[1] * (1.0 - clear),
        blue * clear + light.horizon[2] * (1.0 - clear),
    )


@compiled
def _under_light(
    scene: Scene,
    light: Light,
    share: float,
    x: float,
    y: float,
    nz: float,
    red: float,
    green: float,
    blue: float,
) -> Rgb:
    """A colour under a share of the sun, the sky and the lamps."""
    above, lamp = 0.62 + 0.38 * nz, 0.0
    if light.lamps > 0.0:
        lamp = 0.30 * light.lamps * lamp_at(scene, x, y) * (0.5 + 0.5 * abs(nz))
    return (
        red * (light.sun[0] * share + light.sky[0] * above + 1.0 * lamp),
        green * (light.sun[1] * share + light.sky[1] * above + 0.78 * lamp),
        blue * (light.sun[2] * share + light.sky[2] * above + 0.45 * lamp),
    )


@compiled
def _mirrored(
    light: Light,
    x: float,
    y: float,
    dx: float,
    dy: float,
    dz: float,
    nx: float,
    ny: float,
    nz: float,
    wide: float,
) -> tuple[float, float, float, float]:
    """The sky in rippled water, and how much of it is seen (Schlick 1994)."""
    facing = max(-(dx * nx + dy * ny + dz * nz), 0.0)
    ripple = 0.04 if wide < 2.0 else 0.015
    nx += ripple * (value_noise(x * 1.3, y * 1.3, 3) - 0.5)
    ny += ripple * (value_noise(x * 1.3, y * 1.3, 4) - 0.5)
    rx, ry, rz = _reflect(dx, dy, dz, nx, ny, nz)
    red, green, blue = sky_colour(light, rx, ry, rz)
    return red, green, blue, 0.03 + 0.97 * (1.0 - facing) ** 5


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
def sun_share(
    scene: Scene,
    light: Light,
    ox: float,
    oy: float,
    oz: float,
    dx: float,
    dy: float,
    dz: float,
    met: Met,
) -> float:
    """How much of the sun's light reaches what was met: by its slope, between clouds, past what
    stands in the way."""
    facing = facing_sun(light, met)
    if facing <= 0.0:
        return 0.0
    x, y, z = ox + dx * met[0], oy + dy * met[0], oz + dz * met[0]
    return facing * past_clouds(light, x, y, z) * past_solids(scene, light, x, y, z, met)


@compiled
def facing_sun(light: Light, met: Met) -> float:
    """The cosine between a surface and the sun; leaves let light through. 0 where there is none."""
    _, kind, _, nx, ny, nz = met
    if kind == SKY or light.sun[1] <= 0.0:
        return 0.0
    facing = nx * light.sun_east + ny * light.sun_north + nz * light.sun_up
    if kind == CROWN:
        return 0.35 * light.sun_up + 0.65 * max(facing, 0.0)
    return max(facing, 0.0)


@compiled
def past_clouds(light: Light, x: float, y: float, z: float) -> float:
    """How much of the sun's light comes through broken clouds."""
    if light.broken_clouds <= 0.0:
        return 1.0
    reach = (CLOUD_BASE_M - z) / light.sun_up
    east, north = x + light.sun_east * reach, y + light.sun_north * reach
    return 1.0 - 0.85 * cloud_at(east, north, light.broken_clouds, light.cloud_seed)


@compiled
def past_solids(scene: Scene, light: Light, x: float, y: float, z: float, met: Met) -> float:
    """How much of the sun's light comes past all that stands between: none, or a little."""
    lift = 0.6 if met[1] == CROWN else 0.03
    between = trace(
        scene,
        light.bare,
        True,
        x + met[3] * lift + light.sun_east * lift,
        y + met[4] * lift + light.sun_north * lift,
        z + met[5] * lift + light.sun_up * lift,
        light.sun_east,
        light.sun_north,
        light.sun_up,
    )
    if between[1] == SKY:
        return 1.0
    return 0.12 if between[1] == CROWN else 0.0
