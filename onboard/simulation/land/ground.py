"""The plan of the land as pixels: what covers the ground, whose parcel it is, painted lines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
import numpy.typing as npt

from .geometry import ellipse, inset, long_axis, rectangle, unit
from .layout import Block, Layout, Road, RoadKind, Use
from .markings import paint_markings, pitch_of
from .raster import Bytes, Floats, Grid, noise


class Ground(IntEnum):
    """What covers the ground."""

    MEADOW = 0
    LAWN = 1
    YARD = 2
    PARK = 3
    FIELD = 4
    FOREST = 5
    PITCH = 6
    CLAY = 7
    PAVING = 8
    ASPHALT = 9
    STREET = 10
    CAR_PARK = 11
    CONCRETE = 12
    TRACK = 13
    PATH = 14
    BARE = 15
    BANK = 16
    WATER = 17
    BRIDGE = 18
    HEDGE = 19


_COVER = {
    Use.PERIMETER: Ground.PAVING,
    Use.HOUSES: Ground.YARD,
    Use.SLABS: Ground.LAWN,
    Use.HALLS: Ground.CONCRETE,
    Use.CAR_PARK: Ground.CAR_PARK,
    Use.PARK: Ground.PARK,
    Use.PITCH: Ground.PARK,
    Use.FIELD: Ground.FIELD,
    Use.MEADOW: Ground.MEADOW,
    Use.ORCHARD: Ground.MEADOW,
    Use.FARM: Ground.MEADOW,
    Use.FOREST: Ground.FOREST,
    Use.BARE: Ground.BARE,
}


DECK_M = 1.2
"""How high a bridge spans the water."""


@dataclass(frozen=True, eq=False)
class Surface:
    """[H, W] rasters of the ground.

    `cover` holds `Ground`; `parcel` one more than the index of the block (0: none), or a number of
    its own for each garden; `marking` how much white paint covers the pixel (0..255); `deck` where
    a bridge spans water.
    """

    cover: Bytes
    parcel: npt.NDArray[np.int32]
    marking: Bytes
    deck: npt.NDArray[np.bool_]


def paint_ground(layout: Layout, grid: Grid, seed: int) -> Surface:
    """Draw the plan from the ground up: blocks, streets, the river, main roads over it."""
    rng = np.random.default_rng([seed, 2])
    shape = (grid.size_px, grid.size_px)
    cover = np.full(shape, Ground.MEADOW, np.uint8)
    parcel = np.zeros(shape, np.int32)
    for index, block in enumerate(layout.blocks):
        grid.fill(cover, block.outline_m, _COVER[block.use])
        grid.fill(parcel, block.outline_m, index + 1)
        if block.use is Use.PARK:
            _park(cover, parcel == index + 1, block, grid, rng)
        elif block.use is Use.PITCH:
            _pitch(cover, block, grid)
    cover[(cover == Ground.FOREST) & (noise(grid, rng, 60.0, 2) > 1.3)] = Ground.MEADOW
    _roads(cover, [road for road in layout.roads if not road.kind.bridges], grid)
    _river(cover, layout, grid)
    water = cover == Ground.WATER
    _roads(cover, [road for road in layout.roads if road.kind.bridges], grid)
    deck = water & (cover != Ground.WATER)
    cover[deck & (cover == Ground.PAVING)] = Ground.BRIDGE
    _round_corners(cover, grid)
    _roundabout(cover, layout.roundabout_m, grid)
    marking = paint_markings(layout, grid, rng)
    marking[~np.isin(cover, (Ground.ASPHALT, Ground.STREET, Ground.PITCH, Ground.CLAY))] = 0
    return Surface(cover, parcel, marking, deck)


def _roads(cover: Bytes, roads: list[Road], grid: Grid) -> None:
    """Everything beside the carriageways first, so that junctions are open."""
    for road in roads:
        verge, width_m = Ground.PAVING, road.kind.width_m + 2.0 * road.kind.pavement_m
        if road.kind is RoadKind.TRACK:
            verge, width_m = Ground.MEADOW, road.kind.width_m + 3.5
        grid.stroke(cover, road.line_m, width_m, verge)
    order = sorted(roads, key=lambda road: road.kind.width_m)
    carriageway = {RoadKind.TRACK: Ground.TRACK, RoadKind.STREET: Ground.STREET}
    for road in order:
        value = carriageway.get(road.kind, Ground.ASPHALT)
        grid.stroke(cover, road.line_m, road.kind.width_m, value)


def _river(cover: Bytes, layout: Layout, grid: Grid) -> None:
    ahead = np.gradient(layout.river_m, axis=0)
    across = np.stack([-ahead[:, 1], ahead[:, 0]], axis=-1)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    for value, bank_m in ((Ground.BANK, 8.0), (Ground.WATER, 0.0)):
        reach = across * (layout.river_width_m / 2.0 + bank_m)[:, None]
        outline = np.concatenate([layout.river_m + reach, (layout.river_m - reach)[::-1]])
        grid.fill(cover, outline, value)


def _round_corners(cover: Bytes, grid: Grid) -> None:
    """Kerbs of a junction run in arcs: close the corners of the carriageways."""
    roads = np.isin(cover, (Ground.ASPHALT, Ground.STREET)).astype(np.uint8)
    size_px = 2 * round(5.0 / grid.gsd_m) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size_px, size_px))
    closed = cv2.morphologyEx(roads, cv2.MORPH_CLOSE, disc)
    cover[(closed > roads) & (cover != Ground.WATER)] = Ground.STREET


def _roundabout(cover: Bytes, centre_m: Floats, grid: Grid) -> None:
    road = np.isin(cover, (Ground.ASPHALT, Ground.STREET))
    for radius_m, value in (
        (22.5, Ground.PAVING),
        (19.5, Ground.ASPHALT),
        (10.5, Ground.PAVING),
        (9.0, Ground.PARK),
    ):
        disc = np.zeros_like(cover)
        grid.fill(disc, ellipse(centre_m, 0.0, 2.0 * radius_m, 2.0 * radius_m), 1)
        cover[(disc > 0) & ~(road & (radius_m > 20.0))] = value


def _park(
    cover: Bytes, inside: npt.NDArray[np.bool_], block: Block, grid: Grid, rng: np.random.Generator
) -> None:
    """A path around, two winding through, and a pond where there is room."""
    around = inset(block.corners_m, 11.0)
    if around is None:
        return
    axis, long_m, short_m = long_axis(around)
    middle = around.mean(axis=0)
    paths = np.zeros_like(cover)
    ring = ellipse(middle, axis, 0.92 * long_m, 0.92 * short_m)
    grid.stroke(paths, np.concatenate([ring, ring[:1]]), 2.2, 1)
    for turn in (0.0, math.pi / 2.0) if short_m > 60.0 else (math.pi / 2.0,):
        along = np.linspace(-0.6, 0.6, 60)[:, None] * long_m
        swing = np.sin(along / 24.0 + rng.uniform(0.0, 6.0)) * 0.05 * short_m
        angle = axis + turn + rng.normal(0.0, 0.15)
        line = middle + along * unit(angle) + swing * unit(angle + math.pi / 2.0)
        grid.stroke(paths, line, 2.2, 1)
    cover[(paths > 0) & inside] = Ground.PATH
    if short_m > 70.0:
        centre_m = middle + rng.uniform(-0.15, 0.15, 2) * short_m
        shore = 1.0 + 0.14 * np.sin(np.arange(48) * math.pi / 8.0 + rng.uniform(0.0, 6.0))
        pond = ellipse(np.zeros(2), axis, 0.45 * long_m, 0.35 * short_m) * shore[:, None]
        grid.fill(cover, centre_m + 1.15 * pond, Ground.BANK)
        grid.fill(cover, centre_m + pond, Ground.WATER)


def _pitch(cover: Bytes, block: Block, grid: Grid) -> None:
    """A running track of the usual shape where it fits, else the pitch alone."""
    pitch = pitch_of(block)
    if pitch.with_track:
        straight = pitch.middle_m + unit(pitch.angle) * pitch.length_m * np.array([[-0.4], [0.4]])
        grid.stroke(cover, straight, 1.36 * pitch.width_m, Ground.CLAY)
        grid.stroke(cover, straight, 1.10 * pitch.width_m, Ground.PITCH)
    else:
        outline = rectangle(pitch.middle_m, pitch.angle, pitch.length_m + 6.0, pitch.width_m + 6.0)
        grid.fill(cover, outline, Ground.PITCH)
