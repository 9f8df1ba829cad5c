"""Bridges as boxes: decks at the height of their ends, piers below long ones."""

from __future__ import annotations

import math

import numpy as np

from .geometry import length_m, walk
from .plan import Bridge
from .raster import Floats
from .solids import BOX, Facade, Rows, Shape
from .terrain import Terrain

DECK_THICKNESS_M = 1.4
_PIECE_M, _STEP_M = 14.0, 0.15
"""Decks are made of level pieces no longer than this, no step between them higher."""
_PIER_EVERY_M = 22.0
_CONCRETE = (0.66, 0.65, 0.62)


def decks(bridges: tuple[Bridge, ...], terrain: Terrain) -> Rows:
    """[D] `BOX` rows: straight pieces of every deck, then its piers."""
    found: list[tuple[object, ...]] = []
    for bridge in bridges:
        found += _deck(bridge, terrain)
    return np.array(found, BOX)


def _deck(bridge: Bridge, terrain: Terrain) -> list[tuple[object, ...]]:
    total_m = length_m(bridge.line_m)
    first_m, last_m = terrain.alt_amsl_m(bridge.line_m[[0, -1]])
    pieces = math.ceil(max(total_m / _PIECE_M, abs(last_m - first_m) / _STEP_M))
    points, _ = walk(bridge.line_m, np.linspace(0.0, total_m, pieces + 1))
    boxes = []
    for k in range(pieces):
        top_m = first_m + (last_m - first_m) * (k + 0.5) / pieces
        ahead = points[k + 1] - points[k]
        size_m = (math.hypot(*ahead) + 0.6, bridge.width_m + 0.8, DECK_THICKNESS_M)
        angle = math.atan2(ahead[1], ahead[0])
        middle_m = (points[k] + points[k + 1]) / 2.0
        boxes.append(_box(middle_m, angle, size_m, top_m - DECK_THICKNESS_M, Facade.DECK))
    for station_m in _pier_stations(total_m):
        at_m, angles = walk(bridge.line_m, np.array([station_m]))
        top_m = first_m + (last_m - first_m) * station_m / total_m - 0.5
        base_m = float(terrain.alt_amsl_m(at_m)[0])
        if top_m - base_m > DECK_THICKNESS_M:
            size_m = (1.4, 0.7 * bridge.width_m, top_m - base_m)
            boxes.append(_box(at_m[0], float(angles[0]), size_m, base_m, Facade.PLAIN))
    return boxes


def _pier_stations(total_m: float) -> Floats:
    count = math.floor(total_m / _PIER_EVERY_M)
    return (np.arange(count) + 0.5) * total_m / max(count, 1) if count > 1 else np.zeros(0)


def _box(
    middle_m: Floats,
    angle: float,
    size_m: tuple[float, float, float],
    base_m: float,
    facade: Facade,
) -> tuple[object, ...]:
    place = (*middle_m, angle % math.tau, *size_m)
    return (*place, 0.0, int(Shape.FLAT), 0.0, _CONCRETE, int(facade), base_m)
