"""Which squares a frame is compared with, on made places."""

from __future__ import annotations

import numpy as np
import pytest

from geobridge.onboard.bundle import PLACE
from geobridge.onboard.config import LocalizerConfig, RetrieveConfig
from geobridge.onboard.localization.filter import Position
from geobridge.onboard.localization.rectify import Patch
from geobridge.onboard.localization.search import SQUARES, Search
from geobridge.onboard.manifest_entries import LayerEntry
from geobridge.onboard.retrieval.index import Index
from geobridge.onboard.retrieval.layer import spatial_order
from geobridge.onboard.views import VIEW_CODES, View

FOOTPRINT_M, SIGMA_M, DIMENSION = 80.0, 5.0, 16
PATCH = Patch(np.zeros((80, 80, 3), np.uint8), np.ones((80, 80), np.uint8), 1.0, 3.0, -4.0)
"""Its middle lies 3 m east and 4 m south of the vehicle."""


def index_of(views: tuple[View, ...], spacing_m: float, seed: int) -> Index:
    """Squares of every view, scattered over 300 m; no two views have them in the same places."""
    rng = np.random.default_rng(seed)
    layers, parts, count = [], [], 120
    for number, view in enumerate(views):
        centres_m = rng.uniform(-150.0, 150.0, (count, 2))
        places = np.zeros(count, PLACE)
        places["east_m"], places["north_m"] = centres_m[spatial_order(*centres_m.T)].T
        places["footprint_m"], places["view"] = FOOTPRINT_M, VIEW_CODES[view]
        parts.append(places)
        layers.append(
            LayerEntry(
                view=view.value,
                footprint_m=FOOTPRINT_M,
                spacing_m=spacing_m,
                apart_m=2 * FOOTPRINT_M,
                first=number * count,
                count=count,
                graph=None,
                scores=None,
            )
        )
    rows = rng.standard_normal((count * len(views), DIMENSION))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return Index(np.concatenate(parts), unit.astype(np.float16), layers)


@pytest.mark.parametrize("spacing_m", [10.0, 40.0, 90.0])
@pytest.mark.parametrize("views", [SQUARES[:1], SQUARES[1:], SQUARES])
@pytest.mark.parametrize("top_k", [3, 100])
def test_the_most_similar_square_where_the_vehicle_is_expected_is_looked_at(
    views: tuple[View, ...], spacing_m: float, top_k: int
) -> None:
    """The satellite's where there is one, else the drone's, whatever the search found besides."""
    config = LocalizerConfig(retrieve=RetrieveConfig(top_k=top_k))
    looked_at = 0
    for seed in range(25):
        index = index_of(views, spacing_m, seed)
        rng = np.random.default_rng(seed)
        asked = rng.standard_normal(DIMENSION)
        descriptor = (asked / np.linalg.norm(asked)).astype(np.float32)
        at_m = rng.uniform(-120.0, 120.0, 2)
        expected = Position(0, *at_m.tolist(), SIGMA_M, None, None)
        _, hints = Search(index, config).look(descriptor, PATCH, FOOTPRINT_M, expected, None)
        scores = index.descriptors.astype(np.float32) @ descriptor
        away_m = np.hypot(*(index.centres_m - at_m - [PATCH.east_m, PATCH.north_m]).T)
        best: list[int] = []
        for view in SQUARES:
            there = np.flatnonzero(
                (index.places["view"] == VIEW_CODES[view]) & (away_m <= spacing_m)
            )
            if not best and len(there):
                best = [int(there[np.argmax(scores[there])])]
        assert [hint.place for hint in hints] == best
        looked_at += len(best)
    assert looked_at > 10 or spacing_m < 20.0
