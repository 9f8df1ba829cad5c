"""The one way from a picture to the pixels an encoder sees; training, export, flight call `apply`.

Pixel normalisation is not here: it is the first layer of the exported graph. What is here is the
resize, written out so that no library's version decides it: separable antialiased resampling,
horizontal pass first, rounded to whole grey levels after each pass. With `bicubic` each pass
reproduces Pillow's BICUBIC to one grey level (Keys' kernel, a = -0.5, widened when shrinking).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from .records import Image, Mask

Interpolation = Literal["bicubic", "box"]
Fit = Literal["squash", "centre_crop"]
Band = tuple[slice, slice, npt.NDArray[np.float64]]

_BAND = 16
"""Rows that are made by one matrix product: few enough that little of it is zeros."""
_AT_ONCE = 2**18
"""Products of a matrix product that OpenBLAS leaves to one thread: others that it wakes spin on for
milliseconds."""
_STEP = 2.0**-40
"""Grey levels by weights sum to less than 2^9, or 2^49 of these steps, and a double holds 2^53."""


@dataclass(frozen=True)
class Preprocess:
    """What was done to every training picture, and so must be done to every picture in flight.

    `fit`: squash the whole picture to the size, or crop the centre to its aspect first.
    `fill`: RGB where the mask says there is no picture. `mean`, `std`: RGB in 0..1, applied inside
    the encoder; recorded here because they belong to the same contract.
    """

    height_px: int
    width_px: int
    interpolation: Interpolation = "bicubic"
    fit: Fit = "squash"
    fill: tuple[int, int, int] = (122, 117, 104)
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)

    def __post_init__(self) -> None:
        if not (1 <= self.height_px <= 4096 and 1 <= self.width_px <= 4096):
            raise ValueError(f"encoder input {self.width_px}x{self.height_px} px is out of range")
        if not all(s > 0 for s in self.std):
            raise ValueError(f"std {self.std} must be positive")

    @property
    def sha256(self) -> str:
        """Of the record: what an exported encoder and the bundle that holds it must agree on."""
        floats = {"mean": [float(m) for m in self.mean], "std": [float(s) for s in self.std]}
        record = json.dumps({**asdict(self), **floats}, sort_keys=True)
        return hashlib.sha256(record.encode()).hexdigest()


def apply(image: Image, spec: Preprocess, valid: Mask | None = None) -> Image:
    """[H, W, 3] RGB to [height_px, width_px, 3], uint8.

    Args:
        image: any size from 1x1.
        spec: the encoder's record.
        valid: [H, W], 0 where the picture is to be filled with `spec.fill`.

    Raises:
        ValueError: not an RGB uint8 picture, or the mask has another shape.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"expected [H, W, 3] uint8 RGB, got {image.shape} {image.dtype}")
    if valid is not None:
        if valid.shape != image.shape[:2]:
            raise ValueError(f"mask {valid.shape} does not fit picture {image.shape[:2]}")
        filled = _filled(*valid.shape, spec.fill).copy()
        image = np.asarray(cv2.copyTo(image, valid, filled), np.uint8)
    if spec.fit == "centre_crop":
        image = _centre_crop(image, spec.width_px / spec.height_px)
    return resize(image, spec.height_px, spec.width_px, spec.interpolation)


def resize(image: Image, height_px: int, width_px: int, interpolation: Interpolation) -> Image:
    """[H, W, C] uint8 to [height_px, width_px, C], antialiased; the same size is returned as is."""
    if image.shape[1] != width_px:
        image = _turned(_resample(_turned(image), width_px, interpolation))
    if image.shape[0] != height_px:
        image = _resample(image, height_px, interpolation)
    return np.ascontiguousarray(image)


def _resample(image: Image, target: int, interpolation: Interpolation) -> Image:
    """[S, ...] to [target, ...] along the first axis."""
    values = image.reshape(len(image), -1).astype(np.float64)
    total = np.empty((target, values.shape[1]))
    for rows, places, weights in _bands(len(image), target, interpolation):
        width = max(1, _AT_ONCE // weights.size)
        for start in range(0, values.shape[1], width):
            columns = slice(start, start + width)
            np.matmul(weights, values[places, columns], out=total[rows, columns])
    total += 0.5
    np.clip(total, 0.0, 255.0, out=total)  # truncation below rounds, for the half is in already
    return total.astype(np.uint8).reshape(target, *image.shape[1:])


@lru_cache(maxsize=8)
def _filled(height_px: int, width_px: int, fill: tuple[int, int, int]) -> Image:
    """[height_px, width_px, 3] of one colour, made once: numpy needs longer for it than for all of
    the rest that a mask asks for."""
    return np.full((height_px, width_px, 3), fill, np.uint8)


def _turned(image: Image) -> Image:
    """[H, W, C] to [W, H, C], rows for columns, without gaps; far faster than numpy's copy."""
    height, width, channels = image.shape
    return np.asarray(cv2.transpose(image), np.uint8).reshape(width, height, channels)


def _centre_crop(image: Image, aspect: float) -> Image:
    height, width = image.shape[:2]
    crop_w = min(width, max(1, round(height * aspect)))
    crop_h = min(height, max(1, round(width / aspect)))
    top, left = (height - crop_h) // 2, (width - crop_w) // 2
    cropped: Image = image[top : top + crop_h, left : left + crop_w]
    return cropped


@lru_cache(maxsize=64)
def _bands(source: int, target: int, interpolation: Interpolation) -> tuple[Band, ...]:
    """The rows of the result, some at a time, the places along the source that they are made of,
    and [rows, places] weights."""
    scale = source / target
    widen = max(scale, 1.0)
    support = (2.0 if interpolation == "bicubic" else 0.5) * widen
    kernel = _keys if interpolation == "bicubic" else _box
    centre = (np.arange(target, dtype=float) + 0.5) * scale
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + support + 0.5).astype(np.int64), source)
    bands = []
    for start in range(0, target, _BAND):
        rows = slice(start, min(start + _BAND, target))
        places = slice(int(first[rows][0]), int(last[rows][-1]))
        at = np.arange(places.start, places.stop)
        used = (at >= first[rows, None]) & (at < last[rows, None])
        weights = np.where(used, kernel((at + 0.5 - centre[rows, None]) / widen), 0.0)
        bands.append((rows, places, _exact(weights / weights.sum(axis=1, keepdims=True))))
    return tuple(bands)


def _exact(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[N, K] weights as whole multiples of `_STEP` whose rows sum to one.

    With them every product of a grey level and every sum of products is exact in a double, so each
    machine gets the same bytes, in whatever order its matrix product adds them.
    """
    reached = np.rint(np.cumsum(weights, axis=1) / _STEP)
    return np.asarray(np.diff(reached, axis=1, prepend=0.0) * _STEP)


def _keys(at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Keys 1981, cubic convolution with a = -0.5."""
    x = np.abs(at)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


def _box(at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where((at > -0.5) & (at <= 0.5), 1.0, 0.0)
