"""A flight record as it is read: also one that a power cut left without an end."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import zstandard
from mcap.exceptions import McapError
from mcap.records import Channel, Message, Metadata
from mcap.stream_reader import StreamReader

from ..errors import DataError
from ..records import Fix, Frame, Image, Rejection, Telemetry
from . import entries
from .recorder import SUFFIX

HEAD = b"\x89MCAP0\r\n"
"""The first bytes of every record."""
NS_PER_S = 1_000_000_000
_DAMAGE = (
    *(McapError, zstandard.ZstdError, struct.error, EOFError),
    *(KeyError, ValueError, TypeError, AssertionError, MemoryError, OverflowError),
)
"""What mcap raises over bytes that are not as they were written."""


@dataclass
class FlightRecord:
    """Everything but the pictures, which are read when they are looked at.

    Raises:
        DataError: not a flight record.
    """

    path: Path
    facts: dict[str, str] = field(default_factory=dict)
    outcomes: list[Fix | Rejection] = field(default_factory=list)
    events: list[tuple[int, str, str]] = field(default_factory=list)
    """Monotonic nanoseconds, name, detail."""
    frames: int = 0
    is_whole: bool = False
    """Whether it was finished."""
    _telemetry: dict[int, Telemetry] = field(default_factory=dict)
    _resets_ns: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        with self.as_written():
            for topic, entry in _entries(self):
                self._take(topic, entry)
            self._resets_ns = frozenset(at for at, name, _ in self.events if name == entries.RESET)
        if not self.facts:
            raise DataError(f"{self.path}: not a flight record")

    @contextmanager
    def as_written(self) -> Iterator[None]:
        """While entries are taken for what this version writes.

        Raises:
            DataError: one is not.
        """
        try:
            yield
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, cv2.error):
            told = self.facts.get("version", "unknown")
            raise DataError(f"{self.path}: recorded by another version, {told}") from None

    def _take(self, topic: str, entry: Any) -> None:
        if topic == entries.FRAME:
            self.frames += 1
        elif topic == entries.TELEMETRY:
            t_capture_ns, telemetry = entries.telemetry_of(entry)
            self._telemetry[t_capture_ns] = telemetry
        elif topic == entries.OUTCOME:
            outcome = entries.outcome_of(entry)
            if outcome is not None:
                self.outcomes.append(outcome)
        elif topic == entries.EVENT:
            self.events.append((entry["t_ns"], entry["event"], entry["detail"]))

    def __iter__(self) -> Iterator[Frame]:
        """The pictures, where they were recorded whole, under the names that they are told by.

        Raises:
            DataError: only thumbnails were kept, or none.
        """
        if not self.frames:
            raise DataError(f"{self.path}: holds no pictures; record.frames must be every")
        pictures = (entry for topic, entry in _entries(self) if topic == entries.FRAME)
        for number, entry in enumerate(pictures):
            with self.as_written():
                frame = self._frame(entry, f"{number:06d}")
            yield frame

    def _frame(self, entry: Any, name: str) -> Frame:
        if entry["format"] != "png":
            raise DataError(f"{self.path}: holds thumbnails; record.frames must be every")
        stamp, offset_ns = entry["timestamp"], int(self.facts["unix_offset_ns"])
        t_ns = stamp["sec"] * NS_PER_S + stamp["nsec"] - offset_ns
        return Frame(_decoded(entry["data"], self.path), t_ns, name)

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of its pictures."""
        first = next(iter(self))
        return first.image.shape[1], first.image.shape[0]

    def at(self, t_ns: int) -> Telemetry:
        """What the localizer was told beside the frame that was taken then, to the last bit."""
        return self._telemetry.get(t_ns, Telemetry(t_ns))

    def samples(self) -> tuple[Telemetry, ...]:
        """What the localizer was told, beside every frame, in the order of time."""
        last = {sample.t_ns: sample for sample in self._telemetry.values()}
        return tuple(last[t_ns] for t_ns in sorted(last))

    def entries(self) -> Iterator[tuple[str, Any]]:
        """Topic and content of everything, in the order of writing."""
        return _entries(self)

    def was_reset(self, t_ns: int) -> bool:
        """Whether the track was forgotten before the frame that was taken then."""
        return t_ns in self._resets_ns

    def times_by_file(self) -> None:
        """It names no files."""

    def close(self) -> None:
        """Nothing is open."""


def read_record(path: Path) -> list[Fix | Rejection]:
    """The outcomes of a flight, in the order of its frames; the newest record of a folder.

    Raises:
        DataError: not a flight record, or a folder without one.
    """
    return FlightRecord(newest_record(path)).outcomes


def newest_record(path: Path) -> Path:
    """A record by itself, or the newest one of a folder.

    Raises:
        DataError: there is none.
    """
    if not path.is_dir():
        return path
    there = filter(Path.is_file, path.glob(f"*{SUFFIX}"))  # a link may lead nowhere
    found = sorted(there, key=lambda each: each.stat().st_mtime_ns)
    if not found:
        raise DataError(f"{path}: holds no flight record")
    return found[-1]


def _entries(record: FlightRecord) -> Iterator[tuple[str, Any]]:
    """Topic and content of what can be read; a cut or damaged end ends it."""
    topics: dict[int, str] = {}
    try:
        with record.path.open("rb") as stream:
            for found in StreamReader(stream, validate_crcs=True).records:
                if isinstance(found, Channel):
                    topics[found.id] = found.topic
                elif isinstance(found, Metadata) and found.name == entries.FORMAT:
                    record.facts = dict(found.metadata)
                elif isinstance(found, Message):
                    if not record.facts:  # another program's: ours begins with them
                        raise DataError(f"{record.path}: not a flight record")
                    yield topics[found.channel_id], json.loads(found.data)
            record.is_whole = True
    except OSError as error:
        raise DataError(f"{record.path}: {error.strerror}") from None
    except _DAMAGE:
        return


def _decoded(text: str, path: Path) -> Image:
    data = np.frombuffer(base64.b64decode(text), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"{path}: holds a picture that is none")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
