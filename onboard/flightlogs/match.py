"""Which picture of a folder was taken when, on the clock of a log.

The log's own camera messages tell it best, if it is known which message belongs to which picture:
by the times of both where pictures carry any, else by their count. Without messages it is the time
of the pictures, where log and pictures are both on UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..frames.folder import pictures_of
from .flight_log import CameraEvent, Clock, FlightLog
from .pictures.photo_tags import PhotoTags, read_tags
from .pictures.picture_times import Told, increasing, named_ns, taken_ns
from .series import Times
from .shifts import NEAR_NS, most_met

QUARTER_NS = 900_000_000_000
"""Time zones are whole quarters of an hour."""
FARTHEST_ZONE = 56
"""Quarters of an hour, from UTC-12 to UTC+14."""


@dataclass(frozen=True)
class PictureTimes:
    """When each picture was taken, in nanoseconds on the clock of the log.

    `method` says what told it, `detail` how surely. `unmatched` are pictures without a time.
    """

    times_ns: dict[str, int]
    method: str
    detail: str
    unmatched: tuple[str, ...] = ()


def match_pictures(folder: Path, log: FlightLog, shift_s: float = 0.0) -> PictureTimes:
    """Times for the pictures of a folder; `shift_s` is added to them, as the camera's known lag.

    Raises:
        DataError: no pictures, or nothing that tells their times.
    """
    paths = pictures_of(folder)
    times_ns, told = taken_ns([(path, _tags(path)) for path in paths])
    shift_ns = round(shift_s * 1e9)
    if log.camera_events:
        found = _by_messages(folder, paths, times_ns, told, log)
        moved = {name: t_ns + shift_ns for name, t_ns in found.times_ns.items()}
        return replace(found, times_ns=moved)
    if told is Told.NOTHING:
        raise DataError(
            f"{folder}: neither names nor tags tell when pictures were taken, and {log.path} holds"
            " no camera message"
        )
    if log.clock is not Clock.UTC:
        raise DataError(
            f"{folder}: its pictures tell the time of day, and {log.path} does not: {log.clock}"
        )
    times_ns = [t_ns + shift_ns for t_ns in times_ns]
    if not told.is_utc:
        return _by_zone(folder, paths, times_ns, log)
    return _told(paths, increasing(times_ns), told.value, log)


def _tags(path: Path) -> PhotoTags | None:
    """Not asked for where the name tells enough."""
    return None if named_ns(path) is not None else read_tags(path)


def _told(
    paths: Sequence[Path], times_ns: Sequence[int], method: str, log: FlightLog
) -> PictureTimes:
    start_ns, end_ns = _span(log)
    inside = sum(start_ns <= t_ns <= end_ns for t_ns in times_ns)
    if not inside:
        away_s = min(abs(t_ns - edge) for t_ns in times_ns for edge in (start_ns, end_ns)) / 1e9
        raise DataError(
            f"{paths[0].parent}: no picture was taken during {log.path}; the nearest is"
            f" {away_s:.1f} s away by {method}"
        )
    detail = f"{inside} of {len(paths)} pictures lie within the log"
    return PictureTimes(_by_name(paths, times_ns), method, detail)


def _span(log: FlightLog) -> tuple[int, int]:
    return log.telemetry.samples[0].t_ns, log.telemetry.samples[-1].t_ns


def _by_name(paths: Sequence[Path], times_ns: Sequence[int]) -> dict[str, int]:
    return {path.name: t_ns for path, t_ns in zip(paths, times_ns, strict=True)}


def _by_zone(
    folder: Path, paths: Sequence[Path], times_ns: Sequence[int], log: FlightLog
) -> PictureTimes:
    """Local times, where one time zone alone puts all pictures into the log."""
    start_ns, end_ns = _span(log)
    zones = [
        quarters
        for quarters in range(-FARTHEST_ZONE, FARTHEST_ZONE + 1)
        if all(start_ns <= t_ns - quarters * QUARTER_NS <= end_ns for t_ns in times_ns)
    ]
    if len(zones) != 1:
        fits = "no time zone puts" if not zones else f"{len(zones)} time zones put"
        raise DataError(f"{folder}: {Told.CAMERA.value}; {fits} all pictures into {log.path}")
    moved = increasing([t_ns - zones[0] * QUARTER_NS for t_ns in times_ns])
    hours = zones[0] / 4.0
    detail = f"UTC{hours:+g} h is the one zone that puts all pictures into the log"
    return PictureTimes(_by_name(paths, moved), Told.CAMERA.value, detail)


def _by_messages(
    folder: Path, paths: Sequence[Path], times_ns: Sequence[int], told: Told, log: FlightLog
) -> PictureTimes:
    events = log.camera_events
    source = f"{events[0].source} of the log"
    if told is not Told.NOTHING:
        matched = _aligned(np.array(increasing(times_ns)), events)
        if matched is not None:
            return _picked(paths, matched, events, source)
    if len(events) == len(paths):
        stamps = [event.t_ns for event in events]
        detail = f"{len(paths)} pictures, {len(events)} messages: one to one in their order"
        return PictureTimes(_by_name(paths, stamps), source, detail)
    raise DataError(
        f"{folder}: {len(paths)} pictures and {len(events)} camera messages in {log.path}; nothing"
        " tells which belong together"
    )


def _picked(
    paths: Sequence[Path], matched: Sequence[int | None], events: Sequence[CameraEvent], source: str
) -> PictureTimes:
    times = {
        path.name: events[row].t_ns
        for path, row in zip(paths, matched, strict=True)
        if row is not None
    }
    unmatched = tuple(path.name for path in paths if path.name not in times)
    detail = f"{len(times)} of {len(paths)} pictures have a message at the same distance in time"
    return PictureTimes(times, source, detail, unmatched)


def _aligned(taken: Times, events: Sequence[CameraEvent]) -> list[int | None] | None:
    """The message of each picture, by the one shift of the pictures' clock with which most of them
    meet one; None where two shifts do as well, as with pictures in even steps."""
    stamps = np.array([event.t_ns for event in events], np.int64)
    best, good = most_met(taken, stamps)
    if best < max(2, (min(len(taken), len(stamps)) + 1) // 2):
        return None
    if good[-1] - good[0] > 2 * NEAR_NS:
        return None
    shift = int(np.median(good))
    meetings = _meetings(taken + shift, stamps)
    return [meetings.get(row) for row in range(len(taken))]


def _meetings(taken: Times, stamps: Times) -> dict[int, int]:
    """Row of the picture to row of the nearest message, each message once."""
    following = np.searchsorted(stamps, taken)
    before = np.maximum(following - 1, 0)
    following = np.minimum(following, len(stamps) - 1)
    is_nearer = np.abs(stamps[following] - taken) < np.abs(stamps[before] - taken)
    rows = np.where(is_nearer, following, before)
    pictures: dict[int, int] = {}
    for picture, row in enumerate(rows.tolist()):
        if abs(int(stamps[row] - taken[picture])) <= NEAR_NS:
            pictures.setdefault(row, picture)
    return {picture: row for row, picture in pictures.items()}
