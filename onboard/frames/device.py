"""A capture device: always the newest frame, never a queue of old ones."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator

import cv2

from ..errors import DataError
from ..records import Frame
from .newest import Newest
from .picture import rgb_from_bgr

CAMERA_PREFIX = "camera:"
STOP_S = 2.0


def open_camera(name: str) -> CameraSource:
    """Open `camera:N`, the Nth capture device of the machine.

    Raises:
        DataError: not a number, no such device, or a device that gives no picture.
    """
    number = name.removeprefix(CAMERA_PREFIX)
    if not re.fullmatch(r"[0-9]{1,3}", number):
        raise DataError(f"{name}: expected {CAMERA_PREFIX}N with the number of a capture device")
    return CameraSource(name, cv2.VideoCapture(int(number)))


class CameraSource:
    """Frames of an open capture, read by a thread of its own.

    A frame is stamped on the monotonic clock when the driver hands it over. That is after
    mid-exposure by half the exposure and the read-out, which a driver does not tell; where they are
    known, at 20 ms and 15 m/s they are worth 0.3 m.

    Raises:
        DataError: the capture gives no picture; while iterating, it has stopped giving them.
    """

    def __init__(self, name: str, capture: cv2.VideoCapture) -> None:
        self._name = name
        self._capture = capture
        found, picture = capture.read()
        if not found:
            capture.release()
            raise DataError(f"{name}: no such capture device, or it gives no picture")
        self._size_px = (picture.shape[1], picture.shape[0])
        self._newest = Newest()
        self._closing = False
        self._thread = threading.Thread(target=self._capture_all, name=name, daemon=True)
        self._thread.start()

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of every frame."""
        return self._size_px

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self._newest.take()) is not None:
            yield frame
        if not self._closing:
            raise DataError(f"{self._name}: stopped giving pictures")

    def close(self) -> None:
        """End the iteration and let go of the device."""
        self._closing = True
        self._newest.end()
        self._thread.join(STOP_S)  # a stalled driver may hold the thread; it dies with the process

    def _capture_all(self) -> None:
        while not self._closing and self._capture.grab():
            t_capture_ns = time.monotonic_ns()
            found, picture = self._capture.retrieve()
            if not found:
                break
            self._newest.put(Frame(rgb_from_bgr(picture), t_capture_ns))
        self._capture.release()
        self._newest.end()
