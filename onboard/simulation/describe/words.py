"""The vocabulary: compass points, directions of lines, numbers, colours, lists."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..land.raster import Floats

# unhyphenated: CLIP reads "northwest" as one token, "north-west" as three
_WINDS = (
    "east",
    "northeast",
    "north",
    "northwest",
    "west",
    "southwest",
    "south",
    "southeast",
)
SIDES = ("north", "east", "south", "west")
_AXES = (
    "west to east",
    "southwest to northeast",
    "north to south",
    "northwest to southeast",
)
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def wind(east: float, north: float) -> str:
    """The compass point of a direction."""
    return _WINDS[round(math.atan2(north, east) / (math.pi / 4.0)) % 8]


def axis(angle: float) -> str:
    """The course of a line at an angle from east, anticlockwise, whichever way one goes."""
    return _AXES[axis_index(angle)]


def axis_index(angle: float) -> int:
    """0..3: lines with the same index have the same course in words."""
    return round(angle / (math.pi / 4.0)) % 4


def ern(point: str) -> str:
    """The adjective of a compass point."""
    return point + "ern"


def article(noun: str) -> str:
    """The indefinite one."""
    return "an" if noun[0] in "aeiou" else "a"


def number(count: int) -> str:
    """A number below ten; larger ones nobody counts."""
    return _NUMBERS[count] if count < len(_NUMBERS) else "many"


def tone(rgb: Floats) -> str:
    """What a person calls the colour [3] of a roof, in 0..1."""
    level, spread = float(rgb.mean()), float(np.ptp(rgb) / max(rgb.max(), 1e-6))
    if rgb[0] == rgb.max() and spread > 0.22:
        return "red" if spread > 0.32 else "brown"
    return "pale" if level > 0.7 else "grey" if level > 0.43 else "slate"


def common_tone(colours: Floats, share: float = 0.7) -> str:
    """The tone of most of the colours [N, 3], or nothing."""
    tones = [tone(rgb) for rgb in colours]
    for name in dict.fromkeys(tones):
        if tones.count(name) >= share * len(tones):
            return name
    return ""


def listed(phrases: Sequence[str]) -> str:
    """One, two and three."""
    if len(phrases) == 1:
        return phrases[0]
    return ", ".join(phrases[:-1]) + " and " + phrases[-1]
