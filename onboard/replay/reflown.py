"""A flight of which there is a record, flown again: with its own settings, and held against it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..bundle import read_manifest
from ..config import ReplayConfig, load
from ..daemon.record import told_by_files
from ..flightlogs.flight_record import HEAD, FlightRecord
from ..flightlogs.recorder import SUFFIX
from ..records import Fix, Rejection

SETTINGS = ("camera", "localizer", "prior")
HELD = "held_against_flight"
"""Name in summary.json of what came of it."""

log = logging.getLogger(__name__)


def is_record(frames: str) -> bool:
    """Whether frames are to come from a flight record, or from the newest one of a folder."""
    path = Path(frames)
    if path.is_dir():
        return any(path.glob(f"*{SUFFIX}"))
    return path.suffix == SUFFIX or _begins_as_one(path)


def _begins_as_one(path: Path) -> bool:
    """Whatever its name is; of what cannot be opened others say why."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(HEAD)) == HEAD
    except OSError:
        return False


def as_flown(record: FlightRecord) -> dict[str, Any]:
    """Its settings, as far as the localizer is concerned."""
    settings = json.loads(record.facts["configuration"])
    return {key: settings[key] for key in SETTINGS if settings.get(key) is not None}


@dataclass(frozen=True)
class Held:
    """So many `frames` end as in flight to the last bit, but for `otherwise`. `missing`: pictures
    without an outcome in the record, and outcomes without a picture. `changed` names what it was
    not flown with, so that it may end otherwise; empty where all is the same."""

    frames: int
    otherwise: int
    missing: int
    changed: str = ""

    @property
    def differs(self) -> bool:
        """Whether it ends otherwise though it should not."""
        return self.otherwise > 0 and not self.changed

    def __str__(self) -> str:
        ends = f"all {self.frames} frames end as in flight, to the last bit"
        if self.otherwise:
            ends = f"{self.otherwise} of {self.frames} frames end otherwise than in flight"
        told = [ends]
        if self.changed:
            told.append(f"replayed with {self.changed}")
        if self.missing:
            told.append(f"{self.missing} pictures or outcomes were not recorded")
        return "; ".join(told)


def changed(record: FlightRecord, bundle: Path, settings: ReplayConfig) -> str:
    """What is not as it was flown with: nothing, "another bundle", "other settings" or, where the
    record tells, "another calibration" or "another prior" under the same name.

    Raises:
        BundleError: there is no bundle.
        DataError: a file that the settings name is gone.
    """
    if hashlib.sha256(read_manifest(bundle)).hexdigest() != record.facts.get("bundle_sha256"):
        return "another bundle"
    before = load(ReplayConfig, None, (), as_flown(record))
    if any(getattr(before, name) != getattr(settings, name) for name in SETTINGS):
        return "other settings"
    for name, digest in told_by_files(settings).items():
        if record.facts.get(f"{name}_sha256", digest) != digest:
            return f"another {name}"
    return ""


def hold(record: FlightRecord, again: Sequence[Fix | Rejection], changed: str) -> Held:
    """A whole flight against what was decided in it; says what came of it."""
    before = {outcome.t_capture_ns: outcome for outcome in record.outcomes}
    now = {outcome.t_capture_ns: outcome for outcome in again}
    both = before.keys() & now.keys()
    otherwise = sum(before[t_ns] != now[t_ns] for t_ns in both)
    held = Held(len(both), otherwise, len(before.keys() ^ now.keys()), changed)
    log.log(logging.WARNING if otherwise or held.missing else logging.INFO, "%s", held)
    return held
