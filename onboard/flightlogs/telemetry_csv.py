"""A telemetry table to `Telemetry` at any time of the flight.

    time_s                                              seconds on the clock of the frames
    file                                                name of the picture taken then
    roll_deg, pitch_deg, heading_deg                    attitude of the vehicle, from true north
    height_agl_m                                        above the ground below
    alt_amsl_m                                          above mean sea level
    velocity_north_m_s, velocity_east_m_s               over ground
    prior_lat_deg, prior_lon_deg, prior_horiz_accuracy_m    where it may be, 1-sigma per axis
    gimbal_roll_deg, gimbal_pitch_deg, gimbal_heading_deg   attitude of the camera itself
    heading_accuracy_deg                                1-sigma of the heading, 90 where unknown
    height_accuracy_m                                   1-sigma of the height
    height_above_home_m                                 above where it took off
    position_test_ratio                                 above 1 the autopilot takes no position

Only `time_s` is required; columns on one line above come together, and an empty cell is unknown.
For a video, zero is its first frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import DataError
from ..records import Attitude, Prior, Telemetry
from .interpolation import sample_at
from .table import LATITUDE, LONGITUDE, NS_PER_S, NUMBER, POSITIVE, Range, Table, read_table

_ATTITUDE = {
    "roll_deg": Range("an angle of -180 to 180 degrees", -180.0, 180.0),
    "pitch_deg": Range("an angle of -90 to 90 degrees", -90.0, 90.0),
    "heading_deg": Range("a bearing of -180 to 360 degrees", -180.0, 360.0),
}
_VELOCITY = {"velocity_north_m_s": NUMBER, "velocity_east_m_s": NUMBER}
_PRIOR = {
    "prior_lat_deg": LATITUDE,
    "prior_lon_deg": LONGITUDE,
    "prior_horiz_accuracy_m": POSITIVE,
}
_GIMBAL = {
    "gimbal_roll_deg": _ATTITUDE["roll_deg"],
    "gimbal_pitch_deg": Range("an angle of -135 to 90 degrees", -135.0, 90.0),
    "gimbal_heading_deg": _ATTITUDE["heading_deg"],
}
_HEIGHT, _ALTITUDE = {"height_agl_m": POSITIVE}, {"alt_amsl_m": NUMBER}
_HEADING_ACCURACY = {"heading_accuracy_deg": POSITIVE}
_HEIGHT_ACCURACY = {"height_accuracy_m": POSITIVE}
_ABOVE_HOME, _TEST_RATIO = {"height_above_home_m": NUMBER}, {"position_test_ratio": NUMBER}
_GROUPS = (
    *(_ATTITUDE, _HEIGHT, _ALTITUDE, _VELOCITY, _PRIOR),
    *(_GIMBAL, _HEADING_ACCURACY, _HEIGHT_ACCURACY, _ABOVE_HOME, _TEST_RATIO),
)
COLUMNS = tuple(column for group in _GROUPS for column in group)
"""All that a row may tell beside its time and its picture."""


@dataclass(frozen=True)
class TelemetryLog:
    """Samples in strictly increasing time; `files` are the pictures taken at them, if any."""

    samples: tuple[Telemetry, ...]
    files: tuple[str, ...] | None = None
    max_gap_ns: int | None = None
    """Silence over which nothing is interpolated; None where silences were refused on reading."""

    def at(self, t_ns: int) -> Telemetry:
        """Interpolated; outside the log and in silences the nearest sample under its own time."""
        return sample_at(self.samples, t_ns, self.max_gap_ns)

    def times_by_file(self) -> dict[str, int] | None:
        """When each picture was taken, in nanoseconds, where the log names pictures."""
        if self.files is None:
            return None
        return {name: sample.t_ns for name, sample in zip(self.files, self.samples, strict=True)}

    def shifted(self, offset_ns: int) -> TelemetryLog:
        """The same log on a clock that is ahead by `offset_ns`."""
        moved = (replace(sample, t_ns=sample.t_ns + offset_ns) for sample in self.samples)
        return replace(self, samples=tuple(moved))


def read_telemetry(path: Path, max_gap_s: float = 2.0) -> TelemetryLog:
    """Read a telemetry table. Where rows are pictures a silence above `max_gap_s` may be, and
    nothing is interpolated across it.

    Raises:
        DataError: names the file, the line, the column and what was expected.
    """
    table = read_table(path, required=["time_s"], optional=["file", *COLUMNS])
    for group in _GROUPS:
        _check_together(table, group)
    files = table.texts("file") if "file" in table else None
    times_ns = table.times_ns(max_gap_s if files is None else math.inf)
    columns = {
        name: table.numbers_or_none(name, accepted)
        for group in _GROUPS
        for name, accepted in group.items()
        if name in table
    }
    rows = (_known(table, row, columns) for row in range(len(times_ns)))
    samples = tuple(_sample(t_ns, row) for t_ns, row in zip(times_ns, rows, strict=True))
    return TelemetryLog(samples, files, None if files is None else round(max_gap_s * NS_PER_S))


def _sample(t_ns: int, row: dict[str, float]) -> Telemetry:
    attitude = Attitude(*(row[name] for name in _ATTITUDE)) if "roll_deg" in row else None
    gimbal = Attitude(*(row[name] for name in _GIMBAL)) if "gimbal_roll_deg" in row else None
    prior = Prior(*(row[name] for name in _PRIOR)) if "prior_lat_deg" in row else None
    return Telemetry(
        t_ns,
        attitude,
        row.get("height_agl_m"),
        row.get("alt_amsl_m"),
        row.get("velocity_north_m_s"),
        row.get("velocity_east_m_s"),
        prior,
        gimbal,
        row.get("heading_accuracy_deg"),
        row.get("height_accuracy_m"),
        row.get("position_test_ratio"),
        row.get("height_above_home_m"),
    )


def _known(
    table: Table, row: int, columns: Mapping[str, Sequence[float | None]]
) -> dict[str, float]:
    """The cells of a row that are not empty; a group is known as a whole."""
    cells = {name: value for name, column in columns.items() if (value := column[row]) is not None}
    for group in _GROUPS:
        present = [name for name in group if name in cells]
        if present and len(present) < len(group):
            absent = next(name for name in group if name not in cells)
            raise table.error(row, absent, f"empty beside {present[0]}")
    return cells


def _check_together(table: Table, group: dict[str, Range]) -> None:
    present = [column for column in group if column in table]
    if present and len(present) < len(group):
        absent = next(column for column in group if column not in table)
        raise DataError(f"{table.path}, line 1, {absent}: missing beside {present[0]}")
