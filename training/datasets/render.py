"""`geobridge dataset render`: a data set of satellite, drone and street views with descriptions.

The land is rendered from a seed, or it is one's own map. What is written is what the `triples`
source reads. A run that was stopped goes on when the same command is given again, and ends with the
same bytes.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import cv2
import numpy as np

from geobridge.onboard.errors import DataError
from geobridge.onboard.simulation.world import MAX_SIZE_PX, make_world

from ..place import read_place
from .render_blocks import FOOTPRINTS_M, MIN_BLOCK_M, MOST_OVERLAP, SPLITS, Blocks, Spot, choose
from .render_days import Epochs
from .render_lands import MapLand, WorldLand
from .render_progress import Progress, duration
from .render_shards import Lines, ShardedFolder
from .render_triple import Order, Style, render_triple

log = logging.getLogger(__name__)

SIZE_KM = (0.4, 10.0)
_GSD_M = 0.5
_MOST_TILT_DEG = 45.0

AnyLand = WorldLand | MapLand


class Shard(NamedTuple):
    """A unit of work: a name, the split, the places."""

    name: str
    split: str
    orders: list[Order]


def render(
    out: Path,
    count: int = 1000,
    seed: int = 0,
    size_km: float | None = None,
    raster: Path | None = None,
    dsm: Path | None = None,
    gsd_m: float | None = None,
    val: float = 0.1,
    test: float = 0.1,
    block_m: float = 400.0,
    size_px: int = 384,
    samples: int = 1,
    tilt_deg: float = 30.0,
    weather: str = "mixed",
    photo: bool = False,
    depth: bool = False,
    rectified: bool = False,
    footprint_m: float | None = None,
    overlap: float = MOST_OVERLAP,
    shard_size: int = 500,
) -> dict[str, Any]:
    """Render a data set, or go on with one that was begun; counts and rate.

    Args:
        out: folder of the data set.
        count: places in all.
        seed: draws everything.
        size_km: side of a rendered world.
        raster: a map instead of a rendered world.
        dsm: heights for the map; without them there is no street view.
        gsd_m: side of a pixel of the map, by default its own.
        val, test: shares of the blocks, and of the places.
        block_m: side of the squares of land that go to one split as a whole.
        size_px: height of every picture.
        samples: rays across each pixel.
        tilt_deg: how far from straight down a drone may look.
        weather: one of `WEATHERS`.
        photo: plain street photos instead of panoramas.
        depth: exact distances and points of every view as well.
        rectified: drone pictures as flight cuts them out: north up, by sensors that err.
        footprint_m: side of every place, by default drawn from the published five.
        overlap: share of the ground that two places may have in common.
        shard_size: places that are written as one.

    Raises:
        DataError: a parameter out of range, a folder or map that cannot be used, too many places
            for the land.
    """
    _check(val, test, block_m, size_px, samples, tilt_deg, overlap, footprint_m)
    style = Style(size_px, samples, tilt_deg, weather, photo, depth, rectified)
    source = _source(size_km, raster, dsm, gsd_m)
    parameters = {"geobridge": version("geobridge-uav"), "count": count, "seed": seed, **source}
    parameters |= {"val": val, "test": test, "block-m": block_m, "shard": shard_size}
    parameters |= {"footprint-m": footprint_m, "overlap": overlap}
    parameters |= {name.replace("_", "-"): value for name, value in asdict(style).items()}
    folder = ShardedFolder(out, parameters)
    with folder.held():
        log.info("preparing the land")
        land = _land(source, seed, raster, dsm, gsd_m)
        blocks = Blocks(land, block_m, val, test, seed)
        footprints_m = FOOTPRINTS_M if footprint_m is None else (footprint_m,)
        spots = choose(land, blocks, _counts(count, val, test), seed, footprints_m, overlap)
        shards = _shards(spots, blocks, seed, shard_size)
        done = _work(land, folder, shards, style, seed)
        names = {split: [s.name for s in shards if s.split == split] for split in SPLITS}
        folder.finish(names)
    return {"folder": str(out)} | {split: len(spots[split]) for split in SPLITS} | done


def _check(
    val: float,
    test: float,
    block_m: float,
    size_px: int,
    samples: int,
    tilt_deg: float,
    overlap: float,
    footprint_m: float | None,
) -> None:
    for name, value, low, high in (
        ("val", val, 0.0, 0.5),
        ("test", test, 0.0, 0.5),
        ("block-m", block_m, MIN_BLOCK_M, 10_000.0),
        ("size-px", size_px, 32, 2048),
        ("samples", samples, 1, 4),
        ("tilt-deg", tilt_deg, 0.0, _MOST_TILT_DEG),
        ("overlap", overlap, 0.05, 0.98),
        (
            "footprint-m",
            FOOTPRINTS_M[0] if footprint_m is None else footprint_m,
            FOOTPRINTS_M[0],
            FOOTPRINTS_M[-1],
        ),
    ):
        if not low <= value <= high:
            raise DataError(f"--{name} {value}: expected {low:g} to {high:g}")
    if val + test > 0.9:
        raise DataError(f"--val {val} and --test {test}: leave at least 0.1 to train on")


def _source(
    size_km: float | None, raster: Path | None, dsm: Path | None, gsd_m: float | None
) -> dict[str, Any]:
    """The parameters that say which land it is."""
    if raster is None:
        for name, value in (("dsm", dsm), ("gsd-m", gsd_m)):
            if value is not None:
                raise DataError(f"--{name} belongs to --map")
        size_km = 3.0 if size_km is None else size_km
        if not SIZE_KM[0] <= size_km <= SIZE_KM[1]:
            raise DataError(f"--size-km {size_km}: expected {SIZE_KM[0]} to {SIZE_KM[1]:.0f}")
        return {"size-km": size_km}
    if size_km is not None:
        raise DataError("--size-km belongs to a rendered world; --map has its own size")
    return {"map": _digest(raster), "dsm": dsm and _digest(dsm), "gsd-m": gsd_m}


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def _land(
    source: dict[str, Any], seed: int, raster: Path | None, dsm: Path | None, gsd_m: float | None
) -> AnyLand:
    if raster is not None:
        return MapLand(read_place(raster, dsm, gsd_m))
    size_m = 1000.0 * source["size-km"]
    return WorldLand(make_world(seed, size_m, max(_GSD_M, size_m / MAX_SIZE_PX)))


def _counts(count: int, val: float, test: float) -> dict[str, int]:
    counts = {"val": round(count * val), "test": round(count * test)}
    return {"train": count - sum(counts.values()), **counts}


def _shards(
    spots: dict[str, list[Spot]], blocks: Blocks, seed: int, shard_size: int
) -> list[Shard]:
    shards = []
    for split in SPLITS:
        orders = [
            Order(
                f"{split}-{number:06d}",
                split,
                number,
                blocks.block_of(s.east_m, s.north_m),
                s,
                seed,
            )
            for number, s in enumerate(spots[split])
        ]
        for first in range(0, len(orders), shard_size):
            name = f"{split}-{first // shard_size:05d}"
            shards.append(Shard(name, split, orders[first : first + shard_size]))
    return shards


def _work(
    land: AnyLand, folder: ShardedFolder, shards: list[Shard], style: Style, seed: int
) -> dict[str, Any]:
    """Render what is not there yet, a core to each place."""
    left = [shard for shard in shards if not folder.has(shard.name)]
    if not left:
        log.info("%s is complete", folder.folder)
        return {"rendered": 0}
    workers = len(os.sched_getaffinity(0))
    cv2.setNumThreads(1)  # every core has a place of its own
    _announce(land, left, style, seed, workers, folder.folder)
    folder.begin()  # a run refused before leaves the folder free for another
    progress = Progress(sum(len(shard.orders) for shard in left))
    pool = ThreadPoolExecutor(workers)
    try:
        for shard in left:
            epochs = _epochs(seed, shard)

            def render_one(staging: Path, order: Order, epochs: Epochs = epochs) -> dict[str, Any]:
                return render_triple(land, order, epochs, style, staging)

            def make(staging: Path, orders: list[Order] = shard.orders) -> Lines:
                return list(progress.over(pool.map(partial(render_one, staging), orders)))

            folder.write(shard.name, shard.split, make)
    finally:
        pool.shutdown(cancel_futures=True)
    return {"rendered": progress.done, "triples_per_s": round(progress.rate(), 3)}


def _epochs(seed: int, shard: Shard) -> Epochs:
    number = shard.orders[0].number
    return Epochs.draw(np.random.default_rng([seed, 72, *shard.split.encode(), number]))


def _announce(
    land: AnyLand, left: list[Shard], style: Style, seed: int, workers: int, folder: Path
) -> None:
    """Say what it will cost, as measured on a few places.

    Raises:
        DataError: the disk is too small.
    """
    count = sum(len(shard.orders) for shard in left)
    orders, epochs = left[0].orders[:4], _epochs(seed, left[0])
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
