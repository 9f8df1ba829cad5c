"""GeoBridge's table: from every view to every other one, and from text to every view.

Each place is the one right answer to its own query, over the places of a split that have both
sides. AP is University-1652's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from geobridge.onboard.metrics import average_precision, first_ranks, recall_at_k
from geobridge.onboard.views import View

from .config import ModelConfig
from .datasets.triples import TriplesSource
from .evaluate import encode
from .model import GeoBridge, tokenizer

TEXT = "text"
CHUNK = 256

Descriptors = dict[str, npt.NDArray[np.float32]]
"""[D] of every place that has this side."""


def six_directions(
    model: GeoBridge, config: ModelConfig, source: TriplesSource
) -> list[dict[str, Any]]:
    """One row for every direction: queries, R@1, R@5, R@10 and AP."""
    sides: dict[str, Descriptors] = {
        view.value: dict(_images(model, view, source)) for view in source.pictures
    }
    rows = [
        _row(query, sides[query], reference, sides[reference])
        for query in sides
        for reference in sides
        if query != reference
    ]
    if source.texts and config.text_tower:
        text = dict(_texts(model, config, source))
        rows += [_row(TEXT, text, view, sides[view]) for view in sides]
    return [row for row in rows if row["queries"]]


def _row(
    query: str, queries: Mapping[str, Any], reference: str, references: Mapping[str, Any]
) -> dict[str, Any]:
    places = sorted(queries.keys() & references.keys())
    row: dict[str, Any] = {"direction": f"{query} to {reference}", "queries": len(places)}
    if places:
        scores = (
            np.stack([queries[place] for place in places])
            @ np.stack([references[place] for place in places]).T
        )
        right = np.eye(len(places), dtype=bool)
        ranks = first_ranks(scores, right)
        row |= {f"r{k}": recall_at_k(ranks, k) for k in (1, 5, 10)}
        row["ap"] = float(np.mean(average_precision(scores, right, "trapezoid")))
    return row


def _images(
    model: GeoBridge, view: View, source: TriplesSource
) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    places = [place for place in source.places if place in source.pictures[view]]
    for start in range(0, len(places), CHUNK):
        part = places[start : start + CHUNK]
        images = np.stack([source.read(view, place) for place in part])
        yield from zip(part, encode(model, view, images), strict=True)


def _texts(
    model: GeoBridge, config: ModelConfig, source: TriplesSource
) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    tokenize = tokenizer(config)
    device = next(model.parameters()).device
    places = [place for place in source.places if place in source.texts]
    training = model.training
    model.eval()
    for start in range(0, len(places), CHUNK):
        part = places[start : start + CHUNK]
        tokens = tokenize([source.texts[place] for place in part])
        with torch.no_grad():
            encoded = model.encode_text(tokens.to(device)).cpu().numpy()
        yield from zip(part, np.asarray(encoded, np.float32), strict=True)
    model.train(training)
