"""A recorded flight as it is replayed: pictures, telemetry, and the truth where it is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from ..errors import DataError
from ..flightlogs.flight_record import FlightRecord, newest_record
from ..flightlogs.telemetry_csv import read_telemetry
from ..flightlogs.truth_csv import Track, read_track
from ..frames.source import FrameSource, open_source
from ..records import Frame, Telemetry
from .reflown import is_record

NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class Source:
    """Where a flight lies. `log` is a flight record, or the pictures themselves where `telemetry`
    is a table, or a table or log of the autopilot where `frames` has the pictures."""

    log: str
    frames: str | None = None
    telemetry: Path | None = None
    truth: Path | None = None
    rate_hz: float | None = None

    @property
    def name(self) -> str:
        """As its results are told by."""
        return Path(self.log).stem or Path(self.log).resolve().name

    @property
    def files(self) -> list[Path]:
        """All that it is read from."""
        named = (self.log, self.frames, self.telemetry, self.truth)
        return [Path(each) for each in named if each is not None]


@dataclass(frozen=True)
class Span:
    """The part that is replayed, in seconds since the first frame."""

    from_s: float = 0.0
    to_s: float | None = None
    without_gnss_after_s: float | None = None
    """From here on telemetry says nothing that came of GNSS: no position and no velocity."""

    def __contains__(self, elapsed_ns: int) -> bool:
        return self.from_s <= elapsed_ns / NS_PER_S and not self.is_past(elapsed_ns)

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
class Flight:
    """An opened one. `provenance` says by name where what was read came from, `remarks` what is
    missing or odd, `unix_offset_ns` is UTC minus the times of the frames, where that is known."""

    frames: FrameSource
    telemetry: Samples
    truth: Track | None = None
    record: FlightRecord | None = None
    provenance: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    unix_offset_ns: int | None = None

    def within(self, span: Span) -> Iterator[tuple[Frame, Telemetry]]:
        """The frames of a span, each with what the autopilot says at its exposure."""
        start_ns: int | None = None
        for frame in self.frames:
            start_ns = frame.t_capture_ns if start_ns is None else start_ns
            elapsed_ns = frame.t_capture_ns - start_ns
            if span.is_past(elapsed_ns):
                return
            if elapsed_ns in span:
                yield frame, span.told(self.telemetry.at(frame.t_capture_ns), elapsed_ns)


def open_flight(source: Source) -> Flight:
    """All of a flight but its pictures, which come when they are asked for.

    Raises:
        DataError: names what cannot be used, and what was expected.
    """
    if source.frames is None and is_record(source.log):
        return _of_record(source)
    if source.frames is None:
        return _of_tables(source.log, source.telemetry, source)
    return _of_tables(source.frames, source.telemetry or Path(source.log), source)


def _of_record(source: Source) -> Flight:
    record = FlightRecord(newest_record(Path(source.log)))
    truth = read_track(source.truth) if source.truth else None
    said = {"frames": record.path.name, "telemetry": f"{record.path.name}: told in flight"}
    offset = record.facts.get("unix_offset_ns")
    remarks = () if record.is_whole else ("the record was cut off; it is replayed as far as it is",)
    return Flight(
        frames=record,
        telemetry=record,
        truth=truth,
        record=record,
        provenance=said | _truth_of(source),
        remarks=remarks,
        unix_offset_ns=int(offset) if offset else None,
    )


def _of_tables(frames: str, telemetry: Path | None, source: Source) -> Flight:
    if telemetry is None:
        raise DataError(f"{frames}: a recording without its own telemetry; give --telemetry")
    samples = read_telemetry(telemetry)
    times_ns = samples.times_by_file()
    truth = read_track(source.truth, times_ns) if source.truth else None
    pictures = open_source(frames, rate_hz=source.rate_hz, times_ns=times_ns)
    said = {"frames": Path(frames).name, "telemetry": telemetry.name}
    return Flight(pictures, samples, truth, provenance=said | _truth_of(source))


def _truth_of(source: Source) -> dict[str, str]:
    return {"truth": source.truth.name} if source.truth else {}
