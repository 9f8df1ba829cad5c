"""From flights to a map: where fixes are to be expected, how good, how likely wrong.

A flight's frames in one cell are one pass, whatever their number: they share light, height, wind
and the errors of the sensors. Shares are Beta posteriors over passes, whose prior is worth one pass
and lies at what the whole map shows. Neighbouring cells show much the same ground, so passes there
count as well, by a Gaussian of the distance; how wide it is, the flights decide: the width under
which the others predict each flight best. A cell without a pass of its own stays unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from geobridge.onboard import metrics
from geobridge.onboard.replay.summary import WRONG_LIMIT_M

from . import posterior
from .flown import FIX, Flown
from .grid import Floats, Grid, Whole

SMOOTHINGS_CELLS = (0.0, 0.5, 0.75, 1.0, 1.5, 2.0)
CERTAINTY = 0.9
"""Of the intervals: 5 % lie below and 5 % above."""
_LOW, _HIGH = (1.0 - CERTAINTY) / 2.0, (1.0 + CERTAINTY) / 2.0


@dataclass(frozen=True)
class Localizability:
    """A map; all arrays are [rows, columns] of `grid`, NaN where nothing is known.

    `passes`: flights that crossed the cell. `availability`: expected share of frames with a fix;
    `_low` and `_high` bound it with `CERTAINTY`. `error_m`: expected error of the fixes that are
    not wrong. `wrong_fixes`: how many wrong ones were seen; `wrong`: probability that a fix
    published there is wrong, `wrong_high` its upper bound. `reason`: the most frequent reason for
    silence, empty where there was none.
    `smoothing_m`: 1-sigma reach of the smoothing.
    """

    grid: Grid
    passes: Whole
    availability: Floats
    availability_low: Floats
    availability_high: Floats
    error_m: Floats
    wrong_fixes: Whole
    wrong: Floats
    wrong_high: Floats
    reason: npt.NDArray[np.str_]
    smoothing_m: float


@dataclass(frozen=True)
class _Tally:
    """[F, cells] of each flight: whether it passed, its share of frames with a fix, whether it had
    fixes, the share of those that were wrong, whether it had right ones, their mean error."""

    passed: Floats
    fixed: Floats
    said: Floats
    wrong: Floats
    right: Floats
    error_m: Floats


def map_of(grid: Grid, flights: Sequence[Flown]) -> Localizability:
    """The map that flights give; at least one of them crossed the grid."""
    tally = _count(grid, flights)
    width = _best_smoothing(grid, tally)

    def spread(values: Floats) -> Floats:
        return _blur(grid, values.sum(axis=0), width)

    hits, passes = spread(tally.fixed), spread(tally.passed)
    usual = _usual(tally.fixed, tally.passed)
    share = hits, passes - hits, usual
    wrong, said = spread(tally.wrong), spread(tally.said)
    fault = wrong, said - wrong, _usual(tally.wrong, tally.said)
    own = tally.passed.sum(axis=0).reshape(grid.shape)
    right = spread(tally.right)
    known, fixes = own > 0, (own > 0) & (said > 0.05)
    error_m = spread(tally.error_m) / np.where(right > 0, right, 1.0)

    def where(mask: npt.NDArray[np.bool_], values: Floats) -> Floats:
        return np.where(mask, values, np.nan)

    return Localizability(
        grid=grid,
        passes=own.astype(np.int64),
        availability=where(known, posterior.mean(*share)),
        availability_low=where(known, posterior.quantile(*share, _LOW)),
        availability_high=where(known, posterior.quantile(*share, _HIGH)),
        error_m=where(known & (right > 0.05), error_m),
        wrong_fixes=_wrong_fixes(grid, flights),
        wrong=where(fixes, posterior.mean(*fault)),
        wrong_high=where(fixes, posterior.quantile(*fault, _HIGH)),
        reason=_reasons(grid, flights),
        smoothing_m=width * grid.cell_m,
    )


def wrong_of(flown: Flown) -> npt.NDArray[np.bool_]:
    """[N] which frames of a flight gave a wrong fix, as `metrics.wrong_fixes` has it."""
    wrong = np.zeros(len(flown.said), bool)
    fixed = np.array([said == FIX for said in flown.said], bool)
    if fixed.any():
        error_m = np.array(flown.error_m, float)[fixed]
        accuracy_m = np.array(flown.accuracy_m, float)[fixed]
        wrong[fixed] = metrics.wrong_fixes(error_m, accuracy_m, WRONG_LIMIT_M)
    return wrong


def observed(grid: Grid, flights: Sequence[Flown]) -> tuple[Whole, Floats]:
    """[rows, columns] passes and mean share of frames with a fix, as flown; NaN without a pass."""
    tally = _count(grid, flights)
    passes = tally.passed.sum(axis=0).reshape(grid.shape)
    fixed = tally.fixed.sum(axis=0).reshape(grid.shape)
    share = np.where(passes > 0, fixed / np.maximum(passes, 1.0), np.nan)
    return passes.astype(np.int64), share


def _count(grid: Grid, flights: Sequence[Flown]) -> _Tally:
    rows = [_of_flight(grid, flown) for flown in flights]
    return _Tally(*(np.stack(column) for column in zip(*rows, strict=True)))


def _of_flight(grid: Grid, flown: Flown) -> tuple[Floats, ...]:
    cells = grid.cells(flown.lat_deg, flown.lon_deg)
    on_grid = cells >= 0
    fixed = np.array([said == FIX for said in flown.said], bool)
    wrong = wrong_of(flown)
    error_m = np.array([error or 0.0 for error in flown.error_m], float)

    def total(weights: npt.NDArray[np.generic]) -> Floats:
        size = grid.rows * grid.columns
        counted = np.bincount(cells[on_grid], weights[on_grid].astype(float), size)
        return np.asarray(counted, float)

    frames, fixes, right = total(np.ones(len(cells))), total(fixed), total(fixed & ~wrong)
    return (
        np.sign(frames),
        fixes / np.maximum(frames, 1.0),
        np.sign(fixes),
        (fixes - right) / np.maximum(fixes, 1.0),
        np.sign(right),
        total(error_m * (fixed & ~wrong)) / np.maximum(right, 1.0),
    )


def _usual(hits: Floats, passes: Floats) -> float:
    """The share on the whole map, with Jeffreys' prior."""
    return float((hits.sum() + 0.5) / (passes.sum() + 1.0))


def _best_smoothing(grid: Grid, tally: _Tally) -> float:
    """In cells: under which each flight is the least surprise after all the others."""
    if len(tally.passed) < 3:
        return 0.0
    return min(SMOOTHINGS_CELLS, key=lambda width: _surprise(grid, tally, width))


def _surprise(grid: Grid, tally: _Tally, width: float) -> float:
    """Cross entropy of every pass with what the other flights predict there."""
    hits, passes = tally.fixed.sum(axis=0), tally.passed.sum(axis=0)
    usual = _usual(tally.fixed, tally.passed)
    surprise = 0.0
    for fixed, passed in zip(tally.fixed, tally.passed, strict=True):
        others, of = (_blur(grid, part, width) for part in (hits - fixed, passes - passed))
        expected = posterior.mean(others, of - others, usual).ravel()
        loss = fixed * np.log(expected) + (1.0 - fixed) * np.log(1.0 - expected)
        surprise -= float(loss[passed > 0].sum())
    return surprise


def _blur(grid: Grid, values: Floats, width: float) -> Floats:
    """[rows, columns] sums over neighbours, each cell's own with weight 1."""
    image = values.reshape(grid.shape)
    if width == 0.0:
        return image
    reach = int(np.ceil(3.0 * width))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    return np.asarray(
        cv2.sepFilter2D(image, cv2.CV_64F, kernel, kernel, borderType=cv2.BORDER_CONSTANT)
    )


def _wrong_fixes(grid: Grid, flights: Sequence[Flown]) -> Whole:
    counts = np.zeros(grid.rows * grid.columns, np.int64)
    for flown in flights:
        cells = grid.cells(flown.lat_deg, flown.lon_deg)
        np.add.at(counts, cells[wrong_of(flown) & (cells >= 0)], 1)
    return counts.reshape(grid.shape)


def _reasons(grid: Grid, flights: Sequence[Flown]) -> npt.NDArray[np.str_]:
    heard: dict[int, Counter[str]] = {}
    for flown in flights:
        cells = grid.cells(flown.lat_deg, flown.lon_deg).tolist()
        for cell, said in zip(cells, flown.said, strict=True):
            if said != FIX and cell >= 0:
                heard.setdefault(cell, Counter())[said] += 1
    reasons = np.full(grid.rows * grid.columns, "", "U20")
    for cell, counts in heard.items():
        reasons[cell] = counts.most_common(1)[0][0]
    return reasons.reshape(grid.shape)
