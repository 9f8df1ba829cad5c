"""What a data set asks: pictures or texts to be looked for, and among what.

A layout gives tasks; a protocol says how they are scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from geobridge.onboard.errors import DataError

from ...batches.kin import Lists

Floats = npt.NDArray[np.float64]
Plane = Literal["wgs84", "metres"]


class Reader(Protocol):
    """Where the contents of a side are."""

    def read(self, name: str) -> bytes:
        """Of a picture, or of a text in UTF-8.

        Raises:
            OSError: it cannot be read.
        """

    def where(self, name: str) -> str:
        """What to call it in a message; no two of different contents are called the same."""


@dataclass(frozen=True)
class Files:
    """Pictures by their path below a folder."""

    root: Path

    def read(self, name: str) -> bytes:
        """The whole file."""
        return (self.root / name).read_bytes()

    def where(self, name: str) -> str:
        """The path."""
        return str(self.root / name)


@dataclass(frozen=True)
class Texts:
    """Texts by name, told in a file."""

    path: Path
    texts: Mapping[str, str]

    def read(self, name: str) -> bytes:
        """The text."""
        return self.texts[name].encode()

    def where(self, name: str) -> str:
        """The file, and which of its texts."""
        return f"{self.path}: {name}"


@dataclass(frozen=True)
class Items:
    """One side of a task, in a fixed order.

    Args:
        side: a view's value, or "text".
        names: what the reader and rank lists call them.
        places: what each shows; as many labels as names.
        reader: of their contents.
        positions: [N, 2] latitude and longitude in degrees, or metres east and north; NaN where
            it is not known. None where nothing is.
    """

    side: str
    names: tuple[str, ...]
    places: tuple[str, ...]
    reader: Reader
    positions: Floats | None = None

    def __len__(self) -> int:
        return len(self.names)

    def only(self, kept: npt.NDArray[np.integer]) -> Items:
        """Some of them, by number."""
        return replace(
            self,
            names=tuple(self.names[at] for at in kept),
            places=tuple(self.places[at] for at in kept),
            positions=None if self.positions is None else self.positions[kept],
        )


@dataclass(frozen=True)
class Task:
    """Queries, the gallery they are looked for in, and what is right.

    Args:
        name: as "drone to satellite".
        queries: each has at least one positive.
        gallery: all that is there.
        positive: for every query the numbers of the right references.
        semi: those that are neither right nor wrong (VIGOR's semi-positives).
        plane: what positions are in.
        maps: [Q] and [R] numbers of maps, where a query is looked for on its own map alone.
        counted: size of the gallery of which R@1 % is taken; 0 for that of `gallery`.
    """

    name: str
    queries: Items
    gallery: Items
    positive: Lists
    semi: Lists | None = None
    plane: Plane | None = None
    maps: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None
    counted: int = 0


def lists(rows: Iterable[Iterable[int]]) -> Lists:
    """A rising list of numbers for every row."""
    sorted_rows = [sorted(set(row)) for row in rows]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in sorted_rows], dtype=np.int64)])
    items = np.array([item for row in sorted_rows for item in row], np.int32)
    return Lists(offsets.astype(np.int64), items)


def by_place(queries: Items, gallery: Items) -> Lists:
    """Right is what shows the same place.

    Raises:
        DataError: names a query whose place the gallery lacks.
    """
    numbers: dict[str, list[int]] = {}
    for number, place in enumerate(gallery.places):
        numbers.setdefault(place, []).append(number)
    for name, place in zip(queries.names, queries.places, strict=True):
        if place not in numbers:
            raise DataError(
                f"{queries.reader.where(name)}: its place {place!r} is in no picture of the"
                f" gallery, as {gallery.reader.where(gallery.names[0])}"
            )
    return lists(numbers[place] for place in queries.places)


def matched(name: str, queries: Items, gallery: Items, plane: Plane | None = None) -> Task:
    """A task in which the same place is right."""
    return Task(name, queries, gallery, by_place(queries, gallery), plane=plane)


def both_ways(one: Items, other: Items, plane: Plane | None = None) -> list[Task]:
    """Each side looked for among the other."""
    return [matched(f"{a.side} to {b.side}", a, b, plane) for a, b in ((one, other), (other, one))]


def shown(tasks: Sequence[Task]) -> dict[str, dict[str, tuple[Reader, str]]]:
    """By side, all that the tasks need, each once: by what it is called, its reader and name."""
    needed: dict[str, dict[str, tuple[Reader, str]]] = {}
    for items in (items for task in tasks for items in (task.queries, task.gallery)):
        side = needed.setdefault(items.side, {})
        for name in items.names:
            side[items.reader.where(name)] = items.reader, name
    return needed
