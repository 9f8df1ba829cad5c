"""The plan of the land as pixels: what covers the ground, whose parcel it is, painted lines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
import numpy.typing as npt

from .crossings import BANK_M, SLOPE_M
from .geometry import beside, ellipse, inset, long_axis, nearest_m, rectangle, unit
from .markings import paint_markings, pitch_of
from .noise import Noise
from .plan import Block, Junction, Layout, RoadKind, Trunk, TrunkKind, Use
from .raster import Bytes, Floats, Grid
from .solids import Facade, Rows, corners
from .trunks import stretch
from .waters import shores


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
    BALLAST = 20
    SAND = 21
    ROCK = 22
    SLEEPERS = 23


_COVER = {
    Use.PERIMETER: Ground.PAVING,
    Use.HOUSES: Ground.YARD,
    Use.ROWS: Ground.YARD,
    Use.SLABS: Ground.LAWN,
    Use.TOWERS: Ground.LAWN,
    Use.HALLS: Ground.CONCRETE,
    Use.CAR_PARK: Ground.CAR_PARK,
    Use.PARK: Ground.PARK,
    Use.PITCH: Ground.PARK,
    Use.ALLOTMENTS: Ground.YARD,
    Use.FIELD: Ground.FIELD,
    Use.MEADOW: Ground.MEADOW,
    Use.ORCHARD: Ground.MEADOW,
    Use.SOLAR: Ground.MEADOW,
    Use.GREENHOUSES: Ground.BARE,
    Use.FARM: Ground.MEADOW,
    Use.FOREST: Ground.FOREST,
    Use.PLANTATION: Ground.LAWN,
    Use.BARE: Ground.BARE,
    Use.CHURCH: Ground.PAVING,
    Use.CASTLE: Ground.FOREST,
    Use.STADIUM: Ground.PAVING,
    Use.WATER_TOWER: Ground.MEADOW,
    Use.SILOS: Ground.CONCRETE,
    Use.WIND_TURBINES: Ground.FIELD,
    Use.POWER_STATION: Ground.CONCRETE,
    Use.QUARRY: Ground.ROCK,
    Use.BIG_HALL: Ground.CONCRETE,
}
_ROADWAY = {RoadKind.TRACK: Ground.TRACK, RoadKind.STREET: Ground.STREET}
_TRUNK = {TrunkKind.RAIL: Ground.BALLAST, TrunkKind.MOTORWAY: Ground.ASPHALT}
_PAINTED = (Ground.ASPHALT, Ground.STREET, Ground.PITCH, Ground.CLAY)


@dataclass(frozen=True, eq=False)
class Surface:
    """[H, W] rasters of the ground.

    `cover` holds `Ground`; `parcel` one more than the index of the block (0: none), or a number of
    its own for each garden; `marking` how much white paint covers the pixel (0..255); `deck` which
    pixels are the top of a bridge.
    """

    cover: Bytes
    parcel: npt.NDArray[np.int32]
    marking: Bytes
    deck: npt.NDArray[np.bool_]


def paint_ground(layout: Layout, decks: Rows, grid: Grid, seed: int) -> Surface:
    """Draw the plan from the ground up: blocks, water, trunk lines, roads, bridges over all."""
    rng = np.random.default_rng([seed, 2])
    shape = (grid.size_px, grid.size_px)
    cover = np.full(shape, Ground.MEADOW, np.uint8)
    parcel = np.zeros(shape, np.int32)
    for index, block in enumerate(layout.blocks):
        grid.fill(cover, block.outline_m, _COVER[block.use])
        grid.fill(parcel, block.outline_m, index + 1)
        if block.use is Use.PARK:
            _park(cover, block, grid, rng)
        elif block.use is Use.PITCH:
            _pitch(cover, block, grid)
    _clearings(cover, grid, rng)
    _waters(cover, layout, grid)
    deck = np.zeros(shape, np.uint8)
    for outline_m in corners(decks[decks["facade"] == Facade.DECK]):
        grid.fill(deck, outline_m, 1)
    _trunks(cover, layout, deck, grid)
    _roads(cover, layout, deck, grid)
    for junction in layout.junctions:
        _round_corners(cover, junction, grid)
    for junction in layout.roundabouts:
        _roundabout(cover, junction, grid)
    marking = paint_markings(layout, grid, rng)
    marking *= _lookup(_PAINTED)[cover]
    return Surface(cover, parcel, marking, deck > 0)


def _lookup(kinds: tuple[Ground, ...]) -> Bytes:
    """[G] 1 for these kinds of ground."""
    return np.array([kind in kinds for kind in Ground], np.uint8)


def _clearings(cover: Bytes, grid: Grid, rng: np.random.Generator) -> None:
    """Meadows in the forest, by bands of rows to spare memory."""
    patches = Noise(rng, 60.0, 2)
    for rows in grid.bands():
        band = cover[rows]
        band[(band == Ground.FOREST) & (patches.rows(grid, rows) > 1.3)] = Ground.MEADOW


def _waters(cover: Bytes, layout: Layout, grid: Grid) -> None:
    """Banks first, then the water; the sea has a beach."""
    waters = layout.waters
    for value, bank_m in ((Ground.BANK, BANK_M - 1.0), (Ground.WATER, 0.0)):
        for river in waters.rivers:
            left, right = shores(river, bank_m)
            grid.fill(cover, np.concatenate([left, right[::-1]]), value)
        for shore_m in waters.lakes:
            grid.fill(cover, shore_m, value)
            if bank_m > 0.0:
                grid.stroke(cover, np.concatenate([shore_m, shore_m[:1]]), 2.0 * bank_m, value)
        if waters.sea_m is not None:
            if bank_m > 0.0:
                grid.stroke(cover, waters.sea_m, 44.0, Ground.SAND)
            grid.fill(cover, waters.sea_m, Ground.WATER)


def _trunks(cover: Bytes, layout: Layout, deck: Bytes, grid: Grid) -> None:
    """Green slopes, then the bed; water shows except where a bridge carries the line."""
    open_water = (cover == Ground.WATER) & (deck == 0)
    for trunk in sorted(layout.trunks, key=lambda trunk: trunk.kind is TrunkKind.RAIL):
        full_m = trunk.kind.width_m + 2.0 * SLOPE_M - 3.0
        grid.stroke(cover, trunk.line_m, full_m, Ground.MEADOW)
        grid.stroke(cover, trunk.line_m, trunk.kind.width_m, _TRUNK[trunk.kind])
        for line_m, width_m, value in _lanes(trunk):
            grid.stroke(cover, line_m, width_m, value)
    for station in layout.stations:
        for trunk in layout.trunks:
            if nearest_m(station.at_m, trunk.line_m) < 12.0:
                grid.stroke(cover, stretch(trunk, station), 15.0, Ground.BALLAST)
    cover[open_water] = Ground.WATER


def _lanes(trunk: Trunk) -> list[tuple[Floats, float, Ground]]:
    """Two tracks of a railway; the green middle of a motorway."""
    if trunk.kind is TrunkKind.MOTORWAY:
        return [(trunk.line_m, 3.0, Ground.MEADOW)]
    return [(beside(trunk.line_m, aside_m), 2.6, Ground.SLEEPERS) for aside_m in (-2.1, 2.1)]


def _roads(cover: Bytes, layout: Layout, deck: Bytes, grid: Grid) -> None:
    """Everything beside the carriageways first, so that junctions are open."""
    barred = _lookup((Ground.WATER, Ground.BALLAST, Ground.SLEEPERS))[cover] > deck
    kept = cover[barred]
    for road in layout.roads:
        verge, width_m = Ground.PAVING, road.kind.full_width_m
        if road.kind in (RoadKind.TRACK, RoadKind.LANE):
            verge, width_m = Ground.MEADOW, road.kind.width_m + 3.5
        grid.stroke(cover, road.line_m, width_m, verge)
    for road in sorted(layout.roads, key=lambda road: road.kind.width_m):
        value = _ROADWAY.get(road.kind, Ground.ASPHALT)
        grid.stroke(cover, road.line_m, road.kind.width_m, value)
    cover[barred] = kept
    walks = _lookup((Ground.PAVING, Ground.MEADOW, Ground.WATER, Ground.BANK))[cover]
    cover[(walks & deck) > 0] = Ground.BRIDGE


def _round_corners(cover: Bytes, junction: Junction, grid: Grid) -> None:
    """Kerbs of a junction run in arcs: close the corners of the carriageways."""
    window, _ = grid.cut_out(junction.at_m[None], 26.0)
    part = cover[window]
    roads = _lookup((Ground.ASPHALT, Ground.STREET))[part]
    size_px = 2 * round(5.0 / grid.gsd_m) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size_px, size_px))
    closed = np.asarray(cv2.morphologyEx(roads, cv2.MORPH_CLOSE, disc))
    part[(closed > roads) & (part != Ground.WATER)] = Ground.STREET


def _roundabout(cover: Bytes, junction: Junction, grid: Grid) -> None:
    window, _ = grid.cut_out(junction.at_m[None], junction.radius_m + 3.0)
    part = cover[window]
    east, north = grid.offsets(window, junction.at_m)
    far_m = np.hypot(east, north)
    road = _lookup((Ground.ASPHALT, Ground.STREET))[part] > 0
    outer_m = junction.radius_m
    part[(far_m < outer_m) & ~road] = Ground.PAVING
    part[far_m < outer_m - 3.0] = Ground.ASPHALT
    part[far_m < outer_m - 12.0 * outer_m / 22.5] = Ground.PAVING
    part[far_m < outer_m - 13.5 * outer_m / 22.5] = Ground.PARK


def _park(cover: Bytes, block: Block, grid: Grid, rng: np.random.Generator) -> None:
    """A path around, two winding through, and a pond where there is room."""
    around = inset(block.corners_m, 11.0)
    if around is None:
        return
    axis, long_m, short_m = long_axis(around)
    middle = around.mean(axis=0)
    window, inside = grid.cut_out(block.outline_m, 0.3 * long_m)
    before = cover[window].copy()
    ring = ellipse(middle, axis, 0.92 * long_m, 0.92 * short_m)
    grid.stroke(cover, np.concatenate([ring, ring[:1]]), 2.2, Ground.PATH)
    for turn in (0.0, math.pi / 2.0) if short_m > 60.0 else (math.pi / 2.0,):
        along = np.linspace(-0.6, 0.6, 60)[:, None] * long_m
        swing = np.sin(along / 24.0 + rng.uniform(0.0, 6.0)) * 0.05 * short_m
        angle = axis + turn + rng.normal(0.0, 0.15)
        line = middle + along * unit(angle) + swing * unit(angle + math.pi / 2.0)
        grid.stroke(cover, line, 2.2, Ground.PATH)
    if short_m > 70.0:
        _pond(cover, middle + rng.uniform(-0.15, 0.15, 2) * short_m, axis, around, grid, rng)
    cover[window][~inside] = before[~inside]


def _pond(
    cover: Bytes, at_m: Floats, axis: float, around: Floats, grid: Grid, rng: np.random.Generator
) -> None:
    _, long_m, short_m = long_axis(around)
    shore = 1.0 + 0.14 * np.sin(np.arange(48) * math.pi / 8.0 + rng.uniform(0.0, 6.0))
    pond = ellipse(np.zeros(2), axis, 0.45 * long_m, 0.35 * short_m) * shore[:, None]
    grid.fill(cover, at_m + 1.15 * pond, Ground.BANK)
    grid.fill(cover, at_m + pond, Ground.WATER)


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
