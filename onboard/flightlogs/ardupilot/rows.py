"""Rows of an ArduPilot DataFlash log, binary or text, by pymavlink, as columns of numbers.

pymavlink is asked row by row and passes over what is damaged: its index of a whole file would end
at the first unknown byte.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pymavlink.DFReader import DFReader_binary, DFReader_text

from ...errors import DataError
from ..series import Floats

BINARY_HEAD = b"\xa3\x95\x80"
"""The first row describes how rows are described, and others how those of other types are."""
HEAD_BYTES = 512
CUT = "cut"
_FOLLOWING = (BINARY_HEAD[:2], b"")
"""What stands behind a whole row: the next one, or nothing."""
_FILLING = b"\0\xff\r\n "
"""What the last block of a log is filled with."""
_DESCRIBING = frozenset({"FMT", "FMTU", "UNIT", "MULT", "PARM", "MSG"})
MAX_DAMAGE = 10_000
"""So many rows that cannot be read, one after the other, end a log."""


@dataclass(frozen=True)
class Rows:
    """[N] numbers by type and field; a text where a number was expected is NaN.

    `values` of every parameter, in their order, `messages` as the autopilot wrote them; `damage`
    counts places where bytes could not be read as rows.
    """

    columns: Mapping[str, Mapping[str, Floats]]
    values: Mapping[str, Sequence[float]]
    messages: tuple[str, ...]
    damage: int
    is_cut: bool
    """Whether it ends in the middle of a row."""

    def of(self, kind: str) -> Mapping[str, Floats]:
        """Empty where there is no such row."""
        return self.columns.get(kind, {})

    def parameter(self, name: str) -> float | None:
        """Its last value."""
        return self.values[name][-1] if name in self.values else None

    def had(self, name: str, value: float) -> str:
        """`is` or `was` where this is a parameter's last value or an earlier one, else nothing."""
        if self.parameter(name) == value:
            return "is"
        return "was" if value in self.values.get(name, ()) else ""


class _Unindexed:
    """What of pymavlink's readers goes through the whole file before the first row."""

    offset: int

    def init_arrays(self, progress_callback: Any = None) -> None:
        """No index."""

    def init_arrays_fast(self, progress_callback: Any = None) -> None:
        """No index."""

    def init_clock(self) -> None:
        """Time is our own matter: leap seconds have not always been 18."""


class _Binary(_Unindexed, DFReader_binary):  # type: ignore[misc] # pymavlink has no types
    def next_place(self) -> None:
        self.offset += 1

    def pass_over(self, wanted: frozenset[str]) -> None:
        """Rows of other types, as long as whole rows follow each other."""
        while self.data_map[self.offset : self.offset + 2] == BINARY_HEAD[:2]:
            number = self.data_map[self.offset + 2 : self.offset + 3]
            kind = self.formats.get(number[0]) if number else None
            if kind is None or kind.name in wanted or kind.len <= len(BINARY_HEAD):
                return
            end = self.offset + kind.len
            if self.data_map[end : end + 2] not in _FOLLOWING or end > self.data_len:
                return
            self.offset = end


class _Text(_Unindexed, DFReader_text):  # type: ignore[misc]
    def next_place(self) -> None:
        end = self.data_map.find(b"\n", self.offset)
        self.offset = self.data_len + 1 if end < 0 else end + 1

    def pass_over(self, wanted: frozenset[str]) -> None:
        """Lines are cut up one by one anyway."""


def read_rows(path: Path, kinds: frozenset[str]) -> Rows:
    """All rows of some types.

    Raises:
        DataError: it is no DataFlash log.
    """
    taken: dict[str, list[tuple[Any, ...]]] = {}
    fields: dict[str, tuple[str, ...]] = {}
    values: dict[str, list[float]] = {}
    messages: list[str] = []
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        for row in _rows(path, kinds | _DESCRIBING):
            kind = row.get_type()
            if kind == "PARM":
                _take_parameter(row, values)
            elif kind == "MSG":
                _take_text(row, messages)
            elif kind in kinds:
                names = fields.setdefault(kind, tuple(row._fieldnames))
                if tuple(row._fieldnames) == names:
                    taken.setdefault(kind, []).append(tuple(_cells(row, names)))
    if not (taken or values or messages):
        raise DataError(f"{path}: no row of a DataFlash log in it")
    columns = {
        kind: dict(zip(fields[kind], np.array(rows, np.float64).T, strict=True))
        for kind, rows in taken.items()
    }
    complaints = said.getvalue().splitlines()
    is_cut = CUT in complaints
    return Rows(columns, values, tuple(messages), len(complaints) - is_cut, is_cut)


def _rows(path: Path, wanted: frozenset[str]) -> Iterator[Any]:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    if not head:
        raise DataError(f"{path}: an empty file")
    try:
        reader = (_Binary if BINARY_HEAD in head else _Text)(str(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a DataFlash log: {error}") from None
    failures = 0
    try:
        while failures < MAX_DAMAGE:
            try:
                reader.pass_over(wanted)
                before = reader.offset
                row = reader.recv_msg()
            except Exception:  # pymavlink on damaged rows raises nearly anything
                failures += 1
                print("damaged")
                reader.next_place()
                continue
            if row is None:
                if reader.data_map[before:].strip(_FILLING):
                    print(CUT)
                return
            failures = 0
            if reader.offset <= before:  # of a length that damage made nothing
                reader.next_place()
            yield row
    finally:
        reader.close()


def _take_parameter(row: Any, values: dict[str, list[float]]) -> None:
    with contextlib.suppress(AttributeError, LookupError, TypeError, ValueError):
        name, value = str(row.Name), float(row.Value)
        values.setdefault(name, []).append(value)


def _take_text(row: Any, messages: list[str]) -> None:
    with contextlib.suppress(AttributeError, LookupError, TypeError, ValueError):
        messages.append(str(row.Message))


def _cells(row: Any, names: tuple[str, ...]) -> Iterator[float]:
    for name in names:
        try:
            yield float(getattr(row, name))
        except (AttributeError, LookupError, TypeError, ValueError, OverflowError):
            yield float("nan")
