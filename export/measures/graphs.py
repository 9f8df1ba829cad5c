"""Whether a layer gets a graph, and how wide it has to be searched."""

from __future__ import annotations

import logging
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt

from geobridge.onboard import durable
from geobridge.onboard.manifest_entries import GraphEntry
from geobridge.onboard.retrieval import graph as graphs
from geobridge.onboard.retrieval.halves import Halves
from geobridge.onboard.retrieval.layer import EXACT_UP_TO

log = logging.getLogger(__name__)

RECALL_TARGET = 0.99


def write_graph(
    descriptors: npt.NDArray[np.float16],
    held_out: npt.NDArray[np.float16],
    folder: Path,
    path: str,
    work: Path,
) -> GraphEntry | None:
    """The graph of a layer as a file of the bundle, with the smallest search width that finds
    enough of what exact search finds for queries that nobody indexed.

    None, and no file, for a layer that is searched exactly: because it is small, or because no
    width finds enough.

    Args:
        descriptors: [N, D] of the layer.
        held_out: [Q, D] queries.
        folder: of the bundle.
        path: of the graph below it.
        work: keeps the graph while the bundle is not whole: it may have taken an hour.
    """
    if len(descriptors) <= EXACT_UP_TO:
        return None
    kept = work / Path(path).name
    if not kept.exists():
        log.info("building the graph over %d places", len(descriptors))
        built = graphs.build(descriptors)
        durable.write_file(kept, lambda file: graphs.Graph(built, 0).save(file))
    index = faiss.read_index(str(kept))
    queries = held_out.astype(np.float32)
    ef, recall = graphs.narrowest(index, Halves(descriptors), descriptors, queries, RECALL_TARGET)
    log.info("HNSW recall@10 %.3f on %d held-out queries with ef %d", recall, len(queries), ef)
    if recall < RECALL_TARGET:
        log.warning("no graph finds enough here: this layer will be searched exactly")
        return None
    durable.write_file(folder / path, lambda file: file.hardlink_to(kept))
    return GraphEntry(
        path=path,
        m=graphs.M,
        ef_construction=graphs.EF_CONSTRUCTION,
        ef=ef,
        recall_at_10=round(recall, 4),
    )
