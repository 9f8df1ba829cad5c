"""Read ahead: the next pictures are decoded while this one is looked at."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

DEPTH = 4
_POLL_S = 0.2


@dataclass(frozen=True)
class _End:
    """Of the items, by themselves or by what was raised."""

    error: BaseException | None = None


class Ahead(Generic[Item]):
    """The items of an iterable in their order, a few of them taken before they are asked for.

    What it raises is raised where it would have been. Whoever stops early closes it.
    """

    def __init__(self, items: Iterable[Item], depth: int = DEPTH) -> None:
        self._queue: queue.Queue[Item | _End] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(items,), daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        while True:
            item = self._queue.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def close(self) -> None:
        """Take no more."""
        self._stopped.set()
        self._thread.join()

    def _read(self, items: Iterable[Item]) -> None:
        end = _End()
        try:
            for item in items:
                if not self._put(item):
                    return
        except BaseException as error:
            end = _End(error)
        self._put(end)

    def _put(self, item: Item | _End) -> bool:
        while not self._stopped.is_set():
            with suppress(queue.Full):
                self._queue.put(item, timeout=_POLL_S)
                return True
        return False
