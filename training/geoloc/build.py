"""`geobridge dataset build CONFIG`: from mosaics, street pictures and satellite imagery to a set.

Every stage keeps its own results in `work`; a run that was stopped, or failed, goes on when the
same command is given again, and a changed key costs the stages that depend on it alone.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from geobridge.onboard.durable import held
from geobridge.onboard.errors import DataError

from ..datasets.render_blocks import SPLITS
from ..datasets.render_shards import RECORD, ShardedFolder
from .captions.endpoint import Endpoint
from .config import BuildConfig, read_config
from .gate_page import write_page
from .published import card, layout, planes, recipe
from .spread import Engine, spread_on
from .stage import Line, digest
from .steps import Build

log = logging.getLogger(__name__)


def build(
    config: Path, overrides: Sequence[str] = (), engine: Engine = "local", dry_run: bool = False
) -> dict[str, Any]:
    """Build a data set, or go on with one; counts by stage, and the folder.

    Args:
        config: TOML file, see `config.BuildConfig`.
        overrides: `table.key=value` over the file's.
        engine: "local", or "ray" for the cores of a cluster.
        dry_run: stop before captions are asked for, after saying what they will cost.

    Raises:
        ConfigError: a key that cannot be used.
        DataError: imagery, a service or a disk that cannot be used; what was done is kept.
    """
    told = read_config(config, tuple(overrides))
    try:
        told.work.mkdir(parents=True, exist_ok=True)
        if (told.work / RECORD).exists():
            raise DataError(f"{told.work}: is a data set; expected a folder for caches")
        alone = DataError(f"{told.work}: another build is working there")
        with held(os.open(told.work, os.O_RDONLY), alone):
            return _build(told, engine, dry_run)
    except OSError as error:
        where = error.filename or told.work
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(f"{where}: the disk is full; free some and run again") from None
        raise DataError(f"{where}: {error.strerror or error}") from None


def _build(told: BuildConfig, engine: Engine, dry_run: bool) -> dict[str, Any]:
    started = time.monotonic()
    if told.captions.kind == "model" and not dry_run:
        Endpoint(told.captions).close()  # what it lacks is better known at once
    work = Build(told, spread_on(engine))
    seeds = work.seeds()
    streets = work.streets(seeds)
    squares = work.squares(seeds, streets)
    kept = work.without_overlaps(squares)
    cut = work.crops(kept)
    aligned = work.aligned(cut)
    limits = work.limits(aligned)
    write_page(told.work / "gates.html", aligned, limits, work.pictures)
    clean, thrown = work.cleaned(aligned, limits)
    if not clean:
        raise DataError(f"{told.work / 'gates.html'}: the gates leave no place; look there")
    counts: dict[str, Any] = {
        "seeds": len(seeds),
        "street pictures": len(streets),
        "with a square": len(squares),
        "without overlaps": len(kept),
        "cut": len(cut),
        "aligned": len(aligned),
        "through the gates": len(clean),
        **{f"thrown away by {gate}": count for gate, count in sorted(thrown.items())},
    }
    captioned = work.captioned(clean, dry_run)
    if dry_run:
        return counts | {"dry run": "nothing was asked or written"}
    split, leaks = work.split(captioned)
    places = _described(split, told)
    counts |= {name: sum(p["split"] == name for p in places) for name in SPLITS}
    facts = _facts(told, counts, limits, leaks)
    _publish(told, places, work.pictures, facts)
    seconds = time.monotonic() - started
    return {"folder": str(told.out)} | counts | leaks | {"seconds": round(seconds, 1)}


def _described(places: Sequence[Line], told: BuildConfig) -> list[Line]:
    """As they are published, in the order of their ids."""
    laid = planes.lay(places, told.splits.block_m)
    described = []
    for place in sorted(places, key=lambda each: str(each["id"])):
        plane, east_m, north_m = laid[place["id"]]
        texts = place["texts"]
        described.append(
            {
                "id": place["id"],
                "split": place["split"],
                "lat_deg": place["lat_deg"],
                "lon_deg": place["lon_deg"],
                "plane": plane,
                "east_m": east_m,
                "north_m": north_m,
                "footprint_m": place["side_m"],
                "sha256": place["sha256"],
                "country": place["country"],
                "terrain": place["terrain"],
                "views": place["views"],
                "gates": place["gates"],
                "text": texts[0] if texts else "",
                "texts": texts,
                "origin": place["origin"],
            }
        )
    return described


def _publish(told: BuildConfig, places: list[Line], pictures: Path, facts: dict[str, Any]) -> None:
    # places hold the digests of their pictures, so this is everything that the set depends on
    record = {
        "geobridge": version("geobridge-uav"),
        "name": told.name,
        "imagery": told.publish.imagery,
        "places": f"sha256:{digest(places)}",
    }
    target = ShardedFolder(told.out, record)
    with target.held():
        copies = (1 + told.publish.webdataset) if told.publish.imagery else 0
        layout.check_room(told.out, places, pictures, copies)
        target.begin()
        layout.write_layout(target, places, pictures, told.publish.imagery)
        layout.write_parquet(told.out / "metadata.parquet", places)
        layout.write_texts(told.out / "texts.jsonl", places)
        recipe.write_recipe(told.out / recipe.RECIPE, places)
        if told.publish.imagery and told.publish.webdataset:
            shards = told.out / "webdataset"
            layout.write_webdataset(shards, places, pictures, told.publish.shard_mb)
        card.write_card(told.out, told.name, places, facts)
    log.info("see %s and %s", told.out / card.CARD, told.work / "gates.html")


def _facts(
    told: BuildConfig, counts: dict[str, Any], limits: dict[str, Any], leaks: dict[str, Any]
) -> dict[str, Any]:
    gates = {
        f"threshold, {view} {gate}": f"{limit:.3g}"
        for view, of_view in limits.items()
        for gate, limit in of_view.items()
    }
    rules = {
        "scales, m": ", ".join(f"{scale:g}" for scale in told.crops.scales_m),
        "captions": f"{told.captions.kind} {told.captions.model}".strip(),
        "satellite shift": "corrected" if told.alignment.correct else "reported",
        "blocks, m": f"{told.splits.block_m:g}",
    }
    return counts | rules | gates | leaks
