"""What the search on board finds of a gallery: HNSW over codes, ranked again by half precision."""

from __future__ import annotations

import numpy as np

from geobridge.onboard.metrics import recall_at_k
from geobridge.onboard.retrieval import graph as graphs
from geobridge.onboard.retrieval.halves import Halves

from ..datasets.layouts.task import Task
from .standing import Descriptors

TARGET, TRIED = 0.99, 256
"""The search width is the smallest that finds so much of the exact best ten of so many queries."""
TOP = 10


def approximate(task: Task, queries: Descriptors, gallery: Descriptors) -> dict[str, float]:
    """R@1, 5 and 10 by the graph that `pack` builds and flight searches, and how wide it is.

    A right reference that is not among the ten found counts as not found.
    """
    halves = gallery.astype(np.float16)
    index = graphs.build(halves)
    top = min(TOP, len(gallery))
    tried = queries[:: max(1, len(queries) // TRIED)]
    ef, _ = graphs.narrowest(index, Halves(halves), halves, tried, TARGET, top)
    graph = graphs.Graph(index, ef)
    ranks = np.full(len(queries), len(gallery) + 1)
    for number, query in enumerate(queries):
        found = graph.best(query, top)
        scores = halves[found].astype(np.float32) @ query
        best = found[np.lexsort((-found, -scores))][:top]
        hits = np.flatnonzero(np.isin(best, task.positive.of(number)))
        if len(hits):
            ranks[number] = hits[0] + 1
    return {f"r{k}": recall_at_k(ranks, k) for k in (1, 5, 10)} | {"ef": float(ef)}
