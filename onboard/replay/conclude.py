"""What a replay leaves behind, from fixes.jsonl and what was kept beside it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import durable
from ..bundle import read_manifest
from ..manifest import Manifest, parse_manifest
from ..strict_json import strict_json
from .columns import Columns
from .flight import Flight, open_flight
from .lagged import without_lag
from .localize import FIXES, Flown, Job, localize, opened, tidy, work_of, working
from .pair_pictures import paths_of
from .picture import draw_map
from .reflown import HELD, as_flown
from .report import write_report
from .summary import summarise
from .times import StageTimes
from .tracks import geojson, gpx, kml
from .viewer import write_mcap

SUMMARY, TIMING, REPORT, MAP = "summary.json", "timing.json", "report.html", "map.png"
TRACK = "track"
TRACKS = ("geojson", "kml", "gpx", "mcap")
RESULTS = (FIXES, *(f"{TRACK}.{kind}" for kind in TRACKS), MAP, REPORT, SUMMARY)
"""What lies beside timing.json, which names the work and is there while all of them are of it."""


def fly_and_tell(job: Job) -> dict[str, Any]:
    """One job from its paths to its folder; the summary, and what was measured of time.

    A job whose results are there already is not done again.

    Raises:
        ConfigError, DataError, BundleError, EngineError: in one line, before anything is written.
    """
    flight = open_flight(job.source)
    settings = job.variant.settings(as_flown(flight.record) if flight.record else None)
    if job.source.estimate_lag:
        flight = without_lag(flight, settings.camera.camera(*flight.frames.size_px))
    work = work_of(job, settings)
    done = _done_already(job.out, work)
    if done is not None:
        flight.frames.close()
        tidy(job.out)
        return done
    times = StageTimes()
    localizer = opened(job, settings, flight, times)
    with working(job.out) as folder:
        flown = localize(job, flight, settings, localizer, times, folder, work)
        _begin(job.out, folder / FIXES)
        columns = Columns.read(job.out / FIXES)
        summary = summarise(columns, job.variant.bundle, settings)
        manifest = parse_manifest(read_manifest(job.variant.bundle), str(job.variant.bundle))
        summary |= _provenance(job, flight, manifest)
        summary[HELD] = asdict(flown.held) if flown.held else None
        timing = flown.timing | {"work": work, "paths": paths_of(job.source, job.variant.bundle)}
        _write(job, flown, columns, manifest, summary, timing)
    return summary | timing


def _done_already(out: Path, work: str) -> dict[str, Any] | None:
    try:
        summary, timing = (strict_json((out / name).read_bytes()) for name in (SUMMARY, TIMING))
        is_done = timing["work"] == work and all((out / name).is_file() for name in RESULTS)
        return {**summary, **timing} if is_done else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _begin(out: Path, fixes: Path) -> None:
    """Put fixes in the place of results of other work, whose name is off the disk before."""
    (out / TIMING).unlink(missing_ok=True)
    durable.sync(out)
    for name in RESULTS:
        (out / name).unlink(missing_ok=True)
    fixes.replace(out / FIXES)


def _provenance(job: Job, flight: Flight, manifest: Manifest) -> dict[str, Any]:
    """Where all of it came from."""
    span, bundle = job.span, job.variant.bundle
    return {
        "flight": job.name,
        "read_from": flight.provenance,
        "remarks": list(flight.remarks),
        "span": {
            "from_s": span.from_s,
            "to_s": span.to_s,
            "without_gnss_after_s": span.without_gnss_after_s,
        },
        "bundle": {
            "name": bundle.resolve().name,
            "version": manifest.bundle_version,
            "producer": manifest.producer,
            "sources": [source.model_dump(mode="json") for source in manifest.coverage.sources],
            "accuracy": manifest.accuracy.model_dump(mode="json"),
        },
    }


def _write(
    job: Job,
    flown: Flown,
    columns: Columns,
    manifest: Manifest,
    summary: dict[str, Any],
    timing: dict[str, Any],
) -> None:
    """timing.json comes last: with it the results are whole."""
    out, name, offset_ns = job.out, job.name, flown.flight.unix_offset_ns
    durable.write_text(out / f"{TRACK}.geojson", geojson(columns))
    durable.write_text(out / f"{TRACK}.kml", kml(columns, name))
    durable.write_text(out / f"{TRACK}.gpx", gpx(columns, name, offset_ns))
    durable.write_file(
        out / f"{TRACK}.mcap", lambda path: write_mcap(path, columns, flown.pictured, offset_ns)
    )
    truth = flown.flight.truth
    durable.write_file(out / MAP, lambda path: draw_map(path, columns, truth, flown.localizer))
    write_report(out / REPORT, columns, flown, manifest.reference_imagery, summary, timing)
    _write_json(out / SUMMARY, summary)
    _write_json(out / TIMING, timing)


def _write_json(path: Path, tree: dict[str, Any]) -> None:
    durable.write_text(path, json.dumps(tree, indent=1, allow_nan=False) + "\n")
