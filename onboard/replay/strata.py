"""How often there is a fix, by what the flight was like: one average hides the night."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from .columns import Columns

HEIGHTS_M = (0.0, 60.0, 120.0, 250.0, 500.0)
SPEEDS_M_S = (0.0, 1.0, 5.0, 12.0, 25.0)
PARTS = 4
"""Of the flight's time."""

Flags = npt.NDArray[np.bool_]


def availability_by_stratum(columns: Columns) -> list[dict[str, Any]]:
    """A row for everything of a flight that may make a difference: frames, share with a fix, and
    the median error."""
    strata: list[tuple[str, str, Flags]] = []
    strata += _banded("height above ground", columns["height_agl_m"], HEIGHTS_M, "m")
    strata += _banded("speed", columns["speed_m_s"], SPEEDS_M_S, "m/s")
    told = columns.has_prior
    strata += [("told where it may be", "yes", told), ("told where it may be", "no", ~told)]
    strata += _parts(columns)
    return [_row(columns, *each) for each in strata if each[2].any()]


def _banded(
    name: str, values: npt.NDArray[np.float64], edges: tuple[float, ...], unit: str
) -> list[tuple[str, str, Flags]]:
    bands = [
        (name, f"{low:g} to {high:g} {unit}", (values >= low) & (values < high))
        for low, high in pairwise(edges)
    ]
    bands.append((name, f"{edges[-1]:g} {unit} and more", values >= edges[-1]))
    bands.append((name, "not known", ~np.isfinite(values)))
    return bands


def _parts(columns: Columns) -> list[tuple[str, str, Flags]]:
    elapsed_s = columns.elapsed_s
    edges = np.linspace(0.0, float(elapsed_s[-1]), PARTS + 1)
    part_s, edges[-1] = float(edges[1]), np.inf
    digits = max(0, 1 - math.floor(math.log10(part_s))) if part_s > 0.0 else 0
    return [
        ("time", f"from {low:.{digits}f} s", (elapsed_s >= low) & (elapsed_s < high))
        for low, high in pairwise(edges)
    ]


def _row(columns: Columns, name: str, stratum: str, inside: Flags) -> dict[str, Any]:
    errors_m = columns["error_m"][inside]
    errors_m = errors_m[np.isfinite(errors_m)]
    return {
        "what": name,
        "stratum": stratum,
        "frames": int(inside.sum()),
        "availability": round(float(columns.is_fix[inside].mean()), 4),
        "error_median_m": round(float(np.median(errors_m)), 3) if len(errors_m) else None,
    }
