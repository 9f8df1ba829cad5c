"""`geobridge dataset render`: a data set of satellite, drone and street views with descriptions.

The land is rendered from a seed, or it is one's own map. What is written is what the `triples`
source reads. A run that was stopped goes on when the same command is given again, and ends with the
same bytes.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from geobridge.onboard.errors import DataError

from .render_blocks import FOOTPRINTS_M, MIN_BLOCK_M, MOST_OVERLAP, SPLITS
from .render_places import Places, Shard
from .render_shards import ShardedFolder
from .render_source import Source
from .render_triple import SAMPLES, Style
from .render_work import work

log = logging.getLogger(__name__)

_MOST_TILT_DEG = 45.0


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
    points: bool = False,
) -> dict[str, Any]:
    """Render a data set, or go on with one that was begun; counts and rate.

    Args:
        out: folder of the data set.
        size_km, raster, dsm, gsd_m: the land, see `Source`.
        count, seed, val, test, block_m, shard_size, footprint_m, overlap: see `Places`.
        size_px, samples, tilt_deg, weather, photo, depth, rectified, points: the pictures, see
            `Style`.

    Raises:
        DataError: a parameter out of range, a folder or map that cannot be used, too many places
            for the land.
    """
    places = Places(count, seed, val, test, block_m, shard_size, footprint_m, overlap)
    style = Style(size_px, samples, tilt_deg, weather, photo, depth, rectified, points)
    _check(places, style)
    source = Source(size_km, raster, dsm, gsd_m)
    folder = ShardedFolder(out, _parameters(source, places, style))
    with folder.held():
        log.info("preparing the land")
        land = source.land(seed)
        shards = places.lay(land)
        done = work(land, folder, shards, style)
        folder.finish({split: [s.name for s in shards if s.split == split] for split in SPLITS})
    return {"folder": str(out)} | _sizes(shards) | done


def _check(places: Places, style: Style) -> None:
    footprint_m = FOOTPRINTS_M[0] if places.footprint_m is None else places.footprint_m
    for name, value, low, high in (
        ("val", places.val, 0.0, 0.5),
        ("test", places.test, 0.0, 0.5),
        ("block-m", places.block_m, MIN_BLOCK_M, 10_000.0),
        ("size-px", style.size_px, 32, 2048),
        ("tilt-deg", style.tilt_deg, 0.0, _MOST_TILT_DEG),
        ("overlap", places.overlap, 0.05, 0.98),
        ("footprint-m", footprint_m, FOOTPRINTS_M[0], FOOTPRINTS_M[-1]),
    ):
        if not low <= value <= high:
            raise DataError(f"--{name} {value}: expected {low:g} to {high:g}")
    if places.val + places.test > 0.9:
        raise DataError(
            f"--val {places.val} and --test {places.test}: leave at least 0.1 to train on"
        )
    if style.samples not in SAMPLES:
        raise DataError(
            f"--samples {style.samples}: expected {' or '.join(map(str, SAMPLES))}, so that one ray"
            " goes through the middle of every pixel"
        )


def _parameters(source: Source, places: Places, style: Style) -> dict[str, Any]:
    """Everything that the bytes of a data set depend on, by option."""
    begun = {"geobridge": version("geobridge-uav"), "count": places.count, "seed": places.seed}
    rest = asdict(places) | asdict(style)
    if not style.points:
        del rest["points"]  # sets that were begun before there were any go on
    named = {name.replace("_", "-"): value for name, value in rest.items()}
    return begun | source.parameters() | named


def _sizes(shards: list[Shard]) -> dict[str, int]:
    return {split: sum(len(s.orders) for s in shards if s.split == split) for split in SPLITS}
