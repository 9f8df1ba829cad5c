"""A recording played as if it were flown now."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from ..records import Frame
from .source import FrameSource

NS_PER_S = 1_000_000_000


class Paced:
    """Frames of a recording, each when its own time has come on the monotonic clock; newest wins.

    A frame is passed over when the next one is due already. `offset_ns` is what is added to
    recorded times.
    """

    def __init__(self, recorded: FrameSource) -> None:
        self._recorded = recorded
        self._closed = threading.Event()
        self._frames = iter(recorded)
        self._first = next(self._frames)
        self.offset_ns = time.monotonic_ns() - self._first.t_capture_ns

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of every frame."""
        return self._recorded.size_px

    def __iter__(self) -> Iterator[Frame]:
        current = self._first
        for following in chain(self._frames, [None]):
            if following is None or not self._is_due(following):
                due_ns = current.t_capture_ns + self.offset_ns
                if self._closed.wait(max(0.0, (due_ns - time.monotonic_ns()) / NS_PER_S)):
                    return
                yield replace(current, t_capture_ns=due_ns)
            if following is not None:
                current = following

    def close(self) -> None:
        """End the iteration, also one that waits, and let go of the recording."""
        self._closed.set()
        self._recorded.close()

    def _is_due(self, frame: Frame) -> bool:
        return frame.t_capture_ns + self.offset_ns <= time.monotonic_ns()
