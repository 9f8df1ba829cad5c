"""Every figure of every protocol against a plain reading of its definition, on the whole matrix.

The references here are written from the definitions, query by query and without any of the code
under test; scores are whole numbers, so that ties are frequent and exact.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

from geobridge.onboard.errors import DataError
from geobridge.training.batches.kin import Lists
from geobridge.training.datasets.layouts.task import Items, Task, Texts, lists
from geobridge.training.evaluation import standing
from geobridge.training.evaluation.standing import stand
from geobridge.training.protocols.known import PROTOCOLS, chosen
from geobridge.training.protocols.protocol import Scored
from geobridge.training.protocols.score import score

Floats = npt.NDArray[np.float64]
CLOSE = 1e-9


def items(side: str, places: list[str], positions: Floats | None = None) -> Items:
    names = tuple(f"{side}{number}" for number in range(len(places)))
    return Items(side, names, tuple(places), Texts("nowhere", {}), positions)


@st.composite
def descriptors(draw: st.DrawFn, queries: int, references: int) -> tuple[Any, ...]:
    """Whole numbers: some references are equal, all products are exact."""
    seed, levels = draw(st.integers(0, 2**32 - 1)), draw(st.integers(1, 3))
    rng = np.random.default_rng(seed)
    return tuple(
        rng.integers(-levels, levels + 1, (count, 4)).astype(np.float32)
        for count in (queries, references)
    )


def order_of(row: Floats) -> list[int]:
    """`numpy.argsort(row)[::-1]` with a sort that keeps equal ones in order."""
    return sorted(range(len(row)), key=lambda at: row[at])[::-1]


def trapezoid(ranks: list[int]) -> float:
    """University-1652's AP of 0-based ranks."""
    total = 0.0
    for i, at in enumerate(sorted(ranks)):
        before = i / at if at else 1.0
        total += (before + (i + 1) / (at + 1)) / 2
    return total / len(ranks)


def step(ranks: list[int]) -> float:
    """Precision at every right one, averaged."""
    return sum((i + 1) / (at + 1) for i, at in enumerate(sorted(ranks))) / len(ranks)


def run(name: str, task: Task, sides: tuple[Any, ...]) -> Scored:
    protocol = PROTOCOLS[name]
    (chosen_task,) = protocol.tasks([task])
    queries, references = sides
    if len(chosen_task.gallery) < len(references):
        at = [task.gallery.names.index(each) for each in chosen_task.gallery.names]
        references = references[at]
    return score(protocol, chosen_task, queries, references)


def agree(figures: dict[str, float], expected: dict[str, float]) -> None:
    assert {key: figures[key] for key in expected} == pytest.approx(expected, abs=CLOSE, rel=0)


@st.composite
def places(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Labels of queries, each of which is in the gallery, and of a gallery with distractors."""
    known = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=12))
    junk = draw(st.lists(st.sampled_from("uvwxyz"), max_size=120))
    gallery = draw(st.permutations([*known, *junk]))
    queries = draw(st.lists(st.sampled_from(known), min_size=1, max_size=8))
    return queries, list(gallery)


@settings(max_examples=60, deadline=None)
@given(st.data(), places(), st.sampled_from(["university1652", "university1652-sample4geo"]))
def test_university(data: st.DataObject, labels: tuple[list[str], list[str]], name: str) -> None:
    queries, gallery = labels
    sides = data.draw(descriptors(len(queries), len(gallery)))
    ask, among = items("drone", queries), items("satellite", gallery)
    positive = lists([g for g, p in enumerate(gallery) if p == q] for q in queries)
    found = run(name, Task("drone to satellite", ask, among, positive), sides)
    curve, ap = np.zeros(len(gallery)), 0.0
    for query, label in zip(sides[0], queries, strict=True):
        ranking = order_of(sides[1].astype(float) @ query.astype(float))
        if name.endswith("sample4geo"):
            ranking = [at for at in ranking if gallery[at] in queries]
        right = [rank for rank, at in enumerate(ranking) if gallery[at] == label]
        curve[right[0] :] += 1
        ap += trapezoid(right)
    curve /= len(queries)
    expected = {f"r{k}": curve[min(k, len(gallery)) - 1] for k in (1, 5, 10)}
    expected["r1_percent"] = curve[min(round(0.01 * len(gallery)), len(gallery) - 1)]
    agree(found.figures, expected | {"ap": ap / len(queries)})


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 8), st.integers(4, 250))
def test_vigor(data: st.DataObject, queries: int, references: int) -> None:
    sides = data.draw(descriptors(queries, references))
    rng = np.random.default_rng(queries)
    listed = [rng.choice(references, 4, replace=False) for _ in range(queries)]
    task = Task(
        "street to satellite, same area",
        items("street", ["x"] * queries),
        items("satellite", ["x"] * references),
        lists([row[0]] for row in listed),
        lists(row[1:] for row in listed),
    )
    found = run("vigor-same", task, sides)
    ranks, strict, covers = [], 0, 0
    for query, (right, *near) in zip(sides[0], listed, strict=True):
        scores = sides[1].astype(float) @ query.astype(float)
        higher = [at for at in range(references) if scores[at] > scores[right]]
        ranks.append(len(higher))
        strict += not [at for at in higher if at not in near]
        covers += max(scores) in (scores[right], *(scores[at] for at in near))
    expected = {f"r{k}": np.mean(np.array(ranks) < k) for k in (1, 5, 10)}
    expected["r1_percent"] = np.mean(np.array(ranks) < max(references // 100, 1))
    agree(
        found.figures,
        expected | {"hit_code": strict / queries, "hit_paper": covers / queries},
    )


@settings(max_examples=40, deadline=None)
@given(st.data(), places())
def test_gta_and_visloc(data: st.DataObject, labels: tuple[list[str], list[str]]) -> None:
    queries, gallery = labels
    sides = data.draw(descriptors(len(queries), len(gallery)))
    rng = np.random.default_rng(len(gallery))
    here, there = rng.uniform(0, 4000, (len(queries), 2)), rng.uniform(0, 4000, (len(gallery), 2))
    ask, among = items("drone", queries, here), items("satellite", gallery, there)
    positive = lists([g for g, p in enumerate(gallery) if p == q] for q in queries)
    task = Task("drone to satellite, cross area", ask, among, positive, plane="metres")
    agree(run("gta-uav-cross", task, sides).figures, plain_gta(task, sides))
    maps = (
        np.array([ord(place) % 2 for place in queries]),
        np.array([ord(place) % 2 for place in gallery]),
    )
    task = Task("any", ask, among, positive, plane="metres", maps=maps)
    agree(run("uav-visloc", task, sides).figures, plain_gta(task, sides))


def plain_gta(task: Task, sides: tuple[Any, ...]) -> dict[str, float]:
    """`evaluate/gta.py` as it reads; `visloc.py` multiplies by whether the map is the query's."""
    curve, aps, sums = np.zeros(len(task.gallery)), [], {}
    assert task.queries.positions is not None
    assert task.gallery.positions is not None
    for number, query in enumerate(sides[0]):
        scores = sides[1].astype(float) @ query.astype(float)
        if task.maps is not None:
            scores = scores * (task.maps[1] == task.maps[0][number])
        ranking = order_of(scores)
        right = [rank for rank, at in enumerate(ranking) if at in task.positive.of(number)]
        curve[right[0] :] += 1
        aps.append(step(right))
        for k in (k for k in (1, 3, 5) if k <= len(ranking)):
            apart = [
                math.dist(task.queries.positions[number], task.gallery.positions[at])
                for at in ranking[:k]
            ]
            weights = [k - i for i in range(k)]
            top = sum(w / math.exp(0.001 * d) for w, d in zip(weights, apart, strict=True))
            sums[f"sdm{k}"] = sums.get(f"sdm{k}", 0.0) + top / sum(weights)
            sums[f"dis{k}_m"] = sums.get(f"dis{k}_m", 0.0) + sum(apart) / k
    count = len(sides[0])
    expected = {f"r{k}": curve[min(k, len(curve)) - 1] / count for k in (1, 5, 10)}
    expected["r1_percent"] = curve[min(round(0.01 * len(curve)), len(curve) - 1)] / count
    return expected | {"ap": float(np.mean(aps))} | {k: v / count for k, v in sums.items()}


@settings(max_examples=40, deadline=None)
@given(st.data(), places(), st.booleans())
def test_denseuav(data: st.DataObject, labels: tuple[list[str], list[str]], single: bool) -> None:
    queries, gallery = labels
    gallery = gallery + ["t"] * 10
    sides = data.draw(descriptors(len(queries), len(gallery)))
    rng = np.random.default_rng(len(gallery))
    at_place = {p: (30 + rng.uniform(0, 1e-3), 120 + rng.uniform(0, 1e-3)) for p in set(gallery)}
    here, there = (np.array([at_place[p] for p in each]) for each in (queries, gallery))
    positive = lists([g for g, p in enumerate(gallery) if p == q] for q in queries)
    ask, among = items("drone", queries, here), items("satellite", gallery, there)
    task = Task("drone to satellite", ask, among, positive, plane="wgs84")
    found = run("denseuav-float32" if single else "denseuav", task, sides)
    kind = np.float32 if single else np.float64
    sums: dict[str, float] = {}
    for number, query in enumerate(sides[0]):
        ranking = order_of(sides[1].astype(float) @ query.astype(float))
        right = [rank for rank, at in enumerate(ranking) if gallery[at] == queries[number]]
        sums["ap"] = sums.get("ap", 0.0) + trapezoid(right)
        for k in (1, 3, 5, 10):
            total = 0.0
            for i, at in enumerate(ranking[:k]):
                step_deg = there[at].astype(kind) - here[number].astype(kind)
                apart = kind(np.sqrt(step_deg[0] ** 2 + step_deg[1] ** 2))
                total += (1 - i / k) * math.exp(-5000.0 * float(apart))
            sums[f"sdm{k}"] = sums.get(f"sdm{k}", 0.0) + total / sum(1 - i / k for i in range(k))
        error_m = great_circle_m(here[number], there[ranking[0]])
        for limit in (3, 5, 10, 20, 30, 50):
            sums[f"ma{limit}m"] = sums.get(f"ma{limit}m", 0.0) + (error_m < limit)
    agree(found.figures, {key: value / len(queries) for key, value in sums.items()})


def great_circle_m(a: Floats, b: Floats) -> float:
    lat_a, lat_b = math.radians(a[0]), math.radians(b[0])
    lon = math.radians(a[1]) - math.radians(b[1])
    half = math.sin((lat_a - lat_b) / 2) ** 2
    half += math.cos(lat_a) * math.cos(lat_b) * math.sin(lon / 2) ** 2
    return 2 * 6378.137e3 * math.asin(math.sqrt(half))


@settings(max_examples=40, deadline=None)
@given(st.data(), places())
def test_pessimistic(data: st.DataObject, labels: tuple[list[str], list[str]]) -> None:
    queries, gallery = labels
    sides = data.draw(descriptors(len(queries), len(gallery)))
    positive = lists([g for g, p in enumerate(gallery) if p == q] for q in queries)
    task = Task("any", items("drone", queries), items("satellite", gallery), positive)
    found = run("geoloc", task, sides)
    ranks, aps = [], []
    for number, query in enumerate(sides[0]):
        scores = sides[1].astype(float) @ query.astype(float)
        right = set(positive.of(number).tolist())
        ranking = sorted(range(len(gallery)), key=lambda at: (-scores[at], at in right))
        places_of = [rank for rank, at in enumerate(ranking) if at in right]
        ranks.append(places_of[0])
        aps.append(trapezoid(places_of))
    expected = {f"r{k}": np.mean(np.array(ranks) < k) for k in (1, 5, 10)}
    agree(found.figures, expected | {"ap": np.mean(aps)})


def test_both_roundings_and_distances() -> None:
    # 150 references: layumi takes k = 2 + 1 (1.5 rounds to even), floor takes k = 1
    queries, gallery = np.eye(4, dtype=np.float32)[:1], np.zeros((150, 4), np.float32)
    gallery[:3, 0] = 3, 2, 1
    here, there = np.zeros((1, 2)), np.full((150, 2), 1e6)
    there[0] = 30, 40
    task = Task(
        "any",
        items("drone", ["c"], here),
        items("satellite", ["a", "b", "c", *"x" * 147], there),
        lists([[2]]),
        plane="metres",
    )
    figures = run("own", task, (queries, gallery)).figures
    assert (figures["r1_percent_layumi"], figures["r1_percent_floor"]) == (1.0, 0.0)
    assert (figures["l25m"], figures["l50m"], figures["median_m"]) == (0.0, 1.0, 50.0)


def test_pieces_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    queries, references = (rng.normal(size=(n, 24)).astype(np.float32) for n in (70, 900))
    references[400:500] = references[100:200]
    listed = lists(rng.choice(900, 5, replace=False) for _ in range(70))
    whole = stand(queries, references, listed, 10)
    monkeypatch.setattr(standing, "QUERIES", 17)
    monkeypatch.setattr(standing, "REFERENCES", 61)
    parts = stand(queries, references, listed, 10)
    for name in ("score", "above", "tied_before", "tied_behind", "top", "top_score"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
    scores = queries.astype(float) @ references.T.astype(float)
    assert whole.top.tolist() == [order_of(np.round(row, 12))[:10] for row in scores]
    assert (whole.tied_before + whole.tied_behind).sum() > 0


def test_equal_descriptors_tie_however_many_there_are() -> None:
    references = np.tile(np.random.default_rng(0).normal(size=768).astype(np.float32), (300, 1))
    found = stand(references[:1], references, Lists(np.array([0, 1]), np.array([7])), 3)
    assert (found.above[0], found.tied_before[0], found.tied_behind[0]) == (0, 7, 292)
    assert found.top.tolist() == [[299, 298, 297]]


def test_what_is_no_number_is_refused() -> None:
    references = np.ones((3, 2), np.float32)
    references[1, 0] = np.nan
    with pytest.raises(DataError, match="reference 1 is not finite"):
        stand(references[:1], references, Lists(np.array([0, 1]), np.array([0])))


def test_a_protocol_by_its_name() -> None:
    assert [each.name for each in chosen("vigor", ())] == ["vigor-same", "vigor-cross"]
    with pytest.raises(DataError, match="--protocol vgor: expected one of university1652"):
        chosen("vigor", ["vgor"])
    with pytest.raises(DataError, match="cvusa: is of cvusa, these data are vigor: vigor-same"):
        chosen("vigor", ["cvusa"])
