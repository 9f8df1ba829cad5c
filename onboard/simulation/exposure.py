"""One exposure of flat ground: perspective and lens, motion, sensor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from ..camera import Camera, Matrix
from ..records import Attitude, Image
from .land.raster import Field, Floats

_BEYOND = (118, 116, 110)
"""What a frame shows off the map and above the horizon: grey ground."""

_FAR_PX = 30_000.0
"""cv2.remap counts source pixels in 16 bits."""


@dataclass(frozen=True)
class Optics:
    """What lens and sensor do to a picture.

    `gain` multiplies the light; `vignetting` of 1 is the cosine-fourth law, 0 none; the noise is
    given in grey levels: `read_noise_levels` in the dark, `shot_noise_levels` more in full white.
    """

    exposure_s: float = 0.004
    gain: float = 1.15
    vignetting: float = 0.6
    read_noise_levels: float = 1.2
    shot_noise_levels: float = 2.5


def look(
    ground: Image,
    ground_pixel_from_enu: Matrix,
    camera: Camera,
    attitude: Attitude,
    height_m: float,
) -> Image:
    """[H, W, 3] what the camera sees of a picture of the ground, its own distortion included.

    `ground_pixel_from_enu` [3, 3] takes metres (east, north, 1) from the camera to pixels of the
    picture of the ground, affinely. That is shrunk or smoothed first where it is finer than the
    view; what lies beyond it is grey.
    """
    enu_from_pixel = np.linalg.inv(camera.pixel_from_ground(attitude, height_m))
    at = ground_pixel_from_enu @ enu_from_pixel @ _straight_pixels(camera)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = np.where(at[2] > 0.0, at[:2] / at[2], -_FAR_PX)
    at = at.reshape(2, camera.height_px, camera.width_px)
    finer = _pixels_per_pixel(at)
    window = _window(at, ground.shape[:2], margin_px=4.0 * max(finer, 1.0))
    if window is None:
        return np.full((camera.height_px, camera.width_px, 3), _BEYOND, np.uint8)
    part, offset = ground[window], [window[1].start, window[0].start]
    at = at - np.reshape(offset, (2, 1, 1))
    part, at = _coarsen(part, at, finer)
    column, row = np.clip(at, -_FAR_PX, _FAR_PX).astype(np.float32)
    seen = cv2.remap(part, column, row, cv2.INTER_LINEAR, borderValue=_BEYOND)
    return np.asarray(seen, np.uint8)


def smear(image: Image, shift_px: Floats) -> Image:
    """Blur along the way (columns, rows) that the picture moves during the exposure."""
    way_px = float(np.hypot(*shift_px))
    if not 0.25 <= way_px <= 64.0:
        return image
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
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def sense(image: Image, camera: Camera, optics: Optics, rng: np.random.Generator) -> Image:
    """Darken towards the corners, expose, add noise."""
    light = image * (_falloff(camera) ** optics.vignetting * np.float32(optics.gain))[..., None]
    spread = optics.read_noise_levels + optics.shot_noise_levels * np.sqrt(light / 255.0)
    light += spread * rng.standard_normal(light.shape, np.float32)
    return np.asarray(np.clip(np.rint(light), 0, 255), np.uint8)


@lru_cache(maxsize=2)
def _straight_pixels(camera: Camera) -> Floats:
    """[3, H * W] where each pixel would lie without distortion, homogeneous."""
    column, row = np.meshgrid(np.arange(camera.width_px), np.arange(camera.height_px))
    rays = camera.rays(np.stack([column.ravel(), row.ravel()], axis=-1))
    return np.asarray(camera.matrix @ (rays / rays[:, 2:]).T)


@lru_cache(maxsize=2)
def _falloff(camera: Camera) -> Field:
    """[H, W] cosine-fourth law: 1 on the axis, less towards the corners."""
    rays = np.linalg.solve(camera.matrix, _straight_pixels(camera))
    cosine = 1.0 / np.linalg.norm(rays, axis=0)
    return np.asarray(cosine**4, np.float32).reshape(camera.height_px, camera.width_px)


def _pixels_per_pixel(at: Floats) -> float:
    """How many ground pixels one pixel in the middle of the view spans, at most 16."""
    row, column = at.shape[1] // 2, at.shape[2] // 2
    middle = at[:, row, column]
    across, down = middle - at[:, row, column - 1], middle - at[:, row - 1, column]
    return min(math.sqrt(abs(across[0] * down[1] - across[1] * down[0])), 16.0)


def _window(at: Floats, shape: tuple[int, int], margin_px: float) -> tuple[slice, slice] | None:
    """The rows and columns of the ground that the view touches."""
    inside = np.all((at > -1.0) & (at < np.reshape(shape[::-1], (2, 1, 1))), axis=0)
    if not inside.any():
        return None
    low = np.maximum(at[:, inside].min(axis=1) - margin_px, 0.0).astype(int)
    high = np.ceil(at[:, inside].max(axis=1) + margin_px).astype(int) + 1
    return slice(low[1], min(high[1], shape[0])), slice(low[0], min(high[0], shape[1]))


def _coarsen(part: Image, at: Floats, finer: float) -> tuple[Image, Floats]:
    """The ground at about the resolution of the view, and the positions in it."""
    factor = max(1, int(finer))
    height, width = part.shape[0] // factor, part.shape[1] // factor
    if factor > 1 and height and width:
        whole = part[: height * factor, : width * factor]
        part = np.asarray(
            cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8
        )
        at = (at + 0.5) / factor - 0.5
        finer /= factor
    if finer > 1.05:
        part = np.asarray(cv2.GaussianBlur(part, (0, 0), 0.5 * math.sqrt(finer**2 - 1.0)), np.uint8)
    return part, at
