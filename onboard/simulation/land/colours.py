"""The colour of everything in even light: ground, crops, roofs, crowns, by season."""

from __future__ import annotations

import cv2
import numpy as np

from .geometry import long_axis
from .ground import Ground
from .palette import (
    ROW_CONTRAST,
    TEXTURE,
    TEXTURE_ELSE,
    Season,
    crop_colours,
    crown_colours,
    ground_colours,
)
from .raster import Bytes, Field, noise
from .relief import Relief, Rows, Shape, Species
from ..world import World

_PAINT = np.float32(0.9)
_SHALLOW = np.array([0.10, 0.11, 0.06], np.float32)


def paint(world: World, relief: Relief, boxes: Rows, season: Season) -> Field:
    """[H, W, 3] sRGB in 0..1 without light; `relief`, `boxes` may hold more than the world does."""
    rng = np.random.default_rng([world.seed, 6])
    broad, middle, fine = (noise(world.grid, rng, scale_m, 2) for scale_m in (70.0, 11.0, 1.6))
    gardens = rng.standard_normal(int(world.surface.parcel.max()) + 1, np.float32)
    shade = 0.2 * broad + 0.35 * _of_gardens(world, gardens)
    colours = _ground(world.surface.cover, shade, middle, fine, season)
    _water(colours, world)
    _fields(colours, world, middle, fine, season)
    _mow(colours, world)
    white = world.surface.marking.astype(np.float32)[..., None] * np.float32(0.85 / 255.0)
    colours += (_PAINT - colours) * white
    _crowns(colours, world, relief, fine, season)
    _roofs(colours, world, relief, boxes, middle, fine)
    return colours


def _of_gardens(world: World, values: Field) -> Field:
    """[H, W] one value for each garden, 0 elsewhere."""
    garden = np.isin(world.surface.cover, (Ground.YARD, Ground.HEDGE))
    return np.where(garden, values[world.surface.parcel], np.float32(0.0))


def _ground(cover: Bytes, shade: Field, middle: Field, fine: Field, season: Season) -> Field:
    one, other = ground_colours(season).transpose(1, 0, 2)
    texture = np.array([TEXTURE.get(kind, TEXTURE_ELSE) for kind in Ground], np.float32)
    share = np.clip(0.5 + shade + texture[cover, 0] * middle, 0.0, 1.0)[..., None]
    colours = one[cover]
    colours += (other - one)[cover] * share
    colours *= (1.0 + texture[cover, 1] * fine)[..., None]
    return np.asarray(colours, np.float32)


def _water(colours: Field, world: World) -> None:
    """Lighter where it is shallow, near the shore."""
    water = world.surface.cover == Ground.WATER
    shore_m = cv2.distanceTransform(water.astype(np.uint8), cv2.DIST_L2, 3)[water] * world.gsd_m
    colours[water] += np.exp(-shore_m / 2.5)[:, None] * _SHALLOW


def _fields(colours: Field, world: World, middle: Field, fine: Field, season: Season) -> None:
    """Crops in rows along the parcel, wheel tracks every 18 m, headlands."""
    rng = np.random.default_rng([world.seed, 7])
    count = len(world.layout.blocks) + 1
    crop = rng.integers(len(ROW_CONTRAST), size=count)
    row_m = np.maximum(rng.uniform(2.2, 4.5, count), 2.5 * world.gsd_m)
    tint = rng.normal(1.0, 0.07, count)
    angle = np.array([0.0, *(long_axis(block.corners_m)[0] for block in world.layout.blocks)])

    at = np.nonzero(world.surface.cover == Ground.FIELD)
    parcel = world.surface.parcel[at]
    east, north = at[1] * world.gsd_m, -at[0] * world.gsd_m
    cos, sin = np.cos(angle)[parcel], np.sin(angle)[parcel]
    along, across = east * cos + north * sin, north * cos - east * sin
    rows = np.array(ROW_CONTRAST)[crop[parcel]] * np.sin(2.0 * np.pi * across / row_m[parcel])
    streaks = _streaks(along, across, rng)
    share = np.clip(0.5 + rows + 0.3 * streaks + 0.3 * middle[at], 0.0, 1.0)[:, None]
    wheels = np.abs(np.abs((across % 18.0) - 9.0) - 0.9) < 0.3
    edge_m = cv2.distanceTransform(_inner_fields(world), cv2.DIST_L2, 3)[at] * world.gsd_m
    light = tint[parcel] * (1.0 + 0.06 * fine[at]) * np.where(wheels, 0.86, 1.0)
    light *= np.where(edge_m < 7.0, 0.94, 1.0)
    one, other = crop_colours(season).transpose(1, 0, 2)
    colours[at] = (one[crop[parcel]] + (other - one)[crop[parcel]] * share) * light[:, None]


def _inner_fields(world: World) -> Bytes:
    """[H, W] 1 in fields, 0 on their edges and elsewhere."""
    parcel = world.surface.parcel
    inner = (world.surface.cover == Ground.FIELD).astype(np.uint8)
    inner[:, 1:] &= parcel[:, 1:] == parcel[:, :-1]
    inner[1:] &= parcel[1:] == parcel[:-1]
    return np.asarray(inner, np.uint8)


def _streaks(along_m: Field, across_m: Field, rng: np.random.Generator) -> Field:
    """Noise drawn out along the rows."""
    texture = cv2.GaussianBlur(rng.standard_normal((512, 512), np.float32), (0, 0), 1.0)
    column, row = (along_m / 14.0) % 512.0, (across_m / 0.9) % 512.0
    return 3.0 * np.asarray(texture[row.astype(int), column.astype(int)], np.float32)


def _mow(colours: Field, world: World) -> None:
    """Stripes of a mown pitch."""
    at = np.nonzero(world.surface.cover == Ground.PITCH)
    stripe = np.floor((at[1] + at[0]) * world.gsd_m / 8.0) % 2.0
    colours[at] *= (0.95 + 0.1 * stripe)[:, None]


def _crowns(colours: Field, world: World, relief: Relief, fine: Field, season: Season) -> None:
    """Leaves by species and tint, darker low in the crown; the ground shows through bare ones."""
    at = np.nonzero(relief.owner < 0)
    crowns = world.crowns[-relief.owner[at] - 1]
    one, other = crown_colours(season)[crowns["species"]].transpose(1, 0, 2)
    share = np.clip(0.5 + 0.5 * crowns["tint"] + 0.12 * fine[at], 0.0, 1.0)[:, None]
    depth = np.clip(relief.height_m[at] / crowns["height_m"], 0.0, 1.0)
    leaves = one + (other - one) * share
    leaves *= ((0.55 + 0.45 * depth) * (1.0 + 0.1 * fine[at]))[:, None]
    bare = (season is Season.WINTER) & (crowns["species"] != Species.CONIFER)
    opaque = np.where(bare, np.clip(0.42 + 0.25 * fine[at], 0.1, 0.8), 1.0)[:, None]
    colours[at] += (leaves - colours[at]) * opaque


def _roofs(
    colours: Field, world: World, relief: Relief, boxes: Rows, middle: Field, fine: Field
) -> None:
    """Weathered, with seams across the ridge and lighter parapets."""
    at = np.nonzero(relief.owner > 0)
    roofs = boxes[relief.owner[at] - 1]
    east, north = at[1] * world.gsd_m, -at[0] * world.gsd_m
    along = east * np.cos(roofs["angle_rad"]) + north * np.sin(roofs["angle_rad"])
    seam_m = np.where(roofs["seam_m"] > 0.0, roofs["seam_m"], np.inf)
    seam = np.abs(along) % seam_m < np.where(np.isfinite(seam_m), 0.5, 0.0)
    parapet = (roofs["shape"] == Shape.FLAT) & (relief.height_m[at] > roofs["height_m"] + 0.1)
    light = 1.0 + 0.035 * fine[at] + 0.025 * middle[at] - 0.1 * seam + 0.16 * parapet
    colours[at] = roofs["colour"] * light[:, None]
