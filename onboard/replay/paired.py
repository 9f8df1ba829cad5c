"""The same frames under A and under B, and how sure their differences are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import metrics
from .columns import Columns
from .summary import WRONG_LIMIT_M

PIECE_S = 10.0
"""Flights are drawn in pieces as long as this: errors of neighbouring frames are one error."""
LEAST_PIECES = 5
"""Fewer say nothing about how far a difference might be chance."""
RESAMPLED, SEED = 400, 10
SURE = 0.95

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Paired:
    """[N] frames that both replays of some flights have, row by row the same; the [N] flights that
    they are of, by number, and of each flight the rows of each piece of it."""

    a: Columns
    b: Columns
    flights: Rows
    pieces: list[list[Rows]]

    @classmethod
    def of(cls, flights: Sequence[tuple[Columns, Columns]]) -> Paired:
        """Of each flight the frames that have the same time and name."""
        joined = []
        for a, b in flights:
            rows_a, rows_b = _common(a, b)
            joined.append((a.of(rows_a), b.of(rows_b)))
        counts = [len(a) for a, _ in joined]
        starts = np.cumsum([0, *counts])
        return cls(
            Columns.together([a for a, _ in joined]),
            Columns.together([b for _, b in joined]),
            np.repeat(np.arange(len(joined)), counts),
            [_pieces(a.t_ns, start) for (a, _), start in zip(joined, starts, strict=False)],
        )

    def __len__(self) -> int:
        return len(self.a)

    def figures(self, rows: Rows | None = None) -> dict[str, tuple[float, float]]:
        """A's and B's figures over some rows, NaN where they cannot be told."""
        chosen = np.arange(len(self)) if rows is None else rows
        errors = self.a["error_m"][chosen], self.b["error_m"][chosen]
        shared = np.isfinite(errors[0]) & np.isfinite(errors[1])
        of_a, of_b = _figures(self.a, chosen), _figures(self.b, chosen)
        return {
            **{name: (of_a[name], of_b[name]) for name in of_a},
            "error_mean_m_where_both_have_a_fix": (
                _or_nan(np.mean, errors[0][shared]),
                _or_nan(np.mean, errors[1][shared]),
            ),
        }


def differences(paired: Paired) -> list[dict[str, Any]]:
    """A row for every figure: A, B, B less A, and the interval that holds it with 95 %: flights
    and pieces of them, drawn with replacement. None where flights are too short to say."""
    found = paired.figures()
    drawn: dict[str, list[float]] = {name: [] for name in found}
    if sum(map(len, paired.pieces)) >= LEAST_PIECES:
        rng = np.random.default_rng(SEED)
        for _ in range(RESAMPLED):
            for name, (a, b) in paired.figures(_draw(paired.pieces, rng)).items():
                drawn[name].append(b - a)
    return [
        {"figure": name, "a": _plain(a), "b": _plain(b), "b_less_a": _plain(b - a)}
        | _interval(np.array(drawn[name]))
        for name, (a, b) in found.items()
    ]


def _common(a: Columns, b: Columns) -> tuple[Rows, Rows]:
    of_a, of_b = (dict(zip(_keys(each), range(len(each)), strict=True)) for each in (a, b))
    keys = sorted(of_a.keys() & of_b.keys())
    rows_a, rows_b = ([rows[key] for key in keys] for rows in (of_a, of_b))
    return np.array(rows_a, np.intp), np.array(rows_b, np.intp)


def _keys(columns: Columns) -> list[tuple[int, str]]:
    return list(zip(columns.t_ns.tolist(), columns.frames, strict=True))


def _figures(columns: Columns, rows: Rows) -> dict[str, float]:
    errors_m, stated_m = columns["error_m"][rows], columns["horiz_accuracy_m"][rows]
    known = np.isfinite(errors_m)
    errors_m, stated_m = errors_m[known], stated_m[known]
    wrong = metrics.wrong_fixes(errors_m, stated_m, WRONG_LIMIT_M) if known.any() else errors_m
    return {
        "availability_over_common_frames": float(np.mean(columns.kinds[rows] == 0)),
        "error_median_m": _or_nan(np.median, errors_m),
        "error_p95_m": _or_nan(lambda values: np.quantile(values, 0.95), errors_m),
        "stated_accuracy_median_m": _or_nan(np.median, stated_m),
        "half_nees": _or_nan(np.mean, (errors_m / stated_m) ** 2 / 2.0),
        "wrong_share": _or_nan(np.mean, np.asarray(wrong, float)),
    }


def _draw(pieces: list[list[Rows]], rng: np.random.Generator) -> Rows:
    flights = rng.integers(len(pieces), size=len(pieces))
    rows = []
    for flight in flights:
        chosen = rng.integers(len(pieces[flight]), size=len(pieces[flight]))
        rows += [pieces[flight][piece] for piece in chosen]
    return np.concatenate(rows)


def _interval(values: Floats) -> dict[str, Any]:
    values = values[np.isfinite(values)]
    if not len(values):
        return {"low": None, "high": None, "is_sure": None}
    low, high = np.quantile(values, [(1 - SURE) / 2, (1 + SURE) / 2])
    return {"low": _plain(low), "high": _plain(high), "is_sure": bool(low > 0 or high < 0)}


def _pieces(t_ns: npt.NDArray[np.int64], start: int) -> list[Rows]:
    number = (t_ns - t_ns[:1]) // round(PIECE_S * 1e9)
    edges = np.flatnonzero(np.diff(number)) + 1
    return [rows for rows in np.split(np.arange(start, start + len(t_ns)), edges) if len(rows)]


def _or_nan(figure: Callable[[Floats], Any], values: Floats) -> float:
    return float(figure(values)) if len(values) else float("nan")


def _plain(value: float) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None
