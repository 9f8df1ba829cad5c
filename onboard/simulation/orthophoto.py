"""A world seen straight from above on one day: colours, light and shadow, air, sensor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..records import Image
from .land.colours import paint
from .land.palette import Season
from .land.raster import Field
from .land.relief import BOX, Relief, Rows, Species
from .world import World

_CAR_COLOURS = (
    np.array(
        [
            (226, 226, 224),
            (190, 192, 194),
            (128, 130, 134),
            (52, 54, 58),
            (40, 58, 96),
            (136, 36, 34),
        ],
        np.float32,
    )
    / 255.0
)
_WINDOW = (0.14, 0.16, 0.19)
_OCCUPIED = 0.42
_SUN = np.array([1.04, 1.0, 0.93], np.float32)
_SKY = np.array([0.86, 0.96, 1.14], np.float32)
_AIR = np.array([0.74, 0.78, 0.83], np.float32)


@dataclass(frozen=True)
class Appearance:
    """One day's look of a world.

    `shadow_strength` is the share of the light that comes from the sun itself; `shadow_softness_m`
    the width of a shadow's rim; `colour_cast` the gain of red, green, blue; `noise_levels` the
    standard deviation of the sensor's noise in grey levels. `cars_moved` and `small_changes` are
    the shares of cars and of small things (sheds, containers, pools) that are not as the world's
    seed has them; `noise_seed` draws which, and the noise.

    Raises:
        DataError: a share outside 0..1, or a sun below 5 degrees.
    """

    sun_azimuth_deg: float = 155.0
    sun_elevation_deg: float = 55.0
    shadow_strength: float = 0.72
    shadow_softness_m: float = 0.4
    season: Season = Season.SUMMER
    haze: float = 0.06
    colour_cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    exposure: float = 1.0
    sensor_blur_px: float = 0.65
    noise_levels: float = 1.5
    noise_seed: int = 0
    cars_moved: float = 0.0
    small_changes: float = 0.0

    def __post_init__(self) -> None:
        if not 5.0 <= self.sun_elevation_deg <= 90.0:
            raise DataError(f"sun_elevation_deg {self.sun_elevation_deg}: expected 5 to 90")
        for name in ("shadow_strength", "haze", "cars_moved", "small_changes"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise DataError(f"{name} {getattr(self, name)}: expected 0 to 1")


SUMMER_NOON = Appearance()
WINTER_MORNING = Appearance(
    sun_azimuth_deg=128.0,
    sun_elevation_deg=19.0,
    shadow_strength=0.68,
    season=Season.WINTER,
    haze=0.14,
    colour_cast=(0.99, 0.98, 1.03),
    exposure=1.05,
    sensor_blur_px=0.7,
    noise_levels=2.5,
    noise_seed=1,
    cars_moved=0.7,
    small_changes=0.2,
)
AUTUMN_OVERCAST = Appearance(
    sun_azimuth_deg=215.0,
    sun_elevation_deg=32.0,
    shadow_strength=0.25,
    shadow_softness_m=4.0,
    season=Season.AUTUMN,
    haze=0.1,
    colour_cast=(0.98, 1.0, 1.02),
    exposure=0.98,
    noise_levels=2.0,
    noise_seed=2,
    cars_moved=0.7,
    small_changes=0.2,
)


def render_orthophoto(world: World, appearance: Appearance) -> Image:
    """[H, W, 3] RGB, north up, row 0 at the north edge; the same arguments give the same bytes."""
    relief, boxes = _furnish(world, appearance)
    colours = paint(world, relief, boxes, appearance.season)
    shade = _shade(world, relief, appearance)
    colours *= np.sqrt(_light(relief, shade, world.gsd_m, appearance))  # colours have gamma 2
    return _expose(colours, appearance)


def _furnish(world: World, appearance: Appearance) -> tuple[Relief, Rows]:
    """The relief with the day's cars and small things, and all boxes that own a part of it."""
    day = appearance.noise_seed
    clutter, _ = _present(world.clutter, 0.85, appearance.small_changes, [world.seed, 5], day)
    cars, colour = _present(world.cars, _OCCUPIED, appearance.cars_moved, [world.seed, 13], day)
    boxes = np.concatenate([world.buildings, clutter, _car_boxes(cars, colour)])
    relief = world.relief.copy()
    first = len(world.buildings)
    relief.raise_boxes(boxes[first:], first + 1, world.grid)
    return relief, boxes


def _present(
    boxes: Rows, share: float, changed: float, seed: list[int], day: int
) -> tuple[Rows, npt.NDArray[np.float64]]:
    """Those that are there, and a number in 0..1 for each; `changed` of them are drawn anew."""
    drawn = np.random.default_rng(seed).random((2, len(boxes)))
    today = np.random.default_rng([*seed, day])
    anew = today.random(len(boxes)) < changed
    drawn = np.where(anew, today.random((2, len(boxes))), drawn)
    there = drawn[0] < share
    return boxes[there], drawn[1, there]


def _car_boxes(cars: Rows, colour: npt.NDArray[np.float64]) -> Rows:
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


def _shade(world: World, relief: Relief, appearance: Appearance) -> Field:
    """[H, W] part of the sun that is hidden; bare crowns hide half of it."""
    shade = _shadow(relief.height_m, world.gsd_m, appearance)
    if appearance.season is Season.WINTER:
        bare = np.append(world.crowns["species"] != Species.CONIFER, False)
        through = bare[np.maximum(-relief.owner - 1, -1)]  # the last stands for all but crowns
        solid = _shadow(
            np.where(through, np.float32(0.0), relief.height_m), world.gsd_m, appearance
        )
        shade = np.maximum(0.5 * shade, solid)
    return shade


def _light(relief: Relief, shade: Field, gsd_m: float, appearance: Appearance) -> Field:
    """[H, W, 3] light, 1 on open flat ground."""
    azimuth, elevation = _sun(appearance)
    east, north = np.clip(relief.slope_east, -1, 1), np.clip(relief.slope_north, -1, 1)
    facing = 1.0 - (east * math.sin(azimuth) + north * math.cos(azimuth)) / math.tan(elevation)
    direct = np.clip(facing / np.sqrt(1.0 + east**2 + north**2), 0.0, 2.0)
    direct *= (1.0 - shade) * appearance.shadow_strength
    size_px = 2 * round(4.0 / gsd_m) + 1
    around = cv2.blur(relief.height_m, (size_px, size_px)) - relief.height_m
    sky = (1.0 - appearance.shadow_strength) / (1.0 + 0.09 * np.clip(around, 0.0, None))
    return np.asarray(direct[..., None] * _SUN + sky[..., None] * _SKY, np.float32)


def _sun(appearance: Appearance) -> tuple[float, float]:
    """Azimuth and elevation in radians."""
    return math.radians(appearance.sun_azimuth_deg), math.radians(appearance.sun_elevation_deg)


def _shadow(height_m: Field, gsd_m: float, appearance: Appearance) -> Field:
    """[H, W] 0 in the sun, 1 in shadow.

    The highest sight line towards the sun over 2, 4, 8 ... pixels: each step takes the better of
    the line so far and the same line from its far end.
    """
    azimuth, elevation = _sun(appearance)
    drop_m = gsd_m * math.tan(elevation)
    sight, steps = height_m, 1
    while steps * drop_m < 2.0 * float(height_m.max()) + drop_m:
        shift = np.array(
            [[1.0, 0.0, steps * math.sin(azimuth)], [0.0, 1.0, -steps * math.cos(azimuth)]]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        ahead = cv2.warpAffine(sight, shift, sight.shape[::-1], flags=flags)
        beyond: Field = np.asarray(ahead, np.float32) - np.float32(steps * drop_m)
        sight = np.maximum(sight, beyond)
        steps *= 2
    rim_px = max(appearance.shadow_softness_m / gsd_m, 0.3)
    depth = np.clip((sight - height_m) * 1.5, 0.0, 1.0)
    return np.asarray(cv2.GaussianBlur(depth, (0, 0), rim_px), np.float32)


def _expose(colours: Field, appearance: Appearance) -> Image:
    colours += (_AIR - colours) * np.float32(appearance.haze)
    colours *= np.asarray(appearance.colour_cast, np.float32) * np.float32(appearance.exposure)
    if appearance.sensor_blur_px > 0.0:
        cv2.GaussianBlur(colours, (0, 0), appearance.sensor_blur_px, dst=colours)
    rng = np.random.default_rng([appearance.noise_seed, 9])
    grain = rng.standard_normal(colours.shape, np.float32) * np.float32(appearance.noise_levels)
    return np.asarray(np.clip(np.rint(colours * 255.0 + grain), 0, 255), np.uint8)
