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
    """[N] frames that both replays of some flights have: of each replay [N] outcomes by number,
    errors and stated accuracies in metres and [N, 2] places in degrees; `pieces` are the rows of
    each piece of each flight."""

    kinds: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]
    errors_m: tuple[Floats, Floats]
    stated_m: tuple[Floats, Floats]
    places: tuple[Floats, Floats]
    truth: Floats
    t_ns: npt.NDArray[np.int64]
    flights: npt.NDArray[np.intp]
    frames: list[str]
    pieces: list[list[Rows]]

    @classmethod
    def of(cls, flights: Sequence[tuple[Columns, Columns]]) -> Paired:
        """Of each flight the frames that were taken at the same time."""
        joined = []
        for a, b in flights:
            _, in_a, in_b = np.intersect1d(a.t_ns, b.t_ns, return_indices=True)
            joined.append(((a, in_a), (b, in_b)))

        def both(name: str) -> tuple[Floats, Floats]:
            return tuple(  # type: ignore[return-value]
                np.concatenate([pair[side][0][name][pair[side][1]] for pair in joined])
                for side in (0, 1)
            )

        lat, lon = both("lat_deg"), both("lon_deg")
        truth = [np.stack([a["truth_lat_deg"], a["truth_lon_deg"]], axis=1)[rows]
                 for (a, rows), _ in joined]  # fmt: skip
        t_ns = [a.t_ns[rows] for (a, rows), _ in joined]
        starts = np.cumsum([0, *map(len, t_ns)])
        return cls(
            tuple(np.concatenate([pair[side][0].kinds[pair[side][1]] for pair in joined])
                  for side in (0, 1)),  # type: ignore[arg-type]
            both("error_m"),
            both("horiz_accuracy_m"),
            tuple(np.stack(each, axis=1) for each in zip(lat, lon, strict=True)),  # type: ignore[arg-type]
            np.concatenate(truth),
            np.concatenate(t_ns),
            np.repeat(np.arange(len(joined)), [len(each) for each in t_ns]),
            [a.frames[row] for (a, rows), _ in joined for row in rows],
            [_pieces(each, start) for each, start in zip(t_ns, starts, strict=False)],
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.t_ns)

    def figures(self, rows: Rows | None = None) -> dict[str, tuple[float, float]]:
        """A's and B's figures over some rows, NaN where they cannot be told."""
        chosen = np.arange(len(self)) if rows is None else rows
        sides = [self._side(side, chosen) for side in (0, 1)]
        figures = {name: (sides[0][name], sides[1][name]) for name in sides[0]}
        errors = [each[chosen] for each in self.errors_m]
        shared = np.isfinite(errors[0]) & np.isfinite(errors[1])
        figures["error_mean_m_where_both_have_a_fix"] = (
            _or_nan(np.mean, errors[0][shared]),
            _or_nan(np.mean, errors[1][shared]),
        )
        return figures

    def _side(self, side: int, rows: Rows) -> dict[str, float]:
        errors_m, stated_m = self.errors_m[side][rows], self.stated_m[side][rows]
        known = np.isfinite(errors_m)
        errors_m, stated_m = errors_m[known], stated_m[known]
        wrong = metrics.wrong_fixes(errors_m, stated_m, WRONG_LIMIT_M) if known.any() else errors_m
        return {
            "availability": float(np.mean(self.kinds[side][rows] == 0)),
            "error_median_m": _or_nan(np.median, errors_m),
            "error_p95_m": _or_nan(lambda values: np.quantile(values, 0.95), errors_m),
            "stated_accuracy_median_m": _or_nan(np.median, stated_m),
            "half_nees": _or_nan(np.mean, (errors_m / stated_m) ** 2 / 2.0),
            "wrong_share": _or_nan(np.mean, np.asarray(wrong, float)),
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
