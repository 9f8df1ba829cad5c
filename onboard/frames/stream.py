"""Frames from a capture program of one's own, over a Unix socket, with its own capture times.

A camera driver that knows the exposure (a hardware trigger, an ISP, a simulator) tells it, where a
capture device would be dated by its arrival. The program listens, the daemon connects. Every
picture is one header, `HEADER`, and width x height x 3 bytes RGB; the time is mid-exposure on
CLOCK_MONOTONIC, which all programs of one machine share.
"""

from __future__ import annotations

import math
import socket
import struct
import time
from collections.abc import Generator
from contextlib import suppress

import numpy as np

from ..errors import DataError
from ..records import Frame, Image
from .newest import LiveSource
from .picture import size_of

STREAM_PREFIX = "stream:"
MAGIC = b"GBF1"
HEADER = struct.Struct("<4sIIq")
"""Magic, width, height, nanoseconds."""
MAX_SIDE_PX = 16_384
CONNECT_S = 5.0


def pack_frame(image: Image, t_capture_ns: int) -> bytes:
    """One picture [H, W, 3] as it goes over the socket."""
    height, width = image.shape[:2]
    return HEADER.pack(MAGIC, width, height, t_capture_ns) + image.tobytes()


class StreamSource(LiveSource):
    """Always the newest picture of `stream:PATH`.

    Raises:
        DataError: nobody listens there or no picture comes; while iterating, the stream broke off,
            or something else than pictures came.
    """

    def __init__(self, name: str) -> None:
        deadline_s = time.monotonic() + CONNECT_S
        self._name, self._socket = name, _connected(name)
        try:
            first = self._first(deadline_s)
        except DataError:
            self._socket.close()
            raise
        size_px = size_of(first.image)
        super().__init__(name, size_px, self._from(first, size_px), self._hang_up)

    def close(self) -> None:
        """End the iteration and hang up."""
        super().close()
        self._socket.close()

    def _hang_up(self) -> None:
        with suppress(OSError):  # the other side was faster
            self._socket.shutdown(socket.SHUT_RDWR)

    def _first(self, deadline_s: float) -> Frame:
        frame = None
        with suppress(OSError):
            frame = self._receive(deadline_s=deadline_s)
        if frame is None:
            raise DataError(f"{self._name}: no picture came in {CONNECT_S:.0f} s")
        self._socket.settimeout(None)
        return frame

    def _from(self, first: Frame, size_px: tuple[int, int]) -> Generator[Frame, None, None]:
        """The first picture and all that follow, until the stream ends or breaks."""
        frame: Frame | None = first
        with suppress(OSError):
            while frame is not None:
                yield frame
                frame = self._receive(size_px)

    def _receive(
        self, size_px: tuple[int, int] | None = None, deadline_s: float = math.inf
    ) -> Frame | None:
        """The next picture, of this size, whole by a monotonic time; None where the stream ends."""
        header = self._read(HEADER.size, deadline_s)
        if header is None:
            return None
        magic, width, height, t_capture_ns = HEADER.unpack(header)
        expected = size_px or (width, height)
        if magic != MAGIC or not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX):
            raise DataError(f"{self._name}: expected pictures, found other bytes")
        if (width, height) != expected:
            raise DataError(
                f"{self._name}: a picture of {width}x{height} px among those of"
                f" {expected[0]}x{expected[1]} px"
            )
        pixels = self._read(width * height * 3, deadline_s)
        if pixels is None:
            return None
        image = np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
        return Frame(image, t_capture_ns)

    def _read(self, count: int, deadline_s: float) -> bytearray | None:
        data = bytearray(count)
        view, have = memoryview(data), 0
        while have < count:
            if deadline_s < math.inf:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0.0:
                    raise TimeoutError
                self._socket.settimeout(left_s)
            got = self._socket.recv_into(view[have:])
            if got == 0:
                return None
            have += got
        return data


def _connected(name: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(CONNECT_S)
    try:
        connection.connect(name.removeprefix(STREAM_PREFIX))
    except OSError as error:
        connection.close()
        why = error.strerror or error
        raise DataError(f"{name}: {why}; expected the socket of a capture program") from None
    return connection
