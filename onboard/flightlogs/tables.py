"""A flight log as the tables that `telemetry_csv` and `truth_csv` read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

from ..records import Attitude, Telemetry
from .telemetry_csv import COLUMNS, TelemetryLog
from .truth_csv import Track

NS_PER_S = 1_000_000_000
_STEP_NS = 2 * NS_PER_S
"""Rows must not lie farther apart; what was not told meanwhile stands as empty cells."""


def telemetry_table(log: TelemetryLog) -> str:
    """All samples; a silence is a run of rows without a figure."""
    return _table(_filled(log.samples), None)


def picture_table(log: TelemetryLog, times_ns: Mapping[str, int]) -> str:
    """What was so when each picture was taken, in the order of their times."""
    taken = sorted(times_ns.items(), key=lambda row: (row[1], row[0]))
    return _table((_at(log, t_ns) for _, t_ns in taken), [name for name, _ in taken])


def truth_table(track: Track) -> str:
    """Positions by time; a silence is a row without one."""
    lines = ["time_s,lat_deg,lon_deg"]
    rows = zip(track.times_ns, track.lat_deg, track.lon_deg, strict=True)
    for row, (t_ns, lat_deg, lon_deg) in enumerate(rows):
        lines.append(f"{_seconds(t_ns)},{lat_deg:.8f},{lon_deg:.8f}")
        if row in track.silent_after:
            lines.append(f"{_seconds((t_ns + track.times_ns[row + 1]) // 2)},,")
    return "\n".join(lines) + "\n"


def _at(log: TelemetryLog, t_ns: int) -> Telemetry:
    """Nothing where the log told nothing then."""
    sample = log.at(t_ns)
    return sample if sample.t_ns == t_ns else Telemetry(t_ns)


def _filled(samples: Iterable[Telemetry]) -> Iterator[Telemetry]:
    ordered = list(samples)
    for sample, following in pairwise([*ordered, ordered[-1]]):
        yield sample
        yield from (
            Telemetry(t_ns) for t_ns in range(sample.t_ns + _STEP_NS, following.t_ns, _STEP_NS)
        )


def _table(samples: Iterable[Telemetry], files: list[str] | None) -> str:
    rows = [(sample.t_ns, _cells(sample)) for sample in samples]
    told = [name for name in COLUMNS if any(cells.get(name) is not None for _, cells in rows)]
    lines = [",".join(["time_s", *(["file"] if files else []), *told])]
    for number, (t_ns, cells) in enumerate(rows):
        named = [files[number]] if files else []
        lines.append(",".join([_seconds(t_ns), *named, *(_text(cells.get(n)) for n in told)]))
    return "\n".join(lines) + "\n"


def _cells(sample: Telemetry) -> dict[str, float | None]:
    """By the names of columns. A height that is not above 0 is unknown to a localizer."""
    height_m, prior = sample.height_agl_m, sample.prior
    cells: dict[str, float | None] = {
        "height_agl_m": height_m if height_m is not None and height_m >= 0.0005 else None,
        "alt_amsl_m": sample.alt_amsl_m,
        "heading_accuracy_deg": sample.heading_accuracy_deg,
        "height_accuracy_m": sample.height_accuracy_m,
        "height_above_home_m": sample.height_above_home_m,
        "position_test_ratio": sample.position_test_ratio,
    }
    if sample.velocity_north_m_s is not None and sample.velocity_east_m_s is not None:
        cells["velocity_north_m_s"] = sample.velocity_north_m_s
        cells["velocity_east_m_s"] = sample.velocity_east_m_s
    if prior is not None:
        cells["prior_lat_deg"], cells["prior_lon_deg"] = prior.lat_deg, prior.lon_deg
        cells["prior_horiz_accuracy_m"] = prior.horiz_accuracy_m
    return cells | _angles("", sample.attitude) | _angles("gimbal_", sample.gimbal)


def _angles(prefix: str, attitude: Attitude | None) -> dict[str, float | None]:
    if attitude is None:
        return {}
    return {f"{prefix}{name}": value for name, value in vars(attitude).items()}


def _seconds(t_ns: int) -> str:
    """Exactly: a float of seconds since 1970 is good to no more than a quarter of a microsecond."""
    sign = "-" if t_ns < 0 else ""
    return f"{sign}{abs(t_ns) // NS_PER_S}.{abs(t_ns) % NS_PER_S:09d}"


def _text(value: float | None) -> str:
    """Nine digits, and of coordinates a millimetre."""
    if value is None:
        return ""
    return f"{value:.9g}" if abs(value) < 1.0 else f"{value:.8f}".rstrip("0").rstrip(".")
