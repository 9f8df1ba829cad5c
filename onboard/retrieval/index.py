"""Descriptor to candidates: exact in a gate or on a small map, HNSW when lost on a large one.

A search looks at the places of one view: the cosine of a drone picture with a satellite square and
that with a street picture are on different scales, and no ranking may mix them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hnswlib
import numpy as np
import numpy.typing as npt

from ..bundle import Bundle
from ..errors import BundleError, DataError
from ..manifest import IndexEntry
from ..records import Candidate
from ..views import VIEW_CODES, View

EXACT_UP_TO = 20_000
"""Places of a view up to which exact search over all of them is fast enough to be preferred."""

CELL_M = 500.0
"""Side of the squares by which places are ordered in a bundle."""

Descriptor = npt.NDArray[np.float32]
_VIEWS = {code: view for view, code in VIEW_CODES.items()}


def spatial_order(east_m: npt.ArrayLike, north_m: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """[N] order of places by rows of square cells, so that a gate is a few contiguous slices."""
    east, north = np.asarray(east_m, float), np.asarray(north_m, float)
    cell_east, cell_north = np.floor(east / CELL_M), np.floor(north / CELL_M)
    return np.lexsort((north, east, cell_east, cell_north))


class Index:
    """The places of a bundle, and how to search them. Rows must lie in `spatial_order`.

    Raises:
        BundleError: rows out of order or of no known view, or an HNSW file that does not fit them.
    """

    def __init__(
        self,
        places: npt.NDArray[Any],
        descriptors: npt.NDArray[np.float16],
        graph: Path | None = None,
        graph_entry: IndexEntry | None = None,
    ) -> None:
        self.places = places
        self.descriptors = descriptors
        self.centres_m = np.column_stack([places["east_m"], places["north_m"]])
        self._cells = np.floor(self.centres_m / CELL_M).astype(np.int64)
        self._check_rows()
        self._check_descriptors()
        self._extent = self._cells.min(axis=0), self._cells.max(axis=0)
        self._codes = places["view"].tobytes()
        self._rows_of = {
            v: np.flatnonzero(places["view"] == code) for v, code in VIEW_CODES.items()
        }
        self._exact = {
            view: np.asarray(descriptors[rows], np.float32)
            for view, rows in self._rows_of.items()
            if len(rows) <= EXACT_UP_TO
        }
        self._graph = None
        if graph is not None and graph_entry is not None and len(self._exact) < len(VIEW_CODES):
            self._graph = _open_graph(graph, graph_entry, descriptors.shape)

    @classmethod
    def open(cls, bundle: Bundle) -> Index:
        """The bundle's references, memory-mapped."""
        return cls(
            bundle.places(), bundle.descriptors(), bundle.file("index"), bundle.manifest.index
        )

    def search(
        self,
        descriptor: Descriptor,
        top_k: int,
        centre_m: tuple[float, float] | None = None,
        radius_m: float | None = None,
        view: View = View.SATELLITE,
    ) -> list[Candidate]:
        """The best places of a view for [D], best first; within a circle of the local plane if one
        is given.

        Raises:
            DataError: the descriptor is not [D], finite and of unit length.
        """
        query = np.asarray(descriptor, np.float32)
        norm = float(np.linalg.norm(query))
        if query.shape != (self.descriptors.shape[1],) or not abs(norm - 1.0) <= 1e-2:
            raise DataError(
                f"descriptor of shape {query.shape} and length {norm:.3f},"
                f" expected ({self.descriptors.shape[1]},) and 1"
            )
        if centre_m is not None and radius_m is not None:
            near = self.rows_within(centre_m, radius_m)
            rows = near[self.places["view"][near] == VIEW_CODES[view]]
        elif view not in self._exact and self._graph is not None:
            rows = self._nearest_in_graph(self._graph, query, top_k, view)
        else:
            rows = self._rows_of[view]
        return self._candidates(rows, self._descriptors(rows, view) @ query, top_k)

    def rows_within(self, centre_m: tuple[float, float], radius_m: float) -> npt.NDArray[np.int64]:
        """Rows of the places whose centre lies in a circle; none in one of NaN."""
        if np.isnan([*centre_m, radius_m]).any():
            return np.empty(0, np.int64)
        low, high = self._cell(centre_m, -radius_m), self._cell(centre_m, radius_m)
        near = [self._cell_row(n, low[0], high[0]) for n in range(low[1], high[1] + 1)]
        rows = np.concatenate([np.arange(a, b) for a, b in near])
        east_m, north_m = (self.centres_m[rows] - np.asarray(centre_m)).T
        return np.asarray(rows[np.hypot(east_m, north_m) <= radius_m], np.int64)

    def _cell(self, centre_m: tuple[float, float], step_m: float) -> npt.NDArray[np.int64]:
        """The cell that far up in east and north, or the nearest one that the map has."""
        cell = np.floor((np.asarray(centre_m) + step_m) / CELL_M)
        return np.clip(cell, *self._extent).astype(np.int64)

    def _cell_row(self, north: int, west: int, east: int) -> tuple[int, int]:
        """First and last+1 row of the cells `west` to `east` of one row of cells."""
        start, stop = np.searchsorted(self._cells[:, 1], [north, north + 1])
        inside = np.searchsorted(self._cells[start:stop, 0], [west, east + 1])
        return int(start + inside[0]), int(start + inside[1])

    def _descriptors(self, rows: npt.NDArray[np.int64], view: View) -> Descriptor:
        """[N, D] of rows of a view, without a copy where all of them are asked for."""
        exact = self._exact.get(view)
        if exact is None:
            return np.asarray(self.descriptors[rows], np.float32)
        all_rows = self._rows_of[view]
        return exact if rows is all_rows else exact[np.searchsorted(all_rows, rows)]

    def _nearest_in_graph(
        self, graph: hnswlib.Index, query: Descriptor, top_k: int, view: View
    ) -> npt.NDArray[np.int64]:
        wanted = self._rows_of[view]
        k = min(4 * top_k, len(wanted))
        try:
            labels, _ = graph.knn_query(query[None], k=k, num_threads=1, filter=self._filter(view))
        except RuntimeError:  # the graph reached fewer places of this view than were asked for
            return wanted
        rows = np.unique(labels[0].astype(np.int64))
        if rows.size and not (rows[0] >= 0 and rows[-1] < len(self.places)):
            raise BundleError("reference/index.hnsw answered with a row that does not exist")
        return rows

    def _filter(self, view: View) -> Callable[[int], bool] | None:
        """Whether a row is of a view; None if all are, for asking takes time."""
        if len(self._rows_of[view]) == len(self.places):
            return None
        code = VIEW_CODES[view]
        return lambda row: self._codes[row] == code

    def _candidates(
        self, rows: npt.NDArray[np.int64], scores: Descriptor, top_k: int
    ) -> list[Candidate]:
        best = np.argsort(-scores, kind="stable")[:top_k]
        found = self.places[rows[best]]
        return [
            Candidate(
                place=int(row),
                lat_deg=float(place["lat_deg"]),
                lon_deg=float(place["lon_deg"]),
                footprint_m=float(place["footprint_m"]),
                view=_VIEWS[int(place["view"])],
                score=float(score),
            )
            for row, place, score in zip(rows[best], found, scores[best], strict=True)
        ]

    def _check_descriptors(self) -> None:
        for start in range(0, len(self.descriptors), 65_536):
            part = np.asarray(self.descriptors[start : start + 65_536], np.float32)
            if not np.all(np.abs(np.linalg.norm(part, axis=1) - 1.0) <= 1e-2):
                raise BundleError(
                    "reference/descriptors.npy holds rows that are not of unit length"
                )

    def _check_rows(self) -> None:
        if not np.isin(self.places["view"], list(_VIEWS)).all():
            raise BundleError("reference/places.npy holds a view that this version does not know")
        key = self._cells[:, 1] * (1 << 32) + self._cells[:, 0]
        if len(key) and not np.all(np.diff(key) >= 0):
            raise BundleError("reference/places.npy is not in spatial order")


def build_graph(
    descriptors: npt.NDArray[np.float16], m: int, ef_construction: int, seed: int = 0
) -> hnswlib.Index:
    """An HNSW graph over [N, D] unit rows; single-threaded, so that it is the same every time."""
    graph = hnswlib.Index(space="ip", dim=descriptors.shape[1])
    graph.init_index(len(descriptors), M=m, ef_construction=ef_construction, random_seed=seed)
    graph.add_items(descriptors.astype(np.float32), np.arange(len(descriptors)), num_threads=1)
    return graph


def graph_recall(
    graph: hnswlib.Index,
    descriptors: npt.NDArray[np.float16],
    queries: npt.NDArray[np.float32],
    ef: int,
    k: int = 10,
) -> float:
    """Share of the exact k nearest of [Q, D] queries that the graph finds with this `ef`."""
    k = min(k, len(descriptors))
    graph.set_ef(max(ef, k))
    found, _ = graph.knn_query(queries, k=k, num_threads=1)
    exact = np.argsort(-(queries @ descriptors.astype(np.float32).T), axis=1)[:, :k]
    hits = [len(np.intersect1d(a, b)) for a, b in zip(found, exact, strict=True)]
    return float(np.mean(hits) / k)


def _open_graph(path: Path, entry: IndexEntry, shape: Sequence[int]) -> hnswlib.Index:
    graph = hnswlib.Index(space="ip", dim=shape[1])
    try:
        graph.load_index(str(path), max_elements=shape[0])
    except RuntimeError as error:
        raise BundleError(f"{path}: {error}") from None
    if graph.get_current_count() != shape[0]:
        raise BundleError(f"{path}: holds {graph.get_current_count()} places, not {shape[0]}")
    graph.set_ef(entry.ef)
    return graph
