"""A request to stop, by Ctrl-C or a scheduler, that takes effect between two steps."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether the process was asked to stop; half a step is neither kept nor saved."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def wait(self, seconds: float) -> None:
        """Sleep so long, or until it is asked."""
        self.asked.wait(seconds)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take both signals for requests; a second one of a kind does what it usually does."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals go to the main thread
            return
        usual = {number: signal.getsignal(number) for number in _SIGNALS}

        def ask(number: int, _frame: object) -> None:
            log.info("stopping at the end of this step; once more to stop at once")
            self.asked.set()
            signal.signal(number, usual[signal.Signals(number)])

        for number in _SIGNALS:
            signal.signal(number, ask)
        try:
            yield
        finally:
            for number in _SIGNALS:
                signal.signal(number, usual[number])
