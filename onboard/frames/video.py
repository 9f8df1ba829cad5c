"""A video file: its frames at their presentation times, counted from the first one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import cv2

from ..errors import DataError
from ..records import Frame, Image
from .picture import rgb_from_bgr, size_of

NS_PER_MS = 1_000_000


class VideoSource:
    """Every frame of a file; one that is cut short ends where it is cut.

    The container's rotation is not applied: intrinsics belong to the sensor.

    Raises:
        DataError: the file cannot be opened or holds no frame; while iterating, its presentation
            times do not increase.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise DataError(f"{path}: no such file or folder")
        self._path = path
        self._reading = threading.Lock()
        self._capture = cv2.VideoCapture(str(path))
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        first = self._read()
        if first is None:
            self.close()
            raise DataError(f"{path}: not a video, or no frame of it can be decoded")
        self._first = first

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of every frame."""
        return size_of(self._first[0])

    def __iter__(self) -> Iterator[Frame]:
        start_ms = self._first[1]
        before_ns, number = -1, 0
        shown: tuple[Image, float] | None = self._first
        while shown is not None:
            t_capture_ns = round((shown[1] - start_ms) * NS_PER_MS)
            if t_capture_ns <= before_ns:
                raise DataError(f"{self._path}: frame {number} is not shown after the one before")
            yield Frame(shown[0], t_capture_ns, f"{self._path.name}#{number}")
            before_ns, number, shown = t_capture_ns, number + 1, self._read()

    def close(self) -> None:
        """End the iteration and let go of the file."""
        with self._reading:
            self._capture.release()

    def _read(self) -> tuple[Image, float] | None:
        """The next picture and its presentation time in milliseconds."""
        with self._reading:
            found, picture = self._capture.read()
            shown_ms = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        if not found:
            return None
        return rgb_from_bgr(picture), shown_ms
