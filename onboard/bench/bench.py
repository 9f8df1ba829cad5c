"""`geobridge bench`: latency, throughput and memory of encoders on this computer.

Every line is measured in a process of its own: memory is that of one engine alone, and an engine
that ends its process ends nothing else.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import durable
from ..bundle import Bundle
from ..engines.engine import EngineSettings, check_descriptors, open_engine
from ..engines.header import read_header
from ..errors import BundleError, EngineError
from ..replay.summary import versions
from ..views import View
from .sensors import look
from .state import gpu_reasons, memory_mb, others, remarks, usage

WARM_UP = 3
LOOK_EVERY_S = 0.5
MIN_TIMES = 20
"""So many batches at least, however long they take: a p99 of fewer would say nothing at all."""


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    engine: str
    precision: str
    batch: int
    model: Path
    weights: Path | None
    height_px: int
    width_px: int
    settings: EngineSettings


@dataclass(frozen=True)
class Figures:
    """What was measured. Times are of a whole batch; memory is of the process that did nothing
    else, and without the model first."""

    engine: str
    precision: str
    batch: int
    batches: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    images_per_s: float
    open_s: float
    memory_mb: float
    peak_memory_mb: float
    others_cores: float
    temperature_c: float | None
    cpu_mhz: float | None
    gpu_mhz: float | None
    power_w: float | None
    remarks: tuple[str, ...]


def bench(
    model: Path,
    engines: Sequence[str] = ("onnxruntime",),
    precisions: Sequence[str] = (),
    view: str = "drone",
    batches: Sequence[int] = (1,),
    seconds: float = 10.0,
    threads: int = 0,
    plans: Path | None = None,
    out: Path | None = None,
) -> str:
    """Time encoders; the table as Markdown, and everything as JSON in `out`.

    Args:
        model: a bundle, or one exported ONNX file.
        engines: names, see `engines.engine.ENGINES`.
        precisions: of the bundle's encoders; empty for all it has.
        view: whose encoder of a bundle.
        batches: pictures at a time.
        seconds: for each line.
        threads: cores; 0 for all.
        plans: folder of TensorRT plans.
        out: file to write.

    Raises:
        BundleError: not a bundle, or it lacks such an encoder.
        EngineError: an engine is not available here, or failed.
    """
    settings = EngineSettings(threads=threads, plans=plans, max_batch=max(batches))
    found = _models(model, View(view), precisions)
    rows = []
    for engine in engines:
        for precision, path, weights, (height_px, width_px) in found:
            for batch in batches:
                case = Case(engine, precision, batch, path, weights, height_px, width_px, settings)
                rows.append(_apart(case, seconds))
    report = {"machine": machine(), "model": str(model), "figures": [asdict(row) for row in rows]}
    if out is not None:
        durable.write_text(out, json.dumps(report, indent=1) + "\n")
    return table(report["machine"], rows)  # type: ignore[arg-type]


def measure(case: Case, seconds: float) -> Figures:
    """Time one case in this process."""
    before_mb, _ = memory_mb()
    started = time.perf_counter()
    engine = open_engine(case.engine, case.model, case.weights, case.settings)
    opened_s = time.perf_counter() - started
    pictures = _pictures(case)
    for _ in range(WARM_UP):
        check_descriptors(engine.run(pictures[0]), case.engine)
    first, before, readings = usage(), look(), [look()]
    times_ms: list[float] = []
    looked = end = time.perf_counter()
    end += seconds
    while len(times_ms) < MIN_TIMES or looked < end:
        batch = pictures[len(times_ms) % len(pictures)]
        begun = time.perf_counter()
        engine.run(batch)
        now = time.perf_counter()
        times_ms.append(1e3 * (now - begun))
        if now - looked >= LOOK_EVERY_S or now >= end:
            readings.append(look())
            looked = time.perf_counter()
    foreign, (rss_mb, peak_mb) = others(first, usage()), memory_mb()
    p50, p90, p99 = (float(np.percentile(times_ms, q)) for q in (50, 90, 99))
    return Figures(
        engine=case.engine,
        precision=case.precision,
        batch=case.batch,
        batches=len(times_ms),
        p50_ms=p50,
        p90_ms=p90,
        p99_ms=p99,
        images_per_s=1e3 * case.batch * len(times_ms) / sum(times_ms),
        open_s=opened_s,
        memory_mb=rss_mb - before_mb,
        peak_memory_mb=peak_mb - before_mb,
        others_cores=foreign,
        temperature_c=_highest([reading.temperature_c for reading in readings]),
        cpu_mhz=_mean([reading.cpu_mhz for reading in readings]),
        gpu_mhz=_mean([reading.gpu_mhz for reading in readings]),
        power_w=_mean([reading.whole_w for reading in readings]),
        remarks=tuple(remarks(times_ms, foreign, before, look(), gpu_reasons())),
    )


def machine() -> dict[str, Any]:
    """What it was measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "load": round(os.getloadavg()[0], 2),
        "versions": versions(),
    }


def table(machine: dict[str, Any], rows: Sequence[Figures]) -> str:
    """Markdown, to be pasted."""
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, load {machine['load']:.1f} before",
        "",
        "| engine | precision | batch | p50 ms | p90 ms | p99 ms | pictures/s | memory MB | deg C"
        " | GPU MHz | W | |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            row.engine,
            row.precision,
            str(row.batch),
            *(f"{ms:.2f}" for ms in (row.p50_ms, row.p90_ms, row.p99_ms)),
            f"{row.images_per_s:.1f}",
            f"{row.memory_mb:.0f}",
            *map(_cell, (row.temperature_c, row.gpu_mhz, row.power_w)),
            "; ".join(row.remarks) or "quiet",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _models(
    model: Path, view: View, precisions: Sequence[str]
) -> list[tuple[str, Path, Path | None, tuple[int, int]]]:
    """Precision, file, weights and picture size of every encoder to time."""
    if model.is_file():
        return [_one_file(model)]
    bundle = Bundle.open(model)
    have = [e.precision for e in bundle.manifest.encoders if e.view == view.value]
    found = []
    for precision in precisions or have:
        entry = bundle.encoder(view, precision)
        weights = bundle.path / entry.weights if entry.weights else None
        size = entry.preprocess.height_px, entry.preprocess.width_px
        found.append((precision, bundle.path / entry.path, weights, size))
    if not found:
        raise BundleError(f"{model}: no {view} encoder")
    return found


def _one_file(model: Path) -> tuple[str, Path, Path | None, tuple[int, int]]:
    metadata = read_header(model).metadata
    try:
        preprocess = json.loads(metadata["preprocess"])
        size = int(preprocess["height_px"]), int(preprocess["width_px"])
        precision = metadata["precision"]
    except (KeyError, TypeError, ValueError):
        raise EngineError(
            f"{model}: does not say how it is fed; geobridge export wrote it?"
        ) from None
    weights = model.with_name(f"{model.name}.data")
    return precision, model, weights if weights.exists() else None, size


def _apart(case: Case, seconds: float) -> Figures:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as pool:
        try:
            return pool.submit(measure, case, seconds).result()
        except BrokenProcessPool:
            raise EngineError(
                f"{case.model}: {case.engine} ended its process without a word"
            ) from None


def _pictures(case: Case) -> list[Any]:
    rng = np.random.default_rng(0)
    shape = (case.batch, case.height_px, case.width_px, 3)
    return [rng.integers(0, 256, shape).astype(np.uint8) for _ in range(4)]


def _processor() -> str:
    for path, key in ((Path("/proc/device-tree/model"), ""), (Path("/proc/cpuinfo"), "model name")):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if not key:
            return text.strip("\0\n ")
        for line in text.splitlines():
            if line.startswith(key):
                return line.partition(":")[2].strip()
    return platform.machine()


def _highest(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _mean(values: Sequence[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return float(np.mean(present)) if present else None


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
