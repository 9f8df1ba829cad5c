"""The colour of everything in even light: ground, crops, roofs, crowns, by season. sRGB in 0..1."""

from __future__ import annotations

from enum import Enum

import cv2
import numpy as np
import numpy.typing as npt

from .geometry import long_axis
from .ground import Ground, Surface
from .raster import Field, Grid, noise
from .relief import Relief, Rows, Shape, Species
from .world import World


class Season(Enum):
    """What stands on the fields and hangs on the trees."""

    SUMMER = "summer"
    AUTUMN = "autumn"
    WINTER = "winter"


_Pair = tuple[tuple[int, int, int], tuple[int, int, int]]

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
_TEXTURE: dict[Ground, tuple[float, float]] = {
    Ground.ASPHALT: (0.10, 0.02),
    Ground.STREET: (0.12, 0.02),
    Ground.CAR_PARK: (0.15, 0.025),
    Ground.CONCRETE: (0.15, 0.03),
    Ground.PAVING: (0.12, 0.035),
    Ground.BRIDGE: (0.10, 0.02),
    Ground.CLAY: (0.05, 0.02),
    Ground.PITCH: (0.10, 0.03),
    Ground.WATER: (0.08, 0.02),
    Ground.TRACK: (0.15, 0.07),
    Ground.PATH: (0.10, 0.04),
    Ground.FOREST: (0.25, 0.16),
    Ground.YARD: (0.25, 0.11),
    Ground.HEDGE: (0.20, 0.2),
    Ground.BANK: (0.25, 0.14),
}
"""Share of the second colour that patches of 11 m add or take, strength of the finest grain."""
_TEXTURE_ELSE = (0.24, 0.08)

_CROPS: tuple[tuple[_Pair, _Pair, _Pair, float], ...] = (
    (
        ((193, 174, 128), (173, 154, 111)),
        ((149, 134, 110), (131, 116, 97)),
        ((112, 114, 77), (94, 98, 68)),
        0.10,
    ),
    (
        ((100, 117, 69), (82, 99, 59)),
        ((164, 146, 111), (144, 126, 96)),
        ((115, 99, 85), (97, 83, 72)),
        0.22,
    ),
    (
        ((116, 131, 80), (94, 109, 66)),
        ((109, 116, 76), (90, 96, 64)),
        ((102, 107, 77), (88, 91, 68)),
        0.08,
    ),
    (
        ((144, 123, 103), (124, 105, 88)),
        ((116, 99, 84), (99, 83, 71)),
        ((105, 91, 80), (90, 77, 68)),
        0.14,
    ),
    (
        ((178, 169, 131), (154, 149, 112)),
        ((120, 122, 82), (100, 104, 70)),
        ((120, 110, 92), (104, 94, 81)),
        0.12,
    ),
    (
        ((129, 143, 86), (109, 123, 72)),
        ((130, 121, 86), (110, 102, 72)),
        ((97, 104, 70), (83, 88, 61)),
        0.16,
    ),
)
"""Wheat, maize, beet, fallow, barley, potatoes: colours beside and in the rows, contrast of rows."""

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


def paint(world: World, relief: Relief, boxes: Rows, season: Season) -> Field:
    """[H, W, 3] colours without light; `relief` and its `boxes` may hold more than the world does."""
    rng = np.random.default_rng([world.seed, 6])
    when = list(Season).index(season)
    broad, middle, fine = (noise(world.grid, rng, scale_m, 2) for scale_m in (70.0, 11.0, 1.6))
    colours = _ground(world.surface, broad, middle, fine, when)
    _water(colours, world)
    _fields(colours, world, fine, middle, when)
    _mow(colours, world)
    white = world.surface.marking.astype(np.float32)[..., None] / 255.0 * 0.85
    colours += (0.9 - colours) * white
    _crowns(colours, world, relief, fine, when)
    _roofs(colours, relief, boxes, world.grid, middle, fine)
    return colours


def _table(when: int) -> npt.NDArray[np.float32]:
    """[2, G, 3] both colours of every ground."""
    pairs = {**_MINERAL, **{kind: seasons[when] for kind, seasons in _GREEN.items()}}
    pairs[Ground.FIELD] = pairs[Ground.MEADOW]
    return np.array([[pairs[kind][k] for kind in Ground] for k in range(2)], np.float32) / 255.0


def _ground(surface: Surface, broad: Field, middle: Field, fine: Field, when: int) -> Field:
    one, other = _table(when)
    cover = surface.cover
    texture = np.array([_TEXTURE.get(kind, _TEXTURE_ELSE) for kind in Ground], np.float32)
    share = 0.5 + 0.2 * broad + texture[cover, 0] * middle
    gardens = np.nonzero((cover == Ground.YARD) | (cover == Ground.HEDGE))
    own = np.random.default_rng(0).standard_normal(int(surface.parcel.max()) + 1, np.float32)
    share[gardens] += 0.35 * own[surface.parcel[gardens]]
    share = np.clip(share, 0.0, 1.0)[..., None]
    colours = one[cover]
    colours += (other - one)[cover] * share
    colours *= (1.0 + texture[cover, 1] * fine)[..., None]
    return np.asarray(colours, np.float32)


def _water(colours: Field, world: World) -> None:
    """Shallow and lighter near the shore."""
    water = world.surface.cover == Ground.WATER
    depth = cv2.distanceTransform(water.astype(np.uint8), cv2.DIST_L2, 3) * world.gsd_m
    shallow = np.exp(-depth[water] / 2.5)[:, None]
    colours[water] += shallow * np.array([0.10, 0.11, 0.06], np.float32)


def _fields(colours: Field, world: World, fine: Field, middle: Field, when: int) -> None:
    """Crops with rows along the parcel, wheel tracks every 18 m, turned rows at the ends."""
    rng = np.random.default_rng([world.seed, 7])
    count = len(world.layout.blocks) + 1
    crop = rng.integers(len(_CROPS), size=count)
    angle = np.array([0.0] + [long_axis(block.corners_m)[0] for block in world.layout.blocks])
    row_m = rng.uniform(2.2, 4.5, count)
    at = np.nonzero(world.surface.cover == Ground.FIELD)
    parcel = world.surface.parcel[at]
    east, north = at[1] * world.gsd_m, -at[0] * world.gsd_m
    across = (north * np.cos(angle)[parcel] - east * np.sin(angle)[parcel]).astype(np.float32)
    along = (east * np.cos(angle)[parcel] + north * np.sin(angle)[parcel]).astype(np.float32)
    pairs = np.array([c[when] for c in _CROPS], np.float32) / 255.0
    contrast = np.array([c[3] for c in _CROPS], np.float32)[crop[parcel]]
    rows = 0.5 + 0.5 * np.sin(2.0 * np.pi * across / row_m[parcel])
    streak = _streaks(world.seed, along, across)
    share = np.clip(0.5 + contrast * (2.0 * rows - 1.0) + 0.3 * streak + 0.3 * middle[at], 0.0, 1.0)
    one, other = pairs[crop[parcel], 0], pairs[crop[parcel], 1]
    tint = rng.normal(1.0, 0.07, count).astype(np.float32)[parcel]
    edge_m = cv2.distanceTransform(_same_parcel(world), cv2.DIST_L2, 3)[at] * world.gsd_m
    headland = np.where(edge_m < 7.0, 0.94, 1.0)
    wheel = np.abs(np.abs((across % 18.0) - 9.0) - 0.9) < 0.3
    light = tint * (1.0 + 0.06 * fine[at]) * np.where(wheel, 0.86, 1.0) * headland
    colours[at] = (one + (other - one) * share[:, None]) * light[:, None]


def _same_parcel(world: World) -> npt.NDArray[np.uint8]:
    """[H, W] 0 on fields' edges."""
    parcel, field = world.surface.parcel, world.surface.cover == Ground.FIELD
    inner = field.astype(np.uint8)
    inner[:, 1:] &= parcel[:, 1:] == parcel[:, :-1]
    inner[1:] &= parcel[1:] == parcel[:-1]
    return np.asarray(inner, np.uint8)


def _streaks(seed: int, along: Field, across: Field) -> Field:
    """Noise drawn out along the rows."""
    texture = np.random.default_rng([seed, 8]).standard_normal((512, 512), np.float32)
    texture = cv2.GaussianBlur(texture, (0, 0), 1.0, borderType=cv2.BORDER_REFLECT) * 3.0
    columns, rows = (along / 14.0) % 511.0, (across / 0.9) % 511.0
    return np.asarray(texture[rows.astype(int), columns.astype(int)], np.float32)


def _mow(colours: Field, world: World) -> None:
    """Stripes of a mown pitch."""
    at = np.nonzero(world.surface.cover == Ground.PITCH)
    stripe = np.floor((at[1] + at[0]) * world.gsd_m / 8.0) % 2.0
    colours[at] *= (1.0 + 0.05 * (2.0 * stripe - 1.0))[:, None]


def _crowns(colours: Field, world: World, relief: Relief, fine: Field, when: int) -> None:
    """Leaves by species and tint, darker low in the crown; the ground shows through bare ones."""
    at = np.nonzero(relief.owner < 0)
    crowns = world.crowns[-relief.owner[at] - 1]
    pairs = (
        np.array([_CROWNS[kind][when] for kind in Species], np.float32)[crowns["species"]] / 255.0
    )
    share = np.clip(0.5 + 0.5 * crowns["tint"] + 0.12 * fine[at], 0.0, 1.0)[:, None]
    leaves = pairs[:, 0] + (pairs[:, 1] - pairs[:, 0]) * share
    depth = np.clip(relief.height_m[at] / crowns["height_m"], 0.0, 1.0)
    leaves *= ((0.55 + 0.45 * depth) * (1.0 + 0.1 * fine[at]))[:, None]
    bare = (when == 2) & (crowns["species"] != Species.CONIFER)
    opaque = np.where(bare, np.clip(0.42 + 0.25 * fine[at], 0.1, 0.8), 1.0)[:, None]
    colours[at] += (leaves - colours[at]) * opaque


def _roofs(
    colours: Field, relief: Relief, boxes: Rows, grid: Grid, middle: Field, fine: Field
) -> None:
    at = np.nonzero(relief.owner > 0)
    roofs = boxes[relief.owner[at] - 1]
    east, north = at[1] * grid.gsd_m, -at[0] * grid.gsd_m
    along = east * np.cos(roofs["angle_rad"]) + north * np.sin(roofs["angle_rad"])
    seam_m = roofs["seam_m"]
    with np.errstate(divide="ignore", invalid="ignore"):
        seam = (seam_m > 0) & ((along / seam_m) % 1.0 < 0.5 / seam_m)
    parapet = (roofs["shape"] == Shape.FLAT) & (relief.height_m[at] > roofs["height_m"] + 0.1)
    light = 1.0 + 0.035 * fine[at] + 0.025 * middle[at] - 0.1 * seam + 0.16 * parapet
    colours[at] = roofs["colour"] * light[:, None]
