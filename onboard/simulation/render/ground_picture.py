"""What the ground's rasters say of a place: colour, cover, lamps."""

from __future__ import annotations

from .compiled import compiled
from .scene import Scene, Texture

UNDER_DECK = 128
_SQRT2 = 2.0**0.5
LAMP_CELL_M = 4.0


@compiled
def texel(
    texture: Texture, east_m: float, north_m: float, width_m: float
) -> tuple[float, float, float]:
    """The ground's colour, sRGB in 0..1, averaged over about `width_m`."""
    per_m, level = 1.0 / texture.gsd_m, 0
    while width_m * per_m > _SQRT2 and level < texture.levels.shape[0] - 1:
        per_m, level = 0.5 * per_m, level + 1
    first = texture.levels[level, 0]
    height, width = texture.levels[level, 1], texture.levels[level, 2]
    column = min(max((east_m - texture.west_m) * per_m - 0.5, 0.0), width - 1.001)
    row = min(max((texture.north_m - north_m) * per_m - 0.5, 0.0), height - 1.001)
    left, top = int(column), int(row)
    x, y = column - left, row - top
    a = first + top * width + left
    b = a + width
    wa, wb, wc, wd = (1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y
    t = texture.texels
    scale = 1.0 / 255.0
    red = (t[a, 0] * wa + t[a + 1, 0] * wb + t[b, 0] * wc + t[b + 1, 0] * wd) * scale
    green = (t[a, 1] * wa + t[a + 1, 1] * wb + t[b, 1] * wc + t[b + 1, 1] * wd) * scale
    blue = (t[a, 2] * wa + t[a + 1, 2] * wb + t[b, 2] * wc + t[b + 1, 2] * wd) * scale
    return red, green, blue


@compiled
def cover_at(scene: Scene, east_m: float, north_m: float) -> int:
    """What the ground is made of; 128 more below a bridge."""
    height, width = scene.cover.shape
    column = int((east_m - scene.texture.west_m) / scene.texture.gsd_m)
    row = int((scene.texture.north_m - north_m) / scene.texture.gsd_m)
    return int(scene.cover[min(max(row, 0), height - 1), min(max(column, 0), width - 1)])


@compiled
def is_painted(scene: Scene, east_m: float, north_m: float) -> bool:
    """Whether the picture of the ground reaches there; the ground itself goes on a little."""
    height, width = scene.cover.shape
    column = (east_m - scene.texture.west_m) / scene.texture.gsd_m
    row = (scene.texture.north_m - north_m) / scene.texture.gsd_m
    return bool(0.0 <= column < width and 0.0 <= row < height)


@compiled
def lamp_at(scene: Scene, east_m: float, north_m: float) -> float:
    """Light of street lamps on the ground, 0..1."""
    height, width = scene.lamps.shape
    column = (east_m - scene.texture.west_m) / LAMP_CELL_M - 0.5
    row = (scene.texture.north_m - north_m) / LAMP_CELL_M - 0.5
    if not (0.0 <= column < width - 1 and 0.0 <= row < height - 1):
        return 0.0
    left, top = int(column), int(row)
    x, y = column - left, row - top
    upper = scene.lamps[top, left] * (1 - x) + scene.lamps[top, left + 1] * x
    lower = scene.lamps[top + 1, left] * (1 - x) + scene.lamps[top + 1, left + 1] * x
    return float((upper * (1 - y) + lower * y) / 255.0)
