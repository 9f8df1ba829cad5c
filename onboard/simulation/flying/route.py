"""A route on the plane of a world: places, heights and speeds, checked against map and ground.

A flight along it begins over its first place and ends over its last one, in the air.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from itertools import pairwise

import numpy as np

from ...errors import DataError
from ...geodesy import Floats
from .terrain import Terrain

CLEARANCE_M = 2.0
"""Least height of a route above the ground."""
_APART_M = 0.5
_FOLLOWING_M, _CHECKED_M = 25.0, 5.0
"""How often a leg that follows the ground is laid anew, and how often a leg is checked."""


class Datum(str, Enum):
    """What a height counts from.

    The ground at the place of take-off, the sea, the ground at the place itself, or the ground
    below all the way there from a place of the same kind.
    """

    HOME = "home"
    AMSL = "amsl"
    GROUND_THERE = "ground_there"
    GROUND = "ground"


@dataclass(frozen=True)
class Stop:
    """A place as a mission has it. `name` says where it stands in its source."""

    name: str
    east_m: float
    north_m: float
    height_m: float
    datum: Datum
    speed_m_s: float


@dataclass(frozen=True)
class Waypoint:
    """A place of the path; `speed_m_s` is the one on the way to it."""

    name: str
    east_m: float
    north_m: float
    alt_amsl_m: float
    speed_m_s: float


@dataclass(frozen=True)
class Route:
    """Straight legs between at least two waypoints, no two in a row at one place."""

    source: str
    waypoints: tuple[Waypoint, ...]

    @cached_property
    def points(self) -> Floats:
        """[K, 3] metres east, north, above mean sea level."""
        return np.array([(w.east_m, w.north_m, w.alt_amsl_m) for w in self.waypoints])

    @cached_property
    def stations_m(self) -> Floats:
        """[K] the way along the ground from the first waypoint to each."""
        steps = np.hypot(*np.diff(self.points[:, :2], axis=0).T)
        return np.concatenate([[0.0], np.cumsum(steps)])

    @property
    def length_m(self) -> float:
        """From the first to the last waypoint."""
        return float(self.stations_m[-1])

    @property
    def duration_s(self) -> float:
        """At the speeds of its legs, without wind."""
        speeds = np.array([w.speed_m_s for w in self.waypoints[1:]])
        return float(np.sum(np.diff(self.stations_m) / speeds))


def lay(source: str, stops: Sequence[Stop], terrain: Terrain, home: tuple[float, float]) -> Route:
    """Lay stops over a terrain; `home` is the place of take-off, metres east and north.

    Between two stops of `Datum.GROUND` the path follows the ground, elsewhere it is straight.

    Raises:
        DataError: fewer than two places, a stop or home off the map, a leg too near the ground or
            over ground of unknown height; names the stop and the metres.
    """
    if any(stop.datum is Datum.HOME for stop in stops):
        _check_on_map(terrain, *home, f"{source}, home")
    for stop in stops:
        _check_on_map(terrain, stop.east_m, stop.north_m, f"{source}, {stop.name}")
    places = _apart(stops)
    if len(places) < 2:
        raise DataError(f"{source}: expected at least two places {_APART_M} m apart or more")
    first = _waypoint(places[0], terrain, home)
    waypoints = [first]
    for before, after in pairwise(places):
        waypoints += _leg(before, after, terrain, home)
    for one, other in pairwise(waypoints):
        _check_clear(source, one, other, terrain)
    return Route(source, tuple(waypoints))


def _check_on_map(terrain: Terrain, east_m: float, north_m: float, name: str) -> None:
    outside_m = terrain.outside_m(east_m, north_m)
    if not outside_m <= 0.0:
        raise DataError(f"{name}: off the map by {outside_m:.1f} m")


def _apart(stops: Sequence[Stop]) -> list[Stop]:
    """Without stops at the place of the one before: a climb on the spot is taken as done."""
    places: list[Stop] = []
    for stop in stops:
        if places and _between_m(places[-1], stop) < _APART_M:
            places[-1] = replace(stop, speed_m_s=places[-1].speed_m_s)
        else:
            places.append(stop)
    return places


def _between_m(one: Stop, other: Stop) -> float:
    return float(np.hypot(other.east_m - one.east_m, other.north_m - one.north_m))


def _waypoint(stop: Stop, terrain: Terrain, home: tuple[float, float]) -> Waypoint:
    if stop.datum is Datum.AMSL:
        zero_m = 0.0
    elif stop.datum is Datum.HOME:
        zero_m = terrain.ground_at(*home)
    else:
        zero_m = terrain.ground_at(stop.east_m, stop.north_m)
    alt_amsl_m = zero_m + stop.height_m
    return Waypoint(stop.name, stop.east_m, stop.north_m, alt_amsl_m, stop.speed_m_s)


def _leg(
    before: Stop, after: Stop, terrain: Terrain, home: tuple[float, float]
) -> Iterator[Waypoint]:
    """The end of a leg, and what comes before it where the leg follows the ground."""
    follows = before.datum is Datum.GROUND and after.datum is Datum.GROUND
    pieces = max(round(_between_m(before, after) / _FOLLOWING_M), 1) if follows else 1
    for share in np.arange(1, pieces) / pieces:
        on_the_way = replace(
            after,
            east_m=float(before.east_m + share * (after.east_m - before.east_m)),
            north_m=float(before.north_m + share * (after.north_m - before.north_m)),
            height_m=float(before.height_m + share * (after.height_m - before.height_m)),
        )
        yield _waypoint(on_the_way, terrain, home)
    yield _waypoint(after, terrain, home)


def _check_clear(source: str, one: Waypoint, other: Waypoint, terrain: Terrain) -> None:
    """Every few metres of a leg, both ends included."""
    ends = np.array(
        [
            (one.east_m, one.north_m, one.alt_amsl_m),
            (other.east_m, other.north_m, other.alt_amsl_m),
        ]
    )
    length_m = float(np.hypot(*(ends[1] - ends[0])[:2]))
    shares = np.linspace(0.0, 1.0, 2 + int(length_m / _CHECKED_M))[:, None]
    path = ends[0] + shares * (ends[1] - ends[0])
    above_m = path[:, 2] - terrain.ground_amsl_m(path[:, :2])
    if not np.all(np.isfinite(above_m)):
        raise DataError(f"{source}, on the way to {other.name}: the ground's height is not known")
    lowest = int(np.argmin(above_m))
    if above_m[lowest] < CLEARANCE_M:
        where = other.name if lowest == len(path) - 1 else f"on the way to {other.name}"
        where = one.name if lowest == 0 else where
        least_m = float(above_m[lowest])
        depth = f"{-least_m:.1f} m below" if least_m < 0.0 else f"only {least_m:.1f} m above"
        raise DataError(f"{source}, {where}: {depth} the ground; expected {CLEARANCE_M:g} m above")
