"""Light, weather and sensors of the pictures of one place, drawn from ranges."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from geobridge.onboard.camera import Camera, Mount
from geobridge.onboard.records import Attitude
from geobridge.onboard.simulation.land.palette import Season
from geobridge.onboard.simulation.render.day import Day
from geobridge.onboard.simulation.render.optics import Optics, SatelliteSensor
from geobridge.onboard.simulation.state import State

from .render_blocks import Spot

HEIGHT_AGL_M = (80.0, 250.0)

_SUN_DEG = {Season.SUMMER: (28.0, 62.0), Season.AUTUMN: (16.0, 40.0), Season.WINTER: (9.0, 24.0)}
_NARROWEST, _WIDEST = math.tan(math.radians(17.0)), math.tan(math.radians(45.0))
_LEAN_DEG, _SPEED_M_S = 2.0, 14.0


@dataclass(frozen=True)
class Weather:
    """How often which weather is; what is left is fair."""

    overcast: float
    haze: float
    rain: float
    night: float


WEATHERS = {
    "fair": Weather(overcast=0.25, haze=0.0, rain=0.0, night=0.0),
    "mixed": Weather(overcast=0.30, haze=0.15, rain=0.10, night=0.0),
    "hard": Weather(overcast=0.25, haze=0.20, rain=0.20, night=0.20),
}

CONDITIONS: dict[str, dict[str, float]] = {
    "noon": {"sun_azimuth_deg": 180.0, "sun_elevation_deg": 58.0, "visibility_m": 20_000.0},
    "morning": {"sun_azimuth_deg": 105.0, "sun_elevation_deg": 24.0, "visibility_m": 12_000.0},
    "dusk": {"sun_azimuth_deg": 268.0, "sun_elevation_deg": 4.0, "visibility_m": 10_000.0},
    "clouds": {"broken_clouds": 0.4, "sun_azimuth_deg": 205.0, "sun_elevation_deg": 48.0},
    "overcast": {"overcast": 0.9, "sun_elevation_deg": 40.0, "visibility_m": 8_000.0},
    "haze": {"overcast": 0.3, "sun_elevation_deg": 30.0, "visibility_m": 1_200.0},
    "fog": {"overcast": 1.0, "sun_elevation_deg": 25.0, "visibility_m": 400.0},
    "drizzle": {"overcast": 0.9, "rain": 0.3, "sun_elevation_deg": 30.0, "visibility_m": 4_000.0},
    "rain": {"overcast": 1.0, "rain": 0.9, "sun_elevation_deg": 22.0, "visibility_m": 1_500.0},
    "night": {"sun_elevation_deg": -18.0, "visibility_m": 8_000.0},
}
"""Weathers and times of day in which every picture on the ground is alike."""


@dataclass(frozen=True)
class Epochs:
    """What one unit of work has in common: the satellite's season and changes, and today's."""

    satellite: Day
    today: Day

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Epochs:
        """Two dates, most of the time of different seasons."""
        seasons, seeds = rng.integers(3, size=2), rng.integers(1, 2**31, size=2)
        satellite = Day(
            list(Season)[seasons[0]],
            cars_moved=0.9,
            small_changes=0.4,
            buildings_missing=float(rng.uniform(0.02, 0.08)),
            seed=int(seeds[0]),
        )
        today = Day(
            list(Season)[seasons[1]],
            cars_moved=0.9,
            small_changes=0.2,
            seed=int(seeds[1]),
        )
        return cls(satellite, today)


def day_of(rng: np.random.Generator, epoch: Day, weather: str) -> Day:
    """Of one picture on the ground: drawn from one of `WEATHERS`, or as `CONDITIONS` has it."""
    if weather in WEATHERS:
        return draw_day(rng, epoch, WEATHERS[weather])
    return replace(epoch, **CONDITIONS[weather])  # type: ignore[arg-type]


def draw_day(rng: np.random.Generator, epoch: Day, weather: Weather) -> Day:
    """Sun, clouds and air of one picture on the ground as that epoch has it."""
    shares = np.cumsum([weather.overcast, weather.haze, weather.rain, weather.night])
    kind = int(np.searchsorted(shares, rng.random(), side="right"))
    air: dict[str, float] = {"visibility_m": float(rng.uniform(9_000.0, 25_000.0))}
    if kind == 0:
        air = {"overcast": float(rng.uniform(0.4, 1.0)), "visibility_m": 8_000.0}
    elif kind == 1:
        air = {"overcast": 0.3, "visibility_m": float(np.exp(rng.uniform(6.8, 8.3)))}
    elif kind == 2:
        air = {"overcast": 1.0, "rain": float(rng.uniform(0.2, 1.0)), "visibility_m": 2_500.0}
    elevation_deg = -18.0 if kind == 3 else float(rng.uniform(*_SUN_DEG[epoch.season]))
    return _lit(epoch, float(rng.uniform(95.0, 265.0)), elevation_deg, air)


def draw_satellite_day(rng: np.random.Generator, epoch: Day) -> Day:
    """Mostly clear: a map is made of good pictures, and yet some have clouds."""
    cloudy = rng.random() < 0.1
    air = {"broken_clouds": float(rng.uniform(0.03, 0.15)) if cloudy else 0.0}
    elevation_deg = float(rng.uniform(*_SUN_DEG[epoch.season]))
    return _lit(epoch, float(rng.uniform(100.0, 200.0)), elevation_deg, air)


def _lit(epoch: Day, azimuth_deg: float, elevation_deg: float, air: dict[str, float]) -> Day:
    return Day(
        epoch.season,
        azimuth_deg,
        elevation_deg,
        cars_moved=epoch.cars_moved,
        small_changes=epoch.small_changes,
        buildings_missing=epoch.buildings_missing,
        seed=epoch.seed,
        **air,
    )


def draw_satellite(rng: np.random.Generator) -> SatelliteSensor:
    """A satellite and the making of its map: leaning walls, registration good to some metres."""
    cast = 1.0 + rng.normal(0.0, 0.03, 3)
    shift_m = rng.normal(0.0, 1.5, 2)
    return SatelliteSensor(
        blur_px=float(rng.uniform(0.4, 1.1)),
        noise_levels=float(rng.uniform(0.5, 3.0)),
        haze=float(rng.uniform(0.0, 0.12)),
        exposure=float(rng.uniform(0.85, 1.15)),
        colour_cast=(float(cast[0]), float(cast[1]), float(cast[2])),
        registration_east_m=float(shift_m[0]),
        registration_north_m=float(shift_m[1]),
        off_nadir_deg=float(rng.uniform(0.0, 12.0)),
        off_nadir_azimuth_deg=float(rng.uniform(0.0, 360.0)),
    )


def draw_optics(rng: np.random.Generator) -> Optics:
    """A small camera on a vehicle that shakes."""
    return Optics(
        exposure_s=float(rng.uniform(0.0005, 0.004)),
        readout_s=float(rng.choice([0.0, 0.016])),
        vibration_deg=float(rng.uniform(0.0, 0.06)),
        auto_exposure=float(rng.uniform(0.5, 1.0)),
        gain=float(rng.uniform(0.9, 1.15)),
        blur_px=float(rng.uniform(0.3, 0.7)),
    )


def draw_drone(
    rng: np.random.Generator,
    spot: Spot,
    ground_amsl_m: float,
    size_px: int,
    tilt_deg: float,
    margin: float = 1.0,
) -> tuple[Camera, State]:
    """A camera that sees about the footprint, at most `tilt_deg` from straight down, any heading.

    `margin` widens what it sees. The vehicle stands back so that the axis of a level camera would
    meet the middle of the place.
    """
    tilt = math.radians(tilt_deg * math.sqrt(rng.random()))
    seen_m = spot.footprint_m * float(rng.uniform(0.9, 1.15)) / 2.0
    height_m = float(
        rng.uniform(
            max(HEIGHT_AGL_M[0], seen_m / _WIDEST * math.cos(tilt)),
            min(HEIGHT_AGL_M[1], seen_m / _NARROWEST * math.cos(tilt)),
        )
    )
    heading_deg = float(rng.uniform(0.0, 360.0))
    hfov_deg = 2.0 * math.degrees(math.atan(margin * seen_m * math.cos(tilt) / height_m))
    mount = Mount(0.0, math.degrees(tilt) - 90.0, 0.0)
    camera = Camera.from_hfov(size_px, size_px, hfov_deg, mount)
    roll_deg, pitch_deg = (float(lean) for lean in rng.normal(0.0, _LEAN_DEG, 2))
    ahead = math.sin(math.radians(heading_deg)), math.cos(math.radians(heading_deg))
    back_m, speed_m_s = height_m * math.tan(tilt), float(rng.uniform(0.0, _SPEED_M_S))
    state = State(
        0.0,
        spot.east_m - ahead[0] * back_m,
        spot.north_m - ahead[1] * back_m,
        ground_amsl_m + height_m,
        Attitude(roll_deg, pitch_deg, heading_deg),
        (ahead[0] * speed_m_s, ahead[1] * speed_m_s, 0.0),
    )
    return camera, state
