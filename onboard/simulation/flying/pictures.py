"""The pictures of a flight on disk: a video, or a folder of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from ...errors import DataError
from ...records import Image

_JPEG_QUALITY = 95


def write_video(path: Path, pictures: Iterable[Image], rate_hz: float) -> None:
    """Write an mp4 of [H, W, 3] RGB pictures, at least one, of one size, and read it back.

    Raises:
        DataError: the sizes differ, or not all of the frames can be read back.
    """
    sized = _of_one_size(path, pictures)
    first = next(sized)
    size = first.shape[1], first.shape[0]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate_hz, size)
    count = 0
    try:
        for picture in chain([first], sized):
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            count += 1
    finally:
        writer.release()
    reader = cv2.VideoCapture(str(path))
    readable = sum(1 for _ in iter(reader.grab, False))
    reader.release()
    if readable != count:
        raise DataError(f"{path.name}: {readable} of {count} frames of the video can be read back")


def write_pictures(folder: Path, pictures: Iterable[Image], names: Sequence[str]) -> None:
    """Write [H, W, 3] RGB pictures of one size as JPEG files.

    Raises:
        DataError: the sizes differ.
    """
    folder.mkdir()
    for name, picture in zip(names, _of_one_size(folder, pictures), strict=True):
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        (folder / name).write_bytes(np.asarray(data).tobytes())


def _of_one_size(path: Path, pictures: Iterable[Image]) -> Iterator[Image]:
    size: tuple[int, ...] | None = None
    for number, picture in enumerate(pictures):
        size = size or picture.shape
        if picture.shape != size:
            raise DataError(
                f"{path.name}, picture {number}: expected {size[1]}x{size[0]} px as the first one"
            )
        yield picture
