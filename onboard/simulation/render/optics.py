"""What air, lens and sensor make of the light: blur, drops, vignette, exposure, noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache

import cv2
import numpy as np

from ...camera import Camera
from ...errors import DataError
from ...records import Image
from ..land.raster import Field, Floats
from .compiled import compiled

_MIDDLE_GREY = 0.24
_MOST_GAIN = 12.0


@dataclass(frozen=True)
class Optics:
    """A camera on a vehicle.

    `exposure_s` is the time of one exposure, `readout_s` the time from the first row to the last
    of a rolling shutter (0: all at once). `vibration_deg` is the 1-sigma shake of the camera, at
    `vibration_hz`. `auto_exposure` is how far the gain follows the scene (0..1). `vignetting` of 1
    is the cosine-fourth law. Noise in grey levels at unit gain: `read_noise_levels` in the dark,
    `shot_noise_levels` more in full white. `blur_px` is the lens's.

    Raises:
        DataError: a time, blur or noise below 0, or a share outside 0..1.
    """

    exposure_s: float = 0.003
    readout_s: float = 0.0
    vibration_deg: float = 0.0
    vibration_hz: float = 70.0
    auto_exposure: float = 0.7
    gain: float = 1.0
    vignetting: float = 0.6
    blur_px: float = 0.45
    read_noise_levels: float = 1.2
    shot_noise_levels: float = 2.5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value >= 0.0):
                raise DataError(f"{name} {value}: expected 0 or more")
        if self.auto_exposure > 1.0 or self.vignetting > 1.0:
            raise DataError("auto_exposure, vignetting: expected 0 to 1")


@dataclass(frozen=True)
class SatelliteSensor:
    """A satellite and the making of its map.

    `registration_east_m`, `registration_north_m` shift the picture from where it says it lies;
    `off_nadir_deg` towards `off_nadir_azimuth_deg` makes tall things lean; `colour_cast` are gains
    of red, green, blue.
    """

    blur_px: float = 0.65
    noise_levels: float = 1.5
    haze: float = 0.06
    exposure: float = 1.0
    colour_cast: tuple[float, float, float] = field(default=(1.0, 1.0, 1.0))
    registration_east_m: float = 0.0
    registration_north_m: float = 0.0
    off_nadir_deg: float = 0.0
    off_nadir_azimuth_deg: float = 90.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.off_nadir_deg <= 40.0:
            raise DataError(f"off_nadir_deg {self.off_nadir_deg}: expected 0 to 40")
        if not 0.0 <= self.haze <= 1.0:
            raise DataError(f"haze {self.haze}: expected 0 to 1")


def develop(
    light: Field, camera: Camera, optics: Optics, rain: float, rng: np.random.Generator
) -> Image:
    """[H, W, 3] linear light to the picture that the camera delivers."""
    if rain > 0.0:
        light = _through_rain(light, rain, rng)
    if optics.blur_px > 0.0:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), optics.blur_px), np.float32)
    gain = _gain(light, optics)
    exposed = light * (_falloff(_lens(camera)) ** optics.vignetting * np.float32(gain))[..., None]
    return digitise(
        exposed, optics.read_noise_levels * max(gain, 1.0), optics.shot_noise_levels, rng
    )


def digitise(
    light: Field, dark_levels: float, bright_levels: float, rng: np.random.Generator
) -> Image:
    """Grey levels of [H, W, 3] light: gamma 2, a soft shoulder above white, noise."""
    levels = np.empty(light.shape, np.uint8)
    _digitise(light, dark_levels, bright_levels, rng.integers(2**63, dtype=np.uint64), levels)
    return levels


@compiled
def _digitise(light: Field, dark: float, bright: float, seed: np.uint64, levels: Image) -> None:
    """The noise is the sum of four even ones: near to normal, and never beyond 3.5 sigma."""
    for row in range(light.shape[0]):
        for column in range(light.shape[1]):
            for band in range(3):
                value = max(light[row, column, band], 0.0)
                over = max(value - 0.8, 0.0)
                grey = math.sqrt(min(value - over + over / (1.0 + 2.0 * over), 1.0))
                seed += np.uint64(0x9E3779B97F4A7C15)  # splitmix64: Steele, Lea, Flood 2014
                bits = (seed ^ (seed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                bits ^= bits >> np.uint64(31)
                total = 0.0
                for _ in range(4):
                    total += float(bits & np.uint64(0xFFFF))
                    bits >>= np.uint64(16)
                noise = (total / 65536.0 - 2.0) * 1.7320508
                level = 255.0 * grey + (dark + bright * math.sqrt(grey)) * noise
                levels[row, column, band] = int(min(max(level + 0.5, 0.0), 255.0))


def smear(light: Field, shift_px: Floats) -> Field:
    """Blur along the way (columns, rows) that the picture moves during the exposure."""
    way_px = float(np.hypot(*shift_px))
    if not 0.25 <= way_px <= 200.0:
        return light
    reach = math.ceil(way_px / 2.0) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for step in np.linspace(-0.5, 0.5, 4 * reach + 1):
        column, row = shift_px * step + reach
        left, top = int(column), int(row)
        right_share, low_share = column - left, row - top
        kernel[top, left] += (1 - right_share) * (1 - low_share)
        kernel[top, left + 1] += right_share * (1 - low_share)
        kernel[top + 1, left] += (1 - right_share) * low_share
        kernel[top + 1, left + 1] += right_share * low_share
    return np.asarray(cv2.filter2D(light, -1, kernel / kernel.sum()), np.float32)


def _gain(light: Field, optics: Optics) -> float:
    mean = float(light[::4, ::4].mean()) + 1e-4
    wanted = min(max(_MIDDLE_GREY / mean, 1.0 / _MOST_GAIN), _MOST_GAIN)
    return optics.gain * float(wanted**optics.auto_exposure)


def _through_rain(light: Field, rain: float, rng: np.random.Generator) -> Field:
    """Streaks of falling drops, and drops on the lens that show their surroundings blurred."""
    height, width = light.shape[:2]
    streaks = np.zeros((height, width), np.float32)
    for _ in range(int(rain * 0.0025 * height * width / max(height / 224.0, 1.0))):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        length = rng.uniform(0.02, 0.06) * height
        end = (int(x + 0.25 * length), int(y + length))
        cv2.line(streaks, (int(x), int(y)), end, float(rng.uniform(0.03, 0.12)), 1, cv2.LINE_AA)
    soft = cv2.GaussianBlur(light, (0, 0), 0.03 * height)
    drops = np.zeros((height, width), np.float32)
    for _ in range(int(10 * rain)):
        middle = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        cv2.circle(drops, middle, int(rng.uniform(0.012, 0.045) * height), 0.85, -1, cv2.LINE_AA)
    share = cv2.GaussianBlur(drops, (0, 0), 0.006 * height)[..., None]
    mixed = light + (soft - light) * share
    return np.asarray(mixed + streaks[..., None] * np.float32(rain * 0.9), np.float32)


def _lens(camera: Camera) -> Camera:
    """The same lens however it is mounted: what depends on it alone is kept."""
    return replace(camera, mount=type(camera.mount)())


@lru_cache(maxsize=8)
def lens_rays(camera: Camera, samples: int) -> Floats:
    """[H * samples, W * samples, 3] unit rays in camera axes, `samples` across each pixel.

    Raises:
        DataError: the lens reaches no ray at some pixels.
    """
    column = (np.arange(camera.width_px * samples) + 0.5) / samples - 0.5
    row = (np.arange(camera.height_px * samples) + 0.5) / samples - 0.5
    pixels = np.stack(np.meshgrid(column, row), axis=-1)
    rays = camera.rays(pixels.reshape(-1, 2)).reshape((*pixels.shape[:2], 3))
    if not np.isfinite(rays).all():
        raise DataError("camera: the lens's polynomials turn back within the picture")
    return np.ascontiguousarray(rays)


@lru_cache(maxsize=8)
def _falloff(camera: Camera) -> Field:
    """[H, W] cosine-fourth law: 1 on the axis, less towards the corners."""
    return np.asarray(lens_rays(camera, 1)[..., 2] ** 4, np.float32)
