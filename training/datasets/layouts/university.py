"""University-1652, and SUES-200 as it is split for training: folders of places.

University-1652/train/{drone,satellite,street}/<building>/*.jpg
                test/{query,gallery}_{drone,satellite,street}/<building>/*
                test/query_drone_<weather>/<building>/*             its weather variant, if any
SUES-200/Training/<height>/{drone,satellite}/<place>/*
         Testing/<height>/{query,gallery}_{drone,satellite}/<place>/*
         Testing/weather_gallery_drone/<height>/<place>/*           GeoLink's weather gallery
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from geobridge.onboard.errors import DataError
from geobridge.onboard.views import View

from .folders import expect, pictures, subfolders
from .rows import Row
from .task import Files, Items, Plane, Task, matched

_DIRECTIONS = (
    ("drone", "satellite"),
    ("satellite", "drone"),
    ("street", "satellite"),
    ("satellite", "street"),
    ("street", "drone"),
    ("drone", "street"),
)
_WEATHER = "weather_gallery_drone"


@dataclass(frozen=True)
class University:
    """University-1652."""

    root: Path
    plane: Plane | None = None
    expected: ClassVar[dict[str, int]] = {
        "train drone": 37_854,
        "train satellite": 701,
        "test query_drone": 37_855,
        "test query_satellite": 701,
        "test gallery_drone": 51_355,
        "test gallery_satellite": 951,
    }

    def counts(self) -> dict[str, int]:
        """By folder."""
        return counted(self.root, ("train", "test"))

    def tasks(self) -> list[Task]:
        """Both ways between drone and satellite, and whatever else has its two folders."""
        expect(self.root, "test/gallery_satellite")
        tasks = directions(self.root, "test")
        known = {f"query_{view.value}" for view in View}
        for name in subfolders(self.root / "test"):
            view, _, weather = name.removeprefix("query_").partition("_")
            if name.startswith("query_") and name not in known and f"query_{view}" in known:
                other = "satellite" if view == "drone" else "drone"
                tasks.append(_task(self.root, "test", name, other, f", {weather}"))
        return tasks

    def rows(self) -> list[Row]:
        """One for every drone picture."""
        return _rows(self.root, "train")


@dataclass(frozen=True)
class Sues:
    """SUES-200; all heights, or one."""

    root: Path
    height: str = ""
    plane: Plane | None = None
    expected: ClassVar[dict[str, int]] = {
        f"{part} {height} {folder}": count
        for height in (150, 200, 250, 300)
        for part, folder, count in (
            ("Training", "drone", 6000),
            ("Training", "satellite", 120),
            ("Testing", "query_drone", 4000),
            ("Testing", "query_satellite", 80),
            ("Testing", "gallery_drone", 10_000),
            ("Testing", "gallery_satellite", 200),
        )
    }

    @property
    def heights(self) -> list[str]:
        """Names of their folders."""
        there = [name for name in subfolders(self.root / "Testing") if name.isdecimal()]
        if self.height and self.height not in there:
            raise DataError(
                f"{self.root / 'Testing'}: no height {self.height!r}, but {', '.join(there)}"
            )
        return [self.height] if self.height else there

    def counts(self) -> dict[str, int]:
        """By folder."""
        parts = [(part, height) for part in ("Training", "Testing") for height in self.heights]
        return {
            f"{part} {height} {name.partition(' ')[2]}": count
            for part, height in parts
            for name, count in counted(self.root / part, (height,)).items()
        }

    def tasks(self) -> list[Task]:
        """Both ways at every height, and to the weather gallery where there is one."""
        tasks = []
        for height in self.heights:
            part = f"Testing/{height}"
            expect(self.root, f"{part}/gallery_satellite")
            tasks += directions(self.root, part, f", {height} m")
            weather = f"Testing/{_WEATHER}/{height}"
            if (self.root / weather).is_dir():
                queries = _items(self.root, f"{part}/query_satellite", "satellite")
                gallery = _items(self.root, weather, "drone")
                tasks.append(matched(f"satellite to drone, {height} m, weather", queries, gallery))
        return tasks

    def rows(self) -> list[Row]:
        """One for every drone picture of every height."""
        return [
            row for height in self.heights for row in _rows(self.root, f"Training/{height}", height)
        ]


def is_university(folder: Path) -> bool:
    """By its folders."""
    test, train = folder / "test", folder / "train"
    names = {*subfolders(test), *subfolders(train)}
    if (folder / "Dense_GPS_ALL.txt").exists() or any(folder.glob("Dense_GPS_*")):
        return False
    return "gallery_satellite" in names or bool(_nested(train / "drone"))


def is_sues(folder: Path) -> bool:
    """By its folders."""
    return (folder / "Testing").is_dir() or (folder / "Training").is_dir()


def _nested(folder: Path) -> bool:
    return bool(subfolders(folder)) and not pictures(folder)


def directions(root: Path, part: str, after: str = "") -> list[Task]:
    """Tasks between folders of places, where both of them are there."""
    return [
        _task(root, part, f"query_{query}", reference, after)
        for query, reference in _DIRECTIONS
        if subfolders(root / part / f"query_{query}")
        and subfolders(root / part / f"gallery_{reference}")
    ]


def _task(root: Path, part: str, folder: str, reference: str, after: str) -> Task:
    side = folder.removeprefix("query_").partition("_")[0]
    queries = _items(root, f"{part}/{folder}", side)
    gallery = _items(root, f"{part}/gallery_{reference}", reference)
    return matched(f"{side} to {reference}{after}", queries, gallery)


def _items(root: Path, folder: str, side: str) -> Items:
    """The pictures of folders of places, in the order of names; an empty one is passed over."""
    found = list(_placed(root, folder))
    if not found:
        raise DataError(f"{root / folder}: holds no pictures; expected a folder for every place")
    names, places = zip(*found, strict=True)
    return Items(side, names, places, Files(root))


def _placed(root: Path, folder: str) -> Iterator[tuple[str, str]]:
    for place in subfolders(root / folder):
        for name in pictures(root / folder / place):
            yield f"{folder}/{place}/{name}", place


def _rows(root: Path, part: str, before: str = "") -> list[Row]:
    """Every drone picture with the satellite picture of its place, and street pictures in turn.

    A place without drone pictures has a row for every street picture.
    """
    satellite = by_folder(root, expect(root, f"{part}/satellite"))
    drone = by_folder(root, expect(root, f"{part}/drone"))
    street = by_folder(root, root / part / "street")
    found = []
    for place, above in satellite.items():
        for number, path in enumerate(drone.get(place, street.get(place, ()))):
            shown = {View.SATELLITE: above[number % len(above)]}
            if place in drone:
                shown[View.DRONE] = path
            if place in street:
                shown[View.STREET] = street[place][number % len(street[place])]
            name = "-".join(filter(None, (place, before, f"{number:03d}")))
            found.append(Row(name, shown, place))
    return found


def by_folder(root: Path, folder: Path) -> dict[str, list[str]]:
    """The pictures of every place of a folder, by paths below the root."""
    found: dict[str, list[str]] = {}
    for name, place in _placed(root, str(folder.relative_to(root))):
        found.setdefault(place, []).append(name)
    return found


def counted(root: Path, parts: Sequence[str]) -> dict[str, int]:
    """How many pictures every folder of folders of places has."""
    return {
        f"{part} {folder}": sum(1 for _ in _placed(root, f"{part}/{folder}"))
        for part in parts
        for folder in subfolders(root / part)
    }
