"""The figures of a replayed flight."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from . import metrics
from .bundle import MANIFEST, sha256
from .config import ReplayConfig
from .outcome import Outcome
from .records import Fix, Rejection

WRONG_LIMIT_M = 30.0
"""A fix is wrong when it is farther off than this and than five of its own sigmas."""
HOLD_S = 2.0
"""How long a fix is taken to serve, for the longest wrong run."""


def summarise(
    outcomes: Sequence[Outcome],
    stages_ms: Mapping[str, Sequence[float]],
    bundle: Path,
    settings: ReplayConfig,
) -> dict[str, Any]:
    """Plain data for summary.json."""
    fixes = [outcome for outcome in outcomes if isinstance(outcome.result, Fix)]
    reasons = Counter(
        outcome.result.reason.value for outcome in outcomes if isinstance(outcome.result, Rejection)
    )
    return {
        "frames": len(outcomes),
        "fixes": len(fixes),
        "availability": len(fixes) / len(outcomes),
        "withheld": dict(reasons.most_common()),
        "accuracy": _accuracy(fixes),
        "latency_ms": {
            stage: {
                "p50": round(float(np.quantile(times, 0.5)), 3),
                "p99": round(float(np.quantile(times, 0.99)), 3),
            }
            for stage, times in stages_ms.items()
        },
        "seed": None,  # nothing in a replay is drawn at random
        "bundle_manifest_sha256": sha256(bundle / MANIFEST),
        "settings": settings.model_dump(mode="json"),
        "versions": versions(),
    }


def _accuracy(fixes: Sequence[Outcome]) -> dict[str, Any] | None:
    """Against the truth; None where it is not known for any fix."""
    known = [fix for fix in fixes if fix.error_m is not None]
    if not known:
        return None
    errors_m = np.array([fix.error_m for fix in known])
    results = [fix.result for fix in known]
    stated_m = np.array([r.horiz_accuracy_m for r in results if isinstance(r, Fix)])
    wrong = metrics.wrong_fixes(errors_m, stated_m, WRONG_LIMIT_M)
    median, p95 = metrics.error_quantiles_m(errors_m, (0.5, 0.95))
    t_ns = [result.t_capture_ns for result in results]
    return {
        "fixes_with_truth": len(known),
        "error_median_m": round(float(median), 3),
        "error_p95_m": round(float(p95), 3),
        "error_max_m": round(float(errors_m.max()), 3),
        "stated_accuracy_median_m": round(float(np.median(stated_m)), 3),
        "wrong_fixes": int(wrong.sum()),
        "longest_wrong_run_s": round(metrics.longest_wrong_run_s(t_ns, wrong, HOLD_S), 3),
    }


def versions() -> dict[str, str]:
    """What decides the figures on this machine, by package."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in ("geobridge-uav", "numpy", "opencv-python-headless", "onnxruntime", "hnswlib"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
