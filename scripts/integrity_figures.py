"""What flights say about the integrity of fixes: counts, bounds, NEES, coverage, strata, a picture.

Frames of a flight are correlated. Bounds count only fixes a footprint apart, intervals come from
drawing whole flights anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geobridge.export.rehearsal.bound import upper_bound
from geobridge.export.rehearsal.flown import FIX, Flown
from geobridge.onboard import metrics

LIMIT_M = 30.0
"""The alert limit: a wrong fix is farther off than this and than 5 of its sigmas."""
APART_S = 8.0
"""Fixes this far apart in time, a footprint at 12 m/s, count as samples of their own."""
HPL_SIGMAS = 3.72
"""Protection level of a Gaussian in two dimensions at 1e-3."""
LOST_S, HOLD_S = 5.0, 2.0
BOOTSTRAPS = 1000
Floats = np.ndarray[Any, np.dtype[np.float64]]


def figures(flown: Sequence[Flown], rate_hz: float) -> dict[str, Any]:
    """Everything that is measured on flights over land that the bundle shows, and on others."""
    home = [each for each in flown if each.conditions["kind"] == "home"]
    foreign = [each for each in flown if each.conditions["kind"] == "foreign"]
    of_foreign = [said for each in foreign for said in each.said]
    return {
        "flights": len(home),
        "hours": sum(len(each.said) for each in home) / rate_hz / 3600.0,
        **_wrong(home),
        **_honesty(home),
        **_waiting(home),
        "strata": _strata(home),
        "foreign_frames": len(of_foreign),
        "foreign_fixes": sum(said.startswith(FIX) for said in of_foreign),
        "foreign_fix_bound_95": upper_bound(
            sum(said.startswith(FIX) for said in of_foreign), len(of_foreign)
        ),
        "withheld": _withheld(home),
    }


def fixes_of(flight: Flown) -> tuple[Floats, Floats, Floats]:
    """[F] times, errors and stated accuracies of the fixes of a flight."""
    rows = [
        (t_s, error_m, sigma_m)
        for t_s, error_m, sigma_m in zip(
            flight.time_s, flight.error_m, flight.accuracy_m, strict=True
        )
        if error_m is not None and sigma_m is not None
    ]
    table = np.array(rows, float).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def _is_wrong(errors_m: Floats, sigmas_m: Floats) -> Floats:
    return np.asarray(errors_m > np.maximum(LIMIT_M, metrics.WRONG_SIGMAS * sigmas_m))


def _wrong(flown: Sequence[Flown]) -> dict[str, Any]:
    fixes = wrong = samples = wrong_samples = 0
    longest_s, events, worst_m = 0.0, 0, 0.0
    for each in flown:
        times_s, errors_m, sigmas_m = fixes_of(each)
        bad = _is_wrong(errors_m, sigmas_m)
        apart = _apart(times_s)
        fixes, wrong = fixes + len(bad), wrong + int(bad.sum())
        samples, wrong_samples = samples + len(apart), wrong_samples + int(bad[apart].sum())
        events += int(np.count_nonzero(np.diff(np.concatenate([[0], bad.astype(int)])) == 1))
        worst_m = max(worst_m, *errors_m.tolist(), 0.0)
        if len(times_s):
            t_ns = np.round(times_s * 1e9).astype(np.int64)
            longest_s = max(longest_s, metrics.longest_wrong_run_s(t_ns, bad, HOLD_S))
    return {
        "fixes": fixes,
        "wrong_fixes": wrong,
        "wrong_events": events,
        "longest_wrong_run_s": longest_s,
        "samples_apart": samples,
        "wrong_probability_bound_95": upper_bound(wrong_samples, samples),
        "error_max_m": worst_m,
    }


def _apart(times_s: Floats) -> list[int]:
    """Rows that lie `APART_S` after the last one that was taken."""
    taken: list[int] = []
    for row, time_s in enumerate(times_s.tolist()):
        if not taken or time_s - times_s[taken[-1]] >= APART_S:
            taken.append(row)
    return taken


def _honesty(flown: Sequence[Flown]) -> dict[str, Any]:
    """NEES over 2 with its interval by whole flights, coverage, and P(error > protection level)."""
    by_flight = [(e / s) ** 2 for _, e, s in map(fixes_of, flown) if len(e)]
    if not by_flight:
        return {"nees_half": None, "nees_half_95": None, "coverage_1_2_3_sigma": None}
    everything = np.concatenate(by_flight)
    rng = np.random.default_rng(0)
    sums = np.array([(values.sum(), len(values)) for values in by_flight])
    drawn = rng.integers(0, len(sums), (BOOTSTRAPS, len(sums)))
    means = sums[drawn, 0].sum(axis=1) / sums[drawn, 1].sum(axis=1) / 2.0
    return {
        "nees_half": float(everything.mean() / 2.0),
        "nees_half_95": np.quantile(means, (0.025, 0.975)).tolist(),
        "coverage_1_2_3_sigma": metrics.coverage(everything).tolist(),
        "beyond_protection_level": float(np.mean(everything > HPL_SIGMAS**2)),
    }


def _waiting(flown: Sequence[Flown]) -> dict[str, Any]:
    """Seconds to the first fix, and from the end of a fix's life to the next one."""
    first, again, never = [], [], 0
    for each in flown:
        times_s = fixes_of(each)[0]
        if not len(times_s):
            never += 1
            continue
        first.append(float(times_s[0]))
        gaps = np.diff(times_s)
        again += gaps[gaps > LOST_S].tolist()
    return {
        "time_to_first_fix_s_p50_p95": _p50_p95(first),
        "flights_without_a_fix": never,
        "losses": len(again),
        "time_to_recover_s_p50_p95": _p50_p95(again),
    }


def _p50_p95(values: Sequence[float]) -> list[float] | None:
    return np.quantile(values, (0.5, 0.95)).tolist() if values else None


def _strata(flown: Sequence[Flown]) -> dict[str, dict[str, dict[str, Any]]]:
    return {
        name: {key: _share(flights) for key, flights in sorted(_groups(flown, of))}
        for name, of in STRATA.items()
    }


def _groups(flown: Sequence[Flown], of: Callable[[Flown], str]) -> Iterator[tuple[str, Any]]:
    found: dict[str, list[Flown]] = defaultdict(list)
    for each in flown:
        found[of(each)].append(each)
    yield from found.items()


def _share(flown: Sequence[Flown]) -> dict[str, Any]:
    parts = [fixes_of(each) for each in flown]
    errors_m = np.concatenate([errors for _, errors, _ in parts])
    sigmas_m = np.concatenate([sigmas for _, _, sigmas in parts])
    frames = sum(len(each.said) for each in flown)
    return {
        "flights": len(flown),
        "availability": len(errors_m) / frames if frames else None,
        "error_m_p50_p95": _p50_p95(errors_m.tolist()),
        "nees_half": float(np.mean((errors_m / sigmas_m) ** 2) / 2.0) if len(errors_m) else None,
        "wrong": int(_is_wrong(errors_m, sigmas_m).sum()),
    }


def _of_day(key: str, *edges: float) -> Callable[[Flown], str]:
    def group(flight: Flown) -> str:
        day = flight.conditions.get("day")
        value = (day or {}).get(key, flight.conditions.get(key))
        if value is None:
            return "not known"
        if not edges:
            return str(value)
        below = sum(value >= edge for edge in edges)
        low = f"from {edges[below - 1]:g}" if below else "least"
        return f"{below} {low}" + (f" to {edges[below]:g}" if below < len(edges) else "")

    return group


STRATA: dict[str, Callable[[Flown], str]] = {
    "world": _of_day("world"),
    "view": _of_day("view"),
    "height_agl_m": _of_day("height_agl_m", 100.0, 150.0, 250.0),
    "season": _of_day("season"),
    "sun_elevation_deg": _of_day("sun_elevation_deg", 0.0, 10.0, 30.0),
    "overcast": _of_day("overcast", 0.3, 0.7),
    "map_age_years": _of_day("map_age_years", 2.0, 4.0),
}


def _withheld(flown: Sequence[Flown]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for each in flown:
        for said in each.said:
            if said != FIX:
                counts[said] += 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def draw_stanford(path: Path, flown: Sequence[Flown]) -> None:
    """Errors against protection levels, with the limit of alert and the counts of every region."""
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    parts = [fixes_of(each) for each in flown if each.conditions["kind"] == "home"]
    errors_m = np.concatenate([errors for _, errors, _ in parts] or [np.zeros(0)])
    levels_m = HPL_SIGMAS * np.concatenate([sigmas for _, _, sigmas in parts] or [np.zeros(0)])
    figure = Figure(figsize=(6.5, 6), dpi=130, layout="constrained")
    axes = figure.subplots()
    edge = max(2.0 * LIMIT_M, *(1.05 * values.max(initial=0.0) for values in (errors_m, levels_m)))
    bins = np.linspace(0.0, edge, 90)
    if len(errors_m):
        axes.hist2d(errors_m, levels_m, bins=(bins, bins), cmap="viridis", norm=LogNorm())
    axes.plot([0, edge], [0, edge], color="grey", lw=1)
    axes.axhline(LIMIT_M, color="#c0392b", lw=1)
    axes.axvline(LIMIT_M, color="#c0392b", lw=1)
    for text, at in _regions(errors_m, levels_m).items():
        axes.annotate(text, (at[0] * edge, at[1] * edge), fontsize=9)
    axes.set_xlabel("error, m")
    axes.set_ylabel(f"protection level, {HPL_SIGMAS} sigma, m")
    axes.set_title(f"{len(errors_m)} fixes, alert limit {LIMIT_M:g} m", loc="left")
    figure.savefig(path)


def _regions(errors_m: Floats, levels_m: Floats) -> dict[str, tuple[float, float]]:
    usable = levels_m <= LIMIT_M
    misled = errors_m > levels_m
    hazard = usable & (errors_m > LIMIT_M)
    return {
        f"nominal {int((usable & ~misled).sum())}": (0.02, 0.465),
        f"unavailable {int((~usable & ~misled).sum())}": (0.02, 0.93),
        f"misleading {int((misled & ~hazard).sum())}": (0.30, 0.02),
        f"hazardous {int(hazard.sum())}": (0.62, 0.06),
    }
