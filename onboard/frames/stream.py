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
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from ..errors import DataError
from ..records import Frame, Image
from .newest import Newest

STREAM_PREFIX = "stream:"
MAGIC = b"GBF1"
HEADER = struct.Struct("<4sIIq")
"""Magic, width, height, nanoseconds."""
MAX_SIDE_PX = 16_384
CONNECT_S, STOP_S = 5.0, 2.0


def pack_frame(image: Image, t_capture_ns: int) -> bytes:
    """One picture [H, W, 3] as it goes over the socket."""
    height, width = image.shape[:2]
    return HEADER.pack(MAGIC, width, height, t_capture_ns) + image.tobytes()


class StreamSource:
    """Always the newest picture of `stream:PATH`.

    Raises:
        DataError: nobody listens there or no picture comes; while iterating, the stream broke off,
            or something else than pictures came.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        deadline_s = time.monotonic() + CONNECT_S
        self._socket = _connected(name)
        try:
            first = self._receive(deadline_s)
        except OSError:
            first = None
        except DataError:
            self._socket.close()
            raise
        if first is None:
            self._socket.close()
            raise DataError(f"{name}: no picture came in {CONNECT_S:.0f} s")
        self._socket.settimeout(None)
        self._size_px = (first.image.shape[1], first.image.shape[0])
        self._newest = Newest()
        self._newest.put(first)
        self._failure: Exception | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._receive_all, name=name, daemon=True)
        self._thread.start()

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of every frame."""
        return self._size_px

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self._newest.take()) is not None:
            yield frame
        if not self._closing:
            raise self._failure or DataError(f"{self._name}: stopped giving pictures")

    def close(self) -> None:
        """End the iteration and hang up."""
        self._closing = True
        self._newest.end()
        with suppress(OSError):  # the other side was faster
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(STOP_S)
        self._socket.close()

    def _receive_all(self) -> None:
        try:
            while (frame := self._receive()) is not None:
                self._newest.put(frame)
        except (OSError, DataError) as error:
            self._failure = error if isinstance(error, DataError) else None
        finally:
            self._newest.end()

    def _receive(self, deadline_s: float = math.inf) -> Frame | None:
        """The next picture, whole by a monotonic time; None where the stream ends."""
        header = self._read(HEADER.size, deadline_s)
        if header is None:
            return None
        magic, width, height, t_capture_ns = HEADER.unpack(header)
        expected = getattr(self, "_size_px", (width, height))
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
