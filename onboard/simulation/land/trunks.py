"""Railways and motorways: lines across the whole map that nothing but bridges cross."""

from __future__ import annotations

import math

import cv2
import numpy as np

from .geometry import angle_of, nearest_m, unit, walk
from .plan import Landmark, Settlement, Trunk, TrunkKind, Use, Waters
from .raster import Floats


def plan_trunks(
    rng: np.random.Generator,
    size_m: float,
    angle: float,
    settlements: tuple[Settlement, ...],
    waters: Waters,
) -> tuple[Trunk, ...]:
    """One railway from 800 m on, a motorway from 4 km on, a second railway from 6 km on."""
    if size_m < 800.0:
        return ()
    hub = settlements[0]
    kinds = [TrunkKind.RAIL]
    kinds += [TrunkKind.MOTORWAY] if size_m >= 4000.0 else []
    kinds += [TrunkKind.RAIL] if size_m >= 6000.0 else []
    # along the coast, where there is one: from the far end of the main river it lies across
    river_m = waters.rivers[0].line_m
    across = angle_of(river_m[-1] - river_m[0]) + math.pi / 2.0
    first = across if waters.sea_m is not None else angle + math.pi / 2.0 * rng.integers(0, 2)
    trunks = []
    for index, kind in enumerate(kinds):
        turn = first + (0.0, math.pi / 2.0, math.pi / 2.0)[index] + rng.normal(0.0, 0.1)
        aside_m = (0.62, 1.25, 0.75)[index] * hub.radius_m * (1.0 if index < 2 else -1.0)
        line_m = _on_land(_line(rng, size_m, turn, hub.at_m, aside_m), waters)
        trunks.append(Trunk(line_m, kind))
    return tuple(trunks)


def _on_land(line_m: Floats, waters: Waters) -> Floats:
    """The part of a line before it comes within 120 m of the sea."""
    if waters.sea_m is None:
        return line_m
    sea = np.asarray(waters.sea_m, np.float32)
    dry = np.array([cv2.pointPolygonTest(sea, (e, n), True) < -120.0 for e, n in line_m.tolist()])
    if dry[0] and not dry.all():
        return line_m[: int(np.argmin(dry))]
    return line_m if dry[0] else line_m[int(np.argmax(dry)) :]


def _line(
    rng: np.random.Generator, size_m: float, turn: float, hub_m: Floats, aside_m: float
) -> Floats:
    """Past the hub, on its side away from the edge of the map, in wide bends."""
    across = unit(turn + math.pi / 2.0)
    side = -1.0 if hub_m @ across > 0.0 else 1.0
    along = np.arange(-1.0 * size_m, 1.0 * size_m, 10.0)
    bend_m = max(size_m, 1500.0) * 0.7
    swing = 0.035 * bend_m * np.sin(along * 2.0 * math.pi / bend_m + rng.uniform(0.0, 6.0))
    shift = hub_m @ across + side * aside_m + swing
    return np.asarray(along[:, None] * unit(turn) + shift[:, None] * across)


def plan_stations(
    trunks: tuple[Trunk, ...], settlements: tuple[Settlement, ...], size_m: float
) -> tuple[Landmark, ...]:
    """Where a railway passes nearest to the middle of a settlement that it runs through."""
    stations: list[Landmark] = []
    for trunk in trunks:
        for town in settlements if trunk.kind is TrunkKind.RAIL else ():
            far_m = np.hypot(*(trunk.line_m - town.at_m).T)
            at_m = trunk.line_m[int(far_m.argmin())]
            apart = all(nearest_m(at_m, other.at_m[None]) > 900.0 for other in stations)
            on_map = np.abs(at_m).max() < size_m / 2.0 - 60.0
            if far_m.min() < 0.95 * town.radius_m and apart and on_map:
                stations.append(Landmark(at_m, Use.STATION, 90.0))
    return tuple(stations)


def direction_at(trunk: Trunk, at_m: Floats) -> float:
    """Angle of a trunk where it passes nearest to a point."""
    nearest = int(np.hypot(*(trunk.line_m - at_m).T).argmin())
    steps = np.hypot(*np.diff(trunk.line_m[: nearest + 1], axis=0).T)
    return float(walk(trunk.line_m, np.array([steps.sum()]))[1][0])


def stretch(trunk: Trunk, station: Landmark) -> Floats:
    """[K, 2] the part of a line within the extent of a station."""
    near = np.hypot(*(trunk.line_m - station.at_m).T) < station.extent_m
    return np.asarray(trunk.line_m[near])
