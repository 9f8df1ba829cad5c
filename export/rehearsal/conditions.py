"""What one rehearsed flight meets: season, hour, weather, age of the map, height, wind.

The flights of a rehearsal fill their ranges evenly, however many they are: seasons take turns, and
for the rest flight k takes the k-th point of Richtmyer's sequence (fractional parts of k times the
roots of primes), moved by an offset that the seed draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from geobridge.onboard.errors import DataError
from geobridge.onboard.simulation.flying.wind import Weather
from geobridge.onboard.simulation.land.palette import Season
from geobridge.onboard.simulation.render.day import Day

Range = tuple[float, float]

_DAYS_FROM_SOLSTICE: dict[Season, Range] = {
    Season.SUMMER: (-60.0, 75.0),
    Season.AUTUMN: (75.0, 140.0),
    Season.WINTER: (140.0, 270.0),
}
"""When land looks so, counted from midsummer. The rest of the year is spring, which has no looks of
its own here."""
_PRIMES = np.array([2, 3, 5, 7, 11, 13, 17, 19])
_CARS_STAND_YEARS = 0.01
_THINGS_LAST_YEARS, _BUILDINGS_LAST_YEARS = 6.0, 70.0
"""After so long 63 % of cars, small things, buildings are not as the map has them; assumptions."""


@dataclass(frozen=True)
class Ranges:
    """Between what the flights of a rehearsal vary.

    `heights_agl_m` None leaves a route the heights it has. `headings_deg` are the courses over an
    area; a route has its own. Hours are solar ones: at 12 the sun is in the south (north of the
    equator). `cloud_cover`: up to 0.5 the share of the sky under single clouds, from there to 1 a
    layer that takes the sun away. `map_age_years` is the time between the map and the flight.

    Raises:
        DataError: names the range that is upside down or beyond what can be.
    """

    heights_agl_m: Range | None = None
    headings_deg: Range = (0.0, 360.0)
    seasons: tuple[Season, ...] = (Season.SUMMER, Season.AUTUMN, Season.WINTER)
    solar_hours: Range = (9.0, 15.0)
    cloud_cover: Range = (0.0, 1.0)
    visibility_m: Range = (3_000.0, 20_000.0)
    map_age_years: Range = (0.0, 4.0)
    wind_m_s: Range = (0.0, 7.0)

    def __post_init__(self) -> None:
        bounds = {
            "heights_agl_m": (2.0, 2_000.0),
            "headings_deg": (-360.0, 720.0),
            "solar_hours": (0.0, 24.0),
            "cloud_cover": (0.0, 1.0),
            "visibility_m": (200.0, 100_000.0),
            "map_age_years": (0.0, 100.0),
            "wind_m_s": (0.0, 25.0),
        }
        for name, (least, most) in bounds.items():
            value = getattr(self, name)
            if value is not None and not least <= value[0] <= value[1] <= most:
                raise DataError(
                    f"{name} {value[0]:g} to {value[1]:g}:"
                    f" expected a range, low end first, within {least:g} to {most:g}"
                )
        if not self.seasons:
            raise DataError("seasons: expected at least one of summer, autumn, winter")


@dataclass(frozen=True)
class Conditions:
    """What one flight meets; `height_agl_m` None: what the route says."""

    day: Day
    weather: Weather
    height_agl_m: float | None
    map_age_years: float


def draw(ranges: Ranges, lat_deg: float, seed: int, number: int) -> Conditions:
    """The conditions of flight `number` at a latitude; a function of its arguments alone."""
    shares = _spread(8, seed, number)

    def between(share: float, limits: Range) -> float:
        return limits[0] + share * (limits[1] - limits[0])

    heights = ranges.heights_agl_m
    season = ranges.seasons[number % len(ranges.seasons)]
    azimuth_deg, elevation_deg = sun(
        lat_deg,
        between(shares[2], _DAYS_FROM_SOLSTICE[season]),
        between(shares[3], ranges.solar_hours),
    )
    cover = between(shares[4], ranges.cloud_cover)
    years = between(shares[6], ranges.map_age_years)
    day = Day(
        season=season,
        sun_azimuth_deg=azimuth_deg,
        sun_elevation_deg=elevation_deg,
        overcast=max(0.0, 2.0 * cover - 1.0),
        broken_clouds=cover if cover < 0.5 else 0.0,
        visibility_m=between(shares[5], ranges.visibility_m),
        cars_moved=_changed(years, _CARS_STAND_YEARS),
        small_changes=_changed(years, _THINGS_LAST_YEARS),
        buildings_missing=_changed(years, _BUILDINGS_LAST_YEARS),
        seed=int(np.random.default_rng([seed, number, 31]).integers(1, 2**31)),
    )
    weather = Weather(between(shares[7], ranges.wind_m_s), 360.0 * shares[1])
    return Conditions(day, weather, between(shares[0], heights) if heights else None, years)


def sun(lat_deg: float, days_from_midsummer: float, solar_hour: float) -> Range:
    """Azimuth (clockwise from north) and elevation of the sun in degrees.

    Declination 23.44 degrees x cos(year's angle from the solstice), within 1 degree of the truth.
    """
    declination = math.radians(23.44) * math.cos(2.0 * math.pi * days_from_midsummer / 365.25)
    declination = math.copysign(1.0, lat_deg) * declination
    hour, lat = math.radians(15.0 * (solar_hour - 12.0)), math.radians(lat_deg)
    east = -math.cos(declination) * math.sin(hour)
    north = math.sin(declination) * math.cos(lat)
    north -= math.cos(declination) * math.cos(hour) * math.sin(lat)
    up = math.sin(declination) * math.sin(lat)
    up += math.cos(declination) * math.cos(hour) * math.cos(lat)
    azimuth_deg = math.degrees(math.atan2(east, north)) % 360.0
    return azimuth_deg, math.degrees(math.asin(max(-1.0, min(1.0, up))))


def _changed(years: float, lasting_years: float) -> float:
    return 1.0 - math.exp(-years / lasting_years)


def _spread(dimensions: int, seed: int, number: int) -> list[float]:
    offset = np.random.default_rng([seed, 30]).random(dimensions)
    shares: list[float] = ((offset + number * np.sqrt(_PRIMES[:dimensions])) % 1.0).tolist()
    return shares
