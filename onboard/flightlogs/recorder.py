"""The flight record: what became of every frame, one line of JSON each, as it happened.

The first line names the format; a line that a power cut left unfinished is passed over when read.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..records import Fix, Reason, Rejection

FORMAT = {"format": "geobridge flight record", "version": 1}


class Recorder:
    """Appends outcomes to a new file; every line is handed to the system at once.

    Raises:
        DataError: the file exists or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("xb", buffering=0)
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}") from None
        self._write(FORMAT)

    def write(self, outcome: Fix | Rejection) -> None:
        """One frame; a full disk must not end the flight, so what fails here is left out."""
        kind = "fix" if isinstance(outcome, Fix) else "rejection"
        self._write({kind: asdict(outcome)})

    def close(self) -> None:
        """No more lines."""
        self._file.close()

    def _write(self, entry: dict[str, Any]) -> None:
        line = (json.dumps(entry, default=str) + "\n").encode()
        end = self._file.tell()
        with suppress(OSError):
            if self._file.write(line) < len(line):  # half a line would spoil the next one
                self._file.truncate(self._file.seek(end))


def read_record(path: Path) -> list[Fix | Rejection]:
    """The outcomes of a flight, in the order of its frames.

    Raises:
        DataError: not a flight record, or a broken line before the last one.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        lines = [""]
    if _parsed(lines[0]) != FORMAT:
        raise DataError(f"{path}: not a flight record of version {FORMAT['version']}")
    outcomes = []
    for number, line in enumerate(lines[1:-1], start=2):  # the last one is empty or cut short
        outcome = _outcome(_parsed(line))
        if outcome is None:
            raise DataError(f"{path}, line {number}: expected a fix or a rejection")
        outcomes.append(outcome)
    return outcomes


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _outcome(entry: Any) -> Fix | Rejection | None:
    try:
        if "fix" in entry:
            return Fix(**entry["fix"])
        fields = entry["rejection"]
        return Rejection(fields["t_capture_ns"], Reason(fields["reason"]), fields["detail"])
    except (KeyError, TypeError, ValueError):
        return None
