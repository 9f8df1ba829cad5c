"""Things that stand out: churches, towers, silos, a stadium, a power station, stations."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .construction import BITUMEN, SHEET, Site, plant_room
from .geometry import inset, long_axis, rectangle, unit
from .ground import Ground
from .markings import pitch_of
from .plan import Block, Landmark, Trunk, Use
from .raster import Floats
from .solids import Facade, Shape
from .trunks import direction_at

_COPPER = (104, 138, 122)
_SLATE = (92, 94, 100)
_STONE = (176, 166, 148)
_CONCRETE = (196, 194, 188)
_WHITE = (228, 229, 228)


def church(block: Block, site: Site) -> None:
    """A nave from west to east, a tower with a steep roof, a square around."""
    rng, middle = site.rng, block.corners_m.mean(axis=0)
    line = inset(block.corners_m, 9.0)
    if line is not None:
        site.pave(line, (Ground.PAVING, Ground.LAWN)[rng.integers(2)])
    angle = rng.normal(0.0, 0.12)
    nave_m = (rng.uniform(24.0, 36.0), rng.uniform(11.0, 15.0), rng.uniform(9.0, 13.0))
    roof = _SLATE if rng.random() < 0.5 else (140, 84, 70)
    site.build(middle, angle, nave_m, roof, 7.0, Shape.GABLE, 0.0, Facade.BRICK)
    east_m = middle + unit(angle) * (nave_m[0] / 2.0 + 3.0)
    site.build(east_m, angle, (9.0, 9.0, nave_m[2] - 2.0), roof, 4.0, Shape.HIP, 0.0, Facade.BRICK)
    west_m = middle - unit(angle) * (nave_m[0] / 2.0 + 3.0)
    height_m = rng.uniform(24.0, 38.0)
    top = _COPPER if rng.random() < 0.5 else roof
    site.build(west_m, angle, (8.0, 8.0, height_m), top, 13.0, Shape.HIP, 0.0, Facade.BRICK)


def castle(block: Block, site: Site) -> None:
    """Walls around a court with a round tower at each corner, a keep within."""
    middle, angle = block.corners_m.mean(axis=0), long_axis(block.corners_m)[0]
    site.surface.cover[site.grid.cut_out(rectangle(middle, angle, 62.0, 50.0))[0]] = Ground.LAWN
    site.grid.fill(site.surface.cover, rectangle(middle, angle, 44.0, 34.0), Ground.PAVING)
    for turn, length_m, away_m in ((0.0, 44.0, 17.0), (math.pi / 2.0, 34.0, 22.0)):
        for side in (-1.0, 1.0):
            at_m = middle + unit(angle + turn + math.pi / 2.0) * side * away_m
            site.build(at_m, angle + turn, (length_m, 2.2, 9.0), _STONE)
    for east, north in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        at_m = middle + unit(angle) * east * 22.0 + unit(angle + math.pi / 2.0) * north * 17.0
        site.build(at_m, angle, (9.0, 9.0, 15.0), _SLATE, 6.0, Shape.ROUND)
    keep_m = middle + unit(angle) * 9.0
    site.build(keep_m, angle, (18.0, 13.0, 17.0), (128, 82, 70), 6.0, Shape.HIP, 0.0, Facade.BRICK)


def stadium(block: Block, site: Site) -> None:
    """A pitch between four roofed stands."""
    pitch = pitch_of(block)
    along, across = unit(pitch.angle), unit(pitch.angle + math.pi / 2.0)
    grounds_m = (pitch.length_m + 8.0, pitch.width_m + 8.0)
    site.pave(rectangle(pitch.middle_m, pitch.angle, *grounds_m), Ground.PITCH)
    deep_m, colour = 0.16 * pitch.length_m, site.pick(SHEET)
    for side in (-1.0, 1.0):
        at_m = pitch.middle_m + across * side * (grounds_m[1] + deep_m) / 2.0
        site.build(at_m, pitch.angle, (grounds_m[0], deep_m, 14.0), colour, seam_m=8.0)
        at_m = pitch.middle_m + along * side * (grounds_m[0] + deep_m) / 2.0
        site.build(
            at_m, pitch.angle + math.pi / 2.0, (grounds_m[1], deep_m, 11.0), colour, seam_m=8.0
        )


def water_tower(block: Block, site: Site) -> None:
    """A round tower with a dome."""
    middle = block.corners_m.mean(axis=0)
    site.pave(rectangle(middle, 0.0, 24.0, 24.0), Ground.PAVING)
    site.build(middle, 0.0, (13.0, 13.0, 30.0), _CONCRETE, 3.5, Shape.ROUND)


def silos(block: Block, site: Site) -> None:
    """Two rows of equal silos, a loading house at their end."""
    axis, _, _ = long_axis(block.corners_m)
    middle = block.corners_m.mean(axis=0)
    site.pave(rectangle(middle, axis, 56.0, 40.0), Ground.CONCRETE)
    for along_m in (-13.0, -3.5, 6.0, 15.5):
        for side_m in (-5.0, 5.0):
            at_m = middle + unit(axis) * along_m + unit(axis + math.pi / 2.0) * side_m
            site.build(at_m, axis, (9.0, 9.0, 24.0), _WHITE, 1.8, Shape.ROUND)
    end_m = middle - unit(axis) * 24.0
    site.build(end_m, axis, (9.0, 12.0, 32.0), site.pick(SHEET), facade=Facade.HALL)


def wind_turbine(block: Block, site: Site) -> None:
    """The mast of a wind turbine, on a gravel place."""
    middle = block.corners_m.mean(axis=0)
    site.grid.fill(site.surface.cover, rectangle(middle, 0.4, 26.0, 18.0), Ground.TRACK)
    site.build(middle, 0.0, (4.0, 4.0, 98.0), _WHITE, 0.4, Shape.ROUND)


def power_station(block: Block, site: Site) -> None:
    """A boiler house, a machine hall, a chimney, two cooling towers."""
    line = inset(block.corners_m, 8.0)
    if line is None:
        return
    axis, long_m, short_m = long_axis(line)
    middle, across = line.mean(axis=0), unit(axis + math.pi / 2.0)
    size = (0.36 * long_m, 0.34 * short_m, 34.0)
    hall_m = middle - unit(axis) * 0.14 * long_m
    site.build(hall_m, axis, size, site.pick(BITUMEN), facade=Facade.HALL)
    plant_room(site, hall_m, axis, size)
    low = (0.36 * long_m, 0.22 * short_m, 18.0)
    site.build(hall_m + across * 0.3 * short_m, axis, low, site.pick(SHEET), facade=Facade.HALL)
    site.build(
        hall_m - across * 0.3 * short_m, axis, (7.0, 7.0, 105.0), _CONCRETE, 0.5, Shape.ROUND
    )
    wide_m = min(0.36 * short_m, 40.0)
    for side in (-1.0, 1.0):
        at_m = middle + unit(axis) * 0.3 * long_m + across * side * 0.25 * short_m
        site.build(at_m, axis, (wide_m, wide_m, 55.0), _CONCRETE, 1.0, Shape.ROUND)


def quarry(block: Block, site: Site) -> None:
    """Bare rock, a pool at the bottom, heaps, a crusher."""
    rng, middle = site.rng, block.corners_m.mean(axis=0)
    axis, long_m, short_m = long_axis(block.corners_m)
    pit = middle + 0.5 * (block.outline_m - middle)
    site.grid.fill(site.surface.cover, pit, Ground.BARE)
    pool = middle + unit(axis) * 0.1 * long_m + 0.2 * (block.outline_m - middle)
    site.grid.fill(site.surface.cover, pool, Ground.WATER)
    for _ in range(4):
        at_m = middle + rng.uniform(-0.3, 0.3, 2) * short_m - unit(axis) * 0.12 * long_m
        wide_m = rng.uniform(9.0, 18.0)
        heap = (wide_m, wide_m, 0.6)
        site.build(at_m, axis, heap, (168, 158, 142), 0.3 * wide_m, Shape.ROUND)


def big_hall(block: Block, site: Site) -> None:
    """One hall that fills its block, its roof in broad stripes."""
    line = inset(block.corners_m, 16.0)
    if line is None:
        return
    axis, long_m, short_m = long_axis(line)
    middle = line.mean(axis=0)
    for share in (0.9, 0.75, 0.6):
        plan = (share * long_m, share * short_m)
        if site.fits(rectangle(middle, axis, *plan)):
            size = (*plan, site.rng.uniform(11.0, 14.0))
            site.build(middle, axis, size, site.pick(SHEET), seam_m=12.0, facade=Facade.HALL)
            plant_room(site, middle, axis, size)
            return


def station(place: Landmark, trunks: tuple[Trunk, ...], site: Site) -> None:
    """Platforms with roofs along the tracks, the station's house beside them."""
    trunk = min(trunks, key=lambda t: float(np.hypot(*(t.line_m - place.at_m).T).min()))
    angle = direction_at(trunk, place.at_m)
    across = unit(angle + math.pi / 2.0)
    for side in (-1.0, 1.0):
        at_m = place.at_m + across * side * 10.0
        _lay(site, at_m, angle, (120.0, 4.2, 0.9), _CONCRETE)
        _lay(site, at_m, angle, (46.0, 3.4, 4.4), site.pick(SHEET))
    for side in (1.0, -1.0):
        house_m = place.at_m + across * side * 25.0
        if site.fits(rectangle(house_m, angle, 34.0, 12.0)):
            _lay(site, house_m, angle, (34.0, 12.0, 9.0), (140, 84, 70), 4.0, Shape.HIP)
            break


def _lay(
    site: Site,
    at_m: Floats,
    angle: float,
    size_m: tuple[float, float, float],
    colour: tuple[int, int, int],
    rise_m: float = 0.0,
    shape: Shape = Shape.FLAT,
) -> None:
    """Build on railway ground, where nothing else may."""
    facade = Facade.BRICK if size_m[2] > 6.0 else Facade.PLAIN
    site.build(at_m, angle, size_m, colour, rise_m, shape, 0.0, facade)


MONUMENTS: dict[Use, Callable[[Block, Site], None]] = {
    Use.CHURCH: church,
    Use.CASTLE: castle,
    Use.STADIUM: stadium,
    Use.WATER_TOWER: water_tower,
    Use.SILOS: silos,
    Use.WIND_TURBINES: wind_turbine,
    Use.POWER_STATION: power_station,
    Use.QUARRY: quarry,
    Use.BIG_HALL: big_hall,
}
