"""What a block gets built on it by its use; halls and farms themselves."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .cars import car_park, motorway_traffic, traffic
from .construction import PAINTED, SHEET, TILE, Site, plant_room
from .geometry import inset, long_axis, rectangle, unit
from .ground import Ground
from .houses import detached_houses, slabs, towers, town_houses
from .monuments import MONUMENTS, station
from .plan import Block, Layout, RoadKind, TrunkKind, Use
from .raster import Floats
from .repeats import allotments, equal_rows, greenhouses, orchard, plantation, solar_park
from .solids import Facade, Shape

_SKYLIGHT = (214, 218, 216)
_SILO = (188, 190, 188)


def build_up(layout: Layout, site: Site) -> None:
    """Build on every block, then find places for cars along the roads."""
    for block in layout.blocks:
        if block.use in _BUILDERS:
            _BUILDERS[block.use](block, site)
    for road in layout.roads:
        if road.kind is not RoadKind.TRACK:
            traffic(road, site)
    for trunk in layout.trunks:
        if trunk.kind is TrunkKind.MOTORWAY:
            motorway_traffic(trunk, site)
    for place in layout.stations:
        station(place, layout.trunks, site)


def halls(block: Block, site: Site) -> None:
    """Large halls side by side, tanks and containers around them."""
    rng = site.rng
    line = inset(block.corners_m, 12.0)
    if line is None:
        return
    axis, long_m, short_m = long_axis(line)
    middle, done_m = line.mean(axis=0), -long_m / 2.0
    while done_m < long_m / 2.0 - 15.0:
        wide_m = min(rng.uniform(24.0, 58.0), long_m / 2.0 - done_m)
        for share in (0.95, 0.75, 0.55, 0.4):
            deep_m = share * short_m * rng.uniform(0.85, 1.0)
            across_m = rng.uniform(-0.5, 0.5) * (short_m - deep_m)
            centre_m = middle + unit(axis) * (done_m + wide_m / 2.0)
            centre_m = centre_m + unit(axis + math.pi / 2.0) * across_m
            if site.fits(rectangle(centre_m, axis, wide_m - 4.0, deep_m)):
                _hall(site, centre_m, axis, wide_m - 5.0, deep_m)
                break
        done_m += wide_m + rng.uniform(2.0, 12.0)
    for _ in range(24):
        along_m, across_m = rng.uniform(-0.5, 0.5, 2) * (long_m, short_m)
        spot_m = middle + unit(axis) * along_m + unit(axis + math.pi / 2.0) * across_m
        if rng.random() < 0.1 and site.fits(rectangle(spot_m, axis, 13.0, 13.0)):
            site.build(spot_m, axis, (12.0, 12.0, 8.0), site.pick(SHEET), 1.0, Shape.ROUND)
        else:
            turn = axis + math.pi / 2.0 * rng.integers(2)
            site.scatter(spot_m, turn, (12.2, 2.5, 2.6), site.pick(PAINTED))


def _hall(site: Site, centre_m: Floats, axis: float, wide_m: float, deep_m: float) -> None:
    """A gabled hall with skylights, or a flat one with machines on the roof."""
    rng, colour = site.rng, site.pick(SHEET)
    long_m, short_m = max(wide_m, deep_m), min(wide_m, deep_m)
    angle = axis if wide_m >= deep_m else axis + math.pi / 2.0
    size = (long_m, short_m, rng.uniform(7.0, 13.0))
    if rng.random() < 0.45:
        site.build(centre_m, angle, size, colour, seam_m=6.0, facade=Facade.HALL)
        plant_room(site, centre_m, angle, size)
        return
    site.build(centre_m, angle, size, colour, 2.2, Shape.GABLE, 3.0, Facade.HALL)
    across = angle + math.pi / 2.0
    for along_m in np.arange(-0.42 * long_m, 0.42 * long_m, 8.0):
        for side in (-0.26, 0.26):
            strip_m = centre_m + unit(angle) * along_m + unit(across) * side * short_m
            site.build(strip_m, across, (0.2 * short_m, 1.6, size[2] + 1.6), _SKYLIGHT)


def farm(block: Block, site: Site) -> None:
    """Barns around a yard, and a silo."""
    rng = site.rng
    axis, _, _ = long_axis(block.corners_m)
    middle = block.corners_m.mean(axis=0)
    site.pave(rectangle(middle, axis, 50.0, 42.0), Ground.BARE)
    for turn in rng.permutation(4)[:3]:
        angle = axis + turn * math.pi / 2.0
        centre_m, across = middle + unit(angle) * 21.0, angle + math.pi / 2.0
        size = (rng.uniform(18.0, 32.0), rng.uniform(10.0, 14.0), 5.0)
        if site.fits(rectangle(centre_m, across, *size[:2])):
            colour = site.pick(TILE if rng.random() < 0.5 else SHEET)
            site.build(centre_m, across, size, colour, 3.5, Shape.GABLE, 4.0, Facade.HALL)
    silo_m = middle + unit(axis + 0.8) * 27.0
    if site.fits(rectangle(silo_m, axis, 8.0, 8.0)):
        site.build(silo_m, axis, (7.0, 7.0, 12.0), _SILO, 2.0, Shape.ROUND)


_BUILDERS: dict[Use, Callable[[Block, Site], None]] = {
    Use.HOUSES: detached_houses,
    Use.PERIMETER: town_houses,
    Use.ROWS: equal_rows,
    Use.SLABS: slabs,
    Use.TOWERS: towers,
    Use.HALLS: halls,
    Use.FARM: farm,
    Use.CAR_PARK: car_park,
    Use.ALLOTMENTS: allotments,
    Use.SOLAR: solar_park,
    Use.GREENHOUSES: greenhouses,
    Use.ORCHARD: orchard,
    Use.PLANTATION: plantation,
    **MONUMENTS,
}
