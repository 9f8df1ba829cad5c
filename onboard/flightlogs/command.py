"""`geobridge log`: what is in flight logs, and their telemetry and truth as tables to replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from .. import durable
from ..config import ReplayConfig, load
from ..errors import DataError
from ..frames.picture import read_picture, size_of
from . import gnss, tables
from .flight_log import Clock, FlightLog, Receiver
from .lag import estimate_lag
from .match import PictureTimes, match_pictures
from .read import read_flight_log
from .series import rate_hz

NS_PER_S = 1_000_000_000


def tell(
    logs: Sequence[Path],
    telemetry: Path | None = None,
    truth: Path | None = None,
    pictures: Path | None = None,
    config: Path | None = None,
    shift_s: float = 0.0,
) -> dict[str, Any] | list[dict[str, Any]]:
    """Everything of one log, or a line for each of several.

    Args:
        logs: of any kind that `read` knows.
        telemetry: CSV to write, of one log; with `pictures` one row per picture.
        truth: CSV to write, of one log.
        pictures: a folder to find the times of on the clock of the log.
        config: TOML with a `camera` table, with which the lag of the pictures is estimated.
        shift_s: added to the times of the pictures.

    Raises:
        DataError: no log can be used, or what is asked for is not in it.
    """
    if len(logs) > 1:
        if telemetry or truth or pictures:
            raise DataError("several logs: tables and pictures are of one log")
        return _compared(logs)
    _check_targets(logs[0], {"--telemetry": telemetry, "--truth": truth})
    log = read_flight_log(logs[0])
    found = summary(log)
    matched = None
    if pictures is not None:
        matched = match_pictures(pictures, log, shift_s)
        found["pictures"] = _pictures(pictures, matched, log, config)
    if truth is not None and log.truth is None:
        raise DataError(f"{log.path}: nothing in it may be called truth")
    if telemetry is not None:
        text = (
            tables.picture_table(log.telemetry, matched.times_ns)
            if matched
            else tables.telemetry_table(log.telemetry)
        )
        found["telemetry"] = str(durable.write_text(telemetry, text))
    if truth is not None and log.truth is not None:
        found["truth"] = str(durable.write_text(truth, tables.truth_table(log.truth)))
    return found


def _check_targets(log: Path, targets: Mapping[str, Path | None]) -> None:
    """Nothing that is written may take the place of something else."""
    written: dict[Path, str] = {}
    for option, path in targets.items():
        if path is None:
            continue
        if path.is_dir():
            raise DataError(f"{option} {path}: a folder; expected the name of a CSV to write")
        if path.resolve() == log.resolve():
            raise DataError(f"{option} {path}: the log itself; expected another file")
        other = written.setdefault(path.resolve(), option)
        if other != option:
            raise DataError(f"{other} and {option}: both are {path}; expected two files")


def summary(log: FlightLog) -> dict[str, Any]:
    """Figures and sources of a log."""
    samples = log.telemetry.samples
    found: dict[str, Any] = {
        "log": str(log.path),
        "kind": log.kind,
        "clock": log.clock.value,
        "begins": _begins(log),
        "duration_s": (samples[-1].t_ns - samples[0].t_ns) / NS_PER_S,
        "rows": len(samples),
        "rate_hz": rate_hz(np.array([sample.t_ns for sample in samples], np.int64)),
        "is_simulated": log.is_simulated,
        "from": dict(log.provenance),
    }
    if log.truth is not None:
        found["truth_rows"] = len(log.truth.times_ns)
        found["truth_length_m"] = gnss.length_m(log.truth)
        found["truth_reach_m"] = gnss.reach_m(log.truth)
    found["receivers"] = {each.name: _receiver(each) for each in log.receivers}
    found["camera_messages"] = _camera_messages(log)
    found["oddities"] = list(log.oddities)
    return found


def _compared(logs: Sequence[Path]) -> list[dict[str, Any]]:
    """A line for each; one that cannot be used is told, and fails only where none can."""
    lines, reasons = [], []
    for path in logs:
        try:
            log = read_flight_log(path)
        except DataError as error:
            reasons.append(str(error))
            reason = str(error).removeprefix(f"{path}: ")
            lines.append(_line(str(path), "-", None, None, None, reason))
            continue
        samples = log.telemetry.samples
        duration_s = (samples[-1].t_ns - samples[0].t_ns) / NS_PER_S
        truth_rows = len(log.truth.times_ns) if log.truth else 0
        oddities = "; ".join(log.oddities) or "none"
        lines.append(_line(str(path), log.kind, duration_s, len(samples), truth_rows, oddities))
    if len(reasons) == len(logs):
        raise DataError(f"none of {len(logs)} logs can be used: {reasons[0]}")
    return lines


def _line(
    path: str,
    kind: str,
    duration_s: float | None,
    rows: int | None,
    truth_rows: int | None,
    oddities: str,
) -> dict[str, Any]:
    return {
        "log": path,
        "kind": kind,
        "duration_s": duration_s,
        "rows": rows,
        "truth_rows": truth_rows,
        "oddities": oddities,
    }


def _begins(log: FlightLog) -> str:
    """ISO 8601 where it is known, else seconds on the log's own clock."""
    start_ns = log.telemetry.samples[0].t_ns
    if log.clock in (Clock.UTC, Clock.CAMERA) and start_ns >= 366 * 86400 * NS_PER_S:
        whole = datetime.fromtimestamp(start_ns // NS_PER_S, tz=timezone.utc)
        zone = "Z" if log.clock is Clock.UTC else ", local"
        return f"{whole:%Y-%m-%dT%H:%M:%S}.{start_ns % NS_PER_S // 10**6:03d}{zone}"
    return f"{start_ns / NS_PER_S:.3f} s"


def _receiver(receiver: Receiver) -> dict[str, Any]:
    figures = {key: value for key, value in vars(receiver).items() if key not in ("name", "doubt")}
    return figures | ({"doubt": receiver.doubt} if receiver.doubt else {})


def _camera_messages(log: FlightLog) -> str:
    events = log.camera_events
    if not events:
        return "none"
    felt = sum(event.is_feedback for event in events)
    return f"{len(events)} {events[0].source}, {felt} of them by a felt shutter"


def _pictures(
    folder: Path, matched: PictureTimes, log: FlightLog, config: Path | None
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "matched": len(matched.times_ns),
        "by": matched.method,
        "how": matched.detail,
        "without_a_time": list(matched.unmatched),
    }
    if config is None or not matched.times_ns:
        return found
    size_px = size_of(read_picture(folder / min(matched.times_ns)))
    camera = load(ReplayConfig, config).camera.camera(*size_px)
    lag = estimate_lag(folder, matched.times_ns, log.telemetry, camera)
    found["lag"] = {
        "lag_s": lag.lag_s,
        "sigma_s": lag.sigma_s if np.isfinite(lag.sigma_s) else None,
        "contrast": lag.contrast,
        "pairs": lag.pairs,
        "residual_deg": lag.residual_deg,
        "verdict": lag.why_not or "to be believed: add it by --shift-s",
    }
    return found
