"""CVUSA and CVACT: one street panorama and one satellite picture of every place.

CVUSA/splits/{train,val}-19zl.csv     satellite path, street path, annotation path: a pair a line
      split_locations/all.csv         positions; optional
CVACT/ACT_data.mat                    which panoramas are of which split, and where they lie
      ANU_data_small/{streetview,satview_polish}/   training and validation
      ANU_data_test/{streetview,satview_polish}/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from geobridge.onboard.errors import DataError
from geobridge.onboard.views import View

from .folders import degrees, expect, number, pictures, rows
from .rows import Row
from .task import Files, Floats, Items, Plane, Task, lists, matched

WITHIN_M = 5.0
_STREET, _SATELLITE = "_grdView.jpg", "_satView_polish.jpg"


@dataclass(frozen=True)
class Cvusa:
    """CVUSA in the split of 19 zoom levels that all use."""

    root: Path
    plane: Plane | None = "wgs84"
    expected: ClassVar[dict[str, int]] = {"train pairs": 35_532, "test pairs": 8_884}

    def counts(self) -> dict[str, int]:
        """By split."""
        return {f"{told} pairs": len(self._pairs(name)) for told, name in _CVUSA_SPLITS.items()}

    def tasks(self) -> list[Task]:
        """Street to satellite."""
        satellite, street = zip(*self._pairs("val"), strict=True)
        places = tuple(Path(path).stem for path in satellite)
        where = None
        if self._positions:
            nowhere = (np.nan, np.nan)
            where = np.array([self._positions.get(place, nowhere) for place in places])
        queries = Items("street", street, places, Files(self.root), where)
        gallery = Items("satellite", satellite, places, Files(self.root), where)
        return [matched("street to satellite", queries, gallery, self.plane)]

    def rows(self) -> list[Row]:
        """One for every pair."""
        return [
            Row(
                Path(satellite).stem,
                {View.SATELLITE: satellite, View.STREET: street},
                Path(satellite).stem,
                position=self._positions.get(Path(satellite).stem),
            )
            for satellite, street in self._pairs("train")
        ]

    def _pairs(self, split: str) -> list[tuple[str, str]]:
        path = expect(self.root, f"splits/{split}-19zl.csv")
        pairs = []
        for line, row in rows(path, ","):
            if len(row) < 2:
                raise DataError(f"{path}, line {line}: expected satellite path, street path")
            pairs.append((row[0].strip(), row[1].strip()))
        if not pairs:
            raise DataError(f"{path}: holds no pairs")
        return pairs

    @cached_property
    def _positions(self) -> dict[str, tuple[float, float]]:
        """Of the panoramas; line n is of number n."""
        path = self.root / "split_locations" / "all.csv"
        found: dict[str, tuple[float, float]] = {}
        for line, row in rows(path, ",") if path.exists() else ():
            where = f"{path}, line {line}"
            if len(row) < 4:
                raise DataError(f"{where}: expected sat_lat, sat_lon, ground_lat, ground_lon")
            lat, lon = (number(text, where) for text in row[2:4])
            found[f"{line:07d}"] = degrees(lat, lon, where)
        return found


_CVUSA_SPLITS = {"train": "train", "test": "val"}


@dataclass(frozen=True)
class Cvact:
    """CVACT; a pair of which a picture is missing is passed over, as everybody does."""

    root: Path
    plane: Plane | None = "metres"
    expected: ClassVar[dict[str, int]] = {
        "train pairs": 35_532,
        "val pairs": 8_884,
        "test pairs": 92_802,
    }

    def counts(self) -> dict[str, int]:
        """By split."""
        splits = {split: self._ids(split) for split in ("train", "val")}
        return {f"{split} pairs": len(ids) for split, ids in splits.items()} | {
            "test pairs": len(self._test_ids())
        }

    def tasks(self) -> list[Task]:
        """Street to satellite on val, and on the test part pair by pair and by distance."""
        tasks = []
        if ids := self._ids("val"):
            tasks.append(self._task("val", "ANU_data_small", ids))
        if ids := self._test_ids():
            test = self._task("test", "ANU_data_test", ids)
            tasks.append(test)
            if test.queries.positions is not None:
                near = _near(test.queries.positions, WITHIN_M)
                name = f"{test.name} within {WITHIN_M:g} m"
                tasks.append(Task(name, test.queries, test.gallery, near, plane=test.plane))
        if not tasks:
            raise DataError(f"{self.root}: no pair has both of its pictures")
        return tasks

    def rows(self) -> list[Row]:
        """One for every pair of the training split."""
        return [
            Row(
                name,
                {View.STREET: _street("ANU_data_small", name), View.SATELLITE: _above(name)},
                name,
                position=self._positions.get(name),
            )
            for name in self._ids("train")
        ]

    def _task(self, split: str, part: str, ids: Sequence[str]) -> Task:
        known = self._positions
        where: Floats | None = None
        if all(name in known for name in ids):
            where = np.array([known[name] for name in ids])
        street = tuple(_street(part, name) for name in ids)
        above = tuple(_above(name, part) for name in ids)
        queries = Items("street", street, tuple(ids), Files(self.root), where)
        gallery = Items("satellite", above, tuple(ids), Files(self.root), where)
        return matched(f"street to satellite, {split}", queries, gallery, self.plane)

    def _ids(self, split: str) -> list[str]:
        chosen = _field(self._table, f"{split}Set", self._path)
        inside = set(self._there("ANU_data_small"))
        return [self._all[at] for at in chosen - 1 if self._all[at] in inside]

    def _test_ids(self) -> list[str]:
        return self._there("ANU_data_test")

    def _there(self, part: str) -> list[str]:
        """The panoramas of a part of which both pictures are there."""
        street, above = (
            {name.removesuffix(suffix) for name in pictures(self.root / part / folder)}
            for folder, suffix in (("streetview", _STREET), ("satview_polish", _SATELLITE))
        )
        return sorted(street & above)

    @property
    def _path(self) -> Path:
        return self.root / "ACT_data.mat"

    @cached_property
    def _table(self) -> dict[str, Any]:
        from scipy.io import loadmat

        path = expect(self.root, "ACT_data.mat")
        try:
            table: dict[str, Any] = loadmat(str(path))
        except (ValueError, OSError, TypeError, NotImplementedError) as error:
            raise DataError(f"{path}: not a MATLAB file: {error}") from None
        if "panoIds" not in table:
            raise DataError(f"{path}: has no panoIds")
        return table

    @cached_property
    def _all(self) -> list[str]:
        """The names of all panoramas; MATLAB fills them up with spaces, or has a cell for each."""
        return [str(np.ravel(name)[0]).strip() for name in np.ravel(self._table["panoIds"])]

    @cached_property
    def _positions(self) -> dict[str, tuple[float, float]]:
        """UTM in metres, where the table has it."""
        metres = self._table.get("utm")
        if metres is None or len(metres) != len(self._all):
            return {}
        return {
            name: (float(east), float(north))
            for name, (east, north) in zip(self._all, metres[:, :2], strict=True)
        }


def _field(table: dict[str, Any], name: str, path: Path) -> npt.NDArray[np.int64]:
    """The numbers, from 1, in the second field of a split's struct."""
    try:
        return np.ravel(table[name][0][0][1]).astype(np.int64)
    except (KeyError, IndexError, TypeError, ValueError):
        raise DataError(f"{path}: {name} is no struct with numbers of panoIds") from None


def _street(part: str, name: str) -> str:
    return f"{part}/streetview/{name}{_STREET}"


def _above(name: str, part: str = "ANU_data_small") -> str:
    return f"{part}/satview_polish/{name}{_SATELLITE}"


def _near(metres: Floats, limit_m: float):  # type: ignore[no-untyped-def]
    """For every place those within a distance, itself among them."""
    from scipy.spatial import cKDTree

    return lists(cKDTree(metres).query_ball_point(metres, limit_m))
