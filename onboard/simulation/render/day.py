"""One day: season, sun, clouds, air, rain; and what has changed in the place since its plan."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from ...errors import DataError
from ..land.palette import Season

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Day:
    """What a place looks like at one time.

    `overcast` is the share of the sun that a closed layer of clouds takes away; `broken_clouds` the
    share of the sky under single clouds, which throw shadows and hide the ground from satellites.
    At `visibility_m` a black thing keeps 2 % of its contrast. `rain` wets the ground and greys the
    air. Below -6 degrees of sun it is night and lamps are lit.

    `cars_moved`, `small_changes`, `buildings_missing` are the shares of cars, small things and
    buildings that are not as the plan has them; `seed` draws which, and the clouds.

    Raises:
        DataError: a share outside 0..1, a sun above the zenith, no visibility.
    """

    season: Season = Season.SUMMER
    sun_azimuth_deg: float = 155.0
    sun_elevation_deg: float = 55.0
    overcast: float = 0.0
    broken_clouds: float = 0.0
    visibility_m: float = 20_000.0
    rain: float = 0.0
    cars_moved: float = 0.0
    small_changes: float = 0.0
    buildings_missing: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not -90.0 <= self.sun_elevation_deg <= 90.0:
            raise DataError(f"sun_elevation_deg {self.sun_elevation_deg}: expected -90 to 90")
        if not math.isfinite(self.sun_azimuth_deg):
            raise DataError(f"sun_azimuth_deg {self.sun_azimuth_deg}: expected a bearing")
        if not self.visibility_m >= 50.0:
            raise DataError(f"visibility_m {self.visibility_m}: expected 50 or more")
        shares = ("overcast", "broken_clouds", "rain", "cars_moved", "small_changes")
        for name in (*shares, "buildings_missing"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise DataError(f"{name} {getattr(self, name)}: expected 0 to 1")

    @property
    def is_night(self) -> bool:
        """Whether lamps are lit."""
        return self.sun_elevation_deg < -6.0


SUMMER_NOON = Day()
SPRING_AFTERNOON = Day(
    sun_azimuth_deg=248.0, sun_elevation_deg=33.0, visibility_m=12_000.0,
    cars_moved=0.7, small_changes=0.2, seed=3,
)  # fmt: skip
AUTUMN_OVERCAST = Day(
    season=Season.AUTUMN, sun_azimuth_deg=215.0, sun_elevation_deg=32.0, overcast=0.8,
    visibility_m=6_000.0, cars_moved=0.7, small_changes=0.2, seed=2,
)  # fmt: skip
WINTER_MORNING = Day(
    season=Season.WINTER, sun_azimuth_deg=128.0, sun_elevation_deg=14.0, visibility_m=7_000.0,
    cars_moved=0.7, small_changes=0.2, seed=1,
)  # fmt: skip
BROKEN_CLOUDS = Day(broken_clouds=0.4, sun_azimuth_deg=200.0, sun_elevation_deg=48.0, seed=4)
HAZE = Day(
    visibility_m=1_200.0, overcast=0.3, sun_azimuth_deg=110.0, sun_elevation_deg=30.0, seed=5
)
RAIN = Day(
    season=Season.AUTUMN, overcast=1.0, rain=0.8, visibility_m=1_800.0, sun_elevation_deg=25.0,
    cars_moved=0.7, seed=6,
)  # fmt: skip
NIGHT = Day(sun_elevation_deg=-18.0, visibility_m=8_000.0, cars_moved=0.7, seed=7)


class Light(NamedTuple):
    """A `Day` in numbers: linear light, unit vectors, extinction per metre."""

    sun_east: float
    sun_north: float
    sun_up: float
    sun: Rgb
    sky: Rgb
    zenith: Rgb
    horizon: Rgb
    extinction: float
    broken_clouds: float
    cloud_seed: int
    wet: float
    lamps: float
    bare: bool


def light_of(day: Day) -> Light:
    """The light of a day, exposed so that open level ground is about as bright as its colour."""
    elevation = math.radians(max(day.sun_elevation_deg, 3.0))
    azimuth = math.radians(day.sun_azimuth_deg)
    flat = math.cos(elevation)
    night = day.is_night
    dusk = max(0.0, min(1.0, (day.sun_elevation_deg + 6.0) / 18.0))
    clear = 0.0 if day.sun_elevation_deg < 0.0 else 1.0 - day.overcast
    low = 1.0 - math.sin(elevation)
    direct = 0.74 * clear / max(math.sin(elevation), 0.1) ** 0.5
    warm = (1.04 + 0.12 * low**3, 1.0 - 0.02 * low**3, 0.93 - 0.22 * low**3)
    dim = 0.012 if night else 0.25 + 0.75 * dusk
    ambient = dim * (0.26 + 0.22 * low**2 + 0.5 * day.overcast)
    blue = (0.86, 0.96, 1.14) if day.overcast < 0.5 else (0.97, 1.0, 1.03)
    grey = (0.60, 0.63, 0.67)
    return Light(
        sun_east=flat * math.sin(azimuth),
        sun_north=flat * math.cos(azimuth),
        sun_up=math.sin(elevation),
        sun=_times(warm, direct * dim),
        sky=_times(blue, ambient),
        zenith=_times(_blend((0.13, 0.27, 0.55), grey, day.overcast), dim),
        horizon=_times(_blend((0.52, 0.60, 0.68), grey, day.overcast), dim),
        extinction=3.9 / day.visibility_m,
        broken_clouds=day.broken_clouds,
        cloud_seed=day.seed,
        wet=day.rain,
        lamps=1.0 if night else 0.0,
        bare=day.season is Season.WINTER,
    )


def _times(colour: Rgb, factor: float) -> Rgb:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def _blend(one: Rgb, other: Rgb, share: float) -> Rgb:
    red, green, blue = (a + (b - a) * share for a, b in zip(one, other, strict=True))
    return red, green, blue
