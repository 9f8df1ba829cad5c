"""The views of a place: from a satellite, from a drone, from the street; with exact distances.

Pictures depend on their arguments and a seed alone, to the last byte.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import cv2
import numpy as np

from ...camera import Camera, Mount, enu_from_body
from ...records import Attitude, Image
from ..land.raster import Field, Floats
from ..land.solids import Facade
from ..state import State
from .compiled import by_rows
from .optics import Optics, SatelliteSensor, develop, digitise, lens_rays, smear
from .rays import Rendered, empty, render_map, render_rays, unlit
from .scene import BOX_FACADE
from .scenery import Setting
from .trace import BOX, SKY, trace

EYE_M = 2.5
"""Height of a street-level camera above the ground."""
_ABOVE_M = 25.0
"""No bridge is higher above the ground."""


@dataclass(frozen=True, eq=False)
class Shot:
    """A picture and the truth about it.

    `image` [H, W, 3]; `distance_m` [H, W] along one ray of each pixel, infinite where there is sky:
    through the pixel's middle, or, with an even number of samples, half a sample right of and below
    it.
    """

    image: Image
    distance_m: Field
    locate: Callable[[], Floats] = field(repr=False)

    @cached_property
    def points_enu_m(self) -> Floats:
        """[H, W, 3] what each pixel shows: metres east and north, height above mean sea level, NaN
        where there is sky."""
        return self.locate()


def satellite(
    setting: Setting,
    east_m: float,
    north_m: float,
    width_m: float,
    size_px: int,
    sensor: SatelliteSensor | None = None,
    seed: int = 0,
    samples: int = 1,
    threads: int | None = None,
) -> Shot:
    """A square map, north up, its middle at (east, north); parallel rays from above.

    The points are where things truly are, the picture is shifted by the sensor's registration.
    """
    return orthomap(
        setting,
        east_m - width_m / 2.0,
        north_m + width_m / 2.0,
        width_m / size_px,
        (size_px, size_px),
        sensor,
        seed,
        samples,
        threads,
    )


def orthomap(
    setting: Setting,
    west_m: float,
    north_m: float,
    gsd_m: float,
    shape_px: tuple[int, int],
    sensor: SatelliteSensor | None = None,
    seed: int = 0,
    samples: int = 1,
    threads: int | None = None,
) -> Shot:
    """A map [H, W] with its north-west corner at (`west_m`, `north_m`)."""
    sensor = sensor or SatelliteSensor()
    rows, columns = shape_px[0] * samples, shape_px[1] * samples
    out = empty(rows, columns)
    lean = math.tan(math.radians(sensor.off_nadir_deg))
    azimuth = math.radians(sensor.off_nadir_azimuth_deg)
    lean_east, lean_north = lean * math.sin(azimuth), lean * math.cos(azimuth)
    middle = west_m + gsd_m * shape_px[1] / 2.0, north_m - gsd_m * shape_px[0] / 2.0
    level_m = float(setting.place.ground_amsl_m(middle))  # what lies here is not shifted
    west = west_m - sensor.registration_east_m + lean_east * level_m
    north = north_m - sensor.registration_north_m + lean_north * level_m
    fine_m = gsd_m / samples
    by_rows(
        lambda first, last: render_map(
            setting.scene, setting.light, west, north, fine_m, lean_east, lean_north, sensor.haze,
            out, first, last,
        ),
        rows,
        threads,
    )  # fmt: skip
    out = _average(out, samples)
    light = out.light * np.float32(sensor.exposure) * np.asarray(sensor.colour_cast, np.float32)
    if sensor.blur_px > 0.0:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), sensor.blur_px), np.float32)
    image = digitise(light, sensor.noise_levels, 0.0, np.random.default_rng([seed, 9]))

    def locate() -> Floats:
        top = float(setting.scene.tops[-1]) + 10.0
        up = top - out.distance_m.astype(float) / math.sqrt(1.0 + lean * lean)
        inside = (samples // 2 + 0.5) / samples  # of a pixel: where its distance was measured
        column, row = np.meshgrid(np.arange(shape_px[1]) + inside, np.arange(shape_px[0]) + inside)
        easting, northing = west + column * gsd_m, north - row * gsd_m
        return np.stack([easting - lean_east * up, northing - lean_north * up, up], axis=-1)

    return Shot(image, out.distance_m, locate)


def drone(
    setting: Setting,
    camera: Camera,
    state: State,
    optics: Optics | None = None,
    seed: int = 0,
    samples: int = 1,
    threads: int | None = None,
) -> Shot:
    """What a camera on a vehicle sees; the seed draws vibration, rain and noise."""
    optics = optics or Optics()
    rng = np.random.default_rng([seed, 11])
    rays = lens_rays(replace(camera, mount=Mount()), samples)
    count = rays.shape[0]
    when_s = ((np.arange(count) + 0.5) / count - 0.5) * optics.readout_s
    origins = np.array([state.east_m, state.north_m, state.alt_amsl_m])
    origins = origins + when_s[:, None] * np.asarray(state.velocity_enu_m_s)
    turn = enu_from_body(state.attitude) @ camera.mount.body_from_camera
    turns = turn @ _shaken(when_s, optics, rng)
    out = _follow(setting, origins, turns, rays, 1.0 / (camera.fx_px * samples), threads)
    out = _average(out, samples)
    light = smear(out.light, _moved_px(camera, turn, state, out.distance_m, optics.exposure_s))
    image = develop(light, camera, optics, setting.day.rain, rng)
    return Shot(image, out.distance_m, lambda: _points(out, origins, turns, rays, samples))


def panorama(
    setting: Setting,
    east_m: float,
    north_m: float,
    heading_deg: float,
    width_px: int,
    optics: Optics | None = None,
    seed: int = 0,
    samples: int = 1,
    threads: int | None = None,
) -> Shot:
    """360 degrees around a street-level camera: [W / 2, W] equirectangular, the heading in the
    middle, straight up in the top row."""
    optics = optics or Optics(vignetting=0.0, exposure_s=0.0)
    columns, rows = width_px * samples, width_px // 2 * samples
    azimuth = (
        math.radians(heading_deg) + ((np.arange(columns) + 0.5) / columns - 0.5) * 2.0 * math.pi
    )
    elevation = (0.5 - (np.arange(rows) + 0.5) / rows) * math.pi
    flat = np.cos(elevation)[:, None]
    rays = np.stack(
        [
            flat * np.sin(azimuth),
            flat * np.cos(azimuth),
            np.repeat(np.sin(elevation)[:, None], columns, axis=1),
        ],
        axis=-1,
    )
    origins, turns = _standing(setting, east_m, north_m, rows), np.repeat(np.eye(3)[None], rows, 0)
    out = _follow(setting, origins, turns, rays, 2.0 * math.pi / columns, threads)
    out = _average(out, samples)
    whole = Camera.from_hfov(width_px, width_px // 2, 90.0)
    rng = np.random.default_rng([seed, 12])
    image = develop(out.light, whole, replace(optics, vignetting=0.0), setting.day.rain, rng)
    return Shot(image, out.distance_m, lambda: _points(out, origins, turns, rays, samples))


def street_photo(
    setting: Setting,
    camera: Camera,
    east_m: float,
    north_m: float,
    heading_deg: float,
    pitch_deg: float = 0.0,
    optics: Optics | None = None,
    seed: int = 0,
    samples: int = 1,
    threads: int | None = None,
) -> Shot:
    """What a camera held at eye height sees; its mount is passed over."""
    east, north, up = _standing(setting, east_m, north_m, 1)[0]
    attitude = Attitude(0.0, pitch_deg, heading_deg % 360.0)
    state = State(0.0, float(east), float(north), float(up), attitude, (0.0, 0.0, 0.0))
    level = replace(camera, mount=Mount(0.0, 0.0, 0.0))
    return drone(setting, level, state, optics, seed, samples, threads)


def _standing(setting: Setting, east_m: float, north_m: float, rows: int) -> Floats:
    """[rows, 3] the same eye, above the ground or the bridge."""
    up_m = float(setting.place.ground_amsl_m((east_m, north_m)))
    down = trace(setting.scene, True, False, east_m, north_m, up_m + _ABOVE_M, 0.0, 0.0, -1.0)
    if down[1] == BOX and int(setting.scene.boxes[down[2], BOX_FACADE]) == Facade.DECK:
        up_m += _ABOVE_M - down[0]
    return np.repeat(np.array([[east_m, north_m, up_m + EYE_M]]), rows, axis=0)


def _follow(
    setting: Setting,
    origins: Floats,
    turns: Floats,
    rays: Floats,
    spread: float,
    threads: int | None,
) -> Rendered:
    out, surface = empty(*rays.shape[:2]), unlit(*rays.shape[:2])
    by_rows(
        lambda first, last: render_rays(
            setting.scene, setting.light, origins, turns, rays, spread, out, surface, first, last
        ),
        len(rays),
        threads,
    )
    return out


def _points(out: Rendered, origins: Floats, turns: Floats, rays: Floats, samples: int) -> Floats:
    """[H, W, 3] where the middle sample of every pixel ends."""
    middle = slice(samples // 2, None, samples)
    ways = np.einsum("rij,rcj->rci", turns[middle], rays[middle, middle])
    away_m = np.where(out.kind == SKY, np.nan, out.distance_m).astype(float)
    return np.asarray(origins[middle, None] + ways * away_m[..., None])


def _average(out: Rendered, samples: int) -> Rendered:
    """Light averaged over the samples of a pixel; distance and kind of the middle one."""
    distance = np.where(out.kind == SKY, np.float32(np.inf), out.distance_m)
    if samples == 1:
        return Rendered(out.light, distance, out.kind)
    height, width = out.kind.shape[0] // samples, out.kind.shape[1] // samples
    light = cv2.resize(out.light, (width, height), interpolation=cv2.INTER_AREA)
    middle = np.s_[samples // 2 :: samples, samples // 2 :: samples]
    return Rendered(np.asarray(light, np.float32), distance[middle], out.kind[middle])


def _shaken(when_s: Floats, optics: Optics, rng: np.random.Generator) -> Floats:
    """[H, 3, 3] small turns of the camera while its rows are read out."""
    phase = rng.uniform(0.0, 2.0 * math.pi, 3)
    amount = np.radians(optics.vibration_deg) * math.sqrt(2.0)
    turn = amount * np.sin(2.0 * math.pi * optics.vibration_hz * when_s[:, None] + phase)
    shaken = np.repeat(np.eye(3)[None], len(when_s), axis=0)
    for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        shaken[:, a, b] -= turn[:, c]
        shaken[:, b, a] += turn[:, c]
    return np.asarray(shaken)


def _moved_px(
    camera: Camera, turn: Floats, state: State, distance_m: Field, exposure_s: float
) -> Floats:
    """[2] how far the middle of the picture moves during an exposure."""
    away_m = float(distance_m[distance_m.shape[0] // 2, distance_m.shape[1] // 2])
    moved = turn.T @ np.asarray(state.velocity_enu_m_s) * exposure_s
    return np.asarray(moved[:2] * (camera.fx_px, camera.fy_px) / max(away_m, 1.0))
