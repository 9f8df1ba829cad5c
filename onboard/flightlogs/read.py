"""Any flight log to one `FlightLog`; what a file is, it says by its first bytes, not by its name."""

from __future__ import annotations

from pathlib import Path

from .flight_log import Clock, FlightLog
from .flight_record import FlightRecord
from .telemetry_csv import TelemetryLog, read_telemetry
from .tlog import read_tlog

_MCAP = b"\x89MCAP0"


def read_flight_log(path: Path) -> FlightLog:
    """Read a flight log of any kind.

    Raises:
        DataError: nothing of it can be used, and why, in one line.
    """
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(_MCAP):
        record = FlightRecord(path)
        return FlightLog(path, "record", Clock.BOOT, TelemetryLog(record.samples()))
    if head.startswith((b"time_s", b"file", b"\xef\xbb\xbf")):
        return FlightLog(path, "csv", Clock.VIDEO, read_telemetry(path))
    return FlightLog(path, "tlog", Clock.UTC, read_tlog(path))
