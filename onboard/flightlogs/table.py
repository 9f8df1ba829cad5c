"""A strict CSV reader: known columns, whole rows, finite numbers, mistakes named by cell."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ..errors import DataError

NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class Range:
    """The numbers a column may hold, bounds included, and how to say so."""

    expected: str
    low: float = -math.inf
    high: float = math.inf


MOST = 1e7
"""Metres, degrees or metres per second of no flight: what comes near is a mistake of a column."""
NUMBER = Range(f"a number of at most {MOST:g}", -MOST, MOST)
POSITIVE = Range(f"a number above 0, at most {MOST:g}", 1.0 / MOST, MOST)
TIME = Range("a number of seconds, at most 9e9", -9e9, 9e9)
"""In nanoseconds they fit into 64 bits."""
LATITUDE = Range("a latitude of -90 to 90 degrees", -90.0, 90.0)
LONGITUDE = Range("a longitude of -180 to 180 degrees", -180.0, 180.0)


@dataclass(frozen=True)
class Table:
    """The cells of a CSV file by column, and the line on which each row ends."""

    path: Path
    lines: tuple[int, ...]
    cells: dict[str, tuple[str, ...]]

    def __contains__(self, column: str) -> bool:
        return column in self.cells

    def texts(self, column: str) -> tuple[str, ...]:
        """[N] cells, none empty and none twice."""
        seen: set[str] = set()
        for row, text in enumerate(self.cells[column]):
            if not text or text in seen:
                raise self.error(row, column, f"expected a name used once, found {text!r}")
            seen.add(text)
        return self.cells[column]

    def numbers(self, column: str, accepted: Range) -> list[float]:
        """[N] finite numbers within a range.

        Raises:
            DataError: names the file, the line, the column and what was expected.
        """
        return [self._number(row, column, accepted) for row in range(len(self.lines))]

    def numbers_or_none(self, column: str, accepted: Range) -> list[float | None]:
        """[N] as `numbers`, None where a cell is empty."""
        return [
            self._number(row, column, accepted) if text else None
            for row, text in enumerate(self.cells[column])
        ]

    def times_ns(self, max_gap_s: float = math.inf) -> list[int]:
        """[N] nanoseconds from the column `time_s`, strictly increasing.

        Raises:
            DataError: as `numbers`; a time not after the one before, or a gap above `max_gap_s`.
        """
        times_ns = [round(time_s * NS_PER_S) for time_s in self.numbers("time_s", TIME)]
        for row, (before_ns, t_ns) in enumerate(pairwise(times_ns), start=1):
            step_s = (t_ns - before_ns) / NS_PER_S
            if step_s <= 0:
                raise self.error(row, "time_s", "expected a time after that of the row before")
            if step_s > max_gap_s:
                problem = f"expected at most {max_gap_s:g} s after the row before, found {step_s:g}"
                raise self.error(row, "time_s", problem)
        return times_ns

    def _number(self, row: int, column: str, accepted: Range) -> float:
        found = self.cells[column][row]
        value = _number(found)
        if not (math.isfinite(value) and accepted.low <= value <= accepted.high):
            raise self.error(row, column, f"expected {accepted.expected}, found {found!r}")
        return value

    def error(self, row: int, column: str, problem: str) -> DataError:
        """The one line that names a cell."""
        return DataError(f"{self.path}, line {self.lines[row]}, {column}: {problem}")


def read_table(path: Path, required: Collection[str], optional: Collection[str] = ()) -> Table:
    """Read a UTF-8 file with a header line; blank lines are passed over.

    Raises:
        DataError: unreadable, no rows, a column unknown, twice or absent, a row of another length.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, skipinitialspace=True, strict=True)
            rows = [(reader.line_num, row) for row in reader if row]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV file in UTF-8: {error}") from None
    if len(rows) < 2:
        raise DataError(f"{path}: expected a header line and at least one row")
    header = [name.strip() for name in rows[0][1]]
    _check_header(path, header, required, optional)
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise DataError(f"{path}, line {line}: expected {len(header)} cells, found {len(row)}")
    columns = zip(*([cell.strip() for cell in row] for _, row in rows[1:]), strict=True)
    cells = dict(zip(header, columns, strict=True))
    return Table(path, tuple(line for line, _ in rows[1:]), cells)


def _check_header(
    path: Path, header: list[str], required: Collection[str], optional: Collection[str]
) -> None:
    for name in header:
        if name not in (*required, *optional):
            known = ", ".join((*required, *optional))
            raise DataError(f"{path}, line 1, {name}: unknown column; known are {known}")
        if header.count(name) > 1:
            raise DataError(f"{path}, line 1, {name}: the column stands twice")
    for name in required:
        if name not in header:
            raise DataError(f"{path}, line 1, {name}: the column is missing")


def _number(text: str) -> float:
    """The value of a plain decimal number, NaN for anything else."""
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan
