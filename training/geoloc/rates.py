"""How long each stage took for how many places, to tell what more of them will cost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from geobridge.onboard.durable import write_text


@dataclass
class Done:
    """How many places a stage has dealt with in this run."""

    places: int = 0


class Rates:
    """Seconds, core seconds of this process and places by stage, summed over the runs of a build;
    what was finished before costs nothing and does not count again.

    Args:
        path: a JSON file, where the sums are kept.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._stages = path, dict[str, dict[str, float]]()
        with suppress(OSError, ValueError):  # of no use to the data set
            self._stages = json.loads(path.read_bytes())

    @contextmanager
    def of(self, stage: str, places: int = 0) -> Iterator[Done]:
        """Time a stage."""
        begun, used, done = time.monotonic(), time.process_time(), Done(places)
        yield done
        if not done.places:
            return
        so_far = self._stages.get(stage, {})
        more = {
            "places": done.places,
            "seconds": time.monotonic() - begun,
            "core_seconds": time.process_time() - used,
        }
        self._stages[stage] = {key: round(so_far.get(key, 0) + more[key], 3) for key in more}
        write_text(self._path, json.dumps(self._stages, indent=1) + "\n")
