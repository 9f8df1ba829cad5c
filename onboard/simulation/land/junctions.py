"""Where roads meet, found from the ends of their lines."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from .geometry import nearest_m
from .plan import Junction, JunctionKind, Road, RoadKind, Settlement
from .raster import Floats

_REACH_M = 4.0
_CELL_M = 16.0
_SAME_M = 14.0
_APART_M = 320.0
_STRAIGHT_RAD = math.radians(152.0)
_FORK_RAD = math.radians(58.0)
_ROUND = (RoadKind.HIGHWAY, RoadKind.COLLECTOR)

_Arm = tuple[RoadKind, float]


def find_junctions(
    roads: list[Road], settlements: tuple[Settlement, ...], size_m: float, rng: np.random.Generator
) -> tuple[Junction, ...]:
    """Every place on the map where three arms or more meet.

    The crossing nearest the main hub is a roundabout; so are some other ones of main roads.
    """
    near = _lookup([road for road in roads if road.kind is not RoadKind.TRACK])
    found: list[tuple[Floats, list[_Arm]]] = []
    taken: dict[tuple[int, int], list[Floats]] = defaultdict(list)
    for road in roads:
        for end_m in (road.line_m[0], road.line_m[-1]) if road.kind is not RoadKind.TRACK else ():
            if np.abs(end_m).max() > size_m / 2.0 or _known(taken, end_m):
                continue
            arms = _arms(near, end_m)
            if len(arms) >= 3:
                found.append((end_m, arms))
    rounds = _choose_round(found, settlements[0].at_m, rng)
    return tuple(_junction(at_m, arms, k in rounds) for k, (at_m, arms) in enumerate(found))


def _choose_round(
    found: list[tuple[Floats, list[_Arm]]], hub_m: Floats, rng: np.random.Generator
) -> set[int]:
    """The nearest to the hub, and a few others well apart from each other."""
    eligible = [k for k, (_, arms) in enumerate(found) if _may_be_round(arms)]
    if not eligible:
        return set()
    chosen = [min(eligible, key=lambda k: nearest_m(found[k][0], hub_m[None]))]
    for k in eligible:
        apart = all(math.dist(found[k][0], found[other][0]) > _APART_M for other in chosen)
        if apart and rng.random() < 0.14:
            chosen.append(k)
    return set(chosen)


def _cell(at_m: Floats) -> tuple[int, int]:
    return math.floor(at_m[0] / _CELL_M), math.floor(at_m[1] / _CELL_M)


def _around(cell: tuple[int, int]) -> list[tuple[int, int]]:
    return [(cell[0] + east, cell[1] + north) for east in (-1, 0, 1) for north in (-1, 0, 1)]


def _lookup(roads: list[Road]) -> dict[tuple[int, int], dict[int, Road]]:
    """The roads that have a point in each cell; lines have one every 8 m."""
    cells: dict[tuple[int, int], dict[int, Road]] = defaultdict(dict)
    for index, road in enumerate(roads):
        for cell in {(int(e), int(n)) for e, n in np.floor(road.line_m / _CELL_M)}:
            cells[cell][index] = road
    return cells


def _known(taken: dict[tuple[int, int], list[Floats]], at_m: Floats) -> bool:
    """Whether a junction was found here already; remembers it otherwise."""
    cell = _cell(at_m)
    if any(math.dist(at_m, other) < _SAME_M for c in _around(cell) for other in taken[c]):
        return True
    taken[cell].append(at_m)
    return False


def _arms(near: dict[tuple[int, int], dict[int, Road]], at_m: Floats) -> list[_Arm]:
    """Kind and direction of every road that leaves a point."""
    roads = {k: road for cell in _around(_cell(at_m)) for k, road in near.get(cell, {}).items()}
    arms: list[_Arm] = []
    for road in roads.values():
        far_m = np.hypot(*(road.line_m - at_m).T)
        nearest = int(far_m.argmin())
        if _off_line_m(road.line_m, at_m, nearest) > _REACH_M:
            continue
        for step in (-1, 1):
            target = nearest + 3 * step
            if 0 <= target < len(road.line_m) or (step < 0 < nearest) or _left(road, nearest, step):
                ahead = road.line_m[int(np.clip(target, 0, len(road.line_m) - 1))] - at_m
                if np.hypot(*ahead) > 6.0:
                    arms.append((road.kind, math.atan2(ahead[1], ahead[0])))
    return arms


def _left(road: Road, nearest: int, step: int) -> bool:
    return step > 0 and nearest < len(road.line_m) - 1


def _off_line_m(line_m: Floats, at_m: Floats, nearest: int) -> float:
    """Distance to the segments beside the nearest point."""
    best = math.inf
    for a, b in ((nearest - 1, nearest), (nearest, nearest + 1)):
        if a >= 0 and b < len(line_m):
            step = line_m[b] - line_m[a]
            share = float(np.clip((at_m - line_m[a]) @ step / max(step @ step, 1e-9), 0.0, 1.0))
            best = min(best, math.dist(at_m, line_m[a] + share * step))
    return best


def _may_be_round(arms: list[_Arm]) -> bool:
    return len(arms) >= 3 and sum(kind in _ROUND for kind, _ in arms) >= 3


def _junction(at_m: Floats, arms: list[_Arm], is_round: bool) -> Junction:
    if is_round:
        highway = any(kind is RoadKind.HIGHWAY for kind, _ in arms)
        return Junction(at_m, JunctionKind.ROUNDABOUT, len(arms), 22.5 if highway else 17.0)
    if len(arms) > 3:
        return Junction(at_m, JunctionKind.CROSSING, len(arms))
    angles = sorted(angle for _, angle in arms)
    gaps = [(b - a) % math.tau for a, b in zip(angles, [*angles[1:], angles[0]], strict=True)]
    fork = min(gaps) < _FORK_RAD or max(gaps) > math.tau - _STRAIGHT_RAD
    return Junction(at_m, JunctionKind.Y if fork else JunctionKind.T, 3)
