"""The pictures of a build while it goes on: `<work>/pictures/<view>/<id>.jpg`."""

from __future__ import annotations

from pathlib import Path

import cv2

from geobridge.onboard.durable import write_bytes
from geobridge.onboard.frames.picture import read_picture
from geobridge.onboard.records import Image

JPEG_QUALITY = 92


def picture_path(pictures: Path, view: str, name: str) -> Path:
    """Two letters of the name make a folder: millions of files in one would be slow."""
    return pictures / view / name[:2] / f"{name}.jpg"


def write_picture(pictures: Path, view: str, name: str, image: Image) -> None:
    """As a whole or not at all."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done
    write_bytes(picture_path(pictures, view, name), data.tobytes())


def read_view(pictures: Path, view: str, name: str) -> Image:
    """[H, W, 3].

    Raises:
        DataError: it cannot be read.
    """
    return read_picture(picture_path(pictures, view, name))
