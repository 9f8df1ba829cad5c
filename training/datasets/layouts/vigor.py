"""VIGOR: panoramas and tiles that overlap by half.

    VIGOR/ground/<City>/<id,lat,lon,>.jpg  (or <City>/panorama/)
          satellite/<City>/satellite_<lat>_<lon>.png  (or <City>/satellite/)
          splits/<City>/{satellite_list,same_area_balanced_train,same_area_balanced_test,
                         pano_label_balanced}.txt

A line of a label file is panorama, positive, dx, dy, and three semi-positives each with dx, dy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from geobridge.onboard.errors import DataError
from geobridge.onboard.views import View

from .folders import degrees, expect, rows, subfolders
from .rows import Row
from .task import Files, Floats, Items, Plane, Task, lists

CITIES = ("Chicago", "NewYork", "SanFrancisco", "Seattle")
TRAINED, TESTED = ("NewYork", "Seattle"), ("Chicago", "SanFrancisco")
_NAMES = (0, 1, 4, 7, 10)
_TILE = re.compile(r"satellite_(-?[\d.]+)_(-?[\d.]+)\.\w+$")


@dataclass(frozen=True)
class Label:
    """A line of a label file; names are paths below the root."""

    street: str
    tiles: tuple[str, str, str, str]
    where: str


@dataclass(frozen=True)
class Vigor:
    """VIGOR; `area` is "same" or "cross" for training, and "" for both in tasks."""

    root: Path
    area: str = ""
    plane: Plane | None = "wgs84"
    expected: ClassVar[dict[str, int]] = {
        "satellite tiles": 90_618,
        "same area, train panoramas": 52_609,
        "same area, test panoramas": 52_605,
        "cross area, train panoramas": 51_520,
        "cross area, test panoramas": 53_694,
    }

    def counts(self) -> dict[str, int]:
        """Panoramas by split, and tiles."""
        splits = {
            f"{area} area, {split} panoramas": len(self._labels(area, split))
            for area in self._areas
            for split in ("train", "test")
        }
        return {"satellite tiles": sum(map(len, self._tiles.values()))} | splits

    def tasks(self) -> list[Task]:
        """Street to satellite, same area and cross area."""
        return [self._task(area) for area in self._areas]

    def rows(self) -> list[Row]:
        """One for every panorama; tiles that half show its place are no negatives of it."""
        area = self.area or "same"
        return [
            Row(
                Path(label.street).stem,
                {View.STREET: label.street, View.SATELLITE: label.tiles[0]},
                label.tiles[0],
                neither=label.tiles[1:],
                position=_of_street(label.street, label.where),
            )
            for label in self._labels(area, "train")
        ]

    @property
    def _areas(self) -> tuple[str, ...]:
        if self.area not in ("", "same", "cross"):
            raise DataError(f"{self.root}: no area {self.area!r}, expected same or cross")
        return (self.area,) if self.area else ("same", "cross")

    def _task(self, area: str) -> Task:
        labels = self._labels(area, "test")
        tiles = [tile for city in _cities(area, "test") for tile in self._tiles[city]]
        number = {tile: at for at, tile in enumerate(tiles)}
        for label in labels:
            for tile in (tile for tile in label.tiles if tile not in number):
                raise DataError(f"{label.where}: {tile} is not in the city's satellite_list.txt")
        queries = Items(
            "street",
            tuple(label.street for label in labels),
            tuple(label.tiles[0] for label in labels),
            Files(self.root),
            np.array([_of_street(label.street, label.where) for label in labels]),
        )
        gallery = Items("satellite", tuple(tiles), tuple(tiles), Files(self.root), _of_tiles(tiles))
        return Task(
            f"street to satellite, {area} area",
            queries,
            gallery,
            lists([number[label.tiles[0]]] for label in labels),
            lists((number[tile] for tile in label.tiles[1:]) for label in labels),
            self.plane,
        )

    @cached_property
    def _tiles(self) -> dict[str, list[str]]:
        found = {}
        for city in CITIES:
            path = expect(self.root, f"splits/{city}/satellite_list.txt")
            folder = self._folder(city, "satellite")
            found[city] = [f"{folder}/{row[0]}" for _, row in rows(path)]
        return found

    def _labels(self, area: str, split: str) -> list[Label]:
        file = f"same_area_balanced_{split}.txt" if area == "same" else "pano_label_balanced.txt"
        found = []
        for city in _cities(area, split):
            path = expect(self.root, f"splits/{city}/{file}")
            street, above = (self._folder(city, kind) for kind in ("ground", "satellite"))
            for line, row in rows(path):
                if len(row) < 13:
                    raise DataError(
                        f"{path}, line {line}: expected 13 words, a panorama and four tiles each"
                        f" with two offsets, got {len(row)}"
                    )
                name, *tiles = (row[at] for at in _NAMES)
                paths = tuple(f"{above}/{tile}" for tile in tiles)
                found.append(Label(f"{street}/{name}", paths, f"{path}, line {line}"))  # type: ignore[arg-type]
        return found

    def _folder(self, city: str, kind: str) -> str:
        """As Sample4Geo wants it, or as it is released."""
        released = f"{city}/{'panorama' if kind == 'ground' else 'satellite'}"
        return released if (self.root / released).is_dir() else f"{kind}/{city}"


def is_vigor(folder: Path) -> bool:
    """By the cities in its splits."""
    return any((folder / "splits" / city).is_dir() for city in CITIES) or any(
        {"panorama", "satellite"} <= set(subfolders(folder / city)) for city in CITIES
    )


def _cities(area: str, split: str) -> tuple[str, ...]:
    if area == "same":
        return CITIES
    return TRAINED if split == "train" else TESTED


def _of_street(name: str, where: str) -> tuple[float, float]:
    """Latitude and longitude from `<id,lat,lon,>.jpg`."""
    try:
        lat, lon = (float(word) for word in Path(name).name.split(",")[1:3])
    except ValueError:
        raise DataError(f"{where}: {name}: expected <id,lat,lon,>.jpg") from None
    return degrees(lat, lon, where)


def _of_tiles(tiles: list[str]) -> Floats:
    found = [_TILE.search(tile) for tile in tiles]
    return np.array(
        [(float(at[1]), float(at[2])) if at else (np.nan, np.nan) for at in found], float
    ).reshape(-1, 2)
