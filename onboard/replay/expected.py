"""Fixes against fixes that were stored: field by field, within what machines differ by."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ..errors import DataError, DifferenceError
from ..geodesy import distance_m
from ..records import Reason
from .outcome import number, time_ns

DIFFERENCES = "differences.txt"
TOLERANCES = {
    "position_m": 0.05,
    "horiz_accuracy_m": 0.05,
    "alt_amsl_m": 0.01,
    "velocity_north_m_s": 0.01,
    "velocity_east_m_s": 0.01,
    "score": 0.002,
    "correlation": 0.005,
    "error_m": 0.05,
}
"""How far a number may be from the stored one. Times, frames and outcomes must be the same; the
place is not compared, for neighbours show the same ground, nor are details, which are prose. Never
to be widened together with code that needs it wider."""

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """One field of one frame; `by` is how far it moved, None where there is nothing to subtract."""

    frame: str
    field: str
    stored: object
    found: object
    by: float | None = None

    def __str__(self) -> str:
        moved = "" if self.by is None else f", {self.by:.6g} apart"
        return f"{self.frame}: {self.field}: {self.stored} stored, {self.found} found{moved}"


@dataclass(frozen=True)
class Difference:
    """All that changed among so many frames."""

    changes: tuple[Change, ...]
    frames: int

    @property
    def short(self) -> str:
        """One line: how many frames, which fields, and the worst of each."""
        frames = len({change.frame for change in self.changes})
        return f"{frames} of {self.frames} frames differ: {', '.join(self._fields())}"

    @property
    def long(self) -> str:
        """A line for every change."""
        return "".join(f"{change}\n" for change in self.changes)

    def _fields(self) -> Iterator[str]:
        for name in dict.fromkeys(change.field for change in self.changes):
            changed = [change for change in self.changes if change.field == name]
            by = [change.by for change in changed if change.by is not None]
            worst = f" (by up to {max(by):.3g}, allowed {TOLERANCES[name]:g})" if by else ""
            yield f"{name} in {len(changed)}{worst}, first in {changed[0].frame}"


def differences(found: Path, stored: Path) -> Difference:
    """What changed from one fixes.jsonl to another.

    Raises:
        DataError: one of them is none.
    """
    return _difference(stored_lines(found), stored_lines(stored))


def _difference(found: Sequence[Line], stored: Sequence[Line]) -> Difference:
    pairs = _paired(stored, found)
    changes = tuple(change for pair in pairs for change in _changes(*pair))
    return Difference(changes, len(pairs))


def must_be_equal(found: Path, stored: Sequence[Line]) -> None:
    """Refuse what differs; all of it stands in differences.txt beside what was found.

    Raises:
        DataError: what was found is no fixes.jsonl.
        DifferenceError: they differ.
    """
    difference = _difference(stored_lines(found), stored)
    told = found.with_name(DIFFERENCES)
    if not difference.changes:
        return
    told.write_text(difference.long, encoding="utf-8")
    raise DifferenceError(f"{difference.short}; all of it in {told}")


def stored_lines(path: Path) -> list[Line]:
    """Of a fixes.jsonl, all of it.

    Raises:
        DataError: names the line that is none of its lines.
    """
    lines: list[Line] = []
    try:
        for text in path.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            if line["frame"] is None or ("fix" in line) == ("rejection" in line):
                raise ValueError
            time_ns(line)
            _values(line)
            lines.append(line)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        where = f"{path}, line {len(lines) + 1}"
        raise DataError(f"{where}: not what `geobridge replay` writes") from None
    if not lines:
        raise DataError(f"{path}: expected a line per frame, found none")
    return lines


def _paired(stored: Sequence[Line], found: Sequence[Line]) -> list[tuple[Line | None, Line | None]]:
    """By name, where no two frames have one; else in their order."""
    by_name = [{str(line["frame"]): line for line in lines} for lines in (stored, found)]
    if [len(named) for named in by_name] != [len(stored), len(found)]:
        return list(zip_longest(stored, found))
    names = dict.fromkeys(name for named in by_name for name in named)
    return [(by_name[0].get(name), by_name[1].get(name)) for name in names]


def _changes(stored: Line | None, found: Line | None) -> Iterator[Change]:
    if stored is None or found is None:
        there = stored or found or {}
        was, now = (None if each is None else "a frame" for each in (stored, found))
        yield Change(str(there["frame"]), "frames", was, now)
        return
    name = str(stored["frame"])
    for field in ("t_capture_ns", "frame"):
        if stored[field] != found[field]:
            yield Change(name, field, stored[field], found[field])
    if _outcome(stored) != _outcome(found):
        yield Change(name, "outcome", _outcome(stored), _outcome(found))
    elif "fix" in stored:
        yield from _moved(name, _values(stored), _values(found))


def _moved(
    frame: str, stored: Mapping[str, float | None], found: Mapping[str, float | None]
) -> Iterator[Change]:
    was = _place(stored), _place(found)
    by = distance_m(*was[0], *was[1])
    if not by <= TOLERANCES["position_m"]:
        yield Change(frame, "position_m", *was, by)
    for field, tolerance in TOLERANCES.items():
        if field == "position_m":
            continue
        before, now = stored[field], found[field]
        if before is None or now is None:
            if before is not now:
                yield Change(frame, field, before, now)
        elif not abs(now - before) <= tolerance:
            yield Change(frame, field, before, now, abs(now - before))


def _values(line: Line) -> dict[str, float | None]:
    """The numbers that are compared; of no fix there are none."""
    if "fix" not in line:
        Reason(line["rejection"]["reason"])
        return {}
    fields = {**line["fix"], "error_m": line["error_m"]}
    names = ("lat_deg", "lon_deg", *list(TOLERANCES)[1:])
    values = {name: None if fields[name] is None else number(fields[name]) for name in names}
    if not all(map(math.isfinite, _place(values))):
        raise ValueError
    return values


def _place(values: Mapping[str, float | None]) -> tuple[float, float]:
    lat_deg, lon_deg = values["lat_deg"], values["lon_deg"]
    if lat_deg is None or lon_deg is None:
        raise ValueError
    return lat_deg, lon_deg


def _outcome(line: Line) -> str:
    return "fix" if "fix" in line else str(line["rejection"]["reason"])
