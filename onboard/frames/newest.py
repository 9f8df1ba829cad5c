"""Between a source that never waits and a taker that is slower: the newest frame, no queue."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing

from ..errors import DataError
from ..records import Frame

STOP_S = 2.0


class Newest:
    """One thread puts frames, another one takes; what was not taken in time is forgotten."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._ended = False

    def put(self, frame: Frame) -> None:
        """Take the place of the frame before."""
        with self._changed:
            self._frame = frame
            self._changed.notify_all()

    def end(self) -> None:
        """There will be no more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def take(self) -> Frame | None:
        """The newest frame not taken yet; waits for one, None after the last."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame or self._ended)
            frame, self._frame = self._frame, None
            return frame


class LiveSource:
    """The newest of the frames that a thread of its own reads as they come.

    Args:
        name: of the source, for what is said about it.
        size_px: width and height of every frame.
        frames: read to its end or to `close`; a DataError of it is raised to whoever iterates.
        hang_up: called by `close`, to wake a reader that waits.
    """

    def __init__(
        self,
        name: str,
        size_px: tuple[int, int],
        frames: Generator[Frame, None, None],
        hang_up: Callable[[], None] = lambda: None,
    ) -> None:
        self._name, self._size_px = name, size_px
        self._frames, self._hang_up = frames, hang_up
        self._newest = Newest()
        self._failure: DataError | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._read_all, name=name, daemon=True)
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
        """End the iteration and the reading."""
        self._closing = True
        self._newest.end()
        self._hang_up()
        self._thread.join(STOP_S)  # a stalled driver may hold the thread; it dies with the process

    def _read_all(self) -> None:
        try:
            with closing(self._frames) as frames:
                for frame in frames:
                    self._newest.put(frame)
                    if self._closing:
                        break
        except DataError as error:
            self._failure = error
        finally:
            self._newest.end()
