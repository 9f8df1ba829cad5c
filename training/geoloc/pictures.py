"""The pictures of a build while it goes on: `<work>/pictures/<view>/<id>-<digest>.jpg`.

The digest stands in a place's `sha256` by view, so a line always means the picture that it was made
with, whatever a build with other settings wrote since.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2

from geobridge.onboard.durable import write_bytes
from geobridge.onboard.frames.picture import read_picture
from geobridge.onboard.records import Image

from .stage import Line

JPEG_QUALITY = 92


def picture_path(pictures: Path, view: str, place: Line) -> Path:
    """Of a place with `id` and `sha256`; two letters of the name make a folder: millions of files
    in one would be slow."""
    return _path(pictures, view, place["id"], place["sha256"][view])


def write_picture(pictures: Path, view: str, name: str, image: Image) -> str:
    """As a whole or not at all; the digest of its bytes."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done
    sha256 = hashlib.sha256(data.tobytes()).hexdigest()
    path = _path(pictures, view, name, sha256)
    if not path.exists():
        write_bytes(path, data.tobytes())
    return sha256


def read_view(pictures: Path, view: str, place: Line) -> Image:
    """[H, W, 3].

    Raises:
        DataError: it cannot be read.
    """
    return read_picture(picture_path(pictures, view, place))


def _path(pictures: Path, view: str, name: str, sha256: str) -> Path:
    return pictures / view / name[:2] / f"{name}-{sha256[:12]}.jpg"
