"""How long each stage took for how many places, to tell what more of them will cost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Rates:
    """Seconds and places by stage, in this run; a stage that was finished before costs nothing."""

    def __init__(self) -> None:
        self._stages: dict[str, dict[str, float]] = {}

    @contextmanager
    def of(self, stage: str, count: int) -> Iterator[None]:
        """Time a stage of so many places."""
        begun, used = time.monotonic(), time.process_time()
        yield
        self._stages[stage] = {
            "places": count,
            "seconds": round(time.monotonic() - begun, 3),
            "core_seconds": round(time.process_time() - used, 3),
        }

    def as_json(self) -> str:
        """By stage."""
        return json.dumps(self._stages, indent=1) + "\n"
