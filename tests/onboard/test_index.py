from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geobridge.onboard.bundle import PLACE
from geobridge.onboard.errors import BundleError, DataError
from geobridge.onboard.manifest import IndexEntry
from geobridge.onboard.retrieval import index as index_module
from geobridge.onboard.retrieval.index import (
    CELL_M,
    Index,
    build_graph,
    graph_recall,
    spatial_order,
)
from geobridge.onboard.views import VIEW_CODES, View

DIMENSION = 16
Rows = npt.NDArray[Any]

layouts = hnp.arrays(
    float,
    st.tuples(st.integers(1, 60), st.just(2)),
    elements=st.floats(-3 * CELL_M, 3 * CELL_M) | st.sampled_from([-CELL_M, 0.0, CELL_M]),
)
metres = st.floats(-4 * CELL_M, 4 * CELL_M)


def unit(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def places_at(centres_m: npt.NDArray[np.float64]) -> Rows:
    places = np.zeros(len(centres_m), PLACE)
    places["east_m"], places["north_m"] = centres_m[spatial_order(*centres_m.T)].T
    places["lat_deg"], places["lon_deg"] = 46.0 + places["north_m"] / 1e5, 7.0
    places["footprint_m"], places["view"] = 150.0, 1
    return places


def descriptors_of(count: int, seed: int = 0) -> npt.NDArray[np.float16]:
    rng = np.random.default_rng(seed)
    return unit(rng.normal(size=(count, DIMENSION))).astype(np.float16)


def scattered(count: int) -> Rows:
    return places_at(np.random.default_rng(1).uniform(-2000, 2000, (count, 2)))


@pytest.fixture
def with_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """An index too large for exact search, by a limit lowered for the test."""
    monkeypatch.setattr(index_module, "EXACT_UP_TO", 100)
    descriptors = descriptors_of(3000)
    graph = build_graph(descriptors, m=16, ef_construction=200)
    graph.save_index(str(tmp_path / "index.hnsw"))
    entry = IndexEntry(m=16, ef_construction=200, ef=128, recall_at_10=1.0)
    return Index(scattered(3000), descriptors, tmp_path / "index.hnsw", entry)


@given(st.integers(1, 300), st.integers(1, 40), st.integers(0, 1000))
def test_exact_search_is_brute_force(count: int, top_k: int, seed: int) -> None:
    descriptors = descriptors_of(count, seed)
    query = unit(np.random.default_rng(seed + 1).normal(size=DIMENSION))
    found = Index(scattered(count), descriptors).search(query, top_k)
    scores = descriptors.astype(np.float32) @ query
    assert [c.place for c in found] == np.argsort(-scores, kind="stable")[:top_k].tolist()
    assert [c.score for c in found] == pytest.approx(sorted(scores.tolist())[::-1][:top_k])


def test_a_candidate_tells_what_the_place_is() -> None:
    places, descriptors = scattered(50), descriptors_of(50)
    best = Index(places, descriptors).search(descriptors[7].astype(np.float32), 1)[0]
    assert (best.place, best.view, best.footprint_m) == (7, View.SATELLITE, 150.0)
    assert (best.lat_deg, best.lon_deg) == (places["lat_deg"][7], 7.0)
    assert best.score == pytest.approx(1.0, abs=2e-3)


@given(layouts, metres, metres, st.floats(0.0, 3 * CELL_M))
def test_a_gate_holds_what_brute_force_finds(
    centres_m: npt.NDArray[np.float64], east_m: float, north_m: float, radius_m: float
) -> None:
    places = places_at(centres_m)
    index = Index(places, descriptors_of(len(places)))
    distances_m = np.hypot(places["east_m"] - east_m, places["north_m"] - north_m)
    inside = np.flatnonzero(distances_m <= radius_m)
    assert index.rows_within((east_m, north_m), radius_m).tolist() == inside.tolist()
    query = unit(np.ones(DIMENSION))
    found = index.search(query, 100, (east_m, north_m), radius_m)
    assert sorted(c.place for c in found) == inside.tolist()
    assert [c.score for c in found] == sorted((c.score for c in found), reverse=True)


@pytest.mark.parametrize("radius_m", [1e7, 1e12, 1e300, np.inf])
def test_a_gate_of_any_size_is_searched_at_once(radius_m: float) -> None:
    index = Index(scattered(40), descriptors_of(40))
    assert len(index.rows_within((0.0, 0.0), radius_m)) == 40


@pytest.mark.parametrize("centre_m", [(np.nan, 0.0), (1e300, 0.0), (0.0, -np.inf), (1e7, 1e7)])
def test_a_gate_elsewhere_is_empty(centre_m: tuple[float, float]) -> None:
    index = Index(scattered(40), descriptors_of(40))
    assert index.search(unit(np.ones(DIMENSION)), 5, centre_m, 1000.0) == []
    assert index.search(unit(np.ones(DIMENSION)), 5, (0.0, 0.0), np.nan) == []


def test_the_graph_finds_and_exact_scores_rank(with_graph: Index) -> None:
    queries = unit(np.random.default_rng(5).normal(size=(40, DIMENSION)))
    full, hits = with_graph.descriptors.astype(np.float32), 0
    for query in queries:
        found = with_graph.search(query, 10)
        scores = [float(full[c.place] @ query) for c in found]
        assert [c.score for c in found] == pytest.approx(scores, abs=1e-6)
        assert scores == sorted(scores, reverse=True)
        hits += len({c.place for c in found} & set(np.argsort(-(full @ query))[:10].tolist()))
    assert hits / 400 >= 0.99


def test_the_recorded_recall_is_that_of_the_graph() -> None:
    descriptors, queries = (
        descriptors_of(1500),
        unit(np.random.default_rng(5).normal(size=(60, 16))),
    )
    graph = build_graph(descriptors, m=4, ef_construction=10)
    full = descriptors.astype(np.float32)
    graph.set_ef(10)
    found, _ = graph.knn_query(queries, k=10, num_threads=1)
    hits = [
        len(set(row.tolist()) & set(np.argsort(-(full @ query))[:10].tolist()))
        for row, query in zip(found, queries, strict=True)
    ]
    recall = graph_recall(graph, descriptors, queries, ef=1)
    assert recall == pytest.approx(np.mean(hits) / 10)
    assert recall < graph_recall(graph, descriptors, queries, ef=500)


def test_the_graph_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        build_graph(descriptors_of(400), 16, 100).save_index(str(tmp_path / name))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


VIEW = st.sampled_from([View.SATELLITE, View.STREET])


def mixed(count: int, seed: int = 3) -> Rows:
    """Squares and street pictures in no order but the spatial one."""
    places = scattered(count)
    places["view"] = np.random.default_rng(seed).integers(1, 3, count)
    return places


@given(st.integers(1, 200), st.integers(1, 40), VIEW, st.booleans())
def test_a_search_sees_the_places_of_one_view(
    count: int, top_k: int, view: View, gated: bool
) -> None:
    places, descriptors = mixed(count), descriptors_of(count)
    query = unit(np.random.default_rng(9).normal(size=DIMENSION))
    gate = ((100.0, -200.0), 900.0) if gated else (None, None)
    found = Index(places, descriptors).search(query, top_k, *gate, view)
    wanted = places["view"] == VIEW_CODES[view]
    if gated:
        wanted &= np.hypot(places["east_m"] - 100.0, places["north_m"] + 200.0) <= 900.0
    rows = np.flatnonzero(wanted)
    scores = descriptors[rows].astype(np.float32) @ query
    assert [c.place for c in found] == rows[np.argsort(-scores, kind="stable")[:top_k]].tolist()
    assert {c.view for c in found} <= {view}


def test_squares_are_found_among_street_pictures_that_score_higher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many and all of them nearer to the query, so that a plain graph search finds no square."""
    monkeypatch.setattr(index_module, "EXACT_UP_TO", 100)
    places, rng = mixed(3000), np.random.default_rng(4)
    squares, query = places["view"] == 1, unit(rng.normal(size=DIMENSION))
    rows = rng.normal(size=(3000, DIMENSION)) + np.where(squares, 0.0, 8.0)[:, None] * query
    descriptors = unit(rows).astype(np.float16)
    graph = build_graph(descriptors, 16, 200)
    graph.save_index(str(tmp_path / "graph"))
    graph.set_ef(128)
    assert not squares[graph.knn_query(query[None], k=100)[0][0]].any()
    entry = IndexEntry(m=16, ef_construction=200, ef=128, recall_at_10=1.0)
    index = Index(places, descriptors, tmp_path / "graph", entry)
    found = index.search(query, 10)
    scores = np.where(squares, descriptors.astype(np.float32) @ query, -2.0)
    best = np.argsort(-scores)[:10]
    assert {c.view for c in found} == {View.SATELLITE}
    assert len({c.place for c in found} & set(best.tolist())) >= 9


def test_a_view_that_the_graph_hides_is_searched_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "EXACT_UP_TO", 100)
    places, descriptors = mixed(400), descriptors_of(400)
    build_graph(descriptors, 2, 10).save_index(str(tmp_path / "graph"))
    entry = IndexEntry(m=2, ef_construction=10, ef=1, recall_at_10=0.1)
    index = Index(places, descriptors, tmp_path / "graph", entry)
    query = unit(np.ones(DIMENSION))

    def few(*_: object, **__: object) -> None:
        raise RuntimeError("Cannot return the results in a contiguous 2D array")

    monkeypatch.setattr(index, "_graph", SimpleNamespace(knn_query=few))
    found = index.search(query, 5, view=View.STREET)
    streets = np.flatnonzero(places["view"] == 2)
    scores = descriptors[streets].astype(np.float32) @ query
    assert [c.place for c in found] == streets[np.argsort(-scores)[:5]].tolist()


def test_a_view_without_places_gives_nothing(with_graph: Index) -> None:
    assert with_graph.search(unit(np.ones(DIMENSION)), 5, view=View.STREET) == []


def test_many_equal_places_are_no_trouble_for_the_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "EXACT_UP_TO", 100)
    descriptors = np.repeat(descriptors_of(2), 1000, axis=0)
    build_graph(descriptors, 16, 100).save_index(str(tmp_path / "graph"))
    entry = IndexEntry(m=16, ef_construction=100, ef=16, recall_at_10=1.0)
    index = Index(scattered(2000), descriptors, tmp_path / "graph", entry)
    found = index.search(descriptors[0].astype(np.float32), 20)
    assert len(found) == 20
    assert found[0].score == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize(
    "descriptor",
    [
        np.full(DIMENSION, np.nan),
        np.zeros(DIMENSION),
        np.full(DIMENSION, np.inf),
        np.ones(DIMENSION),
        unit(np.ones(DIMENSION + 1)),
        unit(np.ones(DIMENSION))[None],
    ],
)
def test_what_is_no_descriptor_never_reaches_the_graph(
    with_graph: Index, descriptor: npt.NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(with_graph, "_graph", object())  # would fail at the first touch
    with pytest.raises(DataError, match=r"descriptor of shape .* expected \(16,\) and 1"):
        with_graph.search(descriptor, 5)


def test_places_out_of_order_are_refused() -> None:
    places = scattered(60)[::-1].copy()
    with pytest.raises(BundleError, match="not in spatial order"):
        Index(places, descriptors_of(60))


def test_a_view_nobody_knows_is_refused() -> None:
    places = scattered(5)
    places["view"][3] = 9
    with pytest.raises(BundleError, match="a view that this version does not know"):
        Index(places, descriptors_of(5))


@pytest.mark.parametrize("kept", [0, 100, 0.5])
def test_a_damaged_graph_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: float
) -> None:
    monkeypatch.setattr(index_module, "EXACT_UP_TO", 100)
    path = tmp_path / "index.hnsw"
    build_graph(descriptors_of(300), 16, 100).save_index(str(path))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept if kept > 1 else kept * len(whole))])
    entry = IndexEntry(m=16, ef_construction=100, ef=16, recall_at_10=1.0)
    with pytest.raises(BundleError, match=r"index\.hnsw"):
        Index(scattered(300), descriptors_of(300), path, entry)


def test_a_graph_of_other_places_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "EXACT_UP_TO", 100)
    build_graph(descriptors_of(250), 16, 100).save_index(str(tmp_path / "graph"))
    entry = IndexEntry(m=16, ef_construction=100, ef=16, recall_at_10=1.0)
    with pytest.raises(BundleError, match="holds 250 places, not 300"):
        Index(scattered(300), descriptors_of(300), tmp_path / "graph", entry)
