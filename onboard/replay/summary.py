"""The figures of a replayed flight."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from .. import metrics
from ..bundle import MANIFEST, sha256
from ..config import ReplayConfig
from .columns import HOLD_S, KINDS, Columns
from .strata import availability_by_stratum

WRONG_LIMIT_M = 30.0
"""A fix is wrong when it is farther off than this and than five of its own sigmas."""
DOUBT = 0.05
"""A bound on how often fixes are wrong is one that holds but for this."""


def summarise(columns: Columns, bundle: Path, settings: ReplayConfig) -> dict[str, Any]:
    """Plain data for summary.json. Nothing in it depends on the machine's speed."""
    counts = np.bincount(columns.kinds, minlength=len(KINDS))
    fixes = int(counts[0])
    reasons = {KINDS[kind]: int(counts[kind]) for kind in np.argsort(-counts, kind="stable")}
    return {
        "frames": len(columns),
        "fixes": fixes,
        "availability": fixes / len(columns),
        "withheld": {name: count for name, count in reasons.items() if count and name != KINDS[0]},
        "accuracy": _accuracy(columns),
        "continuity": _continuity(columns),
        "strata": availability_by_stratum(columns),
        "seed": None,  # nothing in a replay is drawn at random
        "bundle_manifest_sha256": sha256(bundle / MANIFEST),
        "settings": settings.model_dump(mode="json"),
        "versions": versions(),
    }


def _accuracy(columns: Columns) -> dict[str, Any] | None:
    """Against the truth; None where it is not known for any fix."""
    known = np.isfinite(columns["error_m"])
    if not known.any():
        return None
    errors_m, stated_m = columns["error_m"][known], columns["horiz_accuracy_m"][known]
    wrong = metrics.wrong_fixes(errors_m, stated_m, WRONG_LIMIT_M)
    median, p95 = metrics.error_quantiles_m(errors_m, (0.5, 0.95))
    nees = (errors_m / stated_m) ** 2
    return {
        "fixes_with_truth": len(errors_m),
        "error_median_m": round(float(median), 3),
        "error_p95_m": round(float(p95), 3),
        "error_max_m": round(float(errors_m.max()), 3),
        "stated_accuracy_median_m": round(float(np.median(stated_m)), 3),
        "half_nees": round(float(nees.mean()) / 2.0, 4),
        "coverage_1_2_3_sigma": metrics.coverage(nees).round(4).tolist(),
        "wrong_fixes": int(wrong.sum()),
        "longest_wrong_run_s": round(
            metrics.longest_wrong_run_s(columns.t_ns[known], wrong, HOLD_S), 3
        ),
        "wrong_share_below": _most_wrong(int(wrong.sum()), len(errors_m)),
    }


def _most_wrong(wrong: int, fixes: int) -> float:
    """Upper bound on the share of wrong fixes that holds but for `DOUBT`, were frames independent
    (Clopper and Pearson): neighbours are not, so it is a bound that many more flights must earn."""
    if wrong >= fixes:
        return 1.0
    low, high = wrong / fixes, 1.0
    for _ in range(60):
        share = (low + high) / 2.0
        low, high = (low, share) if _at_most(wrong, fixes, share) < DOUBT else (share, high)
    return round(high, 6)


def _at_most(wrong: int, fixes: int, share: float) -> float:
    """How likely so few of so many are wrong."""
    terms = (
        math.lgamma(fixes + 1) - math.lgamma(k + 1) - math.lgamma(fixes - k + 1)
        + k * math.log(share) + (fixes - k) * math.log1p(-share)
        for k in range(wrong + 1)
    )  # fmt: skip
    return math.fsum(map(math.exp, terms))


def _continuity(columns: Columns) -> dict[str, Any]:
    """Of time instead of frames."""
    elapsed_s, fixed_ns = columns.elapsed_s, columns.t_ns[columns.is_fix]
    start_ns, end_ns = int(columns.t_ns[0]), int(columns.t_ns[-1])
    edges = np.concatenate([[start_ns], fixed_ns, [end_ns]])
    return {
        "duration_s": round(float(elapsed_s[-1]), 3),
        "first_fix_s": round(float(fixed_ns[0] - start_ns) * 1e-9, 3) if len(fixed_ns) else None,
        "longest_silence_s": round(float(np.diff(edges).max()) * 1e-9, 3),
        "served_share": round(metrics.availability(fixed_ns, start_ns, end_ns, HOLD_S), 4)
        if end_ns > start_ns
        else float(bool(len(fixed_ns))),
        "states": _shares(columns),
    }


def _shares(columns: Columns) -> Mapping[str, float]:
    """Of the frames, by state."""
    names = [state.value for state in columns.states]
    return {name: round(names.count(name) / len(names), 4) for name in sorted(set(names))}


def versions() -> dict[str, str]:
    """What decides the figures on this machine, by package."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in ("geobridge-uav", "numpy", "opencv-python-headless", "onnxruntime", "faiss-cpu"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
