"""`geobridge replay compare`: what another bundle, version or setting changed on the same flights.

<out>/compare.json    figures of both, differences with intervals, outcomes that changed
<out>/compare.html    the same to look at, with the frames that differ most
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import durable
from ..errors import DataError
from ..geodesy import distance_m
from .columns import KINDS, Columns, Floats
from .compare_page import Shown, comparison_page
from .conclude import SUMMARY
from .localize import FIXES, WORK
from .pair_pictures import draw_pairs
from .paired import Paired, differences

PLACE, TRUE_PLACE = ("lat_deg", "lon_deg"), ("truth_lat_deg", "truth_lon_deg")
FIGURES, PAGE = "compare.json", "compare.html"
APART_S = 3.0
"""Frames that are shown lie at least so far apart: neighbours differ alike."""
CHANGED_M = 1e6
"""A fix against none differs more than any two fixes."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """What two replays left of one flight."""

    name: str
    a: Path
    b: Path


def compare(a: Path, b: Path, out: Path, pictures: int = 12) -> list[dict[str, Any]]:
    """Hold two replays of the same flights against each other; a row for every figure.

    Args:
        a: folder that `geobridge replay` left, of one flight or of many.
        b: another one of the same flights.
        out: folder of the comparison.
        pictures: frames that are shown, those that differ most.

    Raises:
        DataError: they have no flight in common, or no frame of one.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: exists and is not a folder")
    pairs = pairs_of(a, b)
    sides = [(Columns.read(pair.a / FIXES), Columns.read(pair.b / FIXES)) for pair in pairs]
    paired = Paired.of(sides)
    flights = frames_of(pairs, sides, paired)
    rows = differences(paired)
    shown = [_shown(paired, pairs, row) for row in most_different(paired, pictures)]
    changed = changes(paired)
    tree = {
        "a": str(a),
        "b": str(b),
        "flights": flights,
        "frames": len(paired),
        "left_out": _left_out(flights),
        "differences": rows,
        "outcomes": changed,
        "most_different": [each.told() for each in shown],
    }
    drawn = draw_pairs([(pair.a, pair.b) for pair in pairs], shown)
    durable.write_text(out / FIGURES, json.dumps(tree, indent=1, allow_nan=False) + "\n")
    durable.write_text(out / PAGE, comparison_page(tree, shown, drawn))
    return rows


def pairs_of(a: Path, b: Path) -> list[Pair]:
    """The flights that both folders have results of.

    Raises:
        DataError: there is none.
    """
    if (a / FIXES).exists() and (b / FIXES).exists():
        return [Pair(_flight_in(a) or a.name, a, b)]
    found = [_flights_in(side) for side in (a, b)]
    names = sorted(found[0] & found[1])
    if not names:
        raise DataError(f"{a}, {b}: not what replays of the same flights leave")
    for side, missing in ((b, found[0] - found[1]), (a, found[1] - found[0])):
        for name in sorted(missing):
            log.warning("%s: has no flight %s, which is left out", side, name)
    return [Pair(name, a / name, b / name) for name in names]


def _flights_in(side: Path) -> set[str]:
    """Names of those below a folder, less what was stopped."""
    folders = (path.parent.relative_to(side) for path in side.rglob(FIXES))
    return {str(folder) for folder in folders if folder.name != WORK}


def _flight_in(folder: Path) -> str:
    """The flight that was replayed into a folder; empty where nothing tells."""
    try:
        return str(json.loads((folder / SUMMARY).read_text(encoding="utf-8"))["flight"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def frames_of(
    pairs: Sequence[Pair], sides: Sequence[tuple[Columns, Columns]], paired: Paired
) -> list[dict[str, Any]]:
    """Of each flight how many frames A and B have, and how many have the same time and name.

    Raises:
        DataError: a flight has none of these: it is not the same in both.
    """
    counts = np.bincount(paired.flights, minlength=len(pairs)).tolist()
    for pair, (a, b), common in zip(pairs, sides, counts, strict=True):
        if not common:
            told = " and ".join(
                f"{each.frames[0]} at {each.t_ns[0] * 1e-9:.3f} s" for each in (a, b)
            )
            raise DataError(
                f"{pair.a}, {pair.b}: not the same flight: no frame has the same name and time in"
                f" both; they begin with {told}"
            )
    return [
        {"flight": pair.name, "frames_a": len(a), "frames_b": len(b), "frames": common}
        for pair, (a, b), common in zip(pairs, sides, counts, strict=True)
    ]


def _left_out(flights: Sequence[Mapping[str, Any]]) -> str:
    """How many frames only one of both has, in words; says so. Empty where there are none."""
    common, in_a, in_b = (
        sum(each[name] for each in flights) for name in ("frames", "frames_a", "frames_b")
    )
    if common == in_a == in_b:
        return ""
    told = f"{in_a - common} of A's {in_a} frames and {in_b - common} of B's {in_b} are left out"
    log.warning("%s: the other side does not have them", told)
    return told


def changes(paired: Paired) -> list[dict[str, Any]]:
    """How many frames went from one outcome to another, the most frequent change first."""
    kinds = zip(paired.a.kinds.tolist(), paired.b.kinds.tolist(), strict=True)
    counted = Counter(pair for pair in kinds if pair[0] != pair[1])
    return [
        {"a": KINDS[a], "b": KINDS[b], "frames": count} for (a, b), count in counted.most_common()
    ]


def most_different(paired: Paired, most: int) -> list[int]:
    """Rows that differ most: a fix against none, the largest error first, then by distance."""
    moved_m = np.nan_to_num(_apart_m(paired), nan=0.0)
    errors_m = np.nan_to_num(np.fmax(paired.a["error_m"], paired.b["error_m"]), nan=0.0)
    weight = np.where(paired.a.is_fix != paired.b.is_fix, CHANGED_M + errors_m, moved_m)
    chosen: list[int] = []
    for row in np.argsort(-weight, kind="stable").tolist():
        if len(chosen) == most or not weight[row] > 0:
            break
        if all(_are_apart(paired, row, other) for other in chosen):
            chosen.append(row)
    return chosen


def _are_apart(paired: Paired, row: int, other: int) -> bool:
    elapsed_ns = abs(int(paired.a.t_ns[row]) - int(paired.a.t_ns[other]))
    return bool(paired.flights[row] != paired.flights[other] or elapsed_ns * 1e-9 >= APART_S)


def _apart_m(paired: Paired) -> Floats:
    apart_m = np.full(len(paired), np.nan)
    for row in np.flatnonzero(paired.a.is_fix & paired.b.is_fix):
        places = (side[name][row] for side in (paired.a, paired.b) for name in PLACE)
        apart_m[row] = distance_m(*places)
    return apart_m


def _shown(paired: Paired, pairs: Sequence[Pair], row: int) -> Shown:
    flight, a, b = int(paired.flights[row]), paired.a, paired.b
    return Shown(
        flight,
        pairs[flight].name,
        a.frames[row],
        int(a.t_ns[row]),
        a=KINDS[a.kinds[row]],
        b=KINDS[b.kinds[row]],
        place_a=_place(a, row, PLACE),
        place_b=_place(b, row, PLACE),
        truth=_place(a, row, TRUE_PLACE),
        error_a_m=_number(a["error_m"][row]),
        error_b_m=_number(b["error_m"][row]),
    )


def _place(columns: Columns, row: int, names: tuple[str, str]) -> tuple[float, float] | None:
    lat_deg, lon_deg = (float(columns[name][row]) for name in names)
    return (lat_deg, lon_deg) if np.isfinite(lat_deg + lon_deg) else None


def _number(value: float) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None
