"""Street pictures near the seeds, from a folder or a service, as lines and files on this disk."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ...sources import StreetSource
from ...street.pictures import read_street
from ..config import Mapillary, StreetFiles, StreetView
from ..stage import Line, digest, place_id
from . import mapillary, streetview

StreetConfig = StreetFiles | Mapillary | StreetView
CELL_DEG = 0.008
"""A service is asked cell by cell; Mapillary takes no box of 0.01 square degrees."""


@dataclass(frozen=True)
class Seed:
    """The middle of a window and half its side in degrees of latitude and longitude."""

    lat_deg: float
    lon_deg: float
    half_lat_deg: float
    half_lon_deg: float


Work = Callable[[], list[Line]]


def units_of(
    number: int, source: StreetConfig, seeds: Sequence[Seed], pictures: Path
) -> Mapping[str, Work]:
    """What has to be done to have the pictures of a source, by a name for each piece of it.

    Each line: `id`, `source`, `key`, `lat_deg`, `lon_deg`, `heading_deg` or None, `taken`,
    `sequence`, `path`, `licence`, `attribution`.

    Raises:
        ConfigError: a service's key is not there.
    """
    if isinstance(source, StreetFiles):
        return {f"{number}-folder": partial(_of_folder, source)}
    service = mapillary if isinstance(source, Mapillary) else streetview
    ask = service.asker(source)
    return {
        f"{number}-{row}-{column}": partial(ask, box, points, pictures)
        for (row, column), (box, points) in _cells(seeds).items()
    }


def _of_folder(source: StreetFiles) -> list[Line]:
    told = StreetSource(
        kind="street", path=source.path, positions=source.positions, compass=source.compass
    )
    street = read_street(told)
    return [
        {
            "id": place_id(source.path.name, each.path.name),
            "source": source.path.name,
            "key": each.path.name,
            "lat_deg": each.lat_deg,
            "lon_deg": each.lon_deg,
            "heading_deg": None if math.isnan(each.heading_deg) else each.heading_deg,
            "taken": each.taken or source.captured,
            "sequence": each.sequence,
            "path": str(each.path),
            "licence": source.licence,
            "attribution": source.attribution,
        }
        for each in street.pictures
    ]


def _cells(
    seeds: Sequence[Seed],
) -> dict[tuple[int, int], tuple[mapillary.Box, list[tuple[float, float]]]]:
    """Boxes of west, south, east, north around the seeds of every cell, and these seeds."""
    cells: dict[tuple[int, int], list[Seed]] = {}
    for seed in seeds:
        cell = math.floor(seed.lat_deg / CELL_DEG), math.floor(seed.lon_deg / CELL_DEG)
        cells.setdefault(cell, []).append(seed)
    return {
        cell: (_box(some), [(s.lat_deg, s.lon_deg) for s in some]) for cell, some in cells.items()
    }


def _box(seeds: Sequence[Seed]) -> mapillary.Box:
    return (
        min(s.lon_deg - s.half_lon_deg for s in seeds),
        min(s.lat_deg - s.half_lat_deg for s in seeds),
        max(s.lon_deg + s.half_lon_deg for s in seeds),
        max(s.lat_deg + s.half_lat_deg for s in seeds),
    )


def settings_of(source: StreetConfig) -> dict[str, Any]:
    """What a source's lines depend on; of a folder the names, sizes and times of its files."""
    told: dict[str, Any] = source.model_dump(mode="json")
    if isinstance(source, StreetFiles) and source.path.is_dir():
        files = [source.positions] if source.positions else []
        files += [each for each in sorted(source.path.iterdir()) if each.is_file()]
        stats = [(str(each), each.stat()) for each in files if each.exists()]
        told["files"] = digest([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])
    return told
