"""`geobridge replay`: recorded flights through the same Localizer that flies, without a clock.

<out>/fixes.jsonl     a line per frame: the fix, or the reason why there is none; byte-equal
                      whenever the same flight is replayed with the same bundle and settings
<out>/summary.json    availability, accuracy against the truth, versions; byte-equal too
<out>/timing.json     latency by stage, on this machine
<out>/report.html     all of it to look at, offline
<out>/map.png         track, truth and fixes over the reference imagery
<out>/track.*         for other programs: GeoJSON, KML, GPX, and MCAP for Foxglove

Several bundles or settings have a folder each, and in it several flights.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from .. import durable
from ..errors import DataError, DifferenceError
from .apart import must_lie_apart
from .conclude import MAP, REPORT
from .expected import DIFFERENCES, Line, must_be_equal, stored_lines
from .fleet import Engine, Told, fly_all
from .flight import Source, Span
from .localize import FIXES, Job
from .picture import require_matplotlib
from .reflown import HELD, Held
from .table import page_of, row_of
from .variant import Variant, unlike, variants

HEADLINES = ("frames", "fixes", "availability", "withheld", "accuracy", "latency_ms")
FLIGHTS = "flights"


def replay(
    logs: Sequence[str],
    bundles: Sequence[Path],
    out: Path,
    *,
    frames: Sequence[str] = (),
    telemetry: Sequence[Path] = (),
    truth: Sequence[Path] = (),
    configs: Sequence[Path] = (),
    rate_hz: float | None = None,
    video_at_s: float | None = None,
    estimate_lag: bool = False,
    from_s: float = 0.0,
    to_s: float | None = None,
    without_gnss_after_s: float | None = None,
    expect: Path | None = None,
    pictures: int = 60,
    workers: int = 1,
    engine: Engine = "local",
    overrides: Sequence[str] = (),
) -> dict[str, Any] | list[dict[str, Any]]:
    """Localize every frame of recordings; the figures a person asks for first, of one flight as a
    tree and of several as rows.

    Args:
        logs: of each flight the flight record, the autopilot's log, or the pictures themselves.
        bundles: what to fly with; each of several.
        out: folder for the results.
        frames: of each flight, where its log has no pictures.
        telemetry: table of each flight, see `flightlogs.telemetry_csv`, where its log has none.
        truth: table of true positions of each flight, see `flightlogs.truth_csv`.
        configs: TOML with `camera` and `localizer` tables, and `trusted_keys`; each of several.
        rate_hz: pictures per second of a folder whose telemetry does not name them.
        video_at_s: when the video began, in seconds since the first row of a log that counts
            otherwise.
        estimate_lag: find by how much the photos' clock is off the log's.
        from_s: first moment, in seconds since the first frame.
        to_s: last moment.
        without_gnss_after_s: from then on telemetry says nothing that came of GNSS.
        expect: fixes.jsonl that must come out again.
        pictures: moments of which the report has pictures.
        workers: flights at a time, on this machine.
        engine: "ray" uses all machines of a cluster.
        overrides: `camera.hfov_deg=73.7` and the like, over the files'.

    Raises:
        ConfigError, DataError, BundleError, EngineError: in one line, before anything is written.
        DifferenceError: it came out otherwise than expected, or than it was decided in flight.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: exists and is not a folder")
    if from_s < 0.0:
        raise DataError(f"--from {from_s:g} s: expected 0 or more, counted from the first frame")
    if to_s is not None and not to_s > from_s:
        raise DataError(f"--to {to_s:g} s: expected a moment after --from {from_s:g} s")
    require_matplotlib()
    moments: dict[str, Any] = {
        "rate_hz": rate_hz,
        "video_at_s": video_at_s,
        "estimate_lag": estimate_lag,
    }
    sources = [replace(each, **moments) for each in _sources(logs, frames, telemetry, truth)]
    flown_with = variants(bundles, configs, overrides)
    if expect is not None and len(sources) * len(flown_with) > 1:
        raise DataError("--expect: expected one flight with one bundle and one configuration")
    stored = None if expect is None else _stored(expect, out)
    span = Span(from_s, to_s, without_gnss_after_s)
    jobs = _jobs(sources, flown_with, out, span, pictures)
    must_lie_apart(out, jobs)
    told = fly_all(jobs, workers, engine)
    for each in told:
        (each.job.out / DIFFERENCES).unlink(missing_ok=True)  # of an earlier replay
    if stored is not None:
        must_be_equal(out / FIXES, stored)
    answer = _of_one(told[0], out) if len(told) == 1 else _of_many(told, out)
    _must_be_as_in_flight(told)
    return answer


def _jobs(
    sources: Sequence[Source], flown_with: Sequence[Variant], out: Path, span: Span, pictures: int
) -> list[Job]:
    """Every flight with every variant, each with a folder of its own where there are several."""
    names = unlike([source.name for source in sources])
    folders = names if len(names) > 1 else [""]
    return [
        Job(name, source, variant, out / variant.name / folder, span, pictures)
        for name, source, folder in zip(names, sources, folders, strict=True)
        for variant in flown_with
    ]


def _of_one(told: Told, out: Path) -> dict[str, Any]:
    summary = told.summary or {}
    written = {"report": str(out / REPORT), "picture": str(out / MAP)}
    return {key: summary[key] for key in HEADLINES} | written


def _of_many(told: Sequence[Told], out: Path) -> list[dict[str, Any]]:
    """A row of each, which are also a table beside their folders."""
    rows = [row_of(each) for each in told]
    durable.write_text(out / f"{FLIGHTS}.json", json.dumps(rows, indent=1) + "\n")
    durable.write_text(out / f"{FLIGHTS}.html", page_of(told, out))
    return rows


def _stored(expect: Path, out: Path) -> list[Line]:
    """What must come out again, read before anything is written."""
    if expect.resolve() == (out / FIXES).resolve():
        raise DataError(f"--expect {expect}: this replay would overwrite it; give another -o")
    return stored_lines(expect)


def _must_be_as_in_flight(told: Sequence[Told]) -> None:
    """Of flights that are flown again from their records, as far as they are flown alike."""
    for each in told:
        held = (each.summary or {}).get(HELD)
        if held is not None and Held(**held).differs:
            raise DifferenceError(f"{each.job.source.log}: {Held(**held)}; see {each.job.out}")


def _sources(
    logs: Sequence[str],
    frames: Sequence[str],
    telemetry: Sequence[Path],
    truth: Sequence[Path],
) -> list[Source]:
    for option, given in (("frames", frames), ("telemetry", telemetry), ("truth", truth)):
        if len(given) not in (0, len(logs)):
            counted = f"{len(logs)} flights and {len(given)} of them"
            raise DataError(f"--{option}: expected one for each flight in their order, {counted}")
    return [Source(*of_one) for of_one in zip_longest(logs, frames, telemetry, truth)]
