"""The HNSW graph of a layer: faiss, over 8-bit codes of the descriptors, memory-mapped in flight.

What it finds is ranked again by the full float16 descriptors, so the codes only have to lead there.
faiss was chosen over hnswlib and usearch by measurement (`scripts/bench_index`): it has kernels for
ARM, its files are checked as they are read, and a quarter of the memory holds the same map.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from ..errors import BundleError
from ..manifest_entries import GraphEntry
from .halves import Descriptor, Halves, Rows

M, EF_CONSTRUCTION = 16, 200
EFS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Search widths from which the smallest sufficient one is chosen."""
_BLOCK = 65_536


def depth(top_k: int) -> int:
    """How many the graph is asked for, so that ranking them again leaves the best `top_k`."""
    return top_k + 10 + top_k // 2


class Graph:
    """A graph that was read after its hash was checked, or was just built."""

    def __init__(self, index: Any, ef: int) -> None:
        self._index = index
        self._ef = ef

    @classmethod
    def open(cls, path: Path, entry: GraphEntry, count: int, dimension: int) -> Graph:
        """A graph over so many places of so many dimensions.

        Raises:
            BundleError: it is none, or one over something else.
        """
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:  # faiss says in which of its own lines
            raise BundleError(f"{path}: {str(error).rpartition('Error: ')[2][:120]}") from None
        if not isinstance(index, faiss.IndexHNSWSQ) or (
            index.ntotal != count
            or index.d != dimension
            or index.metric_type != faiss.METRIC_INNER_PRODUCT
        ):
            raise BundleError(f"{path}: not a graph of {count} places of {dimension} dimensions")
        return cls(index, entry.ef)

    def best(self, query: Descriptor, top_k: int) -> Rows:
        """Rows among which the nearest `top_k` to [D] should be, in no order."""
        wanted = min(depth(top_k), self._index.ntotal)
        width = faiss.SearchParametersHNSW(efSearch=max(self._ef, wanted))
        _, found = self._index.search(query[None], wanted, params=width)
        return np.asarray(found[0][found[0] >= 0], np.int64)

    def save(self, path: Path) -> None:
        """Write it.

        Raises:
            OSError: the disk does not take it.
        """
        try:
            faiss.write_index(self._index, str(path))
        except RuntimeError as error:
            raise OSError(errno.EIO, str(error).rpartition("Error: ")[2][:120], str(path)) from None


def build(descriptors: npt.NDArray[np.float16]) -> Any:
    """faiss's index over [N, D] unit rows; by one thread, so that it is the same every time."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    index = faiss.IndexHNSWSQ(
        descriptors.shape[1], faiss.ScalarQuantizer.QT_8bit, M, faiss.METRIC_INNER_PRODUCT
    )
    index.hnsw.efConstruction = EF_CONSTRUCTION
    step = len(descriptors) // _BLOCK + 1
    index.train(np.asarray(descriptors[::step], np.float32))
    for first in range(0, len(descriptors), _BLOCK):
        index.add(np.asarray(descriptors[first : first + _BLOCK], np.float32))
    faiss.omp_set_num_threads(threads)
    return index


def narrowest(
    index: Any,
    halves: Halves,
    descriptors: npt.NDArray[np.float16],
    queries: Descriptor,
    target: float,
    top_k: int = 10,
) -> tuple[int, float]:
    """The smallest search width with enough of the exact nearest `top_k` of [Q, D], and how many.

    The widest where none finds enough.
    """
    spans = [(0, len(descriptors))]
    exact = [halves.best(query, spans, top_k) for query in queries]
    recall = 0.0
    for ef in EFS:
        graph = Graph(index, ef)
        found = [_ranked(graph.best(query, top_k), descriptors, query, top_k) for query in queries]
        hits = [len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, exact, strict=True)]
        recall = float(np.mean(hits))
        if recall >= target:
            return ef, recall
    return EFS[-1], recall


def _ranked(
    rows: Rows, descriptors: npt.NDArray[np.float16], query: Descriptor, top_k: int
) -> Rows:
    scores = np.asarray(descriptors[rows], np.float32) @ query
    return rows[np.argsort(-scores)[:top_k]]
