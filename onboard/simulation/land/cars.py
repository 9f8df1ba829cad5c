"""Places for cars: bays of car parks, kerbs, lanes. Whether one is taken is decided per day."""

from __future__ import annotations

import math

import numpy as np

from .construction import Site
from .geometry import inset, length_m, long_axis, rectangle, unit, walk
from .ground import Ground
from .markings import paint_line
from .plan import Block, Road, RoadKind, Trunk
from .raster import Floats

_BAY_M = 2.6
_DRIVEN = np.array([kind in (Ground.ASPHALT, Ground.STREET) for kind in Ground])


def car_park(block: Block, site: Site) -> None:
    """Double rows of bays with lanes between."""
    line = inset(block.corners_m, 8.0)
    if line is None:
        return
    axis, long_m, short_m = long_axis(line)
    across = unit(axis + math.pi / 2.0)
    for offset_m in np.arange(-short_m / 2.0 + 6.0, short_m / 2.0 - 5.0, 16.5):
        for side_m in (-2.55, 2.55):
            at_m = line.mean(axis=0) + across * (offset_m + side_m)
            bays(site, at_m, axis, 0.95 * long_m)


def bays(site: Site, centre_m: Floats, angle: float, reach_m: float) -> None:
    """Bays side by side along the angle wherever there is room, each with a line and a place."""
    side, deep = unit(angle) * _BAY_M / 2.0, unit(angle + math.pi / 2.0) * 2.4
    steps = np.arange(-reach_m / 2.0, reach_m / 2.0, _BAY_M)
    places = [centre_m + unit(angle) * along_m for along_m in steps]
    free = [bay_m for bay_m in places if site.fits(rectangle(bay_m, angle, _BAY_M, 5.0))]
    for bay_m in free:
        site.pave(rectangle(bay_m, angle, _BAY_M + 0.8, 5.8), Ground.CAR_PARK)
    for bay_m in free:
        paint_line(
            site.surface.marking, np.array([bay_m + side - deep, bay_m + side + deep]), site.grid
        )
        site.park_car(bay_m, angle + math.pi / 2.0)
        site.occupy(rectangle(bay_m, angle, _BAY_M, 5.0))


def traffic(road: Road, site: Site) -> None:
    """Cars and lorries that drive on the right; in streets, cars parked at the kerb."""
    main = road.kind in (RoadKind.HIGHWAY, RoadKind.COLLECTOR)
    step_m, aside_m = (26.0, 0.24) if main else (8.0, 0.33)
    for line_m in (road.line_m, road.line_m[::-1]):
        _column(site, line_m, step_m, aside_m * road.kind.width_m, 0.12 if main else 0.0)


def motorway_traffic(trunk: Trunk, site: Site) -> None:
    """Two lanes each way, most lorries in the outer ones."""
    for line_m in (trunk.line_m, trunk.line_m[::-1]):
        _column(site, line_m, 60.0, 4.6, 0.02)
        _column(site, line_m, 42.0, 8.6, 0.4)


def _column(site: Site, line_m: Floats, step_m: float, aside_m: float, lorry_share: float) -> None:
    """Vehicles one after the other, to the right of a line, wherever that is a roadway."""
    stations = np.arange(14.0, length_m(line_m) - 14.0, step_m)
    stations += site.rng.uniform(-0.15, 0.15, len(stations)) * step_m
    points, angles = walk(line_m, stations)
    points = points + aside_m * np.stack([np.sin(angles), -np.cos(angles)], axis=-1)
    driven = _DRIVEN[site.grid.sample(site.surface.cover, points).astype(int)]
    lorries = site.rng.random(len(points)) < lorry_share
    for point, angle, lorry in zip(points[driven], angles[driven], lorries[driven], strict=True):
        site.park_car(point, float(angle), 9.5 if lorry else 4.4)
