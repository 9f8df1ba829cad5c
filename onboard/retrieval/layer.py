"""The places of one view and one footprint, and how to search them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BundleError
from ..geodesy import Floats
from ..manifest_entries import LayerEntry
from ..views import VIEW_CODES, View
from .graph import Graph
from .halves import Descriptor, Flags, Halves, Rows, Span, rows_of

CELL_M = 250.0
"""Side of the squares by which the places of a layer are ordered in a bundle."""

EXACT_UP_TO = 20_000
"""Places up to which exact search over all of them is fast enough to be preferred."""


def spatial_order(east_m: npt.ArrayLike, north_m: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """[N] order of places by rows of square cells, so that a gate is a few contiguous slices."""
    east, north = np.asarray(east_m, float), np.asarray(north_m, float)
    cell_east, cell_north = np.floor(east / CELL_M), np.floor(north / CELL_M)
    return np.lexsort((north, east, cell_east, cell_north))


@dataclass(frozen=True)
class Within:
    """What a search is confined to: a circle of the local plane, and a sector of headings.

    Places whose heading is not known lie in no sector.
    """

    centre_m: tuple[float, float] | None = None
    radius_m: float = np.inf
    heading_deg: float | None = None
    heading_off_deg: float = 45.0

    @property
    def everything(self) -> bool:
        """Whether it confines nothing."""
        return self.centre_m is None and self.heading_deg is None


EVERYWHERE = Within()


class Layer:
    """Rows `entry.first` and on of a bundle's places; all rows below are of the whole bundle.

    Raises:
        BundleError: rows of another view or footprint, or out of order.
    """

    def __init__(
        self,
        entry: LayerEntry,
        places: npt.NDArray[Any],
        centres_m: Floats,
        descriptors: npt.NDArray[np.float16],
        graph: Graph | None = None,
    ) -> None:
        self.entry = entry
        self.view = View(entry.view)
        self._own = slice(entry.first, entry.first + entry.count)
        self._centres_m = centres_m[self._own]
        cells = np.floor(self._centres_m / CELL_M).astype(np.int32)
        self._cells_east, self._cells_north = np.ascontiguousarray(cells.T)
        self._headings_deg = places["heading_deg"][self._own]
        self._halves = Halves(descriptors[self._own])
        self._graph = graph
        self._check(places[self._own])
        self._extent = cells.min(axis=0), cells.max(axis=0)

    def best(self, query: Descriptor, top_k: int, within: Within) -> Rows:
        """Rows among which the best `top_k` for [D] are, in no order; exact unless lost on a map
        too large for that."""
        if within.everything and self._graph is not None and self.entry.count > EXACT_UP_TO:
            return self.entry.first + self._graph.best(query, top_k)
        spans = self._spans(within)
        found = self._halves.best(query, spans, top_k, self._wanted(spans, within))
        return self.entry.first + found

    def rows(self, within: Within = EVERYWHERE) -> Rows:
        """All of its rows there."""
        spans = self._spans(within)
        return self.entry.first + rows_of(spans, self._wanted(spans, within))

    def _spans(self, within: Within) -> list[Span]:
        """The slices of cells that reach into the circle; none into one of NaN."""
        if within.centre_m is None:
            return [(0, self.entry.count)]
        if math.isnan(sum(within.centre_m) + within.radius_m):
            return []
        (west, south), (east, north) = self._corner_cells(within.centre_m, within.radius_m).tolist()
        rows = np.arange(south, north + 2, dtype=np.int32)  # any other type would copy the column
        starts = np.searchsorted(self._cells_north, rows).tolist()
        return [self._cells_of(span, west, east) for span in pairwise(starts)]

    def _wanted(self, spans: list[Span], within: Within) -> Flags | None:
        """For each row of the slices whether it lies inside; None where all do."""
        if within.everything:
            return None
        wanted = np.ones(sum(stop - first for first, stop in spans), np.bool_)
        if within.centre_m is not None:
            parts = [self._centres_m[first:stop] for first, stop in spans]
            away = np.concatenate(parts or [np.empty((0, 2))]) - np.asarray(within.centre_m)
            wanted &= np.hypot(*away.T) <= within.radius_m
        if within.heading_deg is not None:
            parts = [self._headings_deg[first:stop] for first, stop in spans]
            off = np.concatenate(parts or [np.empty(0)]) - within.heading_deg
            wanted &= np.abs((off + 180.0) % 360.0 - 180.0) <= within.heading_off_deg
        return wanted

    def _corner_cells(
        self, centre_m: tuple[float, float], radius_m: float
    ) -> npt.NDArray[np.int64]:
        """[2, 2] the cells, east before north, that far down and that far up in both, or the
        nearest ones that the layer has."""
        corners_m = np.add(centre_m, [[-radius_m], [radius_m]])
        cells = np.clip(np.floor(corners_m / CELL_M), *self._extent)
        return cells.astype(np.int64)

    def _cells_of(self, row: Span, west: int, east: int) -> Span:
        """Of a row of cells those from `west` to `east`."""
        start, stop = row
        columns = np.array((west, east + 1), np.int32)
        inside = np.searchsorted(self._cells_east[start:stop], columns).tolist()
        return start + inside[0], start + inside[1]

    def _check(self, own: npt.NDArray[Any]) -> None:
        if not (own["view"] == VIEW_CODES[self.view]).all():
            raise BundleError("reference/places.npy: views other than those of its layers")
        if not (own["footprint_m"] == np.float32(self.entry.footprint_m)).all():
            raise BundleError("reference/places.npy: footprints other than those of its layers")
        rows, columns = np.diff(self._cells_north), np.diff(self._cells_east)
        if not np.all((rows > 0) | ((rows == 0) & (columns >= 0))):
            raise BundleError("reference/places.npy is not in spatial order")
