from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geobridge.onboard.bundle import PLACE
from geobridge.onboard.errors import BundleError, DataError
from geobridge.onboard.manifest_entries import GraphEntry, LayerEntry
from geobridge.onboard.retrieval import graph as graphs
from geobridge.onboard.retrieval import layer as layer_module
from geobridge.onboard.retrieval.graph import Graph, build, narrowest
from geobridge.onboard.retrieval.halves import Halves
from geobridge.onboard.retrieval.index import Index
from geobridge.onboard.retrieval.layer import CELL_M, Within, spatial_order
from geobridge.onboard.retrieval.row_reader import RowReader
from geobridge.onboard.views import VIEW_CODES, View

DIMENSION = 16
PATH = "reference/graphs/0.faiss"
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


def entry_of(
    count: int,
    first: int = 0,
    view: View = View.SATELLITE,
    footprint_m: float = 150.0,
    graph: GraphEntry | None = None,
) -> LayerEntry:
    return LayerEntry(
        view=view.value,
        footprint_m=footprint_m,
        spacing_m=None,
        apart_m=300.0,
        first=first,
        count=count,
        graph=graph,
        scores=None,
    )


def index_of(places: Rows, descriptors: npt.NDArray[np.float16], *layers: LayerEntry) -> Index:
    return Index(places, descriptors, layers or [entry_of(len(places))])


def graph_entry(ef: int = 128) -> GraphEntry:
    return GraphEntry(path=PATH, m=16, ef_construction=200, ef=ef, recall_at_10=1.0)


@pytest.fixture
def with_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """An index too large for exact search, by a limit lowered for the test."""
    monkeypatch.setattr(layer_module, "EXACT_UP_TO", 100)
    descriptors = descriptors_of(3000)
    Graph(build(descriptors), 128).save(tmp_path / "graph")
    graph = Graph.open(tmp_path / "graph", graph_entry(), 3000, DIMENSION)
    layer = entry_of(3000, graph=graph_entry())
    return Index(scattered(3000), descriptors, [layer], {PATH: graph})


@given(st.integers(1, 300), st.integers(1, 40), st.integers(0, 1000))
def test_exact_search_is_brute_force(count: int, top_k: int, seed: int) -> None:
    descriptors = descriptors_of(count, seed)
    query = unit(np.random.default_rng(seed + 1).normal(size=DIMENSION))
    found = index_of(scattered(count), descriptors).search(query, top_k)
    scores = descriptors.astype(np.float32) @ query
    assert [c.place for c in found] == np.argsort(-scores, kind="stable")[:top_k].tolist()
    assert [c.score for c in found] == pytest.approx(
        sorted(scores.tolist())[::-1][:top_k], abs=1e-6
    )


@given(st.data())
def test_halves_find_what_brute_force_finds(data: st.DataObject) -> None:
    """Any slices, any rows of them left out, asked again and again of the same object."""
    count = data.draw(st.integers(1, 200))
    rows = descriptors_of(count, seed=count)
    halves = Halves(rows)
    for _ in range(3):
        cuts = sorted(data.draw(st.lists(st.integers(0, count), min_size=2, max_size=6)))
        spans = list(zip(cuts[::2], cuts[1::2], strict=False))
        there = np.concatenate([np.arange(*span) for span in spans])
        wanted = np.array(
            data.draw(st.lists(st.booleans(), min_size=len(there), max_size=len(there))), bool
        )
        chosen = data.draw(st.sampled_from([None, wanted]))
        query = unit(np.random.default_rng(count).normal(size=DIMENSION))
        top_k = data.draw(st.integers(0, 20))
        left = there if chosen is None else there[chosen]
        scores = rows[left].astype(np.float32) @ query
        expected = left[np.argsort(-scores)[:top_k]]
        assert sorted(halves.best(query, spans, top_k, chosen)) == sorted(expected)


def test_halves_take_nothing_but_contiguous_halves() -> None:
    for wrong in (descriptors_of(9).astype(np.float32), descriptors_of(9)[:, ::2]):
        with pytest.raises(ValueError, match="expected contiguous"):
            Halves(wrong)


def test_a_candidate_tells_what_the_place_is() -> None:
    places, descriptors = scattered(50), descriptors_of(50)
    best = index_of(places, descriptors).search(descriptors[7].astype(np.float32), 1)[0]
    assert (best.place, best.view, best.footprint_m) == (7, View.SATELLITE, 150.0)
    assert (best.lat_deg, best.lon_deg) == (places["lat_deg"][7], 7.0)
    assert best.score == pytest.approx(1.0, abs=2e-3)


@given(layouts, metres, metres, st.floats(0.0, 3 * CELL_M))
def test_a_gate_holds_what_brute_force_finds(
    centres_m: npt.NDArray[np.float64], east_m: float, north_m: float, radius_m: float
) -> None:
    places = places_at(centres_m)
    index = index_of(places, descriptors_of(len(places)))
    within = Within((east_m, north_m), radius_m)
    distances_m = np.hypot(places["east_m"] - east_m, places["north_m"] - north_m)
    inside = np.flatnonzero(distances_m <= radius_m)
    assert index.layers[0].rows(within).tolist() == inside.tolist()
    found = index.search(unit(np.ones(DIMENSION)), 100, within)
    assert sorted(c.place for c in found) == inside.tolist()
    assert [c.score for c in found] == sorted((c.score for c in found), reverse=True)


@pytest.mark.parametrize("radius_m", [1e7, 1e12, 1e300, np.inf])
def test_a_gate_of_any_size_is_searched_at_once(radius_m: float) -> None:
    index = index_of(scattered(40), descriptors_of(40))
    assert len(index.layers[0].rows(Within((0.0, 0.0), radius_m))) == 40


@pytest.mark.parametrize("centre_m", [(np.nan, 0.0), (1e300, 0.0), (0.0, -np.inf), (1e7, 1e7)])
def test_a_gate_elsewhere_is_empty(centre_m: tuple[float, float]) -> None:
    index, query = index_of(scattered(40), descriptors_of(40)), unit(np.ones(DIMENSION))
    assert index.search(query, 5, Within(centre_m, 1000.0)) == []
    assert index.search(query, 5, Within((0.0, 0.0), np.nan)) == []


@given(st.floats(-360, 720), st.floats(0, 180), st.booleans())
def test_a_sector_of_headings_holds_what_brute_force_finds(
    heading_deg: float, off_deg: float, gated: bool
) -> None:
    places = scattered(120)
    rng = np.random.default_rng(3)
    places["heading_deg"] = rng.uniform(0.0, 360.0, 120)
    places["heading_deg"][::7] = np.nan
    centre_m, radius_m = ((50.0, 50.0), 1500.0) if gated else (None, np.inf)
    within = Within(centre_m, radius_m, heading_deg, off_deg)
    apart = np.abs((places["heading_deg"] - heading_deg + 180.0) % 360.0 - 180.0)
    wanted = apart <= off_deg
    if gated:
        wanted &= np.hypot(places["east_m"] - 50.0, places["north_m"] - 50.0) <= 1500.0
    found = index_of(places, descriptors_of(120)).search(unit(np.ones(DIMENSION)), 200, within)
    assert sorted(c.place for c in found) == np.flatnonzero(wanted).tolist()


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


def test_the_narrowest_search_that_finds_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is wide enough, the next narrower one is not, and what cannot be reached is said."""
    monkeypatch.setattr(graphs, "M", 4)
    monkeypatch.setattr(graphs, "EF_CONSTRUCTION", 10)
    monkeypatch.setattr(graphs, "EFS", (1, 64, 512))
    monkeypatch.setattr(graphs, "depth", lambda top_k: top_k)
    descriptors = descriptors_of(1500)
    queries = unit(np.random.default_rng(5).normal(size=(60, DIMENSION)))
    index, halves = build(descriptors), Halves(descriptors)
    full = descriptors.astype(np.float32)
    exact = [set(np.argsort(-(full @ query))[:10].tolist()) for query in queries]

    def recall(ef: int) -> float:
        graph = Graph(index, ef)
        hits = [len(exact[i] & set(graph.best(q, 10).tolist())) for i, q in enumerate(queries)]
        return float(np.mean(hits)) / 10

    assert recall(1) < recall(64) < recall(512)
    target = (recall(1) + recall(64)) / 2
    for wanted, ef in ((target, 64), (1.1, 512)):
        found = narrowest(index, halves, descriptors, queries, wanted)
        assert found == pytest.approx((ef, recall(ef)))


def test_the_graph_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Graph(build(descriptors_of(400)), 16).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def mixed(count: int) -> tuple[Rows, list[LayerEntry]]:
    """Squares of two footprints, then street pictures, each layer in its own spatial order."""
    parts = [scattered(count), scattered(count), scattered(count)]
    parts[1]["footprint_m"], parts[2]["footprint_m"], parts[2]["view"] = 300.0, 60.0, 2
    layers = [
        entry_of(count),
        entry_of(count, count, footprint_m=300.0),
        entry_of(count, 2 * count, View.STREET, 60.0),
    ]
    return np.concatenate(parts), layers


VIEW = st.sampled_from([View.SATELLITE, View.STREET, View.DRONE])


@given(st.integers(1, 80), st.integers(1, 40), VIEW, st.booleans(), st.sampled_from([None, 300.0]))
def test_a_search_sees_the_places_of_one_view_and_scale(
    count: int, top_k: int, view: View, gated: bool, footprint_m: float | None
) -> None:
    places, layers = mixed(count)
    descriptors = descriptors_of(3 * count)
    query = unit(np.random.default_rng(9).normal(size=DIMENSION))
    within = Within((100.0, -200.0), 900.0) if gated else Within()
    found = index_of(places, descriptors, *layers).search(query, top_k, within, view, footprint_m)
    wanted = places["view"] == VIEW_CODES[view]
    if footprint_m is not None:
        wanted &= places["footprint_m"] == footprint_m
    if gated:
        wanted &= np.hypot(places["east_m"] - 100.0, places["north_m"] + 200.0) <= 900.0
    rows = np.flatnonzero(wanted)
    scores = descriptors[rows].astype(np.float32) @ query
    assert [c.place for c in found] == rows[np.argsort(-scores, kind="stable")[:top_k]].tolist()
    assert {c.view for c in found} <= {view}


def test_many_equal_places_are_no_trouble_for_the_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_module, "EXACT_UP_TO", 100)
    descriptors = np.repeat(descriptors_of(2), 1000, axis=0)
    graph, layer = Graph(build(descriptors), 16), entry_of(2000, graph=graph_entry())
    index = Index(scattered(2000), descriptors, [layer], {PATH: graph})
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
def test_what_is_no_descriptor_never_reaches_the_library(
    with_graph: Index, descriptor: npt.NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(with_graph, "layers", object())  # would fail at the first touch
    with pytest.raises(DataError, match=r"descriptor of shape .* expected \(16,\) and 1"):
        with_graph.search(descriptor, 5)


def test_a_row_that_is_no_descriptor_is_never_a_candidate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a large map not every row is looked at when it is opened."""
    monkeypatch.setattr("geobridge.onboard.retrieval.index._CHECKED", 10)
    descriptors = descriptors_of(100)
    descriptors[56] *= 3.0
    query = unit(descriptors[56].astype(np.float64))
    found = index_of(scattered(100), descriptors).search(query, 100)
    assert sorted(c.place for c in found) == [row for row in range(100) if row != 56]


def test_rows_of_no_unit_length_are_refused() -> None:
    descriptors = descriptors_of(100)
    descriptors[55] = np.nan
    with pytest.raises(BundleError, match="not of unit length"):
        index_of(scattered(100), descriptors)


@pytest.mark.parametrize(
    ("column", "value", "complaint"),
    [
        ("view", 9, "views other than those of its layers"),
        ("footprint_m", 151.0, "footprints other than those of its layers"),
        ("east_m", 9e3, "not in spatial order"),
    ],
)
def test_places_that_are_not_what_their_layer_says_are_refused(
    column: str, value: float, complaint: str
) -> None:
    places = scattered(60)
    places[column][3] = value
    with pytest.raises(BundleError, match=complaint):
        index_of(places, descriptors_of(60))


@pytest.mark.parametrize("kept", [0, 100, 0.5])
def test_a_damaged_graph_is_refused(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "0.faiss"
    Graph(build(descriptors_of(300)), 16).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept if kept > 1 else kept * len(whole))])
    with pytest.raises(BundleError, match=r"0\.faiss"):
        Graph.open(path, graph_entry(), 300, DIMENSION)


@pytest.mark.parametrize(("count", "dimension"), [(300, DIMENSION), (250, DIMENSION + 1)])
def test_a_graph_of_other_places_is_refused(tmp_path: Path, count: int, dimension: int) -> None:
    path = tmp_path / "graph"
    Graph(build(descriptors_of(250)), 16).save(path)
    with pytest.raises(BundleError, match=f"not a graph of {count} places of {dimension}"):
        Graph.open(path, graph_entry(), count, dimension)


def test_another_index_of_faiss_is_refused(tmp_path: Path) -> None:
    import faiss

    flat = faiss.IndexFlatIP(DIMENSION)
    flat.add(descriptors_of(250).astype(np.float32))
    faiss.write_index(flat, str(tmp_path / "flat"))
    with pytest.raises(BundleError, match="not a graph of 250 places"):
        Graph.open(tmp_path / "flat", graph_entry(), 250, DIMENSION)


def test_rows_are_read_from_a_mapped_file_as_from_memory(tmp_path: Path) -> None:
    descriptors = descriptors_of(90)
    np.save(tmp_path / "rows.npy", descriptors)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    for rows in ([], [3], [88, 0, 7, 7], [3, 4, 5, 9, 88, 89]):
        chosen = np.array(rows, np.int64)
        expected = descriptors[chosen].astype(np.float32)
        assert np.array_equal(RowReader(mapped).read(chosen), expected)
        assert np.array_equal(RowReader(descriptors).read(chosen), expected)
    assert (
        Index(scattered(90), mapped, [entry_of(90)]).search(
            unit(np.ones(DIMENSION)), 5, view=View.STREET
        )
        == []
    )
