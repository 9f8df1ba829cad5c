"""The published layout: what `geobridge train` reads, with metadata as Parquet beside it.

<out>/{train,val,test}/{drone,satellite,street}/<id>.jpg, text.jsonl, metadata.jsonl
<out>/metadata.parquet      a row for every place
<out>/texts.jsonl           with two texts for each place: {"id", "texts", "origin"}
<out>/webdataset/<split>-000000.tar     <id>.drone.jpg ... <id>.txt, <id>.json
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from geobridge.onboard.durable import write_file, write_text
from geobridge.onboard.errors import DataError

from ...datasets.render_blocks import SPLITS
from ...datasets.render_shards import Lines, ShardedFolder
from ..pictures import picture_path
from ..stage import Line

VIEWS = ("drone", "satellite", "street")
SHARD = 500
"""Places between two points where a stopped run goes on."""


def write_layout(
    target: ShardedFolder, places: Sequence[Line], pictures: Path, imagery: bool
) -> None:
    """Copy the pictures, or not, and write the lines beside them."""
    shards: dict[str, list[str]] = {split: [] for split in SPLITS}
    for split in SPLITS:
        of_split = [place for place in places if place["split"] == split]
        for first in range(0, len(of_split), SHARD):
            part, name = of_split[first : first + SHARD], f"{split}-{first // SHARD:05d}"
            shards[split].append(name)
            if not target.has(name):
                target.write(name, split, partial(_fill, part, pictures, imagery))
    target.finish(shards)


def _fill(places: Sequence[Line], pictures: Path, imagery: bool, staging: Path) -> Lines:
    for place in places if imagery else ():
        for view in VIEWS:
            copy = staging / view / f"{place['id']}.jpg"
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture_path(pictures, view, place), copy)
    return [dict(place) for place in places]


def write_parquet(path: Path, places: Sequence[Line]) -> None:
    """Nested tables become columns with a point in their names."""
    rows = [_flat(place) for place in places]
    names = sorted({name for row in rows for name in row})
    table = pa.table({name: [row.get(name) for row in rows] for name in names})
    write_file(path, lambda temporary: pq.write_table(table, temporary))


def write_texts(path: Path, places: Sequence[Line]) -> None:
    """Every text of every place, and where it comes from."""
    lines = [{key: place[key] for key in ("id", "texts", "origin")} for place in places]
    write_text(path, "".join(json.dumps(line) + "\n" for line in lines))


def write_webdataset(
    folder: Path, places: Sequence[Line], pictures: Path, shard_mb: int
) -> dict[str, int]:
    """Tar files as the webdataset library reads them; how many of each split.

    A file that is there is left alone: it was written as a whole, from the same places.
    """
    counts = {}
    for split in SPLITS:
        parts = _parts([p for p in places if p["split"] == split], pictures, shard_mb * 1_000_000)
        for number, part in enumerate(parts):
            path = folder / f"{split}-{number:06d}.tar"
            if not path.exists():
                write_file(path, partial(_write_tar, part, pictures))
        counts[split] = len(parts)
    return counts


def _parts(places: Sequence[Line], pictures: Path, most_bytes: int) -> list[list[Line]]:
    parts: list[list[Line]] = []
    held = most_bytes
    for place in places:
        if held >= most_bytes:
            parts.append([])
            held = 0
        parts[-1].append(place)
        held += sum(picture_path(pictures, v, place).stat().st_size for v in VIEWS)
    return parts


def _write_tar(places: Sequence[Line], pictures: Path, path: Path) -> None:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for place in places:
            name = place["id"]
            for view in VIEWS:
                _add(tar, f"{name}.{view}.jpg", picture_path(pictures, view, place).read_bytes())
            if place["text"]:
                _add(tar, f"{name}.txt", place["text"].encode())
            _add(tar, f"{name}.json", json.dumps(place).encode())


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)  # no owner, no time: the same data set gives the same bytes
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, each in value.items():
        if isinstance(each, dict):
            flat |= _flat(each, f"{prefix}{key}.")
        elif key == "origin":  # a table for each text
            flat[f"{prefix}{key}"] = json.dumps(each)
        else:
            flat[f"{prefix}{key}"] = each
    return flat


def check_room(folder: Path, places: Sequence[Line], pictures: Path, copies: int) -> None:
    """See that the disk has room for what is still to be written of so many copies of the pictures.

    Raises:
        DataError: it has not.
    """
    needed = copies * sum(
        picture_path(pictures, view, place).stat().st_size for place in places for view in VIEWS
    )
    needed -= sum(
        each.stat().st_size for end in ("jpg", "tar") for each in folder.rglob(f"*.{end}")
    )
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"{folder}: needs {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB are free; free some and"
            " run the same command again"
        )
