"""Facts about what stands out: landmarks, stations, water, bridges."""

from __future__ import annotations

import numpy as np

from ..land.plan import Bridge, Over, TrunkKind, Use
from ..land.raster import Floats
from ..land.solids import Rows, middles
from .fact import Fact, Topic, counted
from .footprint import Footprint
from .lines import river_noun
from .whereabouts import Whereabouts
from .words import tone

_MARGIN_M = 6.0
_PART = 0.08
_TOWER_M = 20.0
_SLENDER = {
    Use.WATER_TOWER: ("a round water tower", "round water towers"),
    Use.SILOS: ("a double row of tall white silos", "double rows of tall white silos"),
    Use.WIND_TURBINES: ("the mast of a wind turbine", "masts of wind turbines"),
    Use.CASTLE: ("a castle with round towers", "castles with round towers"),
}
_BROAD = {
    Use.STADIUM: "a stadium with roofed stands",
    Use.POWER_STATION: "a power station",
    Use.BIG_HALL: "one huge {}hall",
}
_OVER = {Over.RAIL: "the railway", Over.MOTORWAY: "the motorway"}


def sights(place: Footprint, where: Whereabouts) -> list[Fact]:
    """All of them."""
    return [
        *_churches(place, where),
        *_slender(place, where),
        *_broad(place, where),
        *_quarry(place, where),
        *_stations(place, where),
        *_bridges(place, where),
    ]


def _churches(place: Footprint, where: Whereabouts) -> list[Fact]:
    facts = []
    for nave_m, boxes in _built(place, Use.CHURCH):
        nave = boxes[np.argmax(boxes["length_m"])]
        tower = " with a tower" if boxes["height_m"].max() > _TOWER_M else ""
        thing = f"a {tone(nave['colour'])}-roofed church{tower}"
        facts.append(Fact(Topic.SIGHT, 10.0, thing, where=where.at(nave_m)))
    return facts


def _slender(place: Footprint, where: Whereabouts) -> list[Fact]:
    facts = []
    for use, (one, many) in _SLENDER.items():
        found = [at_m for at_m, _ in _built(place, use)]
        if found:
            spot = where.at(found[0]) if len(found) == 1 else ""
            facts.append(counted(Topic.SIGHT, 10.0, len(found), one, many, spot))
    return facts


def _built(place: Footprint, use: Use) -> list[tuple[Floats, Rows]]:
    """The middle and the boxes of each landmark of a use whose middle lies inside."""
    boxes = place.buildings[place.building_uses == use]
    found = []
    for landmark in place.world.layout.landmarks:
        at_m = place.moved(landmark.at_m)
        if landmark.use is use and place.holds(at_m, _MARGIN_M):
            near = np.hypot(*(middles(boxes) - at_m).T) < landmark.extent_m + 1.0
            if near.any():
                found.append((at_m, boxes[near]))
    return found


def _broad(place: Footprint, where: Whereabouts) -> list[Fact]:
    facts = []
    for use, thing in _BROAD.items():
        land = place.uses.get(use)
        boxes = place.buildings[place.building_uses == use]
        if land is None or place.share(land) < _PART or not len(boxes):
            continue
        roof = tone(boxes[np.argmax(boxes["length_m"] * boxes["width_m"])]["colour"])
        facts.append(Fact(Topic.SIGHT, 10.0, thing.format(f"{roof}-roofed "), where=where.of(land)))
    return facts


def _quarry(place: Footprint, where: Whereabouts) -> list[Fact]:
    pit = place.uses.get(Use.QUARRY)
    if pit is None or place.share(pit) < _PART:
        return []
    return [Fact(Topic.SIGHT, 10.0, "a quarry of bare rock", where=where.of(pit))]


def _stations(place: Footprint, where: Whereabouts) -> list[Fact]:
    return [
        Fact(Topic.SIGHT, 9.5, "a railway station with two roofed platforms", where=where.at(at_m))
        for at_m in (place.moved(station.at_m) for station in place.world.layout.stations)
        if place.holds(at_m, _MARGIN_M)
    ]


def _bridges(place: Footprint, where: Whereabouts) -> list[Fact]:
    kinds: dict[tuple[str, str], list[Floats]] = {}
    for bridge in place.world.layout.bridges:
        at_m = place.moved(bridge.line_m[[0, -1]].mean(axis=0))
        if place.holds(at_m, _MARGIN_M):
            kinds.setdefault(_bridge_names(bridge, place), []).append(at_m)
    return [
        counted(Topic.SIGHT, 8.8, len(at_m), one, many, where.at(at_m[0]) if len(at_m) == 1 else "")
        for (one, many), at_m in kinds.items()
    ]


def _bridge_names(bridge: Bridge, place: Footprint) -> tuple[str, str]:
    carries = {kind.width_m: kind.name.lower() for kind in TrunkKind}.get(bridge.width_m, "road")
    noun = {"rail": "railway bridge"}.get(carries, f"{carries} bridge")
    over = _OVER.get(bridge.over) or f"the {_river_under(bridge, place)}"
    return f"a {noun} over {over}", f"{noun}s over {over}"


def _river_under(bridge: Bridge, place: Footprint) -> str:
    """What the water that is nearest to a bridge is called."""
    at_m, best = bridge.line_m.mean(axis=0), (np.inf, "river")
    for river in place.world.layout.waters.rivers:
        far_m = np.hypot(*(river.line_m - at_m).T)
        noun = river_noun(float(river.width_m[far_m.argmin()])).split()[-1]
        best = min(best, (float(far_m.min()), noun))
    return best[1]
