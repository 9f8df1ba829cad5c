"""DenseUAV: places along low flights, each with satellite pictures of three scales and two times.

train/{drone,satellite}/<id>/H{80,90,100}.JPG, H*.tif, H*_old.tif
test/{query_drone,gallery_satellite}/<id>/*  test/{query_satellite,gallery_drone}/<id>/*
Dense_GPS_ALL.txt (or _train, _test)   <path> E<lon> N<lat> <height>, a picture a line
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from geobridge.onboard.errors import DataError
from geobridge.onboard.views import View

from .folders import degrees, expect, number, rows
from .rows import Row
from .task import Items, Plane, Task
from .university import by_folder, counted, directions

STEP_M = 20.0
"""From one place to the next; so they count as places apart."""


@dataclass(frozen=True)
class DenseUav:
    """DenseUAV."""

    root: Path
    plane: Plane | None = "wgs84"
    expected: ClassVar[dict[str, int]] = {
        "train drone": 6_768,
        "train satellite": 13_536,
        "test query_drone": 2_331,
        "test gallery_satellite": 18_198,
    }

    def counts(self) -> dict[str, int]:
        """By folder."""
        return counted(self.root, ("train", "test"))

    def tasks(self) -> list[Task]:
        """Both ways, where the folders are there."""
        expect(self.root, "test/gallery_satellite")
        return [
            replace(
                task,
                queries=self._placed(task.queries),
                gallery=self._placed(task.gallery),
                plane=self.plane,
            )
            for task in directions(self.root, "test")
        ]

    def rows(self) -> list[Row]:
        """One for every satellite picture, with the drone picture of its height."""
        satellite = by_folder(self.root, expect(self.root, "train/satellite"))
        drone = by_folder(self.root, expect(self.root, "train/drone"))
        return [
            Row(
                f"{place}-{Path(above).stem}",
                {View.SATELLITE: above, View.DRONE: _of_height(drone[place], above)},
                place,
                position=self._at(place),
                footprint_m=STEP_M,
            )
            for place, pictures in satellite.items()
            if place in drone
            for above in pictures
        ]

    def _placed(self, items: Items) -> Items:
        return replace(items, positions=np.array([self._at(place) for place in items.places]))

    def _at(self, place: str) -> tuple[float, float]:
        if place not in self._positions:
            raise DataError(f"{self._table}: tells no position of {place}")
        return self._positions[place]

    @property
    def _table(self) -> Path:
        there = sorted(self.root.glob("Dense_GPS_*.txt"))
        return there[0] if there else expect(self.root, "Dense_GPS_ALL.txt")

    @cached_property
    def _positions(self) -> dict[str, tuple[float, float]]:
        """Latitude and longitude of a folder: of its last picture in the table."""
        found = {}
        for path in sorted(self.root.glob("Dense_GPS_*.txt")) or [self._table]:
            for line, row in rows(path):
                where = f"{path}, line {line}"
                if len(row) < 3 or "/" not in row[0] or row[1][0] != "E" or row[2][0] != "N":
                    raise DataError(f"{where}: expected <id>/<picture> E<lon> N<lat> <height>")
                lon, lat = number(row[1][1:], where), number(row[2][1:], where)
                found[row[0].split("/")[-2]] = degrees(lat, lon, where)
        return found


def is_denseuav(folder: Path) -> bool:
    """By its table of positions."""
    return any(folder.glob("Dense_GPS_*.txt"))


def _of_height(drones: list[str], above: str) -> str:
    """The drone picture whose name the satellite's begins with, or the first."""
    height = Path(above).stem.partition("_")[0]
    return next((path for path in drones if Path(path).stem == height), drones[0])
