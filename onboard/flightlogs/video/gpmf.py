"""GPMF, the telemetry that GoPro cameras write into a track of their videos, on the video's clock.

A stream is a list of keys, each with a type, a size, a count and big-endian values, padded to four
bytes; `SCAL` divides what follows (https://gopro.github.io/gpmf-parser). Positions are the camera's
own receiver's. Its gyroscope lies in axes of its own, which differ by model, and is left alone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import DataError
from ..assemble import Channels, assemble
from ..flight_log import Clock, FlightLog
from ..gnss import FIX_3D, Solutions
from ..series import Floats, Times, series
from .mp4 import Sample, samples

_LETTERS = {"b": "b", "B": "B", "s": "h", "S": "H", "l": "i", "L": "I", "f": "f", "d": "d"}
_LETTERS |= {"j": "q", "J": "Q"}
_ELLIPSOID, _SEA = "WGS8", "MSLV"
"""What `GPSA` says heights are measured from; older cameras do not say, and mean the ellipsoid."""
_METRES_PER_DOP = 3.0
"""1-sigma per axis of a small receiver, by its dilution of precision."""
_NO_DOP = 99.0


@dataclass(frozen=True)
class _Block:
    """The positions of one second: [N] degrees, metres, and what holds for all of them."""

    times_ns: Times
    lat_deg: Floats
    lon_deg: Floats
    alt_m: Floats
    fix: Floats
    dop: Floats
    datum: str


def read_gpmf(path: Path) -> FlightLog:
    """Positions of a video.

    Raises:
        DataError: no telemetry in it, or none with a position.
    """
    pieces = samples(path, b"gpmd")
    if not pieces:
        raise DataError(f"{path}: a video without telemetry in it, and no .SRT beside it")
    blocks = [block for piece in pieces for block in _blocks(piece)]
    if not blocks:
        raise DataError(f"{path}: its telemetry holds no position")
    found = Channels(belief="the camera's own")
    times_ns = np.concatenate([block.times_ns for block in blocks])

    def all_of(name: str) -> Floats:
        return np.concatenate([getattr(block, name) for block in blocks])

    dop = all_of("dop")
    datums = {block.datum for block in blocks}
    altitude = all_of("alt_m") if datums == {_SEA} else np.full(len(times_ns), np.nan)
    if datums != {_SEA}:
        found.findings.append("heights are above the ellipsoid, not the sea; not used")
    found.receivers = [
        Solutions(
            "GoPro",
            times_ns,
            all_of("fix"),
            all_of("lat_deg"),
            all_of("lon_deg"),
            altitude,
            np.full(len(times_ns), np.nan),
            dop,
            np.where(dop < _NO_DOP, dop * _METRES_PER_DOP, np.nan),
        )
    ]
    if datums == {_SEA}:
        good = np.where(all_of("fix") >= FIX_3D, altitude, np.nan)
        source = "GoPro, above mean sea level"
        found.altitude = series(times_ns, [good], source, found.findings)
    return assemble(path, "gpmf", Clock.VIDEO, "the video's own, by the track's samples", found)


def _blocks(piece: Sample) -> Iterator[_Block]:
    for key, body, _ in _entries(piece.data):
        if key != "DEVC":
            continue
        for inner, stream, _ in _entries(body):
            if inner == "STRM":
                block = _block(piece, stream)
                if block is not None:
                    yield block


def _entries(data: bytes) -> Iterator[tuple[str, bytes, tuple[str, int, int]]]:
    """Key, value, and type, size and count of each; what does not fit ends it."""
    at = 0
    while at + 8 <= len(data):
        key, letter, size, count = struct.unpack_from(">4scBH", data, at)
        end = at + 8 + size * count
        if end > len(data):
            return
        yield key.decode("latin-1"), data[at + 8 : end], (letter.decode("latin-1"), size, count)
        at = end + -end % 4


def _block(piece: Sample, stream: bytes) -> _Block | None:
    found = {key: (body, shape) for key, body, shape in _entries(stream)}
    rows = _rows(found, "GPS9") if "GPS9" in found else _rows(found, "GPS5")
    if rows is None or not len(rows):
        return None
    count = len(rows)
    if "GPS9" in found:
        fix, dop = rows[:, 8], rows[:, 7]
    else:
        fix = np.full(count, _single(found, "GPSF", 0.0))
        dop = np.full(count, _single(found, "GPSP", _NO_DOP * 100.0) / 100.0)
    steps = np.arange(count, dtype=np.int64) * piece.duration_ns // count
    datum = found["GPSA"][0].decode("latin-1").strip("\0 ") if "GPSA" in found else _ELLIPSOID
    lat_deg, lon_deg, alt_m = rows[:, :3].T
    return _Block(piece.t_ns + steps, lat_deg, lon_deg, alt_m, fix, dop, datum)


def _rows(found: dict[str, tuple[bytes, tuple[str, int, int]]], key: str) -> Floats | None:
    """[N, K] scaled values of a key; None where its shape is another than is known."""
    if key not in found or "SCAL" not in found:
        return None
    body, (letter, size, count) = found[key]
    width = 9 if key == "GPS9" else 5
    letters = "lllllllSS" if letter == "?" else letter * width
    try:
        layout = struct.Struct(">" + "".join(_LETTERS[each] for each in letters))
        scales = _values(found["SCAL"])
    except KeyError:
        return None
    if layout.size != size or len(scales) not in (1, width) or not all(scales):
        return None
    rows = np.array(list(layout.iter_unpack(body[: size * count])), np.float64)
    return rows.reshape(-1, width) / np.array(scales, np.float64)


def _values(entry: tuple[bytes, tuple[str, int, int]]) -> list[float]:
    body, (letter, _, _) = entry
    layout = struct.Struct(">" + _LETTERS[letter])
    whole = len(body) // layout.size * layout.size
    return [float(value) for (value,) in layout.iter_unpack(body[:whole])]


def _single(found: dict[str, tuple[bytes, tuple[str, int, int]]], key: str, absent: float) -> float:
    try:
        return _values(found[key])[0]
    except (KeyError, IndexError):
        return absent
