"""GTA-UAV, and UAV-VisLoc as Game4Loc prepared it or `geobridge dataset tile` does.

drone/images/*.png    satellite/<zoom>_[<offset>_]<x>_<y>.png, or <map>_<zoom>_<x>_<y>.png
{cross,same}-area-drone2sate-{train,test}.json    of every drone picture the tiles with an IoU
                                                  above 0.39, and those above 0.14
tiles.json    {"<tile>": [lat, lon]}; optional, of maps that are not UAV-VisLoc's own
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from geobridge.onboard.errors import DataError
from geobridge.onboard.views import View

from .folders import degrees, expect, pictures
from .rows import Row
from .task import Files, Items, Plane, Task, lists
from .visloc_maps import centre

TILES = "tiles.json"
_MAP_PX, _PIXEL_M, _TILE_PX = 24_576, 0.45, 256
_POSITIVE, _ALL = "pair_pos_sate_img_list", "pair_pos_semipos_sate_img_list"
_AREAS = ("cross", "same")


@dataclass(frozen=True)
class Entry:
    """A drone picture of a list: its path, where it is, and its tiles by name."""

    drone: str
    at: tuple[float, float]
    positive: tuple[str, ...]
    others: tuple[str, ...]
    where: str


@dataclass(frozen=True)
class Gta:
    """GTA-UAV; `area` is "same" or "cross" for training, and "" for both in tasks."""

    root: Path
    area: str = ""
    plane: Plane | None = "metres"
    position_key: ClassVar[str] = "drone_loc_x_y"
    expected: ClassVar[dict[str, int]] = {"satellite tiles": 14_640, "drone pictures": 33_763}

    def counts(self) -> dict[str, int]:
        """Pictures, and entries of every list."""
        lists_there = {
            f"{area} area, {split} queries": len(self._entries(area, split))
            for area in self._areas
            for split in ("train", "test")
            if self._list(area, split).exists()
        }
        drones = pictures(self.root / "drone" / "images")
        return {"satellite tiles": len(self._tiles), "drone pictures": len(drones)} | lists_there

    def tasks(self) -> list[Task]:
        """Drone to satellite for every list of the test part."""
        return [self._task(area) for area in self._areas]

    def rows(self) -> list[Row]:
        """One for every drone picture and tile that are positives.

        Other positives of the picture are one place with the tile; semi-positives are no negatives.
        """
        area = self.area or self._areas[0]
        return [
            Row(
                f"{Path(entry.drone).stem}-{Path(tile).stem}",
                {View.DRONE: entry.drone, View.SATELLITE: f"satellite/{tile}"},
                tile,
                also=tuple(each for each in entry.positive if each != tile),
                neither=tuple(each for each in entry.others if each not in entry.positive),
                position=entry.at,
            )
            for entry in self._entries(area, "train")
            for tile in entry.positive
        ]

    @property
    def _areas(self) -> tuple[str, ...]:
        """Those whose lists are there."""
        there = tuple(area for area in _AREAS if self._list(area, "test").exists())
        if not there:
            expect(self.root, self._list("same", "test").name)
        if self.area and self.area not in there:
            raise DataError(f"{self._list(self.area, 'test')}: expected there; there are {there}")
        return (self.area,) if self.area else there

    def _list(self, area: str, split: str) -> Path:
        return self.root / f"{area}-area-drone2sate-{split}.json"

    def _task(self, area: str) -> Task:
        entries = [entry for entry in self._entries(area, "test") if entry.positive]
        path = self._list(area, "test")
        if not entries:
            raise DataError(f"{path}: no drone picture has a tile with an IoU above 0.39")
        number = {tile: at for at, tile in enumerate(self._tiles)}
        for entry in entries:
            for tile in (tile for tile in entry.positive if tile not in number):
                raise DataError(
                    f"{entry.where}: its tile {tile} is not in {self.root / 'satellite'}"
                )
        queries = Items(
            "drone",
            tuple(entry.drone for entry in entries),
            tuple(entry.positive[0] for entry in entries),
            Files(self.root),
            np.array([entry.at for entry in entries]),
        )
        gallery = Items(
            "satellite",
            tuple(f"satellite/{tile}" for tile in self._tiles),
            tuple(self._tiles),
            Files(self.root),
            np.array([self._centre(tile) for tile in self._tiles]),
        )
        positive = lists([number[tile] for tile in entry.positive] for entry in entries)
        return Task(
            f"drone to satellite, {area} area",
            queries,
            gallery,
            positive,
            plane=self.plane,
            maps=self._maps(queries, gallery),
        )

    @cached_property
    def _tiles(self) -> list[str]:
        expect(self.root, "satellite")
        found = pictures(self.root / "satellite")
        if not found:
            raise DataError(f"{self.root / 'satellite'}: holds no pictures; expected the tiles")
        return found

    def _centre(self, tile: str) -> tuple[float, float]:
        """Metres from the map's upper left corner, right and down."""
        words = Path(tile).stem.split("_")
        try:
            zoom, *offset, x, y = map(int, words)
            side_px = _MAP_PX / 2**zoom
            shift = 0.5 + (offset[0] if offset else 0) / _TILE_PX
        except ValueError:
            raise DataError(
                f"{self.root / 'satellite' / tile}: expected a name <zoom>_<offset>_<x>_<y>"
            ) from None
        return (x + shift) * side_px * _PIXEL_M, (y + shift) * side_px * _PIXEL_M

    def _maps(self, queries: Items, gallery: Items) -> tuple[Any, Any] | None:
        return None

    def _entries(self, area: str, split: str) -> list[Entry]:
        path = expect(self.root, self._list(area, split).name)
        try:
            table = json.loads(path.read_bytes())
        except ValueError as error:
            raise DataError(f"{path}: not JSON: {error}") from None
        if not isinstance(table, list) or not table:
            raise DataError(f"{path}: expected a list of drone pictures, and at least one")
        return [self._entry(each, f"{path}, entry {at}") for at, each in enumerate(table)]

    def _entry(self, told: Any, where: str) -> Entry:
        try:
            x, y = (float(value) for value in told[self.position_key])
            return Entry(
                f"{told['drone_img_dir']}/{told['drone_img_name']}",
                degrees(x, y, where) if self.plane == "wgs84" else (x, y),
                tuple(told[_POSITIVE]),
                tuple(told[_ALL]),
                where,
            )
        except (KeyError, TypeError, ValueError):
            keys = f"drone_img_dir, drone_img_name, {self.position_key}, {_POSITIVE}, {_ALL}"
            raise DataError(f"{where}: expected {keys}") from None


@dataclass(frozen=True)
class VisLoc(Gta):
    """UAV-VisLoc: many maps, and every query is looked for on its own."""

    plane: Plane | None = "wgs84"
    position_key: ClassVar[str] = "drone_loc_lat_lon"
    expected: ClassVar[dict[str, int]] = {}

    def _centre(self, tile: str) -> tuple[float, float]:
        """Latitude and longitude."""
        if tile in self._told:
            return self._told[tile]
        found = centre(Path(tile).stem)
        if found is None:
            raise DataError(
                f"{self.root / 'satellite' / tile}: neither {TILES} nor its name,"
                " <map>_<zoom>_<x>_<y>, tells where it lies"
            )
        return found

    @cached_property
    def _told(self) -> dict[str, tuple[float, float]]:
        path = self.root / TILES
        if not path.exists():
            return {}
        try:
            table = json.loads(path.read_bytes())
            return {
                tile: degrees(float(lat), float(lon), f"{path}: {tile}")
                for tile, (lat, lon) in table.items()
            }
        except (ValueError, TypeError, AttributeError):
            raise DataError(f'{path}: expected {{"<tile>": [lat, lon]}}') from None

    def _maps(self, queries: Items, gallery: Items) -> tuple[Any, Any] | None:
        names = [_map_of(items) for items in (queries, gallery)]
        known = {name: at for at, name in enumerate(sorted({*names[0], *names[1]}))}
        asked, offered = (np.array([known[name] for name in each], np.int64) for each in names)
        return asked, offered


def is_gta(folder: Path) -> bool:
    """By its lists, whose positions are metres."""
    return _position_key(folder) == Gta.position_key


def is_visloc(folder: Path) -> bool:
    """By its lists, whose positions are degrees."""
    return _position_key(folder) == VisLoc.position_key


def _position_key(folder: Path) -> str:
    """As the beginning of a list has it."""
    for path in sorted(folder.glob("*-area-drone2sate-*.json")):
        with path.open("rb") as file:
            head = file.read(1 << 16)
        return VisLoc.position_key if VisLoc.position_key.encode() in head else Gta.position_key
    raw = any((folder / name).is_dir() for name in ("drone", "satellite"))
    return Gta.position_key if raw and (folder / "drone" / "images").is_dir() else ""


def _map_of(items: Items) -> Sequence[str]:
    return [Path(name).name.partition("_")[0] for name in items.names]
