"""White paint: lines of the main roads, zebra crossings, sports pitches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .geometry import beside, ellipse, length_m, long_axis, rectangle, unit, walk
from .plan import Block, Layout, Road, RoadKind, TrunkKind, Use
from .raster import Bytes, Floats, Grid

_LINE_M = 0.3


@dataclass(frozen=True, eq=False)
class Pitch:
    """Where the lines of a football pitch lie, and whether a running track goes around."""

    middle_m: Floats
    angle: float
    length_m: float
    width_m: float
    with_track: bool


def pitch_of(block: Block) -> Pitch:
    """The largest pitch for a block, no larger than the rules allow."""
    angle, long_m, short_m = long_axis(block.corners_m)
    scale = min(1.0, 0.8 * long_m / 176.0, 0.8 * short_m / 93.0)
    with_track = scale > 0.7
    if not with_track:
        scale = min(1.0, 0.62 * long_m / 105.0, 0.62 * short_m / 68.0)
    middle_m = block.corners_m.mean(axis=0)
    return Pitch(middle_m, angle, 105.0 * scale, 68.0 * scale, with_track)


def paint_markings(layout: Layout, grid: Grid, rng: np.random.Generator) -> Bytes:
    """[H, W] share of each pixel under paint, 0..255."""
    marking = np.zeros((grid.size_px, grid.size_px), np.uint8)
    main = [r for r in layout.roads if r.kind in (RoadKind.HIGHWAY, RoadKind.COLLECTOR)]
    for road in main:
        _lanes(marking, road, grid)
    for trunk in layout.trunks:
        if trunk.kind is TrunkKind.MOTORWAY:
            _motorway(marking, trunk.line_m, grid)
    for road in layout.roads:
        for end_m in (road.line_m[0], road.line_m[-1]):
            _clear(marking, end_m, road.kind.width_m / 2.0 + 5.0, grid)
    for junction in layout.roundabouts:
        _clear(marking, junction.at_m, junction.radius_m + 3.5, grid)
    for road in layout.roads:
        if road.kind is RoadKind.STREET:
            for line_m in (road.line_m, road.line_m[::-1]):
                if rng.random() < 0.3:
                    _zebra(marking, line_m, road.kind.width_m, grid)
    for block in layout.blocks:
        if block.use is Use.PITCH:
            _pitch_lines(marking, pitch_of(block), grid)
    return marking


def paint_line(marking: Bytes, line_m: Floats, grid: Grid) -> None:
    """One line of paint, fainter where a pixel is wider than the line."""
    cover = min(1.0, _LINE_M / grid.gsd_m)
    grid.stroke(marking, line_m, _LINE_M, round(255 * cover))


def _lanes(marking: Bytes, road: Road, grid: Grid) -> None:
    """Dashes in the middle, and on the widest roads a line along each edge."""
    reach_m = length_m(road.line_m)
    for start_m in np.arange(0.0, reach_m - 4.0, 9.0):
        paint_line(marking, walk(road.line_m, np.array([start_m, start_m + 4.0]))[0], grid)
    if road.kind is RoadKind.HIGHWAY:
        points, angles = walk(road.line_m, np.arange(0.0, reach_m, 6.0))
        across = np.stack([-np.sin(angles), np.cos(angles)], axis=-1)
        for side in (-1.0, 1.0):
            paint_line(marking, points + side * across * (road.kind.width_m / 2.0 - 0.6), grid)


def _motorway(marking: Bytes, line_m: Floats, grid: Grid) -> None:
    """Edges of both carriageways, dashes between their lanes."""
    half_m = TrunkKind.MOTORWAY.width_m / 2.0
    for side in (-1.0, 1.0):
        for aside_m in (2.2, half_m - 2.2):
            paint_line(marking, beside(line_m, side * aside_m), grid)
        lane_m = beside(line_m, side * (half_m + 0.2) / 2.0)
        for start_m in np.arange(0.0, length_m(line_m) - 4.0, 18.0):
            paint_line(marking, walk(lane_m, np.array([start_m, start_m + 6.0]))[0], grid)


def _clear(marking: Bytes, centre_m: Floats, radius_m: float, grid: Grid) -> None:
    grid.fill(marking, ellipse(centre_m, 0.0, 2.0 * radius_m, 2.0 * radius_m), 0)


def _zebra(marking: Bytes, line_m: Floats, width_m: float, grid: Grid) -> None:
    """Bars along the road, just outside the junction at the line's beginning."""
    if length_m(line_m) < 30.0:
        return
    points, angles = walk(line_m, np.array([11.0]))
    along, across = unit(angles[0]), unit(angles[0] + math.pi / 2.0)
    bars_m = np.arange(-width_m / 2.0 + 0.6, width_m / 2.0, 1.2)
    fine = grid.gsd_m <= 0.4  # else a pixel sees paint and gaps as one grey
    for offset_m in bars_m if fine else (0.0,):
        size_m = (3.2, 0.6) if fine else (3.2, width_m - 1.0)
        bar = rectangle(points[0] + offset_m * across, angles[0], *size_m)
        grid.fill(marking, bar, 230 if fine else 125)
    stop = points[0] + 3.2 * along
    paint_line(marking, np.array([stop, stop + across * (width_m / 2.0)]), grid)


def _pitch_lines(marking: Bytes, pitch: Pitch, grid: Grid) -> None:
    middle_m, angle = pitch.middle_m, pitch.angle
    along, across = unit(angle), unit(angle + math.pi / 2.0)
    half_m, scale = pitch.length_m / 2.0, pitch.length_m / 105.0
    shapes = [
        rectangle(middle_m, angle, pitch.length_m, pitch.width_m),
        ellipse(middle_m, 0.0, 18.3 * scale, 18.3 * scale),
    ]
    for side in (-1.0, 1.0):
        for depth_m, width_m in ((16.5, 40.3), (5.5, 18.3)):
            centre_m = middle_m + side * (half_m - depth_m * scale / 2.0) * along
            shapes.append(rectangle(centre_m, angle, depth_m * scale, width_m * scale))
    for shape in shapes:
        paint_line(marking, np.concatenate([shape, shape[:1]]), grid)
    halfway = across * pitch.width_m / 2.0
    paint_line(marking, np.array([middle_m - halfway, middle_m + halfway]), grid)
