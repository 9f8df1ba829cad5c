"""Between a source that never waits and a taker that is slower: the newest frame, no queue."""

from __future__ import annotations

import threading

from ..records import Frame


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
