"""The figures of the demo's flight, against exact truth."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from geobridge.onboard.metrics import wrong_fixes
from geobridge.onboard.records import Fix, Rejection
from geobridge.onboard.replay.summary import WRONG_LIMIT_M
from geobridge.onboard.simulation.autopilot.streams import NS_PER_S
from geobridge.onboard.simulation.live import Moment

from .sortie import Sortie

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Track:
    """[M] moments: seconds of flight, [M, 2] true and believed east and north, whether on GNSS."""

    time_s: Floats
    true_m: Floats
    believed_m: Floats
    has_gnss: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, moments: list[Moment], start_ns: int) -> Track:
        """The track of a flight that began at `start_ns`."""
        return cls(
            np.array([(m.t_ns - start_ns) / NS_PER_S for m in moments]),
            np.array([(m.state.east_m, m.state.north_m) for m in moments]),
            np.array([(m.estimate.east_m, m.estimate.north_m) for m in moments]),
            np.array([m.has_gnss for m in moments]),
        )

    @property
    def error_m(self) -> Floats:
        """[M] how far the autopilot is from where it believes to be."""
        return np.asarray(np.hypot(*(self.believed_m - self.true_m).T))

    def at(self, time_s: Floats) -> Floats:
        """[N, 2] true positions at other times."""
        east, north = (np.interp(time_s, self.time_s, self.true_m[:, axis]) for axis in (0, 1))
        return np.stack([east, north], axis=-1)


@dataclass(frozen=True, eq=False)
class Story:
    """A flight told by its figures.

    `fixes_m` [F, 2], their `fix_time_s`, `fix_error_m` and stated `accuracy_m` (1-sigma per axis)
    [F]; `withheld_m` [R, 2] where the vehicle truly was when nothing was said, and when.
    """

    track: Track
    unaided: Track
    fix_time_s: Floats
    fixes_m: Floats
    fix_error_m: Floats
    accuracy_m: Floats
    withheld_time_s: Floats
    withheld_m: Floats
    cut_s: float
    summary: dict[str, Any]


def tell(sortie: Sortie) -> Story:
    """Join what the simulator knows with what the daemon wrote down."""
    moments = sortie.flight.moments
    start_ns, end_ns = moments[0].t_ns, moments[-1].t_ns
    track, unaided = Track.of(moments, start_ns), Track.of(sortie.unaided, 0)
    flown = [o for o in sortie.outcomes if start_ns <= o.t_capture_ns <= end_ns]
    fixes = [o for o in flown if isinstance(o, Fix)]
    silent = [o for o in flown if isinstance(o, Rejection)]
    fix_time_s, withheld_time_s = _seconds(fixes, start_ns), _seconds(silent, start_ns)
    frame = sortie.mission.terrain.frame
    fixes_m = frame.to_enu([f.lat_deg for f in fixes], [f.lon_deg for f in fixes]).reshape(-1, 2)
    error_m = np.hypot(*(fixes_m - track.at(fix_time_s)).T)
    accuracy_m = np.array([fix.horiz_accuracy_m for fix in fixes])
    cut_s = sortie.cut_s
    return Story(
        track,
        unaided,
        fix_time_s,
        fixes_m,
        error_m,
        accuracy_m,
        withheld_time_s,
        track.at(withheld_time_s),
        cut_s,
        {
            "arrived": sortie.has_arrived,
            "ending": sortie.flight.ending.value,
            "flight_s": float(track.time_s[-1]),
            "without_gnss_s": max(0.0, float(track.time_s[-1]) - cut_s),
            "without_gnss_m": _length_m(track.true_m[track.time_s >= cut_s]),
            "frames": len(flown),
            "fixes": len(fixes),
            "withheld": dict(Counter(o.reason.value for o in silent).most_common()),
            "fix_error_m": _spread(error_m),
            "stated_accuracy_m": float(np.median(accuracy_m)) if len(fixes) else None,
            "wrong_fixes": _wrong(error_m, accuracy_m),
            "autopilot_error_m": _spread(track.error_m[track.time_s >= cut_s]),
            "unaided": _unaided(unaided, cut_s),
        },
    )


def _wrong(error_m: Floats, accuracy_m: Floats) -> int:
    return int(wrong_fixes(error_m, accuracy_m, WRONG_LIMIT_M).sum()) if len(error_m) else 0


def _unaided(track: Track, cut_s: float) -> dict[str, float]:
    return {
        "gave_up_after_s": float(track.time_s[-1]) - cut_s,
        "error_m": float(track.error_m[-1]),
    }


def _seconds(outcomes: list[Any], start_ns: int) -> Floats:
    return np.array([(o.t_capture_ns - start_ns) / NS_PER_S for o in outcomes], float)


def _spread(values: Floats) -> dict[str, float] | None:
    if not len(values):
        return None
    median, most, worst = np.quantile(values, [0.5, 0.95, 1.0])
    return {"median": float(median), "p95": float(most), "max": float(worst)}


def _length_m(points: Floats) -> float:
    return float(np.hypot(*np.diff(points, axis=0).T).sum())
