from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geobridge.export.rehearsal.flown import FIX, Flown

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module")
def measure() -> Iterator[Any]:
    """The module that makes figures of flights."""
    sys.path.insert(0, str(SCRIPTS))
    yield importlib.import_module("integrity_figures")
    sys.path.remove(str(SCRIPTS))


def flown(
    errors_m: Sequence[float | None], sigma_m: float = 2.0, kind: str = "home", step_s: float = 1.0
) -> Flown:
    rows = len(errors_m)
    return Flown(
        number=0,
        ending="arrived",
        conditions={"kind": kind, "world": "w", "view": "nadir", "day": {"season": "summer"}},
        time_s=[step_s * row for row in range(rows)],
        lat_deg=[47.0] * rows,
        lon_deg=[8.0] * rows,
        said=[FIX if error is not None else "low_score" for error in errors_m],
        error_m=list(errors_m),
        accuracy_m=[None if error is None else sigma_m for error in errors_m],
    )


def test_honest_errors_look_honest(measure: Any) -> None:
    rng = np.random.default_rng(1)
    flights = [flown(np.hypot(*rng.normal(0.0, 2.0, (2, 400))).tolist()) for _ in range(6)]
    found = measure.figures(flights, 1.0)
    assert found["fixes"] == 2400
    assert found["wrong_fixes"] == found["wrong_events"] == 0
    assert found["longest_wrong_run_s"] == 0.0
    assert found["nees_half"] == pytest.approx(1.0, abs=0.06)
    low, high = found["nees_half_95"]
    assert low < found["nees_half"] < high
    assert found["coverage_1_2_3_sigma"] == pytest.approx([0.3935, 0.8647, 0.9889], abs=0.03)
    assert found["samples_apart"] == 6 * 50
    assert found["strata"]["season"]["summer"]["availability"] == 1.0
    assert found["strata"]["height_agl_m"]["not known"]["flights"] == 6


def test_wrong_fixes_are_counted_as_events_runs_and_bounds(measure: Any) -> None:
    errors_m = [1.0] * 10 + [80.0] * 3 + [1.0] * 10 + [25.0, 80.0, 1.0]
    found = measure.figures([flown(errors_m), flown([None] * 4)], 1.0)
    assert (found["wrong_fixes"], found["wrong_events"]) == (4, 2)
    assert found["longest_wrong_run_s"] == 3.0
    assert found["error_max_m"] == 80.0
    assert found["flights_without_a_fix"] == 1
    assert found["withheld"] == {"low_score": 4}
    wide = measure.figures([flown(errors_m, sigma_m=20.0)], 1.0)
    assert wide["wrong_fixes"] == 0  # they say themselves how bad they are


@pytest.mark.parametrize(("events", "samples"), [(0, 2996), (1, 4744), (2, 6296), (3, 7754)])
def test_the_bound_is_the_textbook_s(measure: Any, events: int, samples: int) -> None:
    assert measure.upper_bound(events, samples) == pytest.approx(1e-3, rel=2e-3)
    assert measure.upper_bound(samples, samples) == 1.0
    assert measure.upper_bound(0, 0) is None


def test_silence_counts_until_the_first_fix_and_between(measure: Any) -> None:
    errors_m = [None] * 4 + [1.0] * 5 + [None] * 9 + [1.0] * 2
    found = measure.figures([flown(errors_m)], 1.0)
    assert found["time_to_first_fix_s_p50_p95"] == [4.0, 4.0]
    assert (found["losses"], found["time_to_recover_s_p50_p95"]) == (1, [10.0, 10.0])


def test_every_fix_over_foreign_land_is_one_too_many(measure: Any) -> None:
    found = measure.figures([flown([None] * 30 + [1.0], kind="foreign"), flown([1.0])], 1.0)
    assert (found["foreign_fixes"], found["foreign_frames"], found["fixes"]) == (1, 31, 1)


def run(out: Path, *arguments: object) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, SCRIPTS / "evaluate_integrity", *map(str, arguments), "-o", str(out)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode in (0, 1), done.stderr
    figures: dict[str, Any] = json.loads((out / "figures.json").read_text())
    assert (out / "stanford.png").stat().st_size > 1000
    return figures


@pytest.mark.slow
def test_a_short_run_flies_goes_on_and_takes_recorded_flights(
    rehearsal: Path, tmp_path: Path
) -> None:
    short = ("--seeds", "--map", rehearsal / "bundle", "--heights", "60-150")
    first = run(tmp_path, "--hours", 0.003, *short)
    assert first["flights"] == 1
    assert first["wrong_fixes"] == 0
    kept = sorted((tmp_path / "flights").glob("*/[0-9]*.json"))
    lines = [
        {"t_capture_ns": 10**9, "error_m": 1.0, "fix": {"horiz_accuracy_m": 2.0}},
        {"t_capture_ns": 2 * 10**9, "rejection": {"reason": "low_score"}},
    ]
    recorded = tmp_path / "replay"
    recorded.mkdir()
    (recorded / "fixes.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    again = run(tmp_path, "--hours", 0.003, *short, "--replayed", recorded)
    assert sorted((tmp_path / "flights").glob("*/[0-9]*.json")) == kept
    assert again["flights"] == 2
    assert again["strata"]["world"]["recorded replay"]["availability"] == 0.5
