"""Pictures of one's own, told in a table.

    places.csv|parquet|jsonl    path, view; place, or lat_deg and lon_deg, or both; split, text

Paths are below the table's folder. Without `place`, what lies within `WITHIN_M` of a query is
right. `split` is train, val or test; empty is test. `text` describes what the picture shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.views import View

from .folders import degrees, number
from .rows import Row
from .tables import ENDINGS, read_table
from .task import Files, Floats, Items, Plane, Task, lists, matched

STEM = "places"
WITHIN_M = 25.0
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Picture:
    """A row of the table."""

    path: str
    view: View
    place: str
    split: str
    text: str
    at: tuple[float, float] | None
    where: str


@dataclass(frozen=True)
class Own:
    """A table of pictures; `table` is its path."""

    root: Path
    table: Path
    plane: Plane | None = "wgs84"
    expected: ClassVar[dict[str, int]] = {}

    def counts(self) -> dict[str, int]:
        """Pictures by split and view."""
        found: dict[str, int] = {}
        for picture in self._told:
            name = f"{picture.split} {picture.view}"
            found[name] = found.get(name, 0) + 1
        return found

    def tasks(self) -> list[Task]:
        """Every view to every other one."""
        sides = {
            view: [each for each in self._told if (each.view, each.split) == (view, "test")]
            for view in View
        }
        present = [view for view, some in sides.items() if some]
        tasks = [
            self._task(sides[asked], sides[offered])
            for asked in present
            for offered in present
            if asked is not offered
        ]
        if not tasks:
            raise DataError(f"{self.table}: of the split test there are not two views to compare")
        return tasks

    def rows(self) -> list[Row]:
        """Pictures of one place side by side, as often as its view with the most has pictures."""
        places: dict[str, list[Picture]] = {}
        for picture in self._told:
            if picture.split == "train" and picture.place:
                places.setdefault(picture.place, []).append(picture)
        return [row for place, some in places.items() for row in _rows(place, some)]

    def _task(self, asked: Sequence[Picture], offered: Sequence[Picture]) -> Task:
        queries, gallery = (self._items(each) for each in (asked, offered))
        name = f"{queries.side} to {gallery.side}"
        if all(each.place for each in (*asked, *offered)):
            return matched(name, queries, gallery, self.plane)
        if queries.positions is None or gallery.positions is None:
            raise DataError(f"{self.table}: a picture has neither a place nor lat_deg and lon_deg")
        near = _near(queries.positions, gallery.positions)
        kept = np.flatnonzero([bool(some) for some in near])
        if not len(kept):
            raise DataError(
                f"{self.table}: no {gallery.side} picture is within {WITHIN_M:g} m of a"
                f" {queries.side} picture; are latitude and longitude swapped?"
            )
        positive = lists(near[at] for at in kept)
        return Task(name, queries.only(kept), gallery, positive, plane=self.plane)

    def _items(self, pictures: Sequence[Picture]) -> Items:
        where = None
        if all(each.at is not None for each in pictures):
            where = np.array([each.at for each in pictures])
        return Items(
            pictures[0].view.value,
            tuple(each.path for each in pictures),
            tuple(each.place or each.path for each in pictures),
            Files(self.root),
            where,
        )

    @cached_property
    def _told(self) -> list[Picture]:
        told = [
            _picture(self.root, row, where)
            for row, where in read_table(self.table, ("path", "view"))
        ]
        seen: dict[str, str] = {}
        for picture in told:
            if picture.path in seen:
                raise DataError(
                    f"{picture.where}: {picture.path} is there before, {seen[picture.path]}"
                )
            seen[picture.path] = picture.where
        return told


def own_of(folder: Path) -> Path | None:
    """The table in a folder, or the table itself."""
    if folder.is_file():
        return folder if folder.suffix.lower() in ENDINGS else None
    there = [folder / f"{STEM}{ending}" for ending in ENDINGS]
    return next((path for path in there if path.is_file()), None)


def _picture(root: Path, row: dict[str, str], where: str) -> Picture:
    if row["view"] not in {view.value for view in View}:
        raise DataError(f"{where}: view {row['view']!r}: expected {', '.join(View)}")
    split = row.get("split") or "test"
    if split not in _SPLITS:
        raise DataError(f"{where}: split {split!r}: expected {', '.join(_SPLITS)}")
    if not (root / row["path"]).is_file():
        raise DataError(f"{where}: {root / row['path']} is not there; paths are below {root}")
    at = None
    if row.get("lat_deg") or row.get("lon_deg"):
        lat, lon = (number(row.get(key, ""), f"{where}: {key}") for key in ("lat_deg", "lon_deg"))
        at = degrees(lat, lon, where)
    place, text = row.get("place", ""), row.get("text", "")
    return Picture(row["path"], View(row["view"]), place, split, text, at, where)


def _rows(place: str, pictures: Sequence[Picture]) -> list[Row]:
    by_view: dict[View, list[Picture]] = {}
    for picture in pictures:
        by_view.setdefault(picture.view, []).append(picture)
    found = []
    for number_ in range(max(map(len, by_view.values()))):
        shown = {view: some[number_ % len(some)] for view, some in by_view.items()}
        text = next((each.text for each in shown.values() if each.text), "")
        at = next((each.at for each in shown.values() if each.at), None)
        paths = {view: each.path for view, each in shown.items()}
        found.append(Row(f"{place}-{number_:03d}", paths, place, text, position=at))
    return found


def _near(queries: Floats, gallery: Floats) -> list[list[int]]:
    """Numbers of the gallery within `WITHIN_M` of every query."""
    from scipy.spatial import cKDTree

    frame = LocalFrame(*map(float, gallery[0]))
    here, there = (frame.to_enu(each[:, 0], each[:, 1]) for each in (queries, gallery))
    found: list[list[int]] = cKDTree(there).query_ball_point(here, WITHIN_M).tolist()
    return found
