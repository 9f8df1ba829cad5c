"""`geobridge replay`: a recorded flight through the same Localizer that flies, without a clock.

<out>/fixes.jsonl     a line per frame: the fix, or the reason why there is none; byte-equal
                      whenever the same flight is replayed with the same bundle and settings
<out>/summary.json    availability, accuracy against the truth, latency by stage, versions
<out>/map.png         track, truth and fixes over the reference imagery
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from . import durable
from .config import ReplayConfig, load
from .errors import DataError
from .flightlogs.flight_record import FlightRecord, newest_record
from .flightlogs.telemetry_csv import read_telemetry
from .flightlogs.truth_csv import Track, read_track
from .found import read_prior
from .frames.source import open_source
from .localization.localizer import Localizer, open_localizer
from .outcome import Outcome
from .records import Fix
from .reflown import as_flown, compare, is_record
from .report import draw_map, require_matplotlib
from .summary import summarise

log = logging.getLogger(__name__)

HEADLINES = ("frames", "fixes", "availability", "withheld", "accuracy", "latency_ms")
_PROGRESS_EVERY_S = 5.0


@dataclass
class StageTimes:
    """Milliseconds of every stage of every frame, from marks set at the end of each."""

    stages_ms: dict[str, list[float]] = field(default_factory=dict)
    _since_ns: int = 0

    def start(self) -> None:
        """A frame begins."""
        self._since_ns = time.perf_counter_ns()

    def mark(self, stage: str) -> None:
        """A stage ends."""
        now = time.perf_counter_ns()
        self.stages_ms.setdefault(stage, []).append((now - self._since_ns) * 1e-6)
        self._since_ns = now


def replay(
    frames: str,
    telemetry: Path | None,
    bundle: Path,
    out: Path,
    truth: Path | None = None,
    config: Path | None = None,
    rate_hz: float | None = None,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Localize every frame of a recording; the figures of summary.json a person asks for first.

    Args:
        frames: a video file, a folder of pictures, or a flight record that has every frame.
        telemetry: CSV, see `flightlogs.telemetry_csv`; a flight record has its own.
        bundle: what to fly with.
        out: folder for the results.
        truth: CSV of true positions, see `flightlogs.truth_csv`.
        config: TOML with `camera` and `localizer` tables, and `trusted_keys`.
        rate_hz: pictures per second of a folder whose telemetry does not name them.
        overrides: `camera.hfov_deg=73.7` and the like, over the file's.

    Raises:
        ConfigError, DataError, BundleError, EngineError: in one line, before anything is written.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: exists and is not a folder")
    require_matplotlib()
    flown = FlightRecord(newest_record(Path(frames))) if is_record(frames) else None
    settings = load(ReplayConfig, config, overrides, as_flown(flown) if flown else None)
    samples = flown or read_telemetry(_required(telemetry, frames))
    times_ns = samples.times_by_file()
    track = read_track(truth, times_ns) if truth else None
    source = flown or open_source(frames, rate_hz=rate_hz, times_ns=times_ns)
    times = StageTimes()
    camera = settings.camera.camera(*source.size_px)
    localizer = open_localizer(
        bundle,
        settings.localizer,
        camera,
        times.mark,
        settings.trusted_keys,
        read_prior(Path(settings.prior)) if settings.prior else None,
    )
    outcomes: list[Outcome] = []
    progress = _Progress()
    for frame in source:
        times.start()
        if flown and flown.was_reset(frame.t_capture_ns):
            localizer.reset()
        result = localizer.handle(frame, samples.at(frame.t_capture_ns))
        there = track.at(frame.t_capture_ns) if track else None
        outcomes.append(Outcome(frame.name, result, there))
        progress.update(outcomes)
    if not outcomes:
        raise DataError(f"{frames}: no frame to replay")
    if flown:
        compare(flown, [outcome.result for outcome in outcomes])
    summary = _write(out, outcomes, track, times, localizer, bundle, settings)
    return {key: summary[key] for key in HEADLINES} | {"picture": str(out / "map.png")}


def _required(telemetry: Path | None, frames: str) -> Path:
    if telemetry is None:
        raise DataError(f"{frames}: a recording without its own telemetry; give --telemetry")
    return telemetry


def _write(
    out: Path,
    outcomes: list[Outcome],
    track: Track | None,
    times: StageTimes,
    localizer: Localizer,
    bundle: Path,
    settings: ReplayConfig,
) -> dict[str, Any]:
    lines = (json.dumps(line_of(outcome), allow_nan=False) for outcome in outcomes)
    durable.write_text(out / "fixes.jsonl", "\n".join(lines) + "\n")
    summary = summarise(outcomes, times.stages_ms, bundle, settings)
    durable.write_text(out / "summary.json", json.dumps(summary, indent=1, allow_nan=False) + "\n")
    durable.write_file(out / "map.png", lambda path: draw_map(path, outcomes, track, localizer))
    return summary


def line_of(outcome: Outcome) -> dict[str, Any]:
    """One line of fixes.jsonl. Nothing in it depends on the machine's speed."""
    result = outcome.result
    line: dict[str, Any] = {"t_capture_ns": result.t_capture_ns, "frame": outcome.name}
    if isinstance(result, Fix):
        line["fix"] = _plain(vars(result), leave_out=("t_capture_ns",))
        line["error_m"] = outcome.error_m
    else:
        line["rejection"] = _plain(vars(result), leave_out=("t_capture_ns",))
    return line


def _plain(values: Mapping[str, Any], leave_out: Sequence[str]) -> dict[str, Any]:
    return {
        key: value.value if isinstance(value, Enum) else value
        for key, value in values.items()
        if key not in leave_out
    }


class _Progress:
    def __init__(self) -> None:
        self.printed = time.monotonic()

    def update(self, outcomes: Sequence[Outcome]) -> None:
        now = time.monotonic()
        if now - self.printed < _PROGRESS_EVERY_S:
            return
        self.printed = now
        fixes = sum(isinstance(outcome.result, Fix) for outcome in outcomes)
        log.info("%d frames, %d fixes", len(outcomes), fixes)
