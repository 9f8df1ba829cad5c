"""The colours that things have by season, as sRGB levels; a pair is what texture mixes between."""

from __future__ import annotations

from enum import Enum

import numpy as np

from .ground import Ground
from .raster import Field
from .solids import Species

_Pair = tuple[tuple[int, int, int], tuple[int, int, int]]


class Season(Enum):
    """What stands on the fields and hangs on the trees."""

    SUMMER = "summer"
    AUTUMN = "autumn"
    WINTER = "winter"


_MINERAL: dict[Ground, _Pair] = {
    Ground.CLAY: ((164, 98, 76), (178, 112, 90)),
    Ground.PAVING: ((160, 154, 144), (182, 175, 163)),
    Ground.ASPHALT: ((104, 106, 109), (122, 123, 124)),
    Ground.STREET: ((116, 117, 118), (138, 137, 135)),
    Ground.CAR_PARK: ((108, 110, 113), (132, 132, 131)),
    Ground.CONCRETE: ((156, 153, 146), (186, 181, 170)),
    Ground.TRACK: ((160, 144, 116), (186, 170, 142)),
    Ground.PATH: ((182, 170, 146), (202, 192, 170)),
    Ground.BARE: ((150, 124, 98), (184, 162, 132)),
    Ground.WATER: ((46, 62, 58), (60, 78, 72)),
    Ground.BRIDGE: ((176, 174, 168), (192, 190, 184)),
    Ground.BALLAST: ((122, 112, 104), (142, 132, 122)),
    Ground.SLEEPERS: ((92, 84, 78), (112, 102, 94)),
    Ground.SAND: ((206, 192, 158), (222, 210, 180)),
    Ground.ROCK: ((166, 158, 146), (202, 194, 180)),
}
_GREEN: dict[Ground, tuple[_Pair, _Pair, _Pair]] = {
    Ground.MEADOW: (
        ((101, 114, 73), (150, 147, 108)),
        ((106, 110, 75), (149, 138, 104)),
        ((105, 103, 80), (138, 128, 107)),
    ),
    Ground.LAWN: (
        ((96, 113, 73), (132, 136, 96)),
        ((99, 110, 73), (134, 127, 93)),
        ((100, 101, 78), (126, 120, 98)),
    ),
    Ground.YARD: (
        ((88, 103, 68), (137, 137, 100)),
        ((95, 102, 70), (139, 128, 95)),
        ((96, 95, 77), (130, 120, 102)),
    ),
    Ground.PARK: (
        ((91, 111, 69), (134, 138, 93)),
        ((97, 108, 71), (139, 128, 91)),
        ((98, 101, 78), (126, 120, 97)),
    ),
    Ground.FOREST: (
        ((49, 53, 38), (72, 71, 53)),
        ((84, 72, 54), (109, 89, 64)),
        ((92, 82, 72), (113, 100, 88)),
    ),
    Ground.PITCH: (
        ((88, 123, 74), (103, 137, 85)),
        ((89, 118, 73), (104, 130, 82)),
        ((93, 109, 75), (108, 120, 86)),
    ),
    Ground.BANK: (
        ((70, 82, 54), (114, 115, 81)),
        ((87, 83, 59), (126, 110, 78)),
        ((92, 86, 69), (122, 110, 92)),
    ),
    Ground.HEDGE: (
        ((58, 72, 47), (70, 84, 55)),
        ((72, 75, 50), (92, 82, 56)),
        ((74, 73, 60), (87, 82, 68)),
    ),
}
TEXTURE: dict[Ground, tuple[float, float]] = {
    Ground.ASPHALT: (0.10, 0.02),
    Ground.STREET: (0.12, 0.02),
    Ground.CAR_PARK: (0.15, 0.025),
    Ground.CONCRETE: (0.15, 0.03),
    Ground.PAVING: (0.12, 0.035),
    Ground.BRIDGE: (0.10, 0.02),
    Ground.CLAY: (0.05, 0.02),
    Ground.PITCH: (0.10, 0.03),
    Ground.WATER: (0.08, 0.02),
    Ground.BARE: (0.12, 0.05),
    Ground.TRACK: (0.15, 0.07),
    Ground.PATH: (0.10, 0.04),
    Ground.FOREST: (0.25, 0.16),
    Ground.YARD: (0.25, 0.11),
    Ground.HEDGE: (0.20, 0.2),
    Ground.BANK: (0.25, 0.14),
    Ground.BALLAST: (0.10, 0.07),
    Ground.SLEEPERS: (0.10, 0.05),
    Ground.SAND: (0.12, 0.03),
    Ground.ROCK: (0.30, 0.10),
}
"""Share of the second colour that patches of 11 m add or take, strength of the finest grain."""
TEXTURE_ELSE = (0.24, 0.08)

_CROPS: tuple[tuple[_Pair, _Pair, _Pair], ...] = (
    (
        ((193, 174, 128), (173, 154, 111)),
        ((149, 134, 110), (131, 116, 97)),
        ((112, 114, 77), (94, 98, 68)),
    ),
    (
        ((100, 117, 69), (82, 99, 59)),
        ((164, 146, 111), (144, 126, 96)),
        ((115, 99, 85), (97, 83, 72)),
    ),
    (
        ((116, 131, 80), (94, 109, 66)),
        ((109, 116, 76), (90, 96, 64)),
        ((102, 107, 77), (88, 91, 68)),
    ),
    (
        ((144, 123, 103), (124, 105, 88)),
        ((116, 99, 84), (99, 83, 71)),
        ((105, 91, 80), (90, 77, 68)),
    ),
    (
        ((178, 169, 131), (154, 149, 112)),
        ((120, 122, 82), (100, 104, 70)),
        ((120, 110, 92), (104, 94, 81)),
    ),
    (
        ((129, 143, 86), (109, 123, 72)),
        ((130, 121, 86), (110, 102, 72)),
        ((97, 104, 70), (83, 88, 61)),
    ),
)
"""Wheat, maize, beet, fallow, barley, potatoes: beside the rows and in them."""

ROW_CONTRAST = (0.10, 0.22, 0.08, 0.14, 0.12, 0.16)
"""How much rows show, by crop."""

_CROWNS: dict[Species, tuple[_Pair, _Pair, _Pair]] = {
    Species.BROADLEAF: (
        ((66, 81, 49), (101, 113, 70)),
        ((104, 97, 59), (167, 115, 70)),
        ((104, 94, 87), (126, 116, 107)),
    ),
    Species.CONIFER: (
        ((47, 60, 47), (66, 78, 57)),
        ((46, 58, 46), (66, 76, 56)),
        ((50, 59, 50), (65, 73, 59)),
    ),
    Species.SHRUB: (
        ((70, 85, 53), (115, 122, 82)),
        ((96, 91, 59), (145, 113, 75)),
        ((93, 86, 74), (116, 106, 93)),
    ),
}


def ground_colours(season: Season) -> Field:
    """[G, 2, 3] in 0..1, by `Ground`."""
    when = list(Season).index(season)
    pairs = {**_MINERAL, **{kind: seasons[when] for kind, seasons in _GREEN.items()}}
    pairs[Ground.FIELD] = pairs[Ground.MEADOW]
    return _levels([pairs[kind] for kind in Ground])


def crop_colours(season: Season) -> Field:
    """[C, 2, 3] in 0..1: beside the rows and in them."""
    return _levels([crop[list(Season).index(season)] for crop in _CROPS])


def crown_colours(season: Season) -> Field:
    """[S, 2, 3] in 0..1, by `Species`."""
    return _levels([_CROWNS[kind][list(Season).index(season)] for kind in Species])


def _levels(pairs: list[_Pair]) -> Field:
    return np.asarray(pairs, np.float32) / np.float32(255.0)
