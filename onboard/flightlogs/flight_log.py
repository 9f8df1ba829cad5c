"""What one recorded flight tells, whatever wrote it down, and where each figure comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from .telemetry_csv import TelemetryLog
from .truth_csv import Track

MAX_GAP_NS = 2_000_000_000
"""Nothing is interpolated over a longer silence of a log that should speak more often."""


class Clock(str, Enum):
    """What the times of a log count from."""

    UTC = "utc"
    """1970, without leap seconds."""
    BOOT = "boot"
    """Some moment of the flight, such as the start of the autopilot; there was no time of day."""
    VIDEO = "video"
    """The first frame of the video that the log belongs to."""
    CAMERA = "camera"
    """1970, by a camera's own clock: local time, of an unknown zone, or no time at all."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class CameraEvent:
    """A picture as the log knows it; `source` is the message, as CAM or CAMERA_FEEDBACK.

    `number` counts pictures as the autopilot does. `is_feedback` tells a shutter that was felt from
    one that was only asked to open.
    """

    t_ns: int
    source: str
    number: int | None = None
    is_feedback: bool = True


@dataclass(frozen=True)
class Receiver:
    """A GNSS receiver of the log, in figures. `doubt` says why its positions are no truth."""

    name: str
    rows: int
    rows_with_fix: int
    rate_hz: float | None
    satellites: float | None = None
    """Median, of rows with a fix, as all that follows."""
    hdop: float | None = None
    horiz_accuracy_m: float | None = None
    doubt: str = ""


@dataclass(frozen=True)
class FlightLog:
    """All times are nanoseconds on `clock`.

    `telemetry` is what an autopilot would tell a localizer; its `prior` is the autopilot's own
    belief. `truth` is by GNSS that nothing of ours fed, or by a simulator's own word, and None
    where there is neither. `provenance` names the message, the datum and the frame behind each
    group of `Telemetry` (attitude, height_agl_m, alt_amsl_m, velocity, prior, gimbal), behind
    `truth` and behind `clock`.
    `oddities` are findings of one line each, for a person to read.
    """

    path: Path
    kind: str
    """dataflash, tlog, ulog, record, srt, gpmf, photos or csv."""
    clock: Clock
    telemetry: TelemetryLog
    truth: Track | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    oddities: tuple[str, ...] = ()
    camera_events: tuple[CameraEvent, ...] = ()
    receivers: tuple[Receiver, ...] = ()
    is_simulated: bool = False
