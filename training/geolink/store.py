"""The clouds that `geobridge dataset points` prepared, by place, read from where they lie.

<folder>/points.json            what they were made from
<folder>/clouds/<shard>.npy     [n, P, 3] float32, metres east, north, up of the middle of a place
<folder>/index.jsonl            {"id", "group", "shard", "row", "count", "north", ...} a cloud
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geobridge.onboard.errors import DataError

RECORD, INDEX, CLOUDS = "points.json", "index.jsonl", "clouds"


@dataclass(frozen=True)
class Cloud:
    """[N, 3] float32 metres east, north and up of the middle of a place, in an order in which the
    first points are always spread over all of it; and whether its north is known.
    """

    points_m: npt.NDArray[np.float32]
    has_north: bool


class PointStore:
    """Clouds by the name of their place; of a place with several, one is drawn each time.

    Raises:
        DataError: names the folder or file that is missing or broken.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows: dict[str, list[tuple[str, int, int, bool]]] = {}
        for line, where in _lines(folder):
            name, row = _row(line, where)
            self._rows.setdefault(name, []).append(row)
        if not self._rows:
            raise DataError(f"{folder / INDEX}: names no cloud")
        self._open: dict[str, npt.NDArray[np.float32]] = {}
        needed: dict[str, tuple[int, int]] = {}
        for own in self._rows.values():
            for shard, number, count, _ in own:
                rows, points = needed.get(shard, (0, 0))
                needed[shard] = max(rows, number + 1), max(points, count)
        for shard, shape in sorted(needed.items()):
            self._check(shard, shape)

    @property
    def names(self) -> frozenset[str]:
        """The places that have a cloud."""
        return frozenset(self._rows)

    def groups(self, name: str) -> int:
        """How many clouds a place has."""
        return len(self._rows.get(name, ()))

    def read(self, name: str, rng: np.random.Generator) -> Cloud | None:
        """A cloud of a place, or None; always one draw."""
        drawn = rng.random()
        rows = self._rows.get(name)
        if rows is None:
            return None
        shard, row, count, north = rows[int(drawn * len(rows))]
        return Cloud(np.array(self._shard(shard)[row, :count]), north)

    def _shard(self, name: str) -> npt.NDArray[np.float32]:
        if name not in self._open:
            path = self.folder / CLOUDS / f"{name}.npy"
            try:
                self._open[name] = np.load(path, mmap_mode="r", allow_pickle=False)
            except FileNotFoundError:
                raise DataError(f"{path}: missing") from None
            except (OSError, ValueError) as error:
                raise DataError(f"{path}: damaged: {error}") from None
        return self._open[name]

    def _check(self, shard: str, needed: tuple[int, int]) -> None:
        clouds, path = self._shard(shard), self.folder / CLOUDS / f"{shard}.npy"
        if clouds.dtype != np.float32 or clouds.ndim != 3 or clouds.shape[2] != 3:
            raise DataError(f"{path}: expected [n, points, 3] float32")
        if len(clouds) < needed[0] or clouds.shape[1] < needed[1]:
            raise DataError(f"{path}: has fewer clouds or points than {INDEX} says")

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_open": {}}


def _lines(folder: Path) -> Sequence[tuple[str, str]]:
    path = folder / INDEX
    if not (folder / RECORD).exists():
        raise DataError(f"{folder}: holds no points; expected what geobridge dataset points wrote")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataError(
            f"{path}: missing; geobridge dataset points was stopped, the same command goes on"
        ) from None
    return [(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1)]


def _row(line: str, where: str) -> tuple[str, tuple[str, int, int, bool]]:
    try:
        entry = json.loads(line)
        shard, row, count = entry["shard"], int(entry["row"]), int(entry["count"])
        name, north = str(entry["id"]), bool(entry["north"])
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{where}: expected id, shard, row, count and north") from None
    if row < 0 or count < 1:
        raise DataError(f"{where}: row {row}, count {count}: expected 0 or more, and 1 or more")
    return name, (str(shard), row, count, north)
