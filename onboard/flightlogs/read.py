"""Any flight log to one `FlightLog`. What a file is, its first bytes say, not its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..frames.folder import SUFFIXES, pictures_of
from .ardupilot.dataflash import read_dataflash
from .ardupilot.rows import BINARY_HEAD
from .ardupilot.rows import HEAD_BYTES as DESCRIBED_BYTES
from .flight_log import Clock, FlightLog
from .flight_record import HEAD as MCAP_HEAD
from .mavlink.messages import looks_like_tlog
from .mavlink.tlog import read_tlog
from .mcap_log import read_mcap
from .pictures.photos import read_photos
from .px4.topics import HEAD as ULOG_HEAD
from .px4.ulog import read_ulog
from .recorder import SUFFIX
from .telemetry_csv import COLUMNS, read_telemetry
from .video.gpmf import read_gpmf
from .video.mp4 import looks_like_mp4
from .video.srt import CUE, DATED, read_srt

HEAD_BYTES = 4096
TABLES = frozenset({*COLUMNS, "file", "lat_deg", "lon_deg"})
"""Columns by which a table is known though it lacks the one that is needed."""
LOG_SUFFIXES = frozenset({".bin", ".log", ".tlog", ".ulg", ".srt", ".mp4", ".mov"})
_KNOWN = "DataFlash (.bin, .log), .tlog, .ulg, .mcap, .SRT, GoPro's video, CSV, a folder of photos"


def read_flight_log(path: Path) -> FlightLog:
    """A log of any kind, a video that holds telemetry or has an .SRT beside it, a folder of photos.

    Raises:
        DataError: nothing of it can be used, and why, in one line.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise DataError(f"{path}: neither a file nor a folder")  # a pipe would be waited for
    reader = _read_folder if path.is_dir() else _reader_of(path)
    with np.errstate(all="ignore"):  # numbers of a damaged log may be anything
        return reader(path)


def _reader_of(path: Path) -> Callable[[Path], FlightLog]:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    if not head:
        raise DataError(f"{path}: an empty file")
    for fits, reader in _KINDS:
        if fits(head):
            return reader
    raise DataError(f"{path}: {_guess(head)}; known are {_KNOWN}")


def _read_folder(path: Path) -> FlightLog:
    """Photos, or the newest record that a daemon left there."""
    if any(each.suffix.lower() in SUFFIXES for each in path.iterdir()):
        return read_photos(path, pictures_of(path))
    if not any(path.glob(f"*{SUFFIX}")):
        raise DataError(f"{path}: {_lacking(path)}")
    return read_mcap(path)


def _lacking(folder: Path) -> str:
    """What was expected in a folder, and which log lies there instead."""
    told = f"holds neither photos nor a flight record ({SUFFIX})"
    logs = [each.name for each in sorted(folder.iterdir()) if each.suffix.lower() in LOG_SUFFIXES]
    return f"{told}, but {', '.join(logs)}; give {folder / logs[0]}" if logs else told


def _read_csv(path: Path) -> FlightLog:
    log = read_telemetry(path)
    findings = [] if log.samples[0].prior else ["no position in it"]
    source = "its own time_s: as the frames that it belongs to"
    return FlightLog(path, "csv", Clock.VIDEO, log, None, {"clock": source}, tuple(findings))


def _read_video(path: Path) -> FlightLog:
    """Telemetry beside a video before telemetry in it."""
    for suffix in (".srt", ".SRT"):
        beside = path.with_suffix(suffix)
        if beside.is_file():
            return read_srt(beside)
    return read_gpmf(path)


def _looks_like_text_log(head: bytes) -> bool:
    """The first row of DataFlash as text describes rows, after a few lines of other things."""
    return any(line.startswith(b"FMT,") for line in head.splitlines())


def _looks_like_srt(head: bytes) -> bool:
    text = head.decode("utf-8", "replace")
    return any(known.search(text) for known in (CUE, DATED))


def _looks_like_csv(head: bytes) -> bool:
    return "time_s" in _names(head)


def _names(head: bytes) -> list[str]:
    """Of the columns, if it is a table."""
    first = head.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0].decode("utf-8", "replace")
    return [name.strip() for name in first.split(",")]


def _guess(head: bytes) -> str:
    """What it seems to be instead."""
    start = head.lstrip()[:200]
    if start.startswith(b"version https://git-lfs"):
        return "a pointer to a large file that was not fetched, not the log itself"
    if start.startswith((b"{", b"[")):
        return "JSON, not a flight log"
    if start.startswith((b"<!", b"<html", b"<?xml")):
        return "a web page or XML, not a flight log"
    if TABLES.intersection(_names(head)):
        return f"a table ({', '.join(_names(head))}) without the column time_s"
    is_text = b"\0" not in head and len(head.decode("utf-8", "ignore").encode()) > len(head) - 4
    return "text, not a flight log" if is_text else "not a flight log"


_KINDS: tuple[tuple[Callable[[bytes], bool], Callable[[Path], FlightLog]], ...] = (
    (lambda head: head.startswith(ULOG_HEAD), read_ulog),
    (lambda head: head.startswith(MCAP_HEAD), read_mcap),
    (lambda head: BINARY_HEAD in head[:DESCRIBED_BYTES], read_dataflash),
    (looks_like_tlog, read_tlog),
    (looks_like_mp4, _read_video),
    (_looks_like_text_log, read_dataflash),
    (_looks_like_srt, read_srt),
    (_looks_like_csv, _read_csv),
)
