"""Everything that runs through the square: rivers, railways, motorways, roads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..land.geometry import length_m, unit, walk
from ..land.ground import Ground
from ..land.plan import RoadKind, TrunkKind
from ..land.raster import Floats
from .fact import Topic
from .footprint import Footprint
from .whereabouts import CENTRAL, corner
from .words import SIDES, axis, ern, wind

_STEP_M = 2.0
_SHORTEST_M = 24.0
_JOINT_M = 7.0
_BENT_RAD = math.radians(40.0)
_BROOK_M, _WIDE_M = 10.0, 34.0
_RIVERS = ("brook", "river", "wide river")

_ROADS = {
    RoadKind.HIGHWAY: ("wide main road", "the main road", 6.5),
    RoadKind.COLLECTOR: ("main road", "the main road", 6.0),
    RoadKind.LANE: ("country lane", "the lane", 5.5),
    RoadKind.STREET: ("street", "the street", 4.0),
    RoadKind.TRACK: ("dirt track", "the track", 3.5),
}
_TRUNKS = {
    TrunkKind.RAIL: ("railway line", "the railway", 8.5),
    TrunkKind.MOTORWAY: ("motorway", "the motorway", 8.5),
}
_CARRIAGEWAYS = (Ground.ASPHALT, Ground.STREET, Ground.TRACK, Ground.BRIDGE)
_BEDS = (Ground.BALLAST, Ground.SLEEPERS, Ground.MEADOW)
"""Of trunk lines along their middle, which is green on motorways."""


@dataclass(frozen=True, eq=False)
class Line:
    """A line [K, 2] with a point every 2 m; what it is, what others call it, how it stands out."""

    line_m: Floats
    noun: str
    name: str
    weight: float
    topic: Topic
    road: RoadKind | None = None

    @property
    def length_m(self) -> float:
        """Within the square."""
        return length_m(self.line_m)

    @property
    def is_river(self) -> bool:
        """Water, not a way."""
        return self.noun in _RIVERS

    @property
    def angle(self) -> float:
        """Of the chord."""
        return _angle(self.line_m[-1] - self.line_m[0])

    @property
    def turn(self) -> float:
        """By how much its end points elsewhere than its start, in radians."""
        reach = min(8, len(self.line_m) - 1)
        start, end = self.line_m[reach] - self.line_m[0], self.line_m[-1] - self.line_m[-1 - reach]
        return abs(math.remainder(_angle(end) - _angle(start), math.tau))

    def aside_m(self) -> float:
        """How far to the left of the square's middle its own middle lies, across the chord."""
        return float(self.line_m.mean(axis=0) @ unit(self.angle + math.pi / 2.0))

    def course(self, reach_m: float) -> tuple[str, str]:
        """From where to where, and through which part of a square of `2 reach_m`."""
        middle = self.line_m.mean(axis=0) / reach_m
        if self.turn > _BENT_RAD:
            ends = wind(*self.line_m[0]), wind(*self.line_m[-1])
            if ends[0] != ends[1] and self.length_m > 1.4 * reach_m:
                return f"in a curve from the {ends[0]} to the {ends[1]}", ""
            return "in a curve", corner(middle)
        if self.length_m < 1.4 * reach_m:
            return axis(self.angle), corner(middle)
        aside = self.aside_m() / reach_m
        if abs(aside) < CENTRAL:
            return axis(self.angle), "through the centre"
        side = wind(*(aside * unit(self.angle + math.pi / 2.0)))
        place = "along the {} side" if side in SIDES else "across the {} corner"
        return axis(self.angle), place.format(ern(side))


def _angle(step: Floats) -> float:
    return math.atan2(step[1], step[0])


def find_lines(place: Footprint) -> list[Line]:
    """Those that can be seen, the longest first of each noun."""
    lines = _rivers(place) + _trunks(place)
    for kind, (noun, name, weight) in _ROADS.items():
        parts = [
            part
            for road in place.roads
            if road.kind is kind
            for part in _visible(place, road.line_m, _CARRIAGEWAYS)
        ]
        lines += [
            Line(part, noun, name, weight, Topic.WAY, kind)
            for part in sorted(_joined(parts), key=length_m, reverse=True)
            if length_m(part) > _SHORTEST_M
        ]
    return lines


def _rivers(place: Footprint) -> list[Line]:
    found = []
    for river in place.world.layout.waters.rivers:
        line_m = place.moved(river.line_m)
        for part in _visible(place, line_m, (Ground.WATER, Ground.ASPHALT, Ground.BRIDGE)):
            nearest = int(np.hypot(*(line_m - part.mean(axis=0)).T).argmin())
            noun = river_noun(float(river.width_m[nearest]))
            found.append(Line(part, noun, f"the {noun.split()[-1]}", 9.0, Topic.SIGHT))
    return found


def river_noun(width_m: float) -> str:
    """What water of this width is called."""
    return _RIVERS[(width_m >= _BROOK_M) + (width_m > _WIDE_M)]


def _trunks(place: Footprint) -> list[Line]:
    found = []
    for trunk in place.world.layout.trunks:
        noun, name, weight = _TRUNKS[trunk.kind]
        for part in _visible(place, place.moved(trunk.line_m), (*_BEDS, *_CARRIAGEWAYS)):
            found.append(Line(part, noun, name, weight, Topic.SIGHT))
    return found


def _visible(place: Footprint, line_m: Floats, kinds: tuple[Ground, ...]) -> list[Floats]:
    """The stretches inside the square that lie mostly on these kinds of ground."""
    if (np.abs(line_m).min(axis=1) > 4.0 * place.reach_m).all():
        return []
    points, _ = walk(line_m, np.arange(0.0, length_m(line_m), _STEP_M))
    inside = np.abs(points).max(axis=1) < place.reach_m
    edges = np.nonzero(np.diff(np.concatenate([[False], inside, [False]])))[0]
    parts = [points[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a > 4]
    return [p for p in parts if np.isin(place.grid.sample(place.cover, p), kinds).mean() > 0.6]


def _joined(parts: list[Floats]) -> list[Floats]:
    """Lines that go on where others end become one."""
    done: list[Floats] = []
    todo = list(parts)
    while todo:
        line = todo.pop()
        for k, other in enumerate(todo):
            longer = _join(line, other)
            if longer is not None:
                todo[k] = longer
                break
        else:
            done.append(line)
    return done


def _join(one: Floats, other: Floats) -> Floats | None:
    for a in (one, one[::-1]):
        for b in (other, other[::-1]):
            bend = _angle(a[-1] - a[-5]) - _angle(b[4] - b[0])
            if math.dist(a[-1], b[0]) < _JOINT_M and abs(math.remainder(bend, math.tau)) < 0.7:
                return np.concatenate([a, b])
    return None
