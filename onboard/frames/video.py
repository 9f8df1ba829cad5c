"""A video file: its frames at their presentation times, counted from the first one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2

from ..errors import DataError
from ..records import Frame, Image
from .picture import rgb_from_bgr, size_of

NS_PER_MS = 1_000_000

log = logging.getLogger(__name__)


class VideoSource:
    """Every frame of a file that can be decoded; one that is cut short ends where it is cut.

    How many could not be is logged at the end. The container's rotation is not applied: intrinsics
    belong to the sensor.

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
        self._declared = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self._tried = 0
        first = self._read()
        if first is None:
            self.close()
            raise DataError(f"{path}: not a video, or no frame of it can be decoded")
        self._first = first

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of every frame."""
        return size_of(self._first[1])

    def __iter__(self) -> Iterator[Frame]:
        start_ms = self._first[2]
        before_ns, given = -1, 0
        shown: tuple[int, Image, float] | None = self._first
        while shown is not None:
            number, picture, shown_ms = shown
            t_capture_ns = round((shown_ms - start_ms) * NS_PER_MS)
            if t_capture_ns <= before_ns:
                raise DataError(f"{self._path}: frame {number} is not shown after the one before")
            yield Frame(picture, t_capture_ns, f"{self._path.name}#{number}")
            before_ns, given, shown = t_capture_ns, given + 1, self._read()
        if self._capture.isOpened() and given < self._declared:
            lost = self._declared - given
            log.warning("%s: %d of %d frames cannot be read", self._path, lost, self._declared)

    def close(self) -> None:
        """End the iteration and let go of the file."""
        with self._reading:
            self._capture.release()

    def _read(self) -> tuple[int, Image, float] | None:
        """The next that can be decoded: its number, picture and presentation time in ms."""
        with self._reading:
            found, picture = self._capture.read()
            while not found and self._tried + 1 < self._declared and self._capture.isOpened():
                self._tried += 1
                found, picture = self._capture.read()
            shown_ms = self._capture.get(cv2.CAP_PROP_POS_MSEC)
            number, self._tried = self._tried, self._tried + 1
        return (number, rgb_from_bgr(picture), shown_ms) if found else None
