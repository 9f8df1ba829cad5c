"""The pictures of all places: what is not there yet, on every core, after saying what it costs."""

from __future__ import annotations

import logging
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np

from geobridge.onboard.errors import DataError

from .render_days import Epochs
from .render_places import Shard
from .render_progress import Progress, duration
from .render_shards import Lines, ShardedFolder
from .render_source import AnyLand
from .render_triple import Order, Style, render_triple

log = logging.getLogger(__name__)


def work(land: AnyLand, folder: ShardedFolder, shards: list[Shard], style: Style) -> dict[str, Any]:
    """Render what is not there yet, a core to each place; what was done, and how fast.

    Raises:
        DataError: the disk is too small, or cannot be written.
    """
    left = [shard for shard in shards if not folder.has(shard.name)]
    if not left:
        log.info("%s is complete", folder.folder)
        return {"rendered": 0}
    workers = len(os.sched_getaffinity(0))
    cv2.setNumThreads(1)  # every core has a place of its own
    _announce(land, left, style, workers, folder.folder)
    folder.begin()  # a run refused before leaves the folder free for another
    progress = Progress(sum(len(shard.orders) for shard in left))
    pool = ThreadPoolExecutor(workers)
    try:
        for shard in left:
            epochs = _epochs(shard)

            def render_one(staging: Path, order: Order, epochs: Epochs = epochs) -> dict[str, Any]:
                return render_triple(land, order, epochs, style, staging)

            def make(staging: Path, orders: list[Order] = shard.orders) -> Lines:
                return list(progress.over(pool.map(partial(render_one, staging), orders)))

            folder.write(shard.name, shard.split, make)
    finally:
        pool.shutdown(cancel_futures=True)
    return {"rendered": progress.done, "triples_per_s": round(progress.rate(), 3)}


def _epochs(shard: Shard) -> Epochs:
    first = shard.orders[0]
    return Epochs.draw(np.random.default_rng([first.seed, 72, *shard.split.encode(), first.number]))


def _announce(land: AnyLand, left: list[Shard], style: Style, workers: int, folder: Path) -> None:
    """Say what it will cost, as measured on a few places.

    Raises:
        DataError: the disk is too small.
    """
    count = sum(len(shard.orders) for shard in left)
    orders, epochs = left[0].orders[:4], _epochs(left[0])
    with TemporaryDirectory() as scratch:
        render_triple(land, orders[0], epochs, style, Path(scratch))  # compiles, builds the scenes
        start = time.monotonic()
        for order in orders:
            render_triple(land, order, epochs, style, Path(scratch))
        each_s = (time.monotonic() - start) / len(orders)
        files = [path for path in Path(scratch).rglob("*") if path.is_file()]
        each_bytes = sum(path.stat().st_size for path in files) / len(orders)
    log.info(
        "%d places in %d shards on %d cores: about %s and %.0f MB",
        count,
        len(left),
        workers,
        duration(count * each_s / workers),
        count * each_bytes / 1e6,
    )
    free = shutil.disk_usage(folder).free
    if count * each_bytes > free:
        raise DataError(
            f"{folder}: needs about {count * each_bytes / 1e9:.1f} GB,"
            f" {free / 1e9:.1f} GB are free; lower --count"
        )
