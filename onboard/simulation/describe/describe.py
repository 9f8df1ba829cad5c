"""A place in words: what a person would name in it, from the air or from the ground.

Only what stays: no vehicles, light, weather, season, names or coordinates.
"""

from __future__ import annotations

from ...errors import DataError
from ..world import World
from .built import built
from .fact import Fact, Topic
from .footprint import Footprint
from .junctions import junctions
from .lines import find_lines
from .open_land import open_land
from .sentences import tell
from .sights import sights
from .waters import waters
from .ways import divide_by, ways
from .whereabouts import Whereabouts

MIN_REACH_M, MAX_REACH_M = 40.0, 150.0


def describe(world: World, east_m: float, north_m: float, reach_m: float) -> str:
    """What is in the square of `2 reach_m` around a place, in at most 55 words of English.

    The text depends on what is there alone: the same content reads the same.

    Raises:
        DataError: a reach outside 40 to 150 m, or a place off the map.
    """
    if not MIN_REACH_M <= reach_m <= MAX_REACH_M:
        raise DataError(f"reach_m {reach_m}: expected {MIN_REACH_M:.0f} to {MAX_REACH_M:.0f} m")
    if not world.grid.contains([east_m, north_m]):
        half_m = world.size_m / 2.0
        raise DataError(f"place ({east_m}, {north_m}) m: expected within {half_m:.0f} m of 0")
    place = Footprint(world, east_m, north_m, reach_m)
    lines = find_lines(place)
    divide, anchor = divide_by(lines, place) or (None, None)
    where = Whereabouts(place.places_m, reach_m, divide)
    facts = [
        *sights(place, where),
        *waters(place, where, any(line.is_river for line in lines)),
        *ways(lines, anchor, place),
        *junctions(place, where),
        *built(place, where),
        *open_land(place, where),
    ]
    return tell(facts or [_else(place)])


def _else(place: Footprint) -> Fact:
    """Where nothing fills enough of the square to have a name."""
    thing = "a few buildings" if len(place.buildings) else "open ground"
    return Fact(Topic.LAND, 0.0, thing, plural=bool(len(place.buildings)))
