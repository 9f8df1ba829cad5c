"""Descriptor to candidates: exact near an expected place or on a small map, HNSW when lost on a
large one; whatever finds them, candidates are ranked by the full float16 descriptors.

A search looks at the places of one view: the cosine of a drone picture with a satellite square and
that with a street picture are on different scales, and no ranking may mix them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bundle import Bundle
from ..errors import BundleError, DataError
from ..manifest_entries import LayerEntry
from ..records import Candidate
from ..views import VIEW_CODES, View
from .graph import Graph
from .halves import Descriptor, Rows
from .layer import EVERYWHERE, Layer, Within
from .row_reader import RowReader

UNIT = 1e-2
"""How far the length of a descriptor may be from 1."""
_CHECKED = 8192
_TOLD = ("lat_deg", "lon_deg", "footprint_m", "view")
_VIEWS = {code: view for view, code in VIEW_CODES.items()}


class Index:
    """The places of a bundle, layer by layer, and how to search them.

    Raises:
        BundleError: rows that are not what their layer says, or descriptors not of unit length.
    """

    def __init__(
        self,
        places: npt.NDArray[Any],
        descriptors: npt.NDArray[np.float16],
        layers: Sequence[LayerEntry],
        graphs: Mapping[str, Graph] | None = None,
    ) -> None:
        self.places = np.asarray(places)  # a memory map's own indexing takes three times as long
        self.descriptors = descriptors
        self.centres_m = np.column_stack([places["east_m"], places["north_m"]])
        self._rows = RowReader(descriptors)
        self._check_descriptors()
        graphs = graphs or {}
        self.layers = [
            Layer(
                entry,
                self.places,
                self.centres_m,
                descriptors,
                graphs.get(entry.graph.path) if entry.graph else None,
            )
            for entry in layers
        ]

    @classmethod
    def open(cls, bundle: Bundle) -> Index:
        """The bundle's references, memory-mapped; its files were hashed when it was opened."""
        dimension = bundle.manifest.descriptor.dimension
        graphs = {
            layer.graph.path: Graph.open(
                bundle.path / layer.graph.path, layer.graph, layer.count, dimension
            )
            for layer in bundle.manifest.layers
            if layer.graph is not None
        }
        return cls(bundle.places(), bundle.descriptors(), bundle.manifest.layers, graphs)

    def search(
        self,
        descriptor: Descriptor,
        top_k: int,
        within: Within = EVERYWHERE,
        view: View = View.SATELLITE,
        footprint_m: float | None = None,
    ) -> list[Candidate]:
        """The best places of a view for [D], best first; of one footprint, if one is given.

        Raises:
            DataError: the descriptor is not [D], finite and of unit length.
        """
        query = np.ascontiguousarray(descriptor, np.float32)
        norm = float(np.linalg.norm(query))
        if query.shape != (self.descriptors.shape[1],) or not abs(norm - 1.0) <= UNIT:
            raise DataError(
                f"descriptor of shape {query.shape} and length {norm:.3f},"
                f" expected ({self.descriptors.shape[1]},) and 1"
            )
        parts = [layer.best(query, top_k, within) for layer in self.of(view, footprint_m)]
        return self._candidates(np.concatenate(parts), query, top_k) if parts else []

    def of(self, view: View, footprint_m: float | None = None) -> list[Layer]:
        """The layers of a view, or the one of a footprint among them."""
        return [
            layer
            for layer in self.layers
            if layer.view is view and footprint_m in (None, layer.entry.footprint_m)
        ]

    def _candidates(self, rows: Rows, query: Descriptor, top_k: int) -> list[Candidate]:
        rows = np.sort(rows)
        found = self._rows.read(rows)
        scores = found @ query
        sound = np.abs(np.linalg.norm(found, axis=1) - 1.0) <= UNIT
        scores[~sound] = -np.inf  # not all of a large map were looked at when it was opened
        best = np.argsort(-scores, kind="stable")[: min(top_k, int(sound.sum()))]
        places = self.places[rows[best]]
        columns = (rows[best], *(places[name] for name in _TOLD), scores[best])
        return [
            Candidate(place, lat_deg, lon_deg, footprint_m, _VIEWS[view], score)
            for place, lat_deg, lon_deg, footprint_m, view, score in zip(
                *(column.tolist() for column in columns), strict=True
            )
        ]

    def _check_descriptors(self) -> None:
        """All of a small map, rows from all over a large one."""
        count = len(self.descriptors)
        some = self._rows.read(np.arange(0, count, count // _CHECKED + 1))
        if not np.all(np.abs(np.linalg.norm(some, axis=1) - 1.0) <= UNIT):
            raise BundleError("reference/descriptors.npy holds rows that are not of unit length")
