"""The colours of walls: floors of windows, shop fronts, glass, ribs, bricks."""

from __future__ import annotations

import math

from ..land.solids import Facade
from .compiled import compiled
from .hit import hash01

_PLAIN, _HOUSE, _FLATS, _SHOPS, _GLASS, _HALL, _BRICK, _DECK = (int(kind) for kind in Facade)

Wall = tuple[float, float, float, float]
"""sRGB in 0..1, and how much light comes out at night."""


@compiled
def wall_colour(
    kind: int,
    index: int,
    red: float,
    green: float,
    blue: float,
    along_m: float,
    up_m: float,
    width_m: float,
) -> Wall:
    """The wall of box `index` at a place along it and above its foot, seen `width_m` wide."""
    if kind == _PLAIN:
        if up_m < 0.28:  # wheels, feet, shadow
            return 0.12, 0.12, 0.13, 0.0
        return 0.85 * red, 0.85 * green, 0.85 * blue, 0.0
    if kind == _DECK:
        return 0.60, 0.59, 0.56, 0.0
    tone = hash01(index, 5, 1)
    red, green, blue = _render(kind, tone, hash01(index, 5, 2))
    floor_m, pitch_m, wide, tall = 2.8, 3.0, 0.40, 0.48
    if kind == _FLATS:
        floor_m, pitch_m, wide, tall = 2.8, 3.4, 0.52, 0.5
    elif kind == _SHOPS:
        floor_m, pitch_m, wide, tall = 3.2, 2.6, 0.42, 0.55
    elif kind == _GLASS:
        floor_m, pitch_m, wide, tall = 3.5, 1.5, 0.88, 0.72
    elif kind == _HALL:
        floor_m, pitch_m, wide, tall = 6.0, 7.0, 0.55, 0.16
    floor, bay = math.floor(up_m / floor_m), math.floor(along_m / pitch_m)
    v, u = up_m / floor_m - floor, along_m / pitch_m - bay
    if kind == _SHOPS and floor == 0:
        wide, tall = 0.86, 0.72
    sharp = min(max(1.6 - 2.0 * width_m / pitch_m, 0.0), 1.0)
    inside = abs(u - 0.5) < 0.5 * wide and abs(v - 0.52) < 0.5 * tall and up_m > 0.4
    is_door = floor == 0 and hash01(index, bay, 9) > 0.8 and abs(u - 0.5) < 0.2 and v < 0.75
    glass = 1.0 if inside or is_door else 0.0
    share = sharp * glass + (1.0 - sharp) * wide * tall
    lit = 1.0 if hash01(index * 31 + bay, floor, 3) > 0.66 else 0.0
    pane = 0.13 + 0.10 * hash01(index + bay, floor, 4)
    if sharp > 0.5 and kind != _GLASS:
        red, green, blue = _weather(kind, red, green, blue, along_m, up_m, width_m)
    return (
        red + (pane - red) * share,
        green + (pane + 0.02 - green) * share,
        blue + (pane + 0.05 - blue) * share,
        share * (sharp * lit + (1.0 - sharp) * 0.34),
    )


@compiled
def _render(kind: int, tone: float, hue: float) -> tuple[float, float, float]:
    """The colour of the wall itself."""
    if kind == _BRICK:
        return 0.50 + 0.12 * tone, 0.30 + 0.08 * tone, 0.24 + 0.06 * tone
    if kind == _HALL:
        level = 0.52 + 0.28 * tone
        return level, level + 0.01, level + 0.02 + 0.06 * hue
    if kind == _GLASS:
        return 0.42 + 0.1 * tone, 0.46 + 0.1 * tone, 0.5 + 0.1 * tone
    level = 0.60 + 0.28 * tone
    return level + 0.04 * hue, level - 0.03 * hue, level - 0.05 - 0.16 * hue


@compiled
def _weather(
    kind: int,
    red: float,
    green: float,
    blue: float,
    along_m: float,
    up_m: float,
    width_m: float,
) -> tuple[float, float, float]:
    """Courses of bricks, ribs of sheet, stains."""
    light = 0.94 + 0.12 * hash01(int(along_m * 1.5), int(up_m * 0.7), 11)
    if up_m < 0.5:
        light *= 0.82
    if kind == _HALL and width_m < 0.5:
        light *= 0.93 if along_m - math.floor(along_m) < 0.3 else 1.0
    elif kind == _BRICK and width_m < 0.06:
        course = math.floor(up_m / 0.075)
        joint = up_m / 0.075 - course < 0.13
        light *= 1.12 if joint else 0.9 + 0.2 * hash01(int(along_m / 0.24), course, 12)
    return red * light, green * light, blue * light
