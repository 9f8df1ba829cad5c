"""Pictures from rays: a camera's, and a map's."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..land.raster import Field, Floats
from .colour import Seen, look_along
from .compiled import compiled
from .day import Light
from .noise import cloud_at
from .scene import Scene


class Rendered(NamedTuple):
    """[H, W, 3] linear light, [H, W] distance in metres (1e30: sky), [H, W] kind of thing seen."""

    light: Field
    distance_m: Field
    kind: Field


@compiled
def _put(out: Field, distance_m: Field, kind: Field, row: int, column: int, seen: Seen) -> None:
    out[row, column, 0], out[row, column, 1], out[row, column, 2] = seen[0], seen[1], seen[2]
    distance_m[row, column] = seen[3]
    kind[row, column] = seen[4]


@compiled
def render_rays(
    scene: Scene,
    light: Light,
    origins_m: Floats,
    turns: Floats,
    rays: Floats,
    spread: float,
    out: Field,
    distance_m: Field,
    kind: Field,
    first: int,
    last: int,
) -> None:
    """Follow `rays` [H, W, 3], which every row turns and puts in its place.

    `origins_m` [H, 3] east, north, AMSL; `turns` [H, 3, 3] world from camera; `spread` is the angle
    between neighbouring rays.
    """
    for row in range(first, last):
        ox, oy, oz = origins_m[row, 0], origins_m[row, 1], origins_m[row, 2]
        turn = turns[row]
        for column in range(rays.shape[1]):
            x, y, z = rays[row, column, 0], rays[row, column, 1], rays[row, column, 2]
            dx = turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z
            dy = turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z
            dz = turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z
            seen = look_along(scene, light, ox, oy, oz, dx, dy, dz, 0.0, spread, light.extinction)
            _put(out, distance_m, kind, row, column, seen)


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
    out: Field,
    distance_m: Field,
    kind: Field,
    first: int,
    last: int,
) -> None:
    """Parallel rays onto pixels whose first corner is (`west_m`, `north_m`) at height 0.

    `lean_east`, `lean_north` are metres that a thing is shifted per metre of its height; `haze` is
    the share of the air's light. Clouds stand in front of the ground.
    """
    top = scene.tops[scene.tops.size - 1] + 10.0
    length = math.sqrt(lean_east * lean_east + lean_north * lean_north + 1.0)
    for row in range(first, last):
        for column in range(out.shape[1]):
            x = west_m + (column + 0.5) * gsd_m
            y = north_m - (row + 0.5) * gsd_m
            seen = look_along(
                scene,
                light,
                x - lean_east * top,
                y - lean_north * top,
                top,
                lean_east / length,
                lean_north / length,
                -1.0 / length,
                gsd_m,
                0.0,
                0.0,
            )
            _put(out, distance_m, kind, row, column, seen)
            for band in range(3):
                out[row, column, band] += (
                    1.1 * light.horizon[band] - out[row, column, band]
                ) * haze
            if light.broken_clouds > 0.0:
                cloud = cloud_at(x, y, light.broken_clouds, light.cloud_seed)
                white = 1.1 * (light.sky[1] + 0.7 * light.sun[1])
                for band in range(3):
                    out[row, column, band] += (white - out[row, column, band]) * cloud


def empty(height_px: int, width_px: int) -> Rendered:
    """Room for a picture."""
    shape = (height_px, width_px)
    return Rendered(
        np.empty((*shape, 3), np.float32), np.empty(shape, np.float32), np.empty(shape, np.float32)
    )
