"""What checkpoint.json says, read and checked before any weights are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from geobridge.onboard.errors import DataError

FORMAT_VERSION = 2
RECORD, MODEL, STATE = "checkpoint.json", "model.safetensors", "state.safetensors"
_FILES = {1: ({MODEL, "optimizer.safetensors"},), FORMAT_VERSION: ({MODEL}, {MODEL, STATE})}
"""What a checkpoint of a format may consist of beside its record."""


@dataclass(frozen=True)
class Best:
    """The step that did best so far, and its mean R@1 on the validation split."""

    step: int
    r1: float


@dataclass(frozen=True)
class Standing:
    """How far a run is: `step` of `steps`, in so many processes; 0 steps in a checkpoint that is of
    no run, or of a format that did not say.
    """

    step: int
    steps: int = 0
    processes: int = 1
    best: Best | None = None


def read_record(path: Path) -> dict[str, Any]:
    """A record of this version, with a `Best` in the place of its entry.

    Raises:
        DataError: names the file, and the key where one is missing or of another kind.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path.parent}: not a checkpoint, {RECORD}: {error.strerror}") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from None
    version = record.get("format_version") if isinstance(record, dict) else None
    if version not in _FILES:
        raise DataError(f"{path}: format_version {version}, this version reads {FORMAT_VERSION}")
    if "record_sha256" in record and record["record_sha256"] != digest_of(record):
        raise DataError(f"{path}: changed since it was written")  # earlier ones say nothing of it
    record = {**asdict(Standing(0)), **record, "step": record.get("step")}
    for key in ("config", "sha256"):
        if key not in record:
            raise DataError(f"{path}: key {key} is missing")
    for key in ("step", "steps", "processes"):
        if type(record[key]) is not int:
            raise DataError(f"{path}: {key} is no whole number")
    if not isinstance(record["sha256"], dict) or set(record["sha256"]) not in _FILES[version]:
        raise DataError(f"{path}: sha256 must name {MODEL} and {STATE}")
    record["best"] = _best(record["best"], path)
    return record


def digest_of(record: Mapping[str, Any]) -> str:
    """Of what a record says, but for this digest."""
    said = {key: value for key, value in record.items() if key != "record_sha256"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _best(entry: Any, path: Path) -> Best | None:
    if entry is None:
        return None
    try:
        return Best(int(entry["step"]), float(entry["r1"]))
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{path}: best has no step and r1") from None
