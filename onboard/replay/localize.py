"""Every frame of a flight through the Localizer, without a clock: a line of fixes.jsonl for each.

Stopped, it goes on: see `known`. Lines are written as they come, and nothing of a frame is kept
but what the report shows of a few.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from .. import durable
from ..bundle import read_manifest, sha256
from ..config import ReplayConfig
from ..errors import DataError, GeobridgeError
from ..found import read_prior
from ..localization.localizer import Localizer
from ..localization.opened import open_localizer
from ..records import Fix, Frame, Rejection, Telemetry
from ..trust import SIGNATURES_SUFFIX, Trust
from .ahead import Ahead
from .album import Album, Pictured
from .flight import Flight, Source, Span
from .known import Known, KnownEncoder, known_verify
from .outcome import Outcome, line_of
from .reflown import Held, changed, hold
from .summary import versions
from .times import StageTimes, quantiles_ms
from .variant import Variant

FIXES = "fixes.jsonl"
WORK = f"{durable.TEMPORARY_PREFIX}replay"
"""Folder of what a replay that was stopped knows already, beside its results."""
_PROGRESS_EVERY_S = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One flight with one variant, into one folder. `pictures`: moments shown in the report."""

    name: str
    source: Source
    variant: Variant
    out: Path
    span: Span
    pictures: int = 60

    def resolved(self) -> Job:
        """The same from whatever folder somebody looks."""
        source, variant = self.source.resolved(), self.variant.resolved()
        return replace(self, source=source, variant=variant, out=self.out.resolve())


@dataclass(frozen=True)
class Flown:
    """What is left when every frame was looked at, beside fixes.jsonl."""

    flight: Flight
    localizer: Localizer
    pictured: list[Pictured]
    timing: dict[str, Any]
    held: Held | None = None
    """Against what was decided in flight, where there is a record of it."""


def localize(
    job: Job,
    flight: Flight,
    settings: ReplayConfig,
    localizer: Localizer,
    times: StageTimes,
    folder: Path,
    work: str,
) -> Flown:
    """Write fixes.jsonl beside what is known, and give what a report is made of.

    Args:
        job: what is flown, and where to.
        flight: opened.
        settings: of the variant.
        localizer: of the variant, which marks `times`.
        times: of its stages.
        folder: keeps what is known, and fixes.jsonl, see `working`.
        work: names the work, see `work_of`.

    Raises:
        DataError: pictures that cannot be read, or none.
    """
    known = Known(folder / "known.bin", work, times.add)
    localizer.encoder = KnownEncoder(localizer.encoder, known)
    localizer.verify = known_verify(localizer.verify, known)
    album = Album(localizer, job.pictures)
    results: list[Fix | Rejection] = []
    started_s = time.monotonic()
    with closing(known), closing(Ahead(flight.within(job.span))) as shown:
        lines = _lines(job, flight, shown, localizer, times, album, results)
        frames = _write(folder / FIXES, lines)
    if not frames:
        raise DataError(f"{job.source.frames or job.source.log}: no frame to replay")
    took_s = time.monotonic() - started_s
    durable.sync(folder / FIXES)
    timing = {
        "latency_ms": quantiles_ms(times.stages_ms),
        "stages_s": {stage: round(sum(ms) * 1e-3, 3) for stage, ms in times.stages_ms.items()},
        "took_s": round(took_s, 3),
        "frames_per_s": round(frames / took_s, 3),
        "machine": platform.platform(),
    }
    held = _held(job, flight, settings, results)
    return Flown(flight, localizer, album.pictured(), timing, held)


@contextmanager
def working(out: Path) -> Iterator[Path]:
    """The folder of what is known so far: gone when all is done or nothing can be, left when it
    was stopped.

    Raises:
        DataError: another replay has it.
    """
    made = not out.exists()
    work = out / WORK
    work.mkdir(parents=True, exist_ok=True)
    with durable.held(os.open(work, os.O_RDONLY), DataError(f"{out}: another replay writes there")):
        try:
            yield work
        except GeobridgeError:
            shutil.rmtree(out if made else work, ignore_errors=True)
            raise
        shutil.rmtree(work)


def tidy(out: Path) -> None:
    """Take away what a replay left that was stopped when all was done.

    Raises:
        DataError: another replay writes there.
    """
    if (out / WORK).exists():
        with working(out):
            pass


def work_of(job: Job, settings: ReplayConfig) -> str:
    """All that the results depend on, as one name: the same work gives the same results.

    Raises:
        BundleError: there is no bundle.
    """
    facts = {
        "name": job.name,
        "code": code_sha256(),
        "versions": versions(),
        "bundle": hashlib.sha256(read_manifest(job.variant.bundle)).hexdigest(),
        "settings": settings.model_dump(mode="json"),
        "span": [job.span.from_s, job.span.to_s, job.span.without_gnss_after_s],
        "files": [_identity(path) for path in job.source.files],
        "times": [job.source.rate_hz, job.source.video_at_s, job.source.estimate_lag],
        "pictures": job.pictures,
        "told": [sha256(path) if path.is_file() else "" for path in _named_in(settings)],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@cache
def code_sha256() -> str:
    """Of all that flies and reports, as it is installed: a version says less while it is worked
    on."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted([*root.rglob("*.py"), *(Path(__file__).parent / "page").iterdir()]):
        digest.update(f"{path.relative_to(root)}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def opened(job: Job, settings: ReplayConfig, flight: Flight, times: StageTimes) -> Localizer:
    """The localizer of a job.

    Raises:
        ConfigError, BundleError, EngineError: in one line.
    """
    camera = settings.camera.camera(*flight.frames.size_px)
    prior = read_prior(Path(settings.prior)) if settings.prior else None
    keys = Trust.of_device(settings.trusted_keys, settings.trust)
    return open_localizer(job.variant.bundle, settings.localizer, camera, times.mark, keys, prior)


def _lines(
    job: Job,
    flight: Flight,
    shown: Iterable[tuple[Frame, Telemetry]],
    localizer: Localizer,
    times: StageTimes,
    album: Album,
    results: list[Fix | Rejection],
) -> Iterator[str]:
    """What became of the frames of a record is added to `results`."""
    progress, record = _Progress(job), flight.record
    for frame, telemetry in shown:
        times.start()
        if record and record.was_reset(frame.t_capture_ns):
            localizer.reset()
        result = localizer.handle(frame, telemetry)
        looked = localizer.looked
        there = flight.truth.at(frame.t_capture_ns) if flight.truth else None
        evidence = looked.evidence if looked else None
        outcome = Outcome(frame.name, result, there, telemetry, evidence)
        album.consider(frame, outcome, looked)
        progress.update(isinstance(result, Fix))
        if record:
            results.append(result)
        yield line_of(outcome)


def _held(
    job: Job, flight: Flight, settings: ReplayConfig, results: Sequence[Fix | Rejection]
) -> Held | None:
    """A part of a flight begins in another state than the whole, and may end otherwise."""
    if flight.record is None:
        return None
    if job.span != Span():
        log.warning("%s: not held against what was decided in flight: only a part of it", job.name)
        return None
    return hold(flight.record, results, changed(flight.record, job.variant.bundle, settings))


def _write(path: Path, lines: Iterator[str]) -> int:
    with path.open("w", encoding="utf-8") as file:
        return sum(bool(file.write(f"{line}\n")) for line in lines)


def _named_in(settings: ReplayConfig) -> list[Path]:
    """Files that settings name, and what is read beside them; all small."""
    trust, lists = settings.trust, []
    if trust.key_list is not None:
        lists = [trust.key_list, trust.key_list.with_name(trust.key_list.name + SIGNATURES_SUFFIX)]
    named = [Path(each) for each in (settings.prior, settings.camera.calibration) if each]
    return [*named, *(settings.trusted_keys or ()), *lists, *(trust.root_keys or ())]


def _identity(path: Path) -> list[Any]:
    """Of a file or the files of a folder, without reading them; of what is not there nothing."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    found = ((file, file.stat()) for file in files if file.is_file())
    return [[str(file), stat.st_size, stat.st_mtime_ns] for file, stat in found]


class _Progress:
    def __init__(self, job: Job) -> None:
        self._name = " ".join(filter(None, (job.name, job.variant.name)))
        self._frames = self._fixes = 0
        self._started_s = self._printed_s = time.monotonic()

    def update(self, is_fix: bool) -> None:
        self._frames, self._fixes = self._frames + 1, self._fixes + is_fix
        now_s = time.monotonic()
        if now_s - self._printed_s < _PROGRESS_EVERY_S:
            return
        self._printed_s = now_s
        rate_hz = self._frames / (now_s - self._started_s)
        text = "%s: %d frames, %d fixes, %.1f frames a second"
        log.info(text, self._name, self._frames, self._fixes, rate_hz)
