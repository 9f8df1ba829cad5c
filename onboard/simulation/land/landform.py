"""The shape of the land: hills, valleys, level water, cuttings, beds of roads."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .crossings import BANK_M, SLOPE_M
from .geometry import nearest_m
from .noise import Noise
from .plan import Bridge, Layout, Over, River, RoadKind, Trunk, TrunkKind
from .raster import Field, Floats, Grid
from .terrain import Terrain, node_grid
from .waters import SEA, shores, water_mask

Flags = npt.NDArray[np.bool_]

_HILLS_M = ((1500.0, 9.0), (520.0, 2.4), (170.0, 0.5))
"""Wavelength and height of the swells."""
_FREEBOARD_M = 2.6
_FALL = 0.0025
_STEEPEST = 0.006
_VALLEY_M = 240.0
_BELOW_BANKS_M = 40.0
"""How far land beyond the valley may lie below the banks."""
_STATION_M = 30.0
_DIP_M = 280.0
"""How far before a bridge a trunk line begins to descend."""


def shape_land(layout: Layout, seed: int) -> Terrain:
    """The ground with water, cuttings and road beds in it, buildings not yet."""
    grid = node_grid(layout.size_m)
    rng = np.random.default_rng([seed, 8])
    raw = _hills(layout, grid, rng)
    level, wet = _water_levels(layout, raw, grid)
    dry = _valleys(raw, level, wet, min(_VALLEY_M, 0.3 * layout.size_m) / grid.gsd_m)
    dry = _road_beds(dry, layout, grid)
    ground = dry
    for trunk in sorted(layout.trunks, key=lambda trunk: trunk.kind is TrunkKind.RAIL):
        ground = _cut_in(ground, trunk, layout, grid)
    return Terrain.on(grid, _let_in_water(ground, level, wet, grid))


def _hills(layout: Layout, grid: Grid, rng: np.random.Generator) -> Field:
    """Rolling ground that falls along the main river, gentler in settlements."""
    all_rows = slice(0, grid.size_px)
    hills = sum(
        np.float32(height_m) * Noise(rng, wavelength_m).rows(grid, all_rows)
        for wavelength_m, height_m in _HILLS_M
    )
    hills = np.asarray(hills, np.float32) * (1.0 - 0.68 * _urban(layout, grid))
    river = layout.waters.rivers[0].line_m
    downstream = (river[-1] - river[0]) / np.hypot(*(river[-1] - river[0]))
    east, north = _axes(grid)
    fall = np.float32(_FALL) * (east * downstream[0] + north * downstream[1])
    if layout.waters.sea_m is None:
        return np.asarray(rng.uniform(90.0, 480.0) + hills - fall, np.float32)
    coast_m = float(_FALL * 0.5 * layout.size_m) + 14.0
    return np.asarray(np.maximum(coast_m + hills - fall, 5.0), np.float32)


def _axes(grid: Grid) -> tuple[Field, Field]:
    """[1, w] metres east and [h, 1] metres north of the nodes."""
    steps = (np.arange(grid.size_px) - (grid.size_px - 1) / 2.0) * grid.gsd_m
    east = steps.astype(np.float32)
    return east[None, :], -east[:, None]


def _urban(layout: Layout, grid: Grid) -> Field:
    """[h, w] 1 in the middle of a settlement, 0 outside."""
    coarse = Grid(
        max(8, round(grid.size_m / 24.0)), grid.size_m / max(8, round(grid.size_m / 24.0))
    )
    east, north = _axes(coarse)
    urban = np.zeros((coarse.size_px, coarse.size_px), np.float32)
    for town in layout.settlements:
        far = np.hypot(east - town.at_m[0], north - town.at_m[1]) / (1.3 * town.radius_m)
        urban = np.maximum(urban, _smooth(1.6 * (1.0 - far)))
    size = (grid.size_px, grid.size_px)
    return np.asarray(cv2.resize(urban, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _smooth(share: Field) -> Field:
    clipped = np.clip(share, 0.0, 1.0)
    return np.asarray(clipped * clipped * (3.0 - 2.0 * clipped), np.float32)


def _water_levels(layout: Layout, raw: Field, grid: Grid) -> tuple[Field, Flags]:
    """[h, w] level of the water where there is some, and where that is."""
    level = np.full_like(raw, np.nan)
    main_m: Floats | None = None
    sea = water_mask(layout.waters, grid) == SEA
    for river in layout.waters.rivers:
        heights_m = _profile(river, raw, sea, grid)
        if main_m is None:
            main_m = heights_m
        else:
            main = layout.waters.rivers[0].line_m
            joint = int(np.hypot(*(main - river.line_m[-1]).T).argmin())
            heights_m = np.maximum(heights_m, main_m[joint])
            heights_m[-6:] = main_m[joint]
        left, right = shores(river)
        for k in range(len(heights_m) - 1):
            piece = np.array([left[k], left[k + 1], right[k + 1], right[k]])
            grid.fill(level, piece, float(heights_m[k]))
    for shore_m in layout.waters.lakes:
        grid.fill(level, shore_m, float(grid.sample(raw, shore_m).min()) - 1.5)
    level[sea] = 0.0
    filled, _ = _nearest(np.nan_to_num(level), np.isfinite(level))  # slits between the pieces
    return filled, water_mask(layout.waters, grid) > 0


def _profile(river: River, raw: Field, sea: Flags, grid: Grid) -> Floats:
    """[K] level of a river: never rising downstream, never falling faster than a river does."""
    heights_m = grid.sample(raw, river.line_m) - 4.0
    heights_m[grid.sample(sea, river.line_m) > 0] = 0.0
    falling = np.minimum.accumulate(heights_m)
    steps = np.hypot(*np.diff(river.line_m, axis=0).T)
    climb_m = _STEEPEST * np.concatenate([[0.0], np.cumsum(steps)])
    return np.asarray(np.minimum.accumulate((falling + climb_m)[::-1])[::-1] - climb_m)


def _nearest(values: Field, known: Flags) -> tuple[Field, Field]:
    """[h, w] the value of the nearest known node, and how many nodes away it is."""
    far, label = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros(int(label.max()) + 1, np.float32)
    table[label[known]] = values[known]
    return table[label], np.asarray(far, np.float32)


def _valleys(raw: Field, level: Field, wet: Flags, reach_px: float) -> Field:
    """Land that meets the water a little above its level; water counts as its bank."""
    if not wet.any():
        return raw
    nearest, far_px = _nearest(level, wet)
    broad = _spread(level, wet, 0.4 * reach_px)
    own = np.exp(-np.square(far_px / np.float32(0.15 * reach_px)))
    bank = broad + (nearest - broad) * own + np.float32(_FREEBOARD_M)
    share = _smooth(far_px / np.float32(reach_px))
    floor = bank + np.float32(0.3) - np.float32(_BELOW_BANKS_M) * share
    return np.asarray(bank + (np.maximum(raw, floor) - bank) * share, np.float32)


def _spread(level: Field, wet: Flags, sigma_px: float) -> Field:
    """[h, w] the mean level of the water around, blurred at a quarter of the resolution."""
    size = tuple(max(2, side // 4) for side in level.shape[::-1])
    weight = cv2.resize(wet.astype(np.float32), size, interpolation=cv2.INTER_AREA) + 1e-9
    total = cv2.resize(np.where(wet, level, np.float32(0.0)), size, interpolation=cv2.INTER_AREA)
    known = weight > 1e-6
    nearest, _ = _nearest(np.asarray(total / weight, np.float32), known)
    for _ in range(2):  # what is far from all water takes on what the first blur brought near
        blurred_weight = cv2.GaussianBlur(weight, (0, 0), sigma_px / 4.0) + 1e-6
        blurred = cv2.GaussianBlur(nearest * weight, (0, 0), sigma_px / 4.0) + 1e-6 * nearest
        nearest, weight = np.asarray(blurred / blurred_weight, np.float32), blurred_weight
    whole = cv2.resize(nearest, level.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(whole, np.float32)


def _road_beds(dry: Field, layout: Layout, grid: Grid) -> Field:
    """Smoother ground along roads, most along main ones."""
    for kinds, blur_m, reach_m in (
        ((RoadKind.STREET, RoadKind.TRACK), 12.0, 14.0),
        ((RoadKind.HIGHWAY, RoadKind.COLLECTOR, RoadKind.LANE), 26.0, 26.0),
    ):
        near = np.zeros(dry.shape, np.uint8)
        for road in layout.roads:
            if road.kind in kinds:
                grid.stroke(near, road.line_m, road.kind.width_m + reach_m, 1)
        weight = cv2.GaussianBlur(near.astype(np.float32), (0, 0), 6.0 / grid.gsd_m)
        dry = dry + (cv2.GaussianBlur(dry, (0, 0), blur_m / grid.gsd_m) - dry) * weight
    return np.asarray(dry, np.float32)


def _cut_in(ground: Field, trunk: Trunk, layout: Layout, grid: Grid) -> Field:
    """The ground with the bed of a trunk line in it, low where roads bridge it."""
    smooth = cv2.GaussianBlur(ground, (0, 0), 45.0 / grid.gsd_m)
    even_m = _along(grid.sample(smooth, trunk.line_m), 15)
    profile_m = even_m + _heave(trunk, layout.bridges, even_m, ground, grid)
    bed, known = ground.copy(), np.zeros(ground.shape, np.uint8)
    width_m = np.full(len(profile_m), trunk.kind.width_m + grid.gsd_m)
    for station in layout.stations:
        width_m[np.hypot(*(trunk.line_m - station.at_m).T) < station.extent_m] = _STATION_M
    for k in range(len(profile_m) - 1):
        grid.stroke(bed, trunk.line_m[k : k + 2], float(width_m[k]), float(profile_m[k]))
        grid.stroke(known, trunk.line_m[k : k + 2], float(width_m[k]), 1)
    nearest, far_px = _nearest(bed, known > 0)
    share = _smooth(far_px * np.float32(grid.gsd_m / (SLOPE_M - grid.gsd_m)))
    return np.asarray(nearest + (ground - nearest) * share, np.float32)


def _along(values: Floats, reach: int) -> Floats:
    """A running mean over `reach` points to either side, twice."""
    kernel = np.ones(2 * reach + 1) / (2 * reach + 1)
    for _ in range(2):
        padded = np.pad(values, reach, mode="edge")
        values = np.convolve(padded, kernel, mode="valid")
    return values


def _heave(
    trunk: Trunk, bridges: tuple[Bridge, ...], even_m: Floats, ground: Field, grid: Grid
) -> Floats:
    """[K] metres up to cross rivers at bank height, down to pass under the roads over the line."""
    over = Over.RAIL if trunk.kind is TrunkKind.RAIL else Over.MOTORWAY
    steps = np.hypot(*np.diff(trunk.line_m, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    up, down, hold = np.zeros(len(along)), np.zeros(len(along)), np.zeros(len(along))
    for bridge in bridges:
        middle_m = bridge.line_m.mean(axis=0)
        if nearest_m(middle_m, trunk.line_m) > 14.0:
            continue
        k = int(np.hypot(*(trunk.line_m - middle_m).T).argmin())
        bank_m = float(grid.sample(ground, bridge.line_m[[0, -1]]).mean())
        near = 1.0 - np.abs(along - along[k]) / _DIP_M
        if bridge.over is over:
            down = np.maximum(down, max(0.0, even_m[k] - bank_m + trunk.kind.cut_m) * _ease(near))
        elif bridge.width_m == trunk.kind.width_m:
            up = np.maximum(up, max(0.0, bank_m - even_m[k]) * _ease(near))
            hold = np.maximum(hold, _ease(1.7 * near))
    return np.asarray(up - down * (1.0 - hold))


def _ease(share: Floats) -> Floats:
    return _smooth(np.asarray(share, np.float32)).astype(float)


def _let_in_water(ground: Field, level: Field, wet: Flags, grid: Grid) -> Field:
    """Banks down to the water, which is level a little beyond its edge."""
    if not wet.any():
        return ground
    nearest, far_px = _nearest(level, wet)
    slope_px = (BANK_M - grid.gsd_m) / grid.gsd_m
    share = _smooth((far_px - 1.0) / np.float32(max(slope_px - 1.0, 1.0)))
    return np.asarray(nearest + (ground - nearest) * share, np.float32)
