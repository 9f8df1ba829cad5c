"""A capture device: always the newest frame, never a queue of old ones."""

from __future__ import annotations

import re
import time
from collections.abc import Generator

import cv2

from ..errors import DataError
from ..records import Frame
from .newest import LiveSource
from .picture import rgb_from_bgr, size_of

CAMERA_PREFIX = "camera:"


def open_camera(name: str) -> CameraSource:
    """Open `camera:N`, the Nth capture device of the machine.

    Raises:
        DataError: not a number, no such device, or a device that gives no picture.
    """
    number = name.removeprefix(CAMERA_PREFIX)
    if not re.fullmatch(r"[0-9]{1,3}", number):
        raise DataError(f"{name}: expected {CAMERA_PREFIX}N with the number of a capture device")
    return CameraSource(name, cv2.VideoCapture(int(number)))


class CameraSource(LiveSource):
    """Frames of an open capture.

    A frame is stamped on the monotonic clock when the driver hands it over. That is after
    mid-exposure by half the exposure and the read-out, which a driver does not tell; where they are
    known, at 20 ms and 15 m/s they are worth 0.3 m.

    Raises:
        DataError: the capture gives no picture; while iterating, it has stopped giving them.
    """

    def __init__(self, name: str, capture: cv2.VideoCapture) -> None:
        found, picture = capture.read()
        if not found:
            capture.release()
            raise DataError(f"{name}: no such capture device, or it gives no picture")
        super().__init__(name, size_of(picture), _grabbed(capture))


def _grabbed(capture: cv2.VideoCapture) -> Generator[Frame, None, None]:
    """Every picture of a capture, which is let go of at the end."""
    try:
        while capture.grab():
            t_capture_ns = time.monotonic_ns()
            found, picture = capture.retrieve()
            if not found:
                return
            yield Frame(rgb_from_bgr(picture), t_capture_ns)
    finally:
        capture.release()
