"""Street pictures near the seeds, from a folder or a service, as lines and files on this disk."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...sources import StreetSource
from ...street.pictures import read_street
from ..config import Mapillary, StreetFiles, StreetView
from ..stage import Line, place_id, stamp
from . import mapillary, streetview

log = logging.getLogger(__name__)

CELL_DEG = 0.008
"""A service is asked cell by cell; Mapillary takes no box of 0.01 square degrees."""


@dataclass(frozen=True)
class Seed:
    """The middle of a window and half its side in degrees of latitude and longitude."""

    lat_deg: float
    lon_deg: float
    half_lat_deg: float
    half_lon_deg: float


@dataclass(frozen=True)
class FolderWork:
    """A folder to read; `stamps` of its files tell when it changes."""

    source: StreetFiles
    stamps: Sequence[tuple[str, list[int]]]


@dataclass(frozen=True)
class CellWork:
    """A box of west, south, east, north to ask a service for, and the points in it."""

    source: Mapillary | StreetView
    box: mapillary.Box
    points: Sequence[tuple[float, float]]


StreetWork = FolderWork | CellWork
Ask = Callable[[StreetWork], list[Line]]


def asker(source: StreetFiles | Mapillary | StreetView, pictures: Path) -> Ask:
    """What does the units of a source.

    Each line: `id`, `source`, `key`, `lat_deg`, `lon_deg`, `heading_deg` or None, `taken`,
    `sequence`, `path`, `stamp`, `licence`, `attribution`.

    Raises:
        ConfigError: a service's key is not there.
    """
    if isinstance(source, StreetFiles):
        return _of_folder
    service = mapillary if isinstance(source, Mapillary) else streetview
    ask = service.asker(source)

    def ask_cell(work: StreetWork) -> list[Line]:
        assert isinstance(work, CellWork)
        lines = ask(work.box, work.points, pictures)
        return [line | {"stamp": stamp(Path(line["path"]))} for line in lines]

    return ask_cell


def works_of(
    source: StreetFiles | Mapillary | StreetView, seeds: Sequence[Seed]
) -> Sequence[StreetWork]:
    """What has to be done to have the pictures of a source."""
    if not isinstance(source, StreetFiles):
        return [CellWork(source, *cell) for cell in _cells(seeds)]
    files = [each for each in sorted(source.path.glob("*")) if each.is_file()]
    if source.positions is not None and source.positions.exists():
        files.append(source.positions)
    return [FolderWork(source, [(each.name, stamp(each)) for each in files])]


def _of_folder(work: StreetWork) -> list[Line]:
    assert isinstance(work, FolderWork)
    source = work.source
    street = read_street(
        StreetSource(
            kind="street", path=source.path, positions=source.positions, compass=source.compass
        )
    )
    for note in street.notes:
        log.warning("%s: %s", source.path, note)
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
            "stamp": stamp(each.path),
            "licence": source.licence,
            "attribution": source.attribution,
        }
        for each in street.pictures
    ]


def _cells(seeds: Sequence[Seed]) -> list[tuple[mapillary.Box, list[tuple[float, float]]]]:
    """Boxes around the seeds of every cell, and these seeds."""
    cells: dict[tuple[int, int], list[Seed]] = {}
    for seed in seeds:
        cell = math.floor(seed.lat_deg / CELL_DEG), math.floor(seed.lon_deg / CELL_DEG)
        cells.setdefault(cell, []).append(seed)
    return [(_box(some), [(s.lat_deg, s.lon_deg) for s in some]) for some in cells.values()]


def _box(seeds: Sequence[Seed]) -> mapillary.Box:
    return (
        min(s.lon_deg - s.half_lon_deg for s in seeds),
        min(s.lat_deg - s.half_lat_deg for s in seeds),
        max(s.lon_deg + s.half_lon_deg for s in seeds),
        max(s.lat_deg + s.half_lat_deg for s in seeds),
    )
