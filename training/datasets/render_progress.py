"""How far long work is, and how long it will take."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)

_EVERY_S = 10.0


class Progress:
    """Counts, and says now and then how far it is."""

    def __init__(self, count: int, unit: str = "places") -> None:
        self.count, self.done, self._unit = count, 0, unit
        self._start = self._said = time.monotonic()

    def over(self, items: Iterable[T]) -> Iterator[T]:
        """Pass them on."""
        for item in items:
            self.done += 1
            self._say()
            yield item

    def _say(self) -> None:
        now = time.monotonic()
        if now - self._said >= _EVERY_S or self.done == self.count:
            self._said = now
            left_s = (self.count - self.done) / self.rate()
            log.info(
                "%d of %d %s, %.2f/s, %s left",
                self.done,
                self.count,
                self._unit,
                self.rate(),
                duration(left_s),
            )

    def rate(self) -> float:
        """Places per second."""
        return self.done / max(1e-9, time.monotonic() - self._start)


def duration(seconds: float) -> str:
    """In words, rounded up."""
    if seconds < 120.0:
        return f"{math.ceil(seconds)} s"
    minutes = math.ceil(seconds / 60.0)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
