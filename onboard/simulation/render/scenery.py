"""A world on one day, ready to be looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from ...geodesy import LocalFrame
from ..land.colours import ground_albedo
from ..land.geometry import walk
from ..land.palette import Season, crown_colours
from ..land.plan import RoadKind
from ..land.raster import Bytes, Field, Floats
from ..land.solids import BOX, Rows
from ..world import World
from .day import Day, Light, light_of
from .ground_picture import LAMP_CELL_M, UNDER_DECK
from .scene import Heights, Scene, Texture, build_scene, texture_of

_CAR_COLOURS = np.array(
    [
        (226, 226, 224),
        (190, 192, 194),
        (128, 130, 134),
        (52, 54, 58),
        (40, 58, 96),
        (136, 36, 34),
    ],
    np.float32,
) / np.float32(255.0)
_WINDOW = (0.14, 0.16, 0.19)
_OCCUPIED, _PUT_UP = 0.42, 0.85
_LAMP_EVERY_M = 32.0
_DARK_ROADS = (RoadKind.TRACK, RoadKind.LANE)


class Place(Protocol):
    """Land that can be looked at: a `World`'s or one's own map."""

    @property
    def frame(self) -> LocalFrame:
        """Where (0, 0) metres east and north lies."""

    @property
    def bounds_m(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""

    def ground_amsl_m(self, enu_m: npt.ArrayLike) -> Floats:
        """[...] heights of the ground above mean sea level at [..., 2] metres east and north."""

    def scene(self, day: Day) -> Scene:
        """What rays meet on that day."""


@dataclass(frozen=True, eq=False)
class Setting:
    """A place on one day."""

    place: Place
    day: Day
    scene: Scene
    light: Light


def on_day(place: Place, day: Day) -> Setting:
    """The place as it is on that day."""
    return Setting(place, day, place.scene(day), light_of(day))


class Scenery:
    """A `World` as a `Place`; what a season or a day needs is kept for the next picture of it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._lamps = _lamps(world)
        self._cover = world.surface.cover | (world.surface.deck.astype(np.uint8) * UNDER_DECK)
        self._texture = lru_cache(2)(self._paint)
        self._scene = lru_cache(2)(self._furnish)

    @property
    def frame(self) -> LocalFrame:
        """Where (0, 0) metres east and north lies."""
        return self.world.frame

    @property
    def bounds_m(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        half_m = self.world.size_m / 2.0
        return -half_m, -half_m, half_m, half_m

    def ground_amsl_m(self, enu_m: npt.ArrayLike) -> Floats:
        """[...] heights of the ground at [..., 2] metres east and north."""
        return self.world.terrain.alt_amsl_m(enu_m)

    def scene(self, day: Day) -> Scene:
        """What rays meet on that day."""
        changes = (day.cars_moved, day.small_changes, day.buildings_missing)
        return self._scene(day.season, *changes, day.seed if any(changes) else 0)

    def _paint(self, season: Season) -> Texture:
        half_m = self.world.size_m / 2.0
        return texture_of(ground_albedo(self.world, season), -half_m, half_m, self.world.gsd_m)

    def _furnish(
        self, season: Season, cars: float, small: float, missing: float, seed: int
    ) -> Scene:
        world, terrain = self.world, self.world.terrain
        boxes = [
            _standing(world.buildings, missing, [world.seed, 15, seed]),
            world.decks,
            _present(world.clutter, _PUT_UP, small, [world.seed, 5], seed)[0],
            _car_boxes(*_present(world.cars, _OCCUPIED, cars, [world.seed, 13], seed)),
        ]
        crowns = world.crowns
        return build_scene(
            Heights(terrain.heights_amsl_m, terrain.west_m, terrain.north_m, terrain.spacing_m),
            self._texture(season),
            self._cover,
            self._lamps,
            np.concatenate(boxes),
            crowns,
            _leaves(crowns, season),
        )


def _leaves(crowns: Rows, season: Season) -> Field:
    """[M, 3] colour of each crown."""
    one, other = crown_colours(season)[crowns["species"]].transpose(1, 0, 2)
    share = np.clip(0.5 + 0.5 * crowns["tint"], 0.0, 1.0)[:, None]
    return np.asarray(one + (other - one) * share, np.float32)


def _standing(buildings: Rows, missing: float, seed: list[int]) -> Rows:
    """Without some buildings; a building goes with all of its parts."""
    if missing == 0.0:
        return buildings
    whole = _buildings(buildings)
    gone = np.random.default_rng(seed).random(int(whole.max(initial=-1)) + 1) < missing
    return np.asarray(buildings[~gone[whole]])


def _buildings(boxes: Rows) -> npt.NDArray[np.int64]:
    """[N] which building each box belongs to: parts follow the one that they stand on or at."""
    whole = np.zeros(len(boxes), np.int64)
    places = np.stack([boxes["east_m"], boxes["north_m"]], axis=1).tolist()
    reaches = (np.hypot(boxes["length_m"], boxes["width_m"]) / 2.0).tolist()
    first = 0
    for k, (place, reach_m) in enumerate(zip(places, reaches, strict=True)):
        if math.dist(place, places[first]) > reaches[first] + 0.5 * reach_m:
            first = k
        whole[k] = whole[k - 1] + (first == k) if k else 0
    return whole


def _present(
    boxes: Rows, share: float, changed: float, seed: list[int], day: int
) -> tuple[Rows, Floats]:
    """Those that are there, and a number in 0..1 for each; `changed` of them are drawn anew."""
    drawn = np.random.default_rng(seed).random((2, len(boxes)))
    today = np.random.default_rng([*seed, day])
    anew = today.random(len(boxes)) < changed
    drawn = np.where(anew, today.random((2, len(boxes))), drawn)
    there = drawn[0] < share
    return boxes[there], drawn[1, there]


def _car_boxes(cars: Rows, colour: Floats) -> Rows:
    """Body, windows and roof of each car."""
    body, windows, roof = cars.copy(), cars.copy(), cars.copy()
    body["colour"] = _CAR_COLOURS[(colour * len(_CAR_COLOURS)).astype(int)]
    roof["colour"] = body["colour"]
    windows["colour"] = _WINDOW
    windows["length_m"] *= 0.6
    windows["width_m"] *= 0.86
    windows["height_m"] += 0.3
    roof["length_m"] *= 0.34
    roof["width_m"] *= 0.8
    roof["height_m"] += 0.45
    return np.asarray(np.concatenate([body, windows, roof]), BOX)


def _lamps(world: World) -> Bytes:
    """[h, w] light of lamps along lit roads, one cell for `LAMP_CELL_M`."""
    size = max(2, round(world.size_m / LAMP_CELL_M))
    light = np.zeros((size, size), np.float32)
    for road in world.layout.roads:
        if road.kind in _DARK_ROADS:
            continue
        length_m = float(np.hypot(*np.diff(road.line_m, axis=0).T).sum())
        at, _ = walk(road.line_m, np.arange(0.5 * _LAMP_EVERY_M, length_m, _LAMP_EVERY_M))
        cells = np.floor((at * [1.0, -1.0] + world.size_m / 2.0) / LAMP_CELL_M).astype(int)
        cells = cells[np.all((cells >= 0) & (cells < size), axis=1)]
        light[cells[:, 1], cells[:, 0]] = 1.0
    pools = cv2.GaussianBlur(light, (0, 0), 2.0) * np.float32(14.0)
    return np.asarray(np.clip(pools, 0.0, 1.0) * 255.0, np.uint8)
