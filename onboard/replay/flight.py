"""A recorded flight as it is replayed: pictures, telemetry, and the truth where it is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from ..errors import DataError
from ..flightlogs.flight_log import Clock, FlightLog
from ..flightlogs.flight_record import FlightRecord, newest_record
from ..flightlogs.match import match_pictures
from ..flightlogs.read import read_flight_log
from ..flightlogs.telemetry_csv import read_telemetry
from ..flightlogs.truth_csv import Track, read_track
from ..frames.folder import FolderSource
from ..frames.source import FrameSource, open_source
from ..frames.video import VideoSource
from ..records import Frame, Telemetry
from .reflown import is_record

NS_PER_S = 1_000_000_000
IN_VIDEO = ("srt", "gpmf")
"""Logs that a video carries or has beside it."""
SUBTITLES = (".srt", ".SRT")


@dataclass(frozen=True)
class Source:
    """Where a flight lies.

    `log` is a flight record, the log of an autopilot for the pictures in `frames`, pictures that
    carry telemetry, or pictures for the table `telemetry`. `video_at_s`: when a video began, in
    seconds since the first row of a log on another clock. `estimate_lag`: whether the clock of
    photos may be off that of their log.
    """

    log: str
    frames: str | None = None
    telemetry: Path | None = None
    truth: Path | None = None
    rate_hz: float | None = None
    video_at_s: float | None = None
    estimate_lag: bool = False

    @property
    def name(self) -> str:
        """As its results are told by."""
        return Path(self.log).stem or Path(self.log).resolve().name

    def resolved(self) -> Source:
        """The same from whatever folder somebody looks."""
        return replace(
            self,
            log=str(Path(self.log).resolve()),
            frames=None if self.frames is None else str(Path(self.frames).resolve()),
            telemetry=self.telemetry.resolve() if self.telemetry else None,
            truth=self.truth.resolve() if self.truth else None,
        )

    @property
    def files(self) -> list[Path]:
        """All that it is read from."""
        named = (self.log, self.frames, self.telemetry, self.truth)
        log = Path(self.log)
        beside = [log.with_suffix(suffix) for suffix in SUBTITLES] if log.is_file() else []
        return [*(Path(each) for each in named if each is not None), *beside]


@dataclass(frozen=True)
class Span:
    """The part that is replayed, in seconds since the first frame."""

    from_s: float = 0.0
    to_s: float | None = None
    without_gnss_after_s: float | None = None
    """From here on telemetry says nothing that came of GNSS: no position and no velocity."""

    def __contains__(self, elapsed_ns: int) -> bool:
        return self.from_s <= elapsed_ns / NS_PER_S and not self.is_past(elapsed_ns)

    @property
    def words(self) -> str:
        """As it was asked for."""
        return f"from {self.from_s:g} s to {'the end' if self.to_s is None else f'{self.to_s:g} s'}"

    def is_past(self, elapsed_ns: int) -> bool:
        """Whether nothing more is to come."""
        return self.to_s is not None and elapsed_ns / NS_PER_S > self.to_s

    def told(self, telemetry: Telemetry, elapsed_ns: int) -> Telemetry:
        """What the autopilot would have said."""
        cut_s = self.without_gnss_after_s
        if cut_s is None or elapsed_ns / NS_PER_S < cut_s:
            return telemetry
        return replace(
            telemetry,
            prior=None,
            velocity_north_m_s=None,
            velocity_east_m_s=None,
            position_test_ratio=None,
        )


class Samples(Protocol):
    """Telemetry of a flight."""

    def at(self, t_ns: int) -> Telemetry:
        """At the exposure of a frame."""


@dataclass(frozen=True)
class Taken:
    """Photos of a folder, and when each was taken, in nanoseconds on the clock of their log."""

    folder: Path
    times_ns: Mapping[str, int]


@dataclass(frozen=True)
class Flight:
    """An opened one. `provenance` says by name where what was read came from, `remarks` what is
    missing or odd, `unix_offset_ns` is UTC minus the times of the frames, where that is known.
    `taken` are its pictures where they are photos beside a log."""

    frames: FrameSource
    telemetry: Samples
    truth: Track | None = None
    record: FlightRecord | None = None
    provenance: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    unix_offset_ns: int | None = None
    taken: Taken | None = None

    def within(self, span: Span) -> Iterator[tuple[Frame, Telemetry]]:
        """The frames of a span, each with what the autopilot says at its exposure.

        Raises:
            DataError: there are frames, and none of them in the span.
        """
        start_ns: int | None = None
        elapsed_ns, found = 0, 0
        for frame in self.frames:
            start_ns = frame.t_capture_ns if start_ns is None else start_ns
            elapsed_ns = frame.t_capture_ns - start_ns
            if span.is_past(elapsed_ns):
                break
            if elapsed_ns in span:
                found += 1
                yield frame, span.told(self.telemetry.at(frame.t_capture_ns), elapsed_ns)
        if start_ns is not None and not found:
            asked, name = span.words, self.provenance.get("frames", "the flight")
            reached = f"there is one {elapsed_ns / NS_PER_S:.2f} s after the first"
            if not span.is_past(elapsed_ns):
                reached = f"the last is {elapsed_ns / NS_PER_S:.2f} s after the first"
            raise DataError(f"{name}: no frame to replay {asked}; {reached}")


def open_flight(source: Source) -> Flight:
    """All of a flight but its pictures, which come when they are asked for.

    Raises:
        DataError: names what cannot be used, and what was expected.
    """
    if source.frames is None and is_record(source.log):
        return _of_record(source)
    if source.telemetry is None:
        return _of_log(source)
    if source.frames is not None:
        raise DataError(
            f"{source.log}: nothing of it is read beside --frames and --telemetry; expected the"
            " pictures in its place"
        )
    return _of_tables(source.log, source.telemetry, source)


def _of_record(source: Source) -> Flight:
    """What the localizer was told in flight; the truth is what its log says besides."""
    if source.telemetry is not None:
        raise DataError(f"{source.log}: a flight record has its own; expected no --telemetry")
    record = FlightRecord(newest_record(Path(source.log)))
    log = read_flight_log(record.path)
    said = {"frames": record.path.name, **log.provenance}
    offset = record.facts.get("unix_offset_ns")
    return Flight(
        frames=record,
        telemetry=record,
        truth=read_track(source.truth) if source.truth else log.truth,
        record=record,
        provenance=said | _truth_of(source),
        remarks=log.oddities,
        unix_offset_ns=int(offset) if offset else None,
    )


def _of_tables(frames: str, telemetry: Path, source: Source) -> Flight:
    samples = read_telemetry(telemetry)
    times_ns = samples.times_by_file()
    truth = read_track(source.truth, times_ns) if source.truth else None
    pictures = open_source(frames, rate_hz=source.rate_hz, times_ns=times_ns)
    said = {"frames": Path(frames).name, "telemetry": telemetry.name}
    return Flight(pictures, samples, truth, provenance=said | _truth_of(source))


def _of_log(source: Source) -> Flight:
    """An autopilot's log, or pictures that carry what it said, or have it beside them."""
    log = _read(source)
    frames = Path(source.frames or source.log)
    if not source.frames and not (frames.is_dir() or log.kind in IN_VIDEO):
        raise DataError(f"{source.log}: a log without pictures; give --frames")
    opened = _folder_of(frames, log) if frames.is_dir() else _video_of(frames, log, source)
    told = {"log": f"{log.path.name}: {log.kind}, clock {log.clock}", "frames": frames.name}
    truth = opened.truth
    if source.truth is not None:
        truth = read_track(source.truth, log.telemetry.times_by_file())
    return replace(
        opened,
        truth=truth,
        provenance=told | opened.provenance | dict(log.provenance) | _truth_of(source),
        remarks=(*log.oddities, *opened.remarks),
    )


def _read(source: Source) -> FlightLog:
    if not Path(source.log).exists():
        raise DataError(f"{source.log}: no such file or folder")
    try:
        return read_flight_log(Path(source.log))
    except DataError as error:
        if source.frames is None:
            raise DataError(f"{error}; give --telemetry") from None
        raise


def _folder_of(frames: Path, log: FlightLog) -> Flight:
    """Photos, by what tells when each was taken."""
    times_ns = log.telemetry.times_by_file()
    said: dict[str, str] = {}
    remarks: tuple[str, ...] = ()
    if times_ns is None:
        matched = match_pictures(frames, log)
        times_ns = matched.times_ns
        said = {"times of pictures": f"{matched.method}: {matched.detail}"}
        if matched.unmatched:
            left = f"{len(matched.unmatched)} pictures without a time are left out"
            remarks = (f"{left}, {matched.unmatched[0]} the first",)
    pictures = FolderSource(frames, times_ns=times_ns, only_timed=True)
    offset_ns = 0 if log.clock is Clock.UTC else None
    taken = Taken(frames, times_ns)
    return Flight(pictures, log.telemetry, log.truth, None, said, remarks, offset_ns, taken)


def _video_of(frames: Path, log: FlightLog, source: Source) -> Flight:
    """A video, whose times count from its first frame."""
    telemetry, truth = log.telemetry, log.truth
    if log.clock is Clock.VIDEO:
        return Flight(VideoSource(frames), telemetry, truth)
    if source.video_at_s is None:
        raise DataError(
            f"{frames}: nothing tells when it began on the clock of {log.path} ({log.clock}); give"
            " --video-at, in seconds since the log's first row"
        )
    start_ns = telemetry.samples[0].t_ns + round(source.video_at_s * NS_PER_S)
    moved = None
    if truth is not None:
        moved = replace(truth, times_ns=tuple(t_ns - start_ns for t_ns in truth.times_ns))
    said = {"times of pictures": f"first frame {source.video_at_s:g} s after the log's first row"}
    offset_ns = start_ns if log.clock is Clock.UTC else None
    shifted = telemetry.shifted(-start_ns)
    return Flight(VideoSource(frames), shifted, moved, None, said, (), offset_ns)


def _truth_of(source: Source) -> dict[str, str]:
    return {"truth": source.truth.name} if source.truth else {}
