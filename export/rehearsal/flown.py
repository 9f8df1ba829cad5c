"""What a rehearsed flight was: a row per frame, kept as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from geobridge.onboard import durable

FIX = "fix"
"""What stands in `said` where there was a fix; elsewhere stands the reason why not."""


@dataclass(frozen=True)
class Flown:
    """One flight, frame by frame; lists of equal length.

    `lat_deg`, `lon_deg`: where the vehicle truly was. `said`: `fix` or the reason for silence.
    `error_m`, `accuracy_m`: of the fix, against the truth and as stated; None without one.
    `ending` and `conditions` are for people to read.
    """

    number: int
    ending: str
    conditions: dict[str, Any]
    time_s: list[float]
    lat_deg: list[float]
    lon_deg: list[float]
    said: list[str]
    error_m: list[float | None]
    accuracy_m: list[float | None]

    def write(self, path: Path) -> Path:
        """Keep it, as a whole or not at all."""
        return durable.write_text(path, json.dumps(asdict(self), allow_nan=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> Flown:
        """One that was kept."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))
