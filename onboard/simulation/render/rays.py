"""Pictures from rays: a camera's, and a map's."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..land.raster import Field, Floats
from .colour import colour, facing_sun, meet, past_clouds, past_solids, sun_share
from .compiled import compiled
from .day import Light
from .noise import cloud_at
from .scene import Items, Scene
from .trace import GROUND, Met

Way = tuple[float, float, float]
"""A unit direction: east, north, up."""


class Rendered(NamedTuple):
    """[H, W, 3] linear light, [H, W] distance in metres (1e30: sky), [H, W] kind of thing seen."""

    light: Field
    distance_m: Field
    kind: Field


class Surface(NamedTuple):
    """What else is known of each ray's end before it has a colour: [H, W] number of the box or
    crown, [H, W, 3] normal, [H, W] share of the sun."""

    item: Items
    normal: Field
    sun: Field


@compiled
def render_rays(
    scene: Scene,
    light: Light,
    origins_m: Floats,
    turns: Floats,
    rays: Floats,
    spread: float,
    out: Rendered,
    surface: Surface,
    first: int,
    last: int,
) -> None:
    """Follow `rays` [H, W, 3], which every row turns and puts in its place, from an even row on.

    `origins_m` [H, 3] east, north, AMSL; `turns` [H, 3, 3] world from camera; `spread` is the angle
    between neighbouring rays.
    """
    for row in range(first, last):
        ox, oy, oz = origins_m[row, 0], origins_m[row, 1], origins_m[row, 2]
        for column in range(rays.shape[1]):
            dx, dy, dz = _turned(turns, rays, row, column)
            _keep(out, surface, row, column, meet(scene, light, ox, oy, oz, dx, dy, dz))
    for row in range(first, last, 2):
        for column in range(0, rays.shape[1], 2):
            _let_sun_in(scene, light, origins_m, turns, rays, out, surface, row, column, last)
    for row in range(first, last):
        ox, oy, oz = origins_m[row, 0], origins_m[row, 1], origins_m[row, 2]
        for column in range(rays.shape[1]):
            dx, dy, dz = _turned(turns, rays, row, column)
            met, share = _kept(out, surface, row, column), surface.sun[row, column]
            wide = spread * met[0]
            red, green, blue = colour(
                scene, light, ox, oy, oz, dx, dy, dz, met, share, wide, light.extinction
            )
            out.light[row, column, 0], out.light[row, column, 1] = red, green
            out.light[row, column, 2] = blue


@compiled
def _turned(turns: Floats, rays: Floats, row: int, column: int) -> Way:
    x, y, z = rays[row, column, 0], rays[row, column, 1], rays[row, column, 2]
    return (
        turns[row, 0, 0] * x + turns[row, 0, 1] * y + turns[row, 0, 2] * z,
        turns[row, 1, 0] * x + turns[row, 1, 1] * y + turns[row, 1, 2] * z,
        turns[row, 2, 0] * x + turns[row, 2, 1] * y + turns[row, 2, 2] * z,
    )


@compiled
def _keep(out: Rendered, surface: Surface, row: int, column: int, met: Met) -> None:
    out.distance_m[row, column], out.kind[row, column] = met[0], met[1]
    surface.item[row, column] = met[2]
    surface.normal[row, column, 0], surface.normal[row, column, 1] = met[3], met[4]
    surface.normal[row, column, 2] = met[5]


@compiled
def _kept(out: Rendered, surface: Surface, row: int, column: int) -> Met:
    normal = surface.normal
    return (
        float(out.distance_m[row, column]),
        int(out.kind[row, column]),
        int(surface.item[row, column]),
        float(normal[row, column, 0]),
        float(normal[row, column, 1]),
        float(normal[row, column, 2]),
    )


@compiled
def _let_sun_in(
    scene: Scene,
    light: Light,
    origins_m: Floats,
    turns: Floats,
    rays: Floats,
    out: Rendered,
    surface: Surface,
    row: int,
    column: int,
    rows: int,
) -> None:
    """The sun on a square of four pixels. Where all four show bare ground and two opposite ones
    are in the same light, so are the others: a shadow that falls between them is missed."""
    alike, before = False, -1.0
    for step in range(4):
        r, c = row + (step & 1), column + ((step & 1) ^ (step >> 1))
        if r >= rows or c >= rays.shape[1]:
            continue
        met = _kept(out, surface, r, c)
        surface.sun[r, c] = facing_sun(light, met)
        if surface.sun[r, c] <= 0.0:
            continue
        dx, dy, dz = _turned(turns, rays, r, c)
        x, y = origins_m[r, 0] + dx * met[0], origins_m[r, 1] + dy * met[0]
        z = origins_m[r, 2] + dz * met[0]
        past = before if alike else past_solids(scene, light, x, y, z, met)
        alike = alike or (step == 1 and past == before and _is_ground(out.kind, row, column, rows))
        before = past
        surface.sun[r, c] *= past * past_clouds(light, x, y, z)


@compiled
def _is_ground(kind: Field, row: int, column: int, rows: int) -> bool:
    """Whether a square of four pixels is whole and shows nothing else."""
    if row + 1 >= rows or column + 1 >= kind.shape[1]:
        return False
    upper = kind[row, column] == GROUND and kind[row, column + 1] == GROUND
    return bool(upper and kind[row + 1, column] == GROUND and kind[row + 1, column + 1] == GROUND)


@compiled
def render_map(
    scene: Scene,
    light: Light,
    west_m: float,
    north_m: float,
    gsd_m: float,
    lean_east: float,
    lean_north: float,
    haze: float,
    out: Rendered,
    first: int,
    last: int,
) -> None:
    """Parallel rays onto pixels whose first corner is (`west_m`, `north_m`) at height 0.

    `lean_east`, `lean_north` are metres that a thing is shifted per metre of its height; `haze` is
    the share of the air's light. Clouds stand in front of the ground.
    """
    top = scene.tops[scene.tops.size - 1] + 10.0
    length = math.sqrt(lean_east * lean_east + lean_north * lean_north + 1.0)
    dx, dy, dz = lean_east / length, lean_north / length, -1.0 / length
    white = 1.1 * (light.sky[1] + 0.7 * light.sun[1])
    for row in range(first, last):
        for column in range(out.kind.shape[1]):
            x = west_m + (column + 0.5) * gsd_m
            y = north_m - (row + 0.5) * gsd_m
            ox, oy = x - lean_east * top, y - lean_north * top
            met = meet(scene, light, ox, oy, top, dx, dy, dz)
            share = sun_share(scene, light, ox, oy, top, dx, dy, dz, met)
            shown = colour(scene, light, ox, oy, top, dx, dy, dz, met, share, gsd_m, 0.0)
            out.distance_m[row, column], out.kind[row, column] = met[0], met[1]
            cloud = 0.0
            if light.broken_clouds > 0.0:
                cloud = cloud_at(x, y, light.broken_clouds, light.cloud_seed)
            for band in range(3):
                hazy = shown[band] + (1.1 * light.horizon[band] - shown[band]) * haze
                out.light[row, column, band] = hazy + (white - hazy) * cloud


def empty(height_px: int, width_px: int) -> Rendered:
    """Room for a picture."""
    shape = (height_px, width_px)
    return Rendered(
        np.empty((*shape, 3), np.float32), np.empty(shape, np.float32), np.empty(shape, np.float32)
    )


def unlit(height_px: int, width_px: int) -> Surface:
    """Room for what is known of a picture before it has colours."""
    shape = (height_px, width_px)
    return Surface(
        np.empty(shape, np.int32), np.empty((*shape, 3), np.float32), np.empty(shape, np.float32)
    )
