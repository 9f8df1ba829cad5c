"""The daemon, reading pictures; started by `trial` as a process of its own."""

from __future__ import annotations

import logging
import resource
import sys
import time
from pathlib import Path
from typing import Any

from ...daemon import run as daemon
from ...geodesy import LocalFrame
from .sight import Reader

NS_PER_S = 1_000_000_000


def main(config: str, lat_deg: str, lon_deg: str, wall_ahead_s: str, max_bytes: str) -> None:
    """Fly, with `Reader` in the place of the localizer, and little else replaced.

    The wall clock is ahead by the seconds that a file tells, once it is there, and no file can grow
    beyond `max_bytes` where that is not 0.
    """
    _let_clock_step(Path(wall_ahead_s))
    if int(max_bytes):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(max_bytes), int(max_bytes)))
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    reader = Reader(LocalFrame(float(lat_deg), float(lon_deg)))

    def instead(*_: Any, **__: Any) -> Reader:
        return reader

    daemon.__dict__["open_localizer"] = instead
    daemon.run(Path(config))


def _let_clock_step(ahead_s: Path) -> None:
    wall_ns = time.time_ns

    def stepped_ns() -> int:
        return wall_ns() + (int(ahead_s.read_text()) * NS_PER_S if ahead_s.exists() else 0)

    time.time_ns = stepped_ns


if __name__ == "__main__":
    main(*sys.argv[1:])
