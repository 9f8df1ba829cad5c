"""How a place may look another day: light, shadow, vegetation, colour, blur, noise, occlusion.

Each change takes and gives float32 RGB [H, W, 3] in 0..1 and draws from the generator it is given.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from geobridge.onboard.records import Image

Picture = npt.NDArray[np.float32]


def another_day(image: Image, rng: np.random.Generator, strength: float) -> Image:
    """A drone's picture of what the satellite saw in another light and season."""
    picture = _floats(image)
    for change, chance in (
        (relight, 0.6),
        (regrow, 0.5),
        (cast_shadows, 0.5),
        (cloud_shadow, 0.4),
    ):
        if rng.random() < chance:
            picture = change(picture, rng, strength)
    picture = recolour(picture, rng, strength)
    picture = degrade(picture, rng, strength)
    return _levels(occlude(picture, rng, strength))


def another_sensor(image: Image, rng: np.random.Generator, strength: float) -> Image:
    """The same tile from another provider: colour, blur and noise, nothing moved."""
    return _levels(degrade(recolour(_floats(image), rng, strength), rng, strength))


def relight(picture: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """Lift or deepen what lies in shadow, and flatten or raise large-scale brightness."""
    grey = _grey(picture)
    threshold = rng.uniform(0.25, 0.5)
    darkness = np.clip((threshold - grey) / threshold, 0.0, 1.0)
    lift = 0.35 * strength * rng.uniform(-0.3, 0.9)
    wide = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.016, 0.063) * grey.shape[1])
    flatten = strength * rng.uniform(-0.2, 0.5)
    return _float32(picture + (lift * darkness - flatten * (wide - wide.mean()))[..., None])


def regrow(picture: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """Recolour what is green: other season, mown or dry."""
    excess_green = 2 * picture[..., 1] - picture[..., 0] - picture[..., 2]
    plant = np.clip(4.0 * excess_green + 0.2, 0.0, 1.0)[..., None]
    gain = 1.0 + strength * rng.uniform(-0.5, 0.5, 3)
    return _float32(picture * (1 - plant) + plant * np.clip(picture * gain, 0.0, 1.0))


def cast_shadows(picture: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """Dark copies of bright, upright-looking things, all shifted the same way."""
    grey = cv2.GaussianBlur(_grey(picture), (0, 0), 1.0)
    bright = (grey > np.quantile(grey, rng.uniform(0.75, 0.93))).astype(np.float32)
    reach = 0.06 * grey.shape[1]
    east, south = rng.uniform(-reach, reach, 2)
    shift = np.array([[1, 0, east], [0, 1, south]], np.float32)
    shadow = cv2.warpAffine(bright, shift, (grey.shape[1], grey.shape[0]))
    depth = strength * rng.uniform(0.1, 0.6)
    return _float32(picture * (1 - depth * cv2.GaussianBlur(shadow, (0, 0), 0.8))[..., None])


def cloud_shadow(picture: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """One large area darker or brighter than the rest, with a soft or a hard edge."""
    height, width = picture.shape[:2]
    corners = (rng.uniform(-0.2, 1.2, (4, 2)) * [width, height]).astype(np.int32)
    area = np.zeros((height, width), np.float32)
    cv2.fillConvexPoly(area, cv2.convexHull(corners), 1.0)
    soft = cv2.GaussianBlur(area, (0, 0), rng.uniform(0.005, 0.08) * width)
    return _float32(picture * (1 - strength * rng.uniform(-0.3, 0.5) * soft)[..., None])


def recolour(picture: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """Gamma, white balance, exposure, contrast, saturation."""
    gamma = math.exp(rng.normal(0, 0.35 * strength))
    picture = np.clip(picture, 0.0, 1.0)
    cv2.pow(picture, gamma, dst=picture)  # in place: fresh memory costs more than the sums
    gain = np.exp(rng.normal(0, 0.12 * strength, 3) + rng.normal(0, 0.15 * strength))
    mean = float(np.mean(cv2.mean(picture)[:3] * gain))
    contrast, brightness = math.exp(rng.normal(0, 0.3 * strength)), rng.normal(0, 0.06 * strength)
    saturation = 1 + strength * rng.uniform(-1.0, 0.6)
    # all that follows gamma is linear in the three colours, so it is one matrix
    mix = saturation * np.eye(3) + (1 - saturation) / 3
    offset = mean * (1 - contrast) + brightness  # grey, which no saturation changes
    matrix = np.column_stack([contrast * mix * gain, np.full(3, offset)])
    return _float32(cv2.transform(picture, matrix, dst=picture))


def degrade(picture: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """Defocus or motion, and sensor noise."""
    if rng.random() < 0.6:
        picture = _float32(cv2.GaussianBlur(picture, (0, 0), 0.3 + strength * rng.uniform(0, 1.3)))
    if rng.random() < 0.4:
        sigma = strength * rng.uniform(0, 0.06)
        noise = rng.standard_normal(picture.shape, np.float32)
        picture = _float32(cv2.scaleAdd(noise, sigma, picture, dst=noise))
    return _float32(picture)


def occlude(picture: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """Up to three rectangles of any colour: vehicles, roofs built since, overlays."""
    height, width = picture.shape[:2]
    picture = picture.copy()
    for _ in range(rng.integers(0, 1 + round(3 * strength))):
        tall, wide = (rng.uniform(0.04, 0.25, 2) * [height, width]).astype(int) + 1
        top, left = rng.integers(0, height), rng.integers(0, width)
        picture[top : top + tall, left : left + wide] = rng.uniform(0, 1, 3)
    return picture


def _grey(picture: Picture) -> Picture:
    """[H, W] mean of the colours."""
    return np.asarray(cv2.transform(picture, np.full((1, 3), 1.0 / 3.0)), np.float32)


def _floats(image: Image) -> Picture:
    return np.multiply(image, np.float32(1 / 255), dtype=np.float32)


def _levels(picture: Picture) -> Image:
    return np.asarray(cv2.addWeighted(picture, 255.0, picture, 0.0, 0.0, dtype=cv2.CV_8U), np.uint8)


def _float32(values: npt.ArrayLike) -> Picture:
    return np.asarray(values, np.float32)
