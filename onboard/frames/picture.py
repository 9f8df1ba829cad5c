"""Pictures from OpenCV, which speaks BGR, and from files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import DataError
from ..records import Image


def rgb_from_bgr(picture: cv2.typing.MatLike) -> Image:
    """[H, W, 3] uint8, red first."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def size_of(picture: cv2.typing.MatLike) -> tuple[int, int]:
    """Width and height of [H, W, ...]."""
    height_px, width_px = picture.shape[:2]
    return width_px, height_px


def read_picture(path: Path) -> Image:
    """[H, W, 3] RGB of a picture file; EXIF rotation is not applied: intrinsics are the sensor's.

    Raises:
        DataError: names the file; it cannot be read, is cut short, or is no picture.
    """
    return _read(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)


def read_upright(path: Path) -> Image:
    """[H, W, 3] RGB turned as its EXIF says, of a picture in which nothing is measured.

    Raises:
        DataError: as `read_picture`.
    """
    return _read(path, cv2.IMREAD_COLOR)


def _read(path: Path, flags: int) -> Image:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    picture = None if _is_cut_short(data) else _decode(data, flags)
    if picture is None:
        raise DataError(f"{path}: not a whole picture that can be decoded")
    return rgb_from_bgr(picture)


def _decode(data: bytes, flags: int) -> cv2.typing.MatLike | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # an empty file, or more pixels than OpenCV takes
        return None


def _is_cut_short(data: bytes) -> bool:
    """A JPEG without its end; OpenCV before 5.0 fills the missing rows with grey."""
    if not data.startswith(b"\xff\xd8"):
        return False
    at = 2  # walk over the segments, whose thumbnails have an end of their own
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data.find(b"\xff\xd9", at) < 0
