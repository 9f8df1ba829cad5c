"""A quantity over time, put in order: logs repeat rows, lose them, and run backwards."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .flight_log import MAX_GAP_NS

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

APART_NS = 3_600_000_000_000
"""A silence of an hour divides a log; the part with most rows is the flight."""


@dataclass(frozen=True)
class Series:
    """[N] strictly increasing times, [N, K] values in the units that their user says."""

    times_ns: Times
    values: Floats
    source: str
    """The message and field, as a person would look for it."""
    max_gap_ns: int = MAX_GAP_NS

    def at(self, times_ns: Times, turning: bool = False) -> Floats:
        """[M, K] straight between rows, NaN outside them and in silences.

        With `turning` values are degrees and go the short way round, into -180 to 180.
        """
        if not len(times_ns):
            return np.empty((0, self.values.shape[1]))
        last = len(self.times_ns) - 1
        after = np.clip(np.searchsorted(self.times_ns, times_ns), 0, last)
        before = np.where(self.times_ns[after] > times_ns, np.maximum(after - 1, 0), after)
        gap_ns = self.times_ns[after] - self.times_ns[before]
        outside = (times_ns < self.times_ns[0]) | (times_ns > self.times_ns[-1])
        weight = ((times_ns - self.times_ns[before]) / np.maximum(gap_ns, 1))[:, None]
        step = self.values[after] - self.values[before]
        if turning:
            step = half_turn(step)
        found: Floats = self.values[before] + weight * step
        if turning:
            found = half_turn(found)
        found[outside | (gap_ns > self.max_gap_ns)] = np.nan
        return found


def rate_hz(times_ns: Times) -> float | None:
    """Rows per second, by the median step; None of fewer than two."""
    return float(1e9 / float(np.median(np.diff(times_ns)))) if len(times_ns) > 1 else None


def half_turn(angle_deg: Floats) -> Floats:
    """The same direction as -180 (included) to 180 degrees."""
    inside = (angle_deg >= -180.0) & (angle_deg < 180.0)
    turned = (angle_deg + 180.0) % 360.0 - 180.0
    return np.asarray(np.where(inside, angle_deg, turned), np.float64)


def series(
    times_ns: npt.ArrayLike,
    columns: Sequence[npt.ArrayLike],
    source: str,
    findings: list[str],
    max_gap_ns: int = MAX_GAP_NS,
) -> Series | None:
    """Rows in order whose values are all finite; None where none is left.

    What was left out and why is added to `findings`.
    """
    stamps = np.asarray(times_ns, np.int64)
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.column_stack([np.asarray(column, np.float64) for column in columns])
    finite = np.asarray(np.isfinite(values).all(axis=1), np.bool_)
    kept = in_order(stamps, source, findings)
    kept = kept[finite[kept]]
    if not len(kept):
        return None
    return Series(stamps[kept], values[kept], source, max_gap_ns)


def in_order(times_ns: Times, source: str, findings: list[str]) -> npt.NDArray[np.intp]:
    """The most rows that are in strictly increasing time and without a silence of an hour."""
    rows = np.arange(len(times_ns))
    steps_ns = np.diff(times_ns)
    if (steps_ns <= 0).any():
        rows = _increasing(times_ns)
        backwards = len(times_ns) - len(rows) - int((steps_ns == 0).sum())
        if backwards > 0:
            findings.append(f"{source}: time runs backwards; rows left out: {backwards}")
    parts = np.split(rows, np.flatnonzero(np.diff(times_ns[rows]) > APART_NS) + 1)
    longest = max(parts, key=len)
    if len(longest) < len(rows):
        far = len(rows) - len(longest)
        findings.append(f"{source}: {far} rows lie more than an hour from the others; left out")
    return longest


def _increasing(times_ns: Times) -> npt.NDArray[np.intp]:
    """The longest strictly increasing subsequence: neither a jump back nor one ahead costs more
    rows than it has."""
    ends: list[int] = []
    at: list[int] = []
    before = np.full(len(times_ns), -1, np.intp)
    for row, t_ns in enumerate(times_ns.tolist()):
        place = bisect_left(ends, t_ns)
        before[row] = at[place - 1] if place else -1
        if place == len(ends):
            ends.append(t_ns)
            at.append(row)
        else:
            ends[place], at[place] = t_ns, row
    found = []
    row = at[-1]
    while row >= 0:
        found.append(row)
        row = int(before[row])
    return np.array(found[::-1], np.intp)
