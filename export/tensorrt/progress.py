"""How far a build is, and how it is ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

log = logging.getLogger(__name__)

SAY_EVERY_S = 10.0

T = TypeVar("T")


def progress_of(trt: Any, say: Callable[..., None]) -> Any:
    """A monitor that tells how far the build is, and ends it once `interrupted` is set."""

    class Progress(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.interrupted = False
            self._steps: dict[str, int] = {}
            self._said_s = time.monotonic()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = num_steps

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if time.monotonic() - self._said_s >= SAY_EVERY_S:
                self._said_s = time.monotonic()
                count = self._steps.get(phase_name, 0)
                say("tensorrt: %s, %d of %d", phase_name, step + 1, count)
            return not self.interrupted

    return Progress()


def interruptibly(progress: Any, work: Callable[[], T]) -> T:
    """Work that Ctrl-C ends: it comes to the main thread, which must not be inside TensorRT."""
    with ThreadPoolExecutor(max_workers=1) as worker:
        future = worker.submit(work)
        try:
            while not future.done():
                wait([future], timeout=0.2)
        except KeyboardInterrupt:
            progress.interrupted = True
            log.warning("stopping at TensorRT's next step")
            raise
        return future.result()
