"""A flight of which there is a record, flown again: with its own settings, and held against it."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..flightlogs.flight_record import FlightRecord
from ..flightlogs.recorder import SUFFIX
from ..records import Fix, Rejection

SETTINGS = ("camera", "localizer", "prior")

log = logging.getLogger(__name__)


def is_record(frames: str) -> bool:
    """Whether frames are to come from a flight record, or from the newest one of a folder."""
    path = Path(frames)
    return path.suffix == SUFFIX or (path.is_dir() and any(path.glob(f"*{SUFFIX}")))


def as_flown(record: FlightRecord) -> dict[str, Any]:
    """Its settings, as far as the localizer is concerned."""
    settings = json.loads(record.facts["configuration"])
    return {key: settings[key] for key in SETTINGS if settings.get(key) is not None}


def compare(record: FlightRecord, again: Sequence[Fix | Rejection]) -> int:
    """How many outcomes are not the same to the last bit as in flight; says so."""
    before = {outcome.t_capture_ns: outcome for outcome in record.outcomes}
    differ = sum(before.get(each.t_capture_ns) != each for each in again)
    absent = len(before.keys() - {each.t_capture_ns for each in again})
    if differ or absent:
        log.warning(
            "%d of %d frames end otherwise than in flight; %d pictures were not recorded",
            differ,
            len(again),
            absent,
        )
    else:
        log.info("all %d frames end as in flight, to the last bit", len(again))
    return differ + absent
