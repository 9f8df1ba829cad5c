"""Facts about where roads meet."""

from __future__ import annotations

import math

import numpy as np

from ..land.geometry import length_m, walk
from ..land.plan import JunctionKind, RoadKind
from ..land.raster import Floats
from .fact import Fact, Topic, counted
from .footprint import Footprint
from .whereabouts import Whereabouts
from .words import article, ern, number, wind

_MARGIN_M = 4.0
_ARM_M = (13.0, 17.0)
_APART_RAD = math.radians(25.0)
_WEIGHT = {
    JunctionKind.ROUNDABOUT: 8.0,
    JunctionKind.CROSSING: 6.0,
    JunctionKind.Y: 5.5,
    JunctionKind.T: 5.0,
}


def junctions(place: Footprint, where: Whereabouts) -> list[Fact]:
    """Each kind once: a single one with its place, more of them with their number."""
    layout, facts = place.world.layout, []
    inside = [j for j in layout.junctions if place.holds(place.moved(j.at_m), _MARGIN_M)]
    for kind, weight in _WEIGHT.items():
        alike = [j for j in inside if j.kind is kind]
        for arms in sorted({j.arms for j in alike}):
            found = [j for j in alike if j.arms == arms]
            at_m = place.moved(found[0].at_m)
            spot = where.at(at_m) if len(found) == 1 else ""
            one, many = _names(kind, arms)
            if len(found) == 1 and kind is JunctionKind.T:
                one += _stem(at_m, place)
            facts.append(counted(Topic.WAY, weight, len(found), one, many, spot))
    return facts


def _names(kind: JunctionKind, arms: int) -> tuple[str, str]:
    if kind is JunctionKind.ROUNDABOUT:
        return f"a roundabout of {number(arms)} roads", f"roundabouts of {number(arms)} roads"
    if kind is JunctionKind.CROSSING:
        if arms == 4:
            return "a crossroads", "crossroads"
        return f"a junction of {number(arms)} roads", f"junctions of {number(arms)} roads"
    if kind is JunctionKind.Y:
        return "a fork of three roads", "forks of three roads"
    return "a T-junction", "T-junctions"


def _stem(at_m: Floats, place: Footprint) -> str:
    """Where the road that ends at a T comes from."""
    arms = _arms(at_m, place)
    if len(arms) != 3:
        return ""
    bends = [abs(math.remainder(arms[k - 1] - arms[k - 2] - math.pi, math.tau)) for k in range(3)]
    stem = arms[int(np.argmin(bends))]
    side = ern(wind(math.cos(stem), math.sin(stem)))
    return f" with {article(side)} {side} side road"


def _arms(at_m: Floats, place: Footprint) -> list[float]:
    """The directions of the roads that leave a point."""
    arms: list[float] = []
    for road in place.roads:
        if road.kind is RoadKind.TRACK:
            continue
        points, _ = walk(road.line_m, np.arange(0.0, length_m(road.line_m), 1.0))
        offset = points - at_m
        far_m = np.hypot(*offset.T)
        for east, north in offset[(far_m > _ARM_M[0]) & (far_m < _ARM_M[1])]:
            angle = math.atan2(north, east)
            if all(abs(math.remainder(angle - arm, math.tau)) > _APART_RAD for arm in arms):
                arms.append(angle)
    return arms
