"""What the autopilot tells of attitude and height, and how far that may be from the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..camera import Camera
from ..config import MAX_HEIGHT_RATIO, PrepareConfig
from ..records import Attitude, Prior, Telemetry
from ..terrain import Terrain
from .doubt import height_ratio

MIN_HEIGHT_AGL_M, MAX_HEIGHT_AGL_M = 0.1, 20_000.0
"""Heights outside are nonsense of a sensor, and would leave the range of the arithmetic."""
ANY_HEADING_DEG = 90.0
"""1-sigma of a heading that nobody knows."""


@dataclass(frozen=True)
class Below:
    """The heights that a bundle carries, and where the vehicle is on its plane if that is known.

    `told` is where it is only said to be: metres east and north, and the 1-sigma of that per axis.
    """

    terrain: Terrain
    at_m: tuple[float, float] | None = None
    told: tuple[float, float, float] | None = None


def trusted(telemetry: Telemetry) -> Telemetry:
    """The telemetry without what cannot be true: a quantity is finite and possible, or None."""
    height_m, prior = telemetry.height_agl_m, telemetry.prior
    north_m_s, east_m_s = telemetry.velocity_north_m_s, telemetry.velocity_east_m_s
    moving = north_m_s is not None and east_m_s is not None and _finite(north_m_s, east_m_s)
    alt_m, above_home_m = telemetry.alt_amsl_m, telemetry.height_above_home_m
    return replace(
        telemetry,
        attitude=_sane(telemetry.attitude),
        height_agl_m=height_m if height_m is not None and _possible(height_m) else None,
        alt_amsl_m=alt_m if alt_m is not None and math.isfinite(alt_m) else None,
        velocity_north_m_s=north_m_s if moving else None,
        velocity_east_m_s=east_m_s if moving else None,
        prior=prior if prior and _somewhere(prior) else None,
        gimbal=_sane(telemetry.gimbal),
        heading_accuracy_deg=_stated(telemetry.heading_accuracy_deg, ANY_HEADING_DEG),
        height_accuracy_m=_stated(telemetry.height_accuracy_m, MAX_HEIGHT_AGL_M),
        position_test_ratio=_test(telemetry.position_test_ratio),
        height_above_home_m=above_home_m if above_home_m and _possible(above_home_m) else None,
    )


@dataclass(frozen=True)
class Turned:
    """How the vehicle is turned, and its camera where that is not fixed to it; 1-sigma what is not
    allowed for anyway."""

    attitude: Attitude
    gimbal: Attitude | None
    heading_accuracy_deg: float
    tilt_accuracy_deg: float = 0.0


def turned(telemetry: Telemetry, camera: Camera, config: PrepareConfig) -> Turned | None:
    """How the vehicle and its camera are turned; None where nobody knows."""
    attitude, gimbal = telemetry.attitude, telemetry.gimbal
    accuracy_deg = telemetry.heading_accuracy_deg or config.heading_accuracy_deg
    if camera.mount.gimbal:
        if gimbal is None:
            return None
        level = Attitude(0.0, 0.0, gimbal.heading_deg)
        return Turned(attitude or level, gimbal, accuracy_deg)
    if attitude is not None:
        return Turned(attitude, None, accuracy_deg)
    if config.level_accuracy_deg is None:
        return None
    return Turned(Attitude(0.0, 0.0, 0.0), None, ANY_HEADING_DEG, config.level_accuracy_deg)


@dataclass(frozen=True)
class Height:
    """Above ground, and how many times as high the vehicle may be."""

    agl_m: float
    ratio: float


def height(telemetry: Telemetry, config: PrepareConfig, below: Below | None) -> Height | str:
    """By the first of these that is known well enough to be searched: what is told of the ground
    below, sea level and terrain, home, the range of the configuration. Else why there is none.

    Sea level goes first where the place on the terrain is known and what is told says of itself
    that it is worse.
    """
    told, over = _told(telemetry, config), _over_terrain(telemetry, config, below)
    ways: list[Height | str | None] = [told, *over]
    if told and telemetry.height_accuracy_m is not None and below and below.at_m:
        better = [way for way in over if isinstance(way, Height) and way.ratio < told.ratio]
        ways = [*better, *ways]
    ways += [_over_home(telemetry, config), _anywhere(config)]
    problems = []
    for way in ways:
        if isinstance(way, str):
            problems.append(way)
        elif way and way.ratio <= math.sqrt(MAX_HEIGHT_RATIO):
            return way
        elif way:
            wide = f"{way.agl_m:.0f} m above ground, or {way.ratio:.1f} times that"
            problems.append(f"{wide}: too wide a search")
    return problems[0] if problems else "no height above ground at the exposure"


def _told(telemetry: Telemetry, config: PrepareConfig) -> Height | None:
    agl_m, accuracy_m = telemetry.height_agl_m, telemetry.height_accuracy_m
    if agl_m is None:
        return None
    share = config.height_accuracy if accuracy_m is None else accuracy_m / agl_m
    return Height(agl_m, height_ratio(share))


def _over_terrain(
    telemetry: Telemetry, config: PrepareConfig, below: Below | None
) -> list[Height | str]:
    """By the height above sea level: over where the vehicle is, else over all of the terrain, else
    over where it is said to be, for whoever says so may be deceived."""
    alt_m = telemetry.alt_amsl_m
    if below is None or alt_m is None:
        return []
    stated_m = telemetry.height_accuracy_m if telemetry.height_agl_m is None else None
    found: list[Height | str] = []
    for ground_m, spread_m in _grounds_below(below):
        agl_m = alt_m - ground_m
        if not _possible(agl_m):
            found.append(f"{agl_m:.0f} m above the terrain, by the height above sea level")
            continue
        share = math.hypot(stated_m or 0.0, spread_m) / agl_m
        found.append(Height(agl_m, height_ratio(max(share, config.height_accuracy))))
    return found


def _over_home(telemetry: Telemetry, config: PrepareConfig) -> Height | None:
    """As if the ground were as high as home: where it is not, verification finds nothing."""
    above_home_m = telemetry.height_above_home_m
    if above_home_m is None:
        return None
    return Height(above_home_m, height_ratio(config.height_accuracy))


def _anywhere(config: PrepareConfig) -> Height | None:
    if config.height_range_agl_m is None:
        return None
    low_m, high_m = config.height_range_agl_m
    return Height(math.sqrt(low_m * high_m), math.sqrt(high_m / low_m))


def _grounds_below(below: Below) -> list[tuple[float, float]]:
    """Heights AMSL of the ground below the vehicle, and what each may be off by, 1-sigma."""
    terrain = below.terrain
    here_m = terrain.ground_amsl_m(*below.at_m) if below.at_m else None
    if here_m is not None:
        return [(here_m, 0.0)]
    spans = [terrain.span_m(), terrain.span_around_m(*below.told) if below.told else None]
    return [((low + high) / 2.0, (high - low) / 4.0) for low, high in filter(None, spans)]


def _sane(attitude: Attitude | None) -> Attitude | None:
    return attitude if attitude and _finite(*vars(attitude).values()) else None


def _stated(accuracy: float | None, unknown: float) -> float | None:
    """An accuracy up to that of not knowing, which one that is no accuracy means as well."""
    if accuracy is None:
        return None
    return min(accuracy, unknown) if accuracy > 0.0 else unknown


def _test(ratio: float | None) -> float | None:
    """A test ratio that is none is one that failed."""
    return math.inf if ratio is not None and not ratio >= 0.0 else ratio


def _possible(height_agl_m: float) -> bool:
    return MIN_HEIGHT_AGL_M <= height_agl_m <= MAX_HEIGHT_AGL_M


def _somewhere(prior: Prior) -> bool:
    on_earth = abs(prior.lat_deg) <= 90.0 and abs(prior.lon_deg) <= 180.0
    return on_earth and 0.0 < prior.horiz_accuracy_m < math.inf


def _finite(*values: float) -> bool:
    return all(math.isfinite(value) for value in values)
