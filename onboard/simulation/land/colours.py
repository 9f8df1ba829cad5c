"""The colour of everything in even light: ground, crops, roofs, crowns, by season."""

from __future__ import annotations

import cv2
import numpy as np

from ..world import World
from .geometry import long_axis
from .ground import Ground
from .noise import Noise
from .palette import (
    ROW_CONTRAST,
    TEXTURE,
    TEXTURE_ELSE,
    Season,
    crop_colours,
    ground_colours,
)
from .raster import Bytes, Field

_PAINT = np.float32(0.9)
_SHALLOW = np.array([0.10, 0.11, 0.06], np.float32)
_HALO_M = 12.0
"""How far from its own rows a band looks: shores and headlands are nearer."""


def ground_albedo(world: World, season: Season) -> Bytes:
    """[H, W, 3] sRGB of the bare ground: cover, crops, water, paint; no boxes, crowns or light."""
    texture = _Texture(world)
    albedo = np.empty((*world.surface.cover.shape, 3), np.uint8)
    for rows in world.grid.bands():
        colours = np.clip(_band(world, texture, rows, season), 0.0, 1.0)
        albedo[rows] = np.rint(colours * np.float32(255.0))
    return albedo


class _Texture:
    """What is drawn once for a world: three grains, and how each crop, parcel, garden looks."""

    def __init__(self, world: World) -> None:
        rng = np.random.default_rng([world.seed, 6])
        self.broad, self.middle, self.fine = (Noise(rng, scale, 2) for scale in (70.0, 11.0, 1.6))
        self.garden = rng.standard_normal(int(world.surface.parcel.max()) + 1, np.float32)
        count = len(world.layout.blocks) + 1
        self.crop = rng.integers(len(ROW_CONTRAST), size=count)
        self.row_m = np.maximum(rng.uniform(2.2, 4.5, count), 2.5 * world.gsd_m)
        self.tint = rng.normal(1.0, 0.07, count)
        blocks = world.layout.blocks
        self.angle = np.array([0.0, *(long_axis(block.corners_m)[0] for block in blocks)])
        grain = rng.standard_normal((512, 512), np.float32)
        self.streaks = np.asarray(3.0 * cv2.GaussianBlur(grain, (0, 0), 1.0), np.float32)


def _band(world: World, texture: _Texture, rows: slice, season: Season) -> Field:
    """[h, W, 3] sRGB in 0..1 of some rows."""
    cover, parcel = world.surface.cover[rows], world.surface.parcel[rows]
    middle, fine = texture.middle.rows(world.grid, rows), texture.fine.rows(world.grid, rows)
    shade = 0.2 * texture.broad.rows(world.grid, rows)
    garden = np.isin(cover, (Ground.YARD, Ground.HEDGE))
    shade[garden] += np.float32(0.35) * texture.garden[parcel[garden]]
    colours = _ground(cover, shade, middle, fine, season)
    _water(colours, cover, world, rows)
    _fields(colours, world, texture, rows, (middle, fine), season)
    _mow(colours, cover, world.gsd_m, rows.start)
    white = world.surface.marking[rows].astype(np.float32)[..., None] * np.float32(0.85 / 255.0)
    colours += (_PAINT - colours) * white
    return colours


def _ground(cover: Bytes, shade: Field, middle: Field, fine: Field, season: Season) -> Field:
    one, other = ground_colours(season).transpose(1, 0, 2)
    texture = np.array([TEXTURE.get(kind, TEXTURE_ELSE) for kind in Ground], np.float32)
    share = np.clip(0.5 + shade + texture[cover, 0] * middle, 0.0, 1.0)[..., None]
    colours = one[cover]
    colours += (other - one)[cover] * share
    colours *= (1.0 + texture[cover, 1] * fine)[..., None]
    return np.asarray(colours, np.float32)


def _halo(world: World, rows: slice) -> tuple[slice, slice]:
    """The rows with those near them, and where the rows lie in that."""
    reach = round(_HALO_M / world.gsd_m) + 1
    top = max(0, rows.start - reach)
    around = slice(top, min(world.grid.size_px, rows.stop + reach))
    return around, slice(rows.start - top, rows.stop - top)


def _water(colours: Field, cover: Bytes, world: World, rows: slice) -> None:
    """Lighter where it is shallow, near the shore."""
    around, inner = _halo(world, rows)
    wet = (world.surface.cover[around] == Ground.WATER).astype(np.uint8)
    at = cover == Ground.WATER
    if at.any():
        shore_m = cv2.distanceTransform(wet, cv2.DIST_L2, 3)[inner][at] * world.gsd_m
        colours[at] += np.exp(-shore_m / 2.5)[:, None] * _SHALLOW


def _fields(
    colours: Field,
    world: World,
    texture: _Texture,
    rows: slice,
    grain: tuple[Field, Field],
    season: Season,
) -> None:
    """Crops in rows along the parcel, wheel tracks every 18 m, headlands."""
    at = np.nonzero(world.surface.cover[rows] == Ground.FIELD)
    if not len(at[0]):
        return
    parcel = world.surface.parcel[rows][at]
    middle, fine = grain[0][at], grain[1][at]
    east, north = at[1] * world.gsd_m, -(at[0] + rows.start) * world.gsd_m
    cos, sin = np.cos(texture.angle)[parcel], np.sin(texture.angle)[parcel]
    along, across = east * cos + north * sin, north * cos - east * sin
    crop = texture.crop[parcel]
    ridges = np.array(ROW_CONTRAST)[crop] * np.sin(2.0 * np.pi * across / texture.row_m[parcel])
    column, row = (along / 14.0 % 512.0).astype(int), (across / 0.9 % 512.0).astype(int)
    streaks = texture.streaks[row % 512, column % 512]
    share = np.clip(0.5 + ridges + 0.3 * streaks + 0.3 * middle, 0.0, 1.0)[:, None]
    wheels = np.abs(np.abs((across % 18.0) - 9.0) - 0.9) < 0.3
    light = texture.tint[parcel] * (1.0 + 0.06 * fine) * np.where(wheels, 0.86, 1.0)
    light *= np.where(_edge_m(world, rows)[at] < 7.0, 0.94, 1.0)
    one, other = crop_colours(season).transpose(1, 0, 2)
    colours[at] = (one[crop] + (other - one)[crop] * share) * light[:, None]


def _edge_m(world: World, rows: slice) -> Field:
    """[h, W] distance to the edge of the field."""
    around, inside = _halo(world, rows)
    parcel = world.surface.parcel[around]
    inner = (world.surface.cover[around] == Ground.FIELD).astype(np.uint8)
    inner[:, 1:] &= parcel[:, 1:] == parcel[:, :-1]
    inner[1:] &= parcel[1:] == parcel[:-1]
    far = cv2.distanceTransform(inner, cv2.DIST_L2, 3)[inside]
    return np.asarray(far * world.gsd_m, np.float32)


def _mow(colours: Field, cover: Bytes, gsd_m: float, first_row: int) -> None:
    """Stripes of a mown pitch."""
    at = np.nonzero(cover == Ground.PITCH)
    stripe = np.floor((at[1] + at[0] + first_row) * gsd_m / 8.0) % 2.0
    colours[at] *= (0.95 + 0.1 * stripe)[:, None]
