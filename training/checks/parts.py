"""A data set as the pictures of its training part and of its test part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.views import View

from ..datasets.batch import TEXT
from ..datasets.layouts.layout import Layout
from ..datasets.layouts.rows import Row
from ..datasets.layouts.task import Files, Floats, Items, Plane, Task, shown
from ..datasets.layouts.triples import Triples

TRAIN, TEST = "train", "test"


@dataclass(frozen=True)
class Parts:
    """Both parts; the training part as one `Items` a view, the test part as tasks."""

    train: Sequence[Items]
    tasks: Sequence[Task]
    plane: Plane | None

    def pictures(self) -> Iterator[tuple[str, Items]]:
        """Every picture at least once, with the part that it is of; texts are left out."""
        for items in self.train:
            yield TRAIN, items
        for task in self.tasks:
            for items in (task.queries, task.gallery):
                if items.side != TEXT:
                    yield TEST, items

    def sizes(self) -> dict[str, int]:
        """How many different pictures or texts each part has of a side."""
        found = {f"{TRAIN} {items.side}": len(set(items.names)) for items in self.train}
        for side, pictures in shown(self.tasks).items():
            found[f"{TEST} {side}"] = len(pictures)
        return found


def parts_of(layout: Layout) -> Parts:
    """Read both.

    Raises:
        DataError: names the file or folder that is missing or broken.
    """
    if isinstance(layout, Triples):
        return Parts([s for s in layout.sides(TRAIN) if s.side != TEXT], layout.tasks(), "metres")
    rows = layout.rows()
    train = [_side(layout, view, rows) for view in View if any(view in r.pictures for r in rows)]
    return Parts(train, layout.tasks(), layout.plane)


def metres(positions: Sequence[Floats], plane: Plane | None) -> list[Floats]:
    """[N, 2] each, on one plane around the first known position; the unknown are left out."""
    known = [each[np.isfinite(each).all(axis=1)] for each in positions]
    if plane == "metres" or not any(map(len, known)):
        return known
    first = next(each[0] for each in known if len(each))
    frame = LocalFrame(*map(float, first))
    return [frame.to_enu(each[:, 0], each[:, 1]) for each in known]


def _side(layout: Layout, view: View, rows: Sequence[Row]) -> Items:
    """Every picture once, with the place and position of the first row that shows it."""
    first: dict[str, Row] = {}
    for row in rows:
        if view in row.pictures:
            first.setdefault(row.pictures[view], row)
    where = None
    if any(row.position for row in first.values()):
        nowhere = (np.nan, np.nan)
        where = np.array([row.position or nowhere for row in first.values()], float)
    places = tuple(row.place for row in first.values())
    return Items(view.value, tuple(first), places, Files(layout.root), where)
