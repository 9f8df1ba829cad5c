"""The boxes of an MP4 file, as far as a track of telemetry needs them (ISO 14496-12)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import DataError

_Read = Callable[[int, int], bytes]
_CONTAINERS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
MAX_SAMPLES = 1_000_000
MAX_TABLE_BYTES = 64_000_000


@dataclass(frozen=True)
class Sample:
    """A piece of a track: when it is shown, for how long, and its bytes."""

    t_ns: int
    duration_ns: int
    data: bytes


def looks_like_mp4(head: bytes) -> bool:
    """Whether bytes begin with a box that such files begin with."""
    return head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free")


def samples(path: Path, kind: bytes) -> list[Sample]:
    """Of the first track whose samples are of a kind, as `gpmd`; none where there is no such track.

    Raises:
        DataError: unreadable, or tables that contradict the file.
    """
    try:
        data = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    with data as file:
        file.seek(0, 2)
        size = file.tell()

        def read(at: int, count: int) -> bytes:
            file.seek(at)
            return file.read(max(0, min(count, size - at)))

        try:
            for track in _tracks(read, size):
                if track.get(b"stsd", b"")[12:16] == kind:
                    return list(_samples(track, read))
        except (KeyError, struct.error, IndexError, ValueError):
            raise DataError(f"{path}: its table of telemetry samples is damaged") from None
    return []


def _tracks(read: _Read, size: int) -> Iterator[dict[bytes, bytes]]:
    """The tables of each track by the names of their boxes."""
    for name, at, end in _boxes(read, 0, size):
        if name != b"moov":
            continue
        for inner, start, stop in _boxes(read, at, end):
            if inner == b"trak":
                yield dict(_tables(read, start, stop))


def _tables(read: _Read, at: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    for name, start, stop in _boxes(read, at, end):
        if name in _CONTAINERS:
            yield from _tables(read, start, stop)
        elif stop - start <= MAX_TABLE_BYTES:
            yield name, read(start, stop - start)


def _boxes(read: _Read, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and end of the content of each box."""
    while at + 8 <= end:
        head = read(at, 16)
        length, name = struct.unpack(">I4s", head[:8])
        start = at + 8
        if length == 1:
            (length,) = struct.unpack(">Q", head[8:16])
            start = at + 16
        elif length == 0:
            length = end - at
        if length < start - at:
            return
        yield name, start, min(at + length, end)
        at += length


def _samples(track: dict[bytes, bytes], read: _Read) -> Iterator[Sample]:
    scale = _timescale(track[b"mdhd"]) if b"mdhd" in track else 0
    if not scale:
        raise ValueError("no time scale")
    sizes, durations = _sizes(track[b"stsz"]), _durations(track[b"stts"])
    t = 0
    places = zip(_places(track, sizes), sizes, durations, strict=False)
    for at, count, duration in places:
        piece = read(at, count)
        if len(piece) < count:
            return  # the file is cut off
        yield Sample(t * 10**9 // scale, duration * 10**9 // scale, piece)
        t += duration


def _timescale(table: bytes) -> int:
    return int(struct.unpack_from(">I", table, 20 if table[0] == 1 else 12)[0])


def _sizes(table: bytes) -> list[int]:
    same, count = struct.unpack_from(">II", table, 4)
    if count > MAX_SAMPLES:
        raise ValueError(f"{count} samples")
    return [same] * count if same else list(struct.unpack_from(f">{count}I", table, 12))


def _durations(table: bytes) -> Iterator[int]:
    (runs,) = struct.unpack_from(">I", table, 4)
    for run in range(min(runs, MAX_SAMPLES)):
        count, duration = struct.unpack_from(">II", table, 8 + 8 * run)
        for _ in range(min(count, MAX_SAMPLES)):
            yield duration


def _places(track: dict[bytes, bytes], sizes: list[int]) -> Iterator[int]:
    """Where each sample lies: samples stand in chunks, chunks anywhere."""
    wide = b"co64" in track
    table = track[b"co64"] if wide else track[b"stco"]
    (count,) = struct.unpack_from(">I", table, 4)
    if count > MAX_SAMPLES:
        raise ValueError(f"{count} chunks")
    chunks = struct.unpack_from(f">{count}{'Q' if wide else 'I'}", table, 8)
    (runs,) = struct.unpack_from(">I", track[b"stsc"], 4)
    firsts = [
        struct.unpack_from(">III", track[b"stsc"], 8 + 12 * run) for run in range(min(runs, count))
    ]
    sample = 0
    for number, at in enumerate(chunks, start=1):
        held = [each for first, each, _ in firsts if first <= number]
        for _ in range(held[-1] if held else 0):
            if sample >= len(sizes):
                return
            yield at
            at += sizes[sample]
            sample += 1
