"""A flight on disk, as a real one leaves it: pictures, what the autopilot logged, and the truth.

    flight.mp4 or frames/     what the camera saw; frames/ also where pictures are missing or uneven
    flight.tlog or .bin       the autopilot's log, read by any ground software
    telemetry.csv             the same in this project's words, see `flightlogs.telemetry_csv`
    truth.csv                 where the vehicle was at every picture, see `flightlogs.truth_csv`
    truth_poses.csv           that with heights and attitudes

Times in the tables are on the camera's clock; the autopilot's is taken to agree with it, and where
it does not (`Shutter.clock_offset_s`) telemetry and pictures lie apart, as in a real flight.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ...durable import TEMPORARY_PREFIX, publish_folder
from ...errors import DataError
from ...records import Image
from ..state import State
from .dataflash import dataflash
from .exposures import Exposure
from .pictures import write_pictures, write_video
from .sampling import state_at
from .simulate import Flight
from .tables import pose_table, telemetry_table, truth_table
from .terrain import Terrain
from .tlog import tlog

START_UNIX_S = 1_718_971_200.0
"""21 June 2024, noon UTC: the time that a flight pretends to begin at."""
_TABLES = ("telemetry.csv", "truth.csv", "truth_poses.csv")
_TOLD_EVERY = 5
"""Steps of the flight, which makes 10 rows a second."""
_EVEN_S = 1e-3


class Pictures(str, Enum):
    """How the pictures of a flight are kept."""

    VIDEO = "video"
    FOLDER = "folder"


class Log(str, Enum):
    """Whose log of the flight is kept: the ground station's, or the autopilot's own."""

    TLOG = "tlog"
    DATAFLASH = "bin"


@dataclass(frozen=True)
class FlightFiles:
    """What `write_flight` wrote."""

    pictures: Path
    log: Path
    telemetry: Path
    truth: Path
    poses: Path


def write_flight(
    folder: Path,
    flight: Flight,
    shots: Sequence[Exposure],
    picture: Callable[[State], Image],
    terrain: Terrain,
    *,
    pictures: Pictures = Pictures.VIDEO,
    log: Log = Log.TLOG,
    start_unix_s: float = START_UNIX_S,
) -> FlightFiles:
    """Write a flight as a whole, or not at all.

    Args:
        folder: new, or empty.
        flight: from `simulate`.
        shots: its pictures, from `exposures`; at least two, within the flight.
        picture: [H, W, 3] RGB, what the camera sees from a true state; called once per picture.
        terrain: what was flown over.
        pictures: how they are kept; a video needs an even rate.
        log: which log is kept.
        start_unix_s: seconds since 1970 when the flight began.

    Raises:
        DataError: the folder holds something, too few pictures, pictures of different sizes, a
            video of uneven pictures, or one that cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: expected a new or an empty folder")
    if len(shots) < 2:
        raise DataError(f"{folder}: {len(shots)} pictures; a flight needs at least two")
    states = [state_at(flight.truth, shot.time_s) for shot in shots]
    seen = map(picture, states)
    new = folder.with_name(f"{TEMPORARY_PREFIX}{folder.name}")
    shutil.rmtree(new, ignore_errors=True)  # of a run that was killed
    new.mkdir(parents=True)
    try:
        if pictures is Pictures.VIDEO:
            rate_hz = _even_rate_hz(folder, shots)
            write_video(new / "flight.mp4", seen, rate_hz)
        else:
            write_pictures(new / "frames", seen, _names(shots))
        written = tlog if log is Log.TLOG else dataflash
        name = f"flight.{log.value}"
        (new / name).write_bytes(written(flight, shots, terrain.frame, start_unix_s))
        for table, text in _tables(flight, shots, states, terrain, pictures).items():
            (new / table).write_text(text)
        publish_folder(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    shown = "flight.mp4" if pictures is Pictures.VIDEO else "frames"
    return FlightFiles(*(folder / part for part in (shown, name, *_TABLES)))


def _tables(
    flight: Flight,
    shots: Sequence[Exposure],
    states: Sequence[State],
    terrain: Terrain,
    pictures: Pictures,
) -> dict[str, str]:
    """Rows of telemetry are pictures where those have names, else as frequent as a log's.

    A video's clock is that of its camera, from the first frame on.
    """
    stamps_s = [shot.stamp_s for shot in shots]
    names = None if pictures is Pictures.VIDEO else _names(shots)
    zero_s = stamps_s[0] if names is None else 0.0
    told_s = stamps_s if names else [state.time_s for state in flight.believed[::_TOLD_EVERY]]
    labels = [stamp_s - zero_s for stamp_s in stamps_s]
    texts = (
        telemetry_table(flight, told_s, [time_s - zero_s for time_s in told_s], names),
        truth_table(states, labels, names, terrain.frame),
        pose_table(states, labels, names, terrain),
    )
    return dict(zip(_TABLES, texts, strict=True))


def _names(shots: Sequence[Exposure]) -> list[str]:
    return [f"{shot.number:06d}.jpg" for shot in shots]


def _even_rate_hz(folder: Path, shots: Sequence[Exposure]) -> float:
    """Pictures per second of the video, which knows no other times."""
    period_s = (shots[-1].stamp_s - shots[0].stamp_s) / (len(shots) - 1)
    for k, shot in enumerate(shots):
        if abs(shot.stamp_s - shots[0].stamp_s - k * period_s) > _EVEN_S:
            raise DataError(
                f"{folder}: picture {shot.number} is not taken in step, or one before it is"
                " missing, and a video cannot hold that; keep the pictures in a folder"
            )
    return 1.0 / period_s
