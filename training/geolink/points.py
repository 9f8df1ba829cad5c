"""`geobridge dataset points`: clouds of places, prepared once, as training reads them.

<out>/points.json            what they are made from
<out>/shards/<shard>.jsonl   one line for every cloud of a unit of work, once it is done
<out>/clouds/<shard>.npy     [n, P, 3] float32, those of the unit that can be used
<out>/index.jsonl            a line for each of these, see `store`; written last
<out>/rejected.jsonl         {"id", "group", "path", "why"} for each of the others
<out>/samples.jpg            some of them, to look at

The same clouds give the same bytes. A run that was stopped goes on.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from geobridge.onboard.durable import write_bytes, write_text
from geobridge.onboard.errors import DataError
from geobridge.onboard.records import Image
from geobridge.onboard.views import View

from ..datasets.decode import UnreadableError, decode
from ..datasets.render_progress import Progress, duration
from ..datasets.render_shards import Lines, ShardedFolder
from ..datasets.stores import open_store, views_of
from .clouds import CloudError, Raw, read_cloud
from .crops import crop
from .manifest import Listed, listed
from .prepare import Points, Recipe, prepare
from .sheet import SIDE_PX, sheet
from .store import CLOUDS, INDEX, RECORD, PointStore

log = logging.getLogger(__name__)

REJECTED, SAMPLES = "rejected.jsonl", "samples.jpg"
_SHARD = 64
_NAMED, _MEASURED = 5, 3


@dataclass(frozen=True)
class Done:
    """A cloud that was prepared, or why it was not, and what is told of it."""

    points_m: Points | None
    line: dict[str, Any]


def prepare_points(
    source: Path,
    out: Path,
    count: int = 2048,
    footprint_m: float = 150.0,
    min_confidence: float = 0.0,
    max_error_px: float = 4.0,
    max_rejected: float = 0.05,
    data: Path | None = None,
    processes: int | None = None,
) -> dict[str, Any]:
    """Prepare all clouds of a manifest or folder, or go on with it; counts and rate.

    Args:
        source: see `manifest`.
        out: new, empty, or begun by the same command.
        count, footprint_m, min_confidence, max_error_px: see `Recipe`.
        max_rejected: so large a part of the clouds may be of no use.
        data: the set that they are of: places without clouds, and clouds without place, are told.
        processes: at a time; by default as many as there are cores.

    Raises:
        DataError: the source or a parameter is wrong, or more clouds are of no use than may be.
    """
    if count < 64:
        raise DataError(f"--count {count}: expected 64 or more")
    if not 0.0 <= max_rejected <= 1.0:
        raise DataError(f"--max-rejected {max_rejected}: expected 0 to 1")
    entries = listed(source)
    recipe = Recipe(count, min_confidence, max_error_px, footprint_m=footprint_m)
    folder = ShardedFolder(out, _parameters(entries, recipe), RECORD)
    with folder.held():
        folder.begin()
        rate = _work(folder, entries, recipe, processes)
        lines = [line for unit in _units(entries) for line in folder.lines(unit)]
        used = [line for line in lines if "why" not in line]
        rejected = [line for line in lines if "why" in line]
        write_text(out / REJECTED, _text(rejected))
        _check(out, rejected, len(lines), max_rejected)
        write_text(out / INDEX, _text(used))
        places = {line["id"] for line in used}
        write_bytes(out / SAMPLES, _samples(PointStore(out), places, data))
    counts = {"folder": str(out), "clouds": len(used), "places": len(places)}
    counts |= {"rejected": len(rejected), "guessed_scale": sum(not e["metric"] for e in used)}
    return counts | (_coverage(data, places) if data else {}) | rate


def _work(
    folder: ShardedFolder, entries: Sequence[Listed], recipe: Recipe, processes: int | None
) -> dict[str, Any]:
    units = _units(entries)
    left = {unit: part for unit, part in units.items() if not folder.has(unit)}
    if not left:
        return {"prepared": 0}
    progress = Progress(sum(map(len, left.values())))
    workers = min(processes or len(os.sched_getaffinity(0)), progress.count)
    _announce(folder.folder, [item for part in left.values() for item in part], recipe, workers)
    start = time.monotonic()
    with _Pool(workers) as pool:
        for unit, part in left.items():

            def make(staging: Path, part: Sequence[Listed] = part, unit: str = unit) -> Lines:
                done = pool.map(partial(prepared, recipe=recipe), part)
                return _written(list(progress.over(done)), staging, unit)

            folder.write(unit, CLOUDS, make)
    seconds = time.monotonic() - start
    return {"prepared": progress.done, "seconds_per_1000": round(1000 * seconds / progress.done, 1)}


def _announce(out: Path, left: Sequence[Listed], recipe: Recipe, workers: int) -> None:
    """Say what it will cost, as measured on a few.

    Raises:
        DataError: the disk is too small.
    """
    start = time.monotonic()
    for item in left[:_MEASURED]:
        prepared(item, recipe)
    each_s = (time.monotonic() - start) / min(_MEASURED, len(left))
    needed, free = len(left) * recipe.count * 12, shutil.disk_usage(out).free
    log.info(
        "%d clouds in %d processes: about %s and %.0f MB",
        len(left),
        workers,
        duration(len(left) * each_s / workers),
        needed / 1e6,
    )
    if needed > free:
        raise DataError(
            f"{out}: needs about {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; lower --count"
        )


class _Pool:
    """Several processes, or this one where one is enough."""

    def __init__(self, workers: int) -> None:
        self._pool = None
        if workers > 1:
            self._pool = ProcessPoolExecutor(workers, get_context("spawn"))

    def __enter__(self) -> _Pool:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Any, items: Sequence[Listed]) -> Iterator[Done]:
        """In order."""
        return iter(
            self._pool.map(function, items, chunksize=4) if self._pool else map(function, items)
        )


def prepared(item: Listed, recipe: Recipe) -> Done:
    """One cloud of a manifest.

    Raises:
        DataError: a library that its format needs is not installed.
    """
    entry = item.entry
    line: dict[str, Any] = {"id": entry.id, "group": entry.group, "path": entry.path}
    try:
        raw = Raw(crop(item.file, entry)) if entry.is_crop else read_cloud(item.file)
        ready = prepare(raw, entry, recipe)
    except CloudError as error:
        return Done(None, line | {"why": str(error)})
    told = {
        "count": len(ready.points_m),
        "north": entry.north or entry.is_crop,
        "metric": ready.is_metric,
        "source": entry.source,
        "given": ready.given,
        "left": ready.left,
        "height_m": round(float(np.percentile(ready.points_m[:, 2], 98.0)), 2),
    }
    return Done(ready.points_m, line | told)


def _written(done: Sequence[Done], staging: Path, unit: str) -> Lines:
    """The lines of a unit, its clouds one after the other in a file."""
    used = [each for each in done if each.points_m is not None]
    if used:
        longest = max(each.line["count"] for each in used)
        rows = np.zeros((len(used), longest, 3), np.float32)
        for number, each in enumerate(used):
            rows[number, : each.line["count"]] = each.points_m
            each.line.update(shard=unit, row=number)
        with (staging / f"{unit}.npy").open("wb") as file:
            np.save(file, rows, allow_pickle=False)
    return [each.line for each in done]


def _units(entries: Sequence[Listed]) -> dict[str, Sequence[Listed]]:
    return {
        f"{first // _SHARD:05d}": entries[first : first + _SHARD]
        for first in range(0, len(entries), _SHARD)
    }


def _parameters(entries: Sequence[Listed], recipe: Recipe) -> dict[str, Any]:
    """All that the bytes depend on: what is listed, sizes and times of files, and the recipe."""
    digest = hashlib.sha256()
    for item in entries:
        stat = item.file.stat() if item.file.exists() else None
        told = (stat.st_size, stat.st_mtime_ns) if stat else None
        digest.update(repr((item.entry.model_dump(), told)).encode())
    named = {name.replace("_", "-"): value for name, value in asdict(recipe).items()}
    return {"clouds": len(entries), "of": f"sha256:{digest.hexdigest()}"} | named


def _check(out: Path, rejected: Lines, count: int, most: float) -> None:
    for line in rejected[:_NAMED]:
        log.warning("left out: %s: %s %s", line["id"], line["path"], line["why"])
    if len(rejected) > most * count:
        (out / INDEX).unlink(missing_ok=True)  # of a run that was allowed more
        first = rejected[0]
        raise DataError(
            f"{out / REJECTED}: {len(rejected)} of {count} clouds cannot be used, --max-rejected is"
            f" {most:g}; the first, {first['id']}: {first['path']} {first['why']}"
        )
    if rejected:
        log.warning("%s: %d of %d clouds are left out", out / REJECTED, len(rejected), count)


def _samples(store: PointStore, places: set[str], data: Path | None) -> bytes:
    """With satellite pictures where the set has them."""
    if data is None or View.SATELLITE not in views_of(data, "train"):
        return sheet(store, places)
    shown = open_store(data, "train", [View.SATELLITE])
    both = places & set(shown.names(View.SATELLITE))

    def picture(name: str) -> Image:
        try:
            return decode(shown.read(View.SATELLITE, name), SIDE_PX, SIDE_PX)
        except (OSError, UnreadableError):
            return np.full((SIDE_PX, SIDE_PX, 3), 128, np.uint8)  # the trainer will name it

    return sheet(store, both, picture) if both else sheet(store, places)


def _coverage(data: Path, places: set[str]) -> dict[str, Any]:
    """How many of a set's places to train on have points, and who has none."""
    views = views_of(data, "train")
    store = open_store(data, "train", views)
    known = {name for view in views for name in store.names(view)}
    without, nowhere = sorted(known - places), sorted(places - known)
    for names, what in ((without, "have no points"), (nowhere, "are not in the set's train split")):
        if names:
            some = ", ".join(names[:_NAMED]) + (" and others" if len(names) > _NAMED else "")
            log.warning("%s: %d places %s: %s", data, len(names), what, some)
    return {"train_places": len(known), "without_points": len(without), "of_no_place": len(nowhere)}


def _text(lines: Lines) -> str:
    return "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
