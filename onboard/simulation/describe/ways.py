"""Facts about what runs through the square."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from ..land.geometry import length_m, unit
from ..land.ground import Ground
from ..land.plan import RoadKind
from ..land.raster import Floats
from ..land.solids import middles
from .divide import Divide
from .fact import Fact
from .footprint import Footprint
from .lines import Line
from .words import article, axis, axis_index, number

_CROSSES = 1.6
"""Lines at least so long, in half sides, have two sides."""
_OFF_CENTRE = 0.5
_APART_M = 18.0
_HEDGE_ASIDE_M, _AVENUE_ASIDE_M, _BEHIND_M = 4.2, 4.3, 6.0
_ROW_REACH_M, _ROW_PER_M = 1.6, 0.075
_WOODED = (Ground.FOREST, Ground.BANK, Ground.PARK)
_PARALLEL_RAD = math.radians(20.0)


def divide_by(lines: list[Line], place: Footprint) -> tuple[Divide, Line] | None:
    """The most striking line that parts the square, if no other has its name."""
    names = [line.name for line in lines]
    fit = [
        line
        for line in lines
        if line.length_m > _CROSSES * place.reach_m
        and abs(line.aside_m()) < _OFF_CENTRE * place.reach_m
        and line.turn < math.radians(50.0)
        and names.count(line.name) == 1
    ]
    if not fit:
        return None
    best = max(fit, key=lambda line: line.weight)
    return Divide.along(best.name, best.line_m, place.grid), best


def ways(lines: list[Line], anchor: Line | None, place: Footprint) -> list[Fact]:
    """Each line by its course; parallel ones of the same noun together."""
    facts, left = [], list(lines)
    while left:
        line = left.pop(0)
        noun = _dressed(line, place)
        same = [o for o in left if _dressed(o, place) == noun and _parallel(o, line)]
        left = [other for other in left if other not in same]
        lanes = _side_by_side([line, *same])
        if lanes > 1:
            thing = f"{number(lanes)} parallel {noun}s"
            facts.append(Fact(line.topic, line.weight, thing, axis(line.angle), plural=True))
            continue
        motion, where = line.course(place.reach_m)
        weight = line.weight * min(1.0, 0.5 + 0.3 * line.length_m / place.reach_m)
        thing = f"{article(noun)} {noun}"
        facts.append(Fact(line.topic, weight, thing, motion, where, anchor=line is anchor))
    return facts


def _side_by_side(lines: list[Line]) -> int:
    """How many lie apart across their course; what goes on beyond a junction counts once."""
    across = unit(lines[0].angle + math.pi / 2.0)
    offsets_m = sorted(float(line.line_m.mean(axis=0) @ across) for line in lines)
    return 1 + sum(b - a > _APART_M for a, b in pairwise(offsets_m))


def _parallel(one: Line, other: Line) -> bool:
    bend = math.remainder(one.angle - other.angle, math.pi)
    straight = max(one.turn, other.turn) < math.radians(30.0)
    alike = axis_index(one.angle) == axis_index(other.angle)
    return straight and alike and abs(bend) < _PARALLEL_RAD


def _dressed(line: Line, place: Footprint) -> str:
    """The noun with the row of trees beside the line, if there is one."""
    kind = line.road
    if kind is None or not (kind.bridges or kind is RoadKind.TRACK):
        return line.noun
    is_track = kind is RoadKind.TRACK
    aside_m = _HEDGE_ASIDE_M if is_track else kind.width_m / 2.0 + _AVENUE_ASIDE_M
    if _trees_per_m(line.line_m, aside_m, place) < _ROW_PER_M:
        return line.noun
    return f"{'hedge' if is_track else 'tree'}-lined {line.noun}"


def _trees_per_m(line_m: Floats, aside_m: float, place: Footprint) -> float:
    """Of a row on one side at least; woods beside the line make none."""
    across = np.gradient(line_m, axis=0)[:, ::-1] * [-1.0, 1.0]
    across /= np.hypot(*across.T)[:, None]
    trees_m, best = middles(place.crowns), 0.0
    for side in (-1.0, 1.0):
        row_m = line_m + side * aside_m * across
        behind_m = line_m + side * (aside_m + _BEHIND_M) * across
        woods = np.isin(place.grid.sample(place.cover, behind_m), _WOODED).mean()
        if woods < 0.2 and len(trees_m):
            far_m = np.hypot(*(trees_m[:, None] - row_m).transpose(2, 0, 1)).min(axis=1)
            best = max(best, float((far_m < _ROW_REACH_M).sum()) / length_m(line_m))
    return best
