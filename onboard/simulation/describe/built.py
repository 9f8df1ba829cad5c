"""Facts about land that is built on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..land.ground import Ground
from ..land.markings import pitch_of
from ..land.plan import Use
from ..land.solids import Facade, Rows, Shape, middles
from .fact import Fact, Topic, counted
from .footprint import Footprint, Mask
from .whereabouts import Whereabouts
from .words import axis, axis_index, common_tone

_SEEN = 0.05
_APART_M = 6.0
_GREEN = 0.25
_PATHS_M2 = 60
_MARGIN_M = 8.0
_TOGETHER = 0.55
_CLEAR_ROWS = 8


@dataclass(frozen=True, eq=False)
class _Land:
    """The part of a square that has one use, and the buildings on it, each counted once.

    `all_whole`: none of them is cut by the edge of the square.
    """

    place: Footprint
    where: Whereabouts
    mask: Mask
    boxes: Rows
    all_whole: bool

    @property
    def extent(self) -> float:
        """What its size adds to the weight of a fact."""
        return 3.0 * self.place.share(self.mask)

    @property
    def course(self) -> str:
        """Of the buildings, if all of them run alike."""
        angles = [float(angle) for angle in self.boxes["angle_rad"]]
        return axis(angles[0]) if len({axis_index(angle) for angle in angles}) == 1 else ""

    @property
    def roofed(self) -> str:
        """The adjective of most roofs."""
        name = common_tone(self.boxes["colour"])
        return f"{name}-roofed " if name else ""

    def tell(self, weight: float, thing: str, motion: str = "") -> list[Fact]:
        """The land by one name."""
        spot = self.where.of(self.mask)
        return [Fact(Topic.LAND, weight + self.extent, thing, motion, spot)]

    def count(self, weight: float, one: str, many: str, motion: str = "") -> list[Fact]:
        """The buildings, with their number where the edge cuts none of them."""
        if not len(self.boxes):
            return []
        spot = self._spot()
        if len(self.boxes) == 1:
            return [Fact(Topic.LAND, weight + self.extent, one, motion, spot)]
        if not self.all_whole:
            return [Fact(Topic.LAND, weight + self.extent, many, motion, spot, plural=True)]
        fact = counted(Topic.LAND, weight + self.extent, len(self.boxes), one, many, spot)
        return [replace(fact, motion=motion)]

    def _spot(self) -> str:
        """Of the buildings where they stand close together, else of the land."""
        at_m = middles(self.boxes)
        far_m = float(np.hypot(*(at_m - at_m.mean(axis=0)).T).max())
        if far_m < _TOGETHER * self.place.reach_m:
            return self.where.at(at_m.mean(axis=0))
        return self.where.of(self.mask)


def built(place: Footprint, where: Whereabouts) -> list[Fact]:
    """What is built or laid out, for each use that fills enough of the square."""
    facts = []
    for use, (facades, tell) in _TELLERS.items():
        mask = place.uses.get(use)
        if mask is not None and place.share(mask) > _SEEN:
            facts += tell(_land(place, where, mask, use, facades))
    return facts


def _land(
    place: Footprint, where: Whereabouts, mask: Mask, use: Use, facades: tuple[Facade, ...]
) -> _Land:
    on_it = (place.building_uses == use) & np.isin(place.buildings["facade"], facades)
    boxes = place.buildings[on_it]
    kept: list[int] = []
    at_m = middles(boxes)
    for k in range(len(boxes)):
        if all(np.hypot(*(at_m[j] - at_m[k])) > _APART_M for j in kept):
            kept.append(k)
    return _Land(place, where, mask, boxes[kept], bool(place.whole[on_it].all()))


def _houses(land: _Land) -> list[Fact]:
    one = f"a detached {land.roofed}house with a garden"
    return land.count(4.5, one, f"detached {land.roofed}houses with gardens")


def _rows(land: _Land) -> list[Fact]:
    course = land.course if len(land.boxes) > _CLEAR_ROWS else ""
    return land.count(5.0, "a terraced house", "equal terraced houses in rows", course)


def _town_houses(land: _Land) -> list[Fact]:
    ground = land.place.cover[land.mask]
    green = np.isin(ground, (Ground.LAWN, Ground.YARD, Ground.HEDGE)).mean() > _GREEN
    court = "a green courtyard" if green else "a paved courtyard"
    return land.count(4.5, "a town house", f"{land.roofed}town houses around {court}")


def _slabs(land: _Land) -> list[Fact]:
    parallel = "parallel " if land.course else ""
    many = f"{parallel}slab blocks of flats"
    return land.count(6.0, "a slab block of flats", many, land.course)


def _towers(land: _Land) -> list[Fact]:
    return land.count(6.5, "a high-rise tower on a lawn", "high-rise towers on lawns")


def _halls(land: _Land) -> list[Fact]:
    shapes = land.boxes["shape"]
    top = "gabled " if (shapes == Shape.GABLE).all() else ""
    top = "flat " if (shapes == Shape.FLAT).all() else top
    return land.count(6.0, f"a large {top}{land.roofed}hall", f"large {top}{land.roofed}halls")


def _car_park(land: _Land) -> list[Fact]:
    return land.tell(5.5, "a car park")


def _park(land: _Land) -> list[Fact]:
    paths = (land.place.cover == Ground.PATH) & land.mask
    return land.tell(5.0, "a park with winding paths" if paths.sum() > _PATHS_M2 else "a park")


def _pitches(land: _Land) -> list[Fact]:
    facts = []
    for block in land.place.blocks:
        pitch = pitch_of(block)
        if block.use is Use.PITCH and land.place.holds(pitch.middle_m, _MARGIN_M):
            thing = f"a sports pitch aligned {axis(pitch.angle)}"
            thing += " inside a running track" if pitch.with_track else ""
            facts.append(Fact(Topic.LAND, 7.0, thing, where=land.where.at(pitch.middle_m)))
    return facts


def _gardens(land: _Land) -> list[Fact]:
    return land.count(5.5, "an allotment garden with a hut", "allotment gardens with small huts")


def _panels(land: _Land) -> list[Fact]:
    return land.count(6.5, "a row of solar panels", "rows of solar panels")


def _greenhouses(land: _Land) -> list[Fact]:
    return land.count(6.5, "a long greenhouse", "long greenhouses", land.course)


def _farm(land: _Land) -> list[Fact]:
    return land.count(6.5, "a barn of a farm", "barns around a farmyard")


_TELLERS: dict[Use, tuple[tuple[Facade, ...], Callable[[_Land], list[Fact]]]] = {
    Use.HOUSES: ((Facade.HOUSE,), _houses),
    Use.ROWS: ((Facade.HOUSE,), _rows),
    Use.PERIMETER: ((Facade.SHOPS, Facade.FLATS, Facade.BRICK), _town_houses),
    Use.SLABS: ((Facade.FLATS,), _slabs),
    Use.TOWERS: ((Facade.FLATS, Facade.GLASS), _towers),
    Use.HALLS: ((Facade.HALL,), _halls),
    Use.CAR_PARK: ((), _car_park),
    Use.PARK: ((), _park),
    Use.PITCH: ((), _pitches),
    Use.ALLOTMENTS: ((Facade.PLAIN,), _gardens),
    Use.SOLAR: ((Facade.PLAIN,), _panels),
    Use.GREENHOUSES: ((Facade.GLASS,), _greenhouses),
    Use.FARM: ((Facade.HALL,), _farm),
}
"""The walls of the buildings that count on land of each use, and what is told."""
