"""Ranks counted piece by piece against those of the whole matrix."""

from __future__ import annotations

import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

pytest.importorskip("torch")

import torch

from geobridge.onboard.metrics import (
    average_precision,
    first_ranks,
    guessing,
    one_percent_k,
    recall_at_k,
)
from geobridge.training.evaluation import ranking
from geobridge.training.evaluation.ranking import figures, ranks

Descriptors = npt.NDArray[np.float32]


def unit(rng: np.random.Generator, count: int, dimension: int) -> Descriptors:
    values = rng.normal(size=(count, dimension))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


@st.composite
def galleries(draw: st.DrawFn) -> tuple[Descriptors, Descriptors, int]:
    """Small whole numbers, whose products are exact and often equal, and the size of a piece."""
    shape = draw(st.tuples(st.integers(1, 24), st.integers(1, 3)))
    whole = arrays.arrays(np.int64, shape, elements=st.integers(-2, 2))
    queries, references = draw(whole), draw(whole)
    return queries.astype(np.float32), references.astype(np.float32), draw(st.integers(1, 9))


@given(galleries())
def test_pieces_rank_as_the_whole_matrix_does(case: tuple[Descriptors, Descriptors, int]) -> None:
    queries, references, chunk = case
    right = np.eye(len(queries), dtype=bool)
    scores = queries @ references.T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "CHUNK", chunk)
        found = ranks(queries, references)
    assert found.tolist() == first_ranks(scores, right).tolist()
    told = figures(found)
    assert told["ap"] == pytest.approx(average_precision(scores, right, "trapezoid").mean())
    for k in (1, 5, 10):
        assert told[f"r{k}"] == recall_at_k(found, k)
    k = one_percent_k(len(found), "layumi")
    assert told["r1_percent"] == recall_at_k(found, k)
    assert told.keys() == guessing(len(found)).keys()


def test_one_percent_of_many_is_more_than_the_first() -> None:
    found = np.arange(1, 301)
    assert figures(found)["r1_percent"] == 4 / 300  # round(3.0) + 1, as University-1652 counts


def test_copies_of_a_place_tie_whatever_piece_they_are_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums in another order differ in the last bits; that must not put the right one first."""
    monkeypatch.setattr(ranking, "CHUNK", 37)
    copies = np.repeat(unit(np.random.default_rng(0), 1, 768), 100, axis=0)
    assert ranks(copies, copies).tolist() == [100] * 100


def test_what_is_no_number_stands_before_the_right_one() -> None:
    queries, references = np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32)
    references[2] = np.nan
    assert ranks(queries, references).tolist() == [2, 2, 5, 2]
    queries[0] = np.inf
    assert ranks(queries, references).tolist() == [5, 2, 5, 2]
    assert figures(ranks(queries[2:3], references[2:3]))["r1"] == 0.0


def test_half_precision_around_it_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    references = unit(rng, 300, 64)
    queries = 4 * unit(rng, 300, 64) + references
    usual = ranks(queries, references)
    before = torch.get_float32_matmul_precision()
    with torch.autocast("cpu", torch.bfloat16):
        assert ranks(queries, references).tolist() == usual.tolist()
    assert torch.get_float32_matmul_precision() == before
    assert 1 < usual.mean() < 100  # neither trivial nor random


def test_memory_does_not_grow_with_queries_times_references(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every matrix of scores is a piece; 20,000 x 20,000 of them would be 1.6 GB."""
    count, sizes = 20_000, []
    below = torch.Tensor.__lt__

    def spy(scores: torch.Tensor, bar: torch.Tensor) -> torch.Tensor:
        sizes.append(scores.numel())
        return below(scores, bar)

    monkeypatch.setattr(torch.Tensor, "__lt__", spy)
    queries = unit(np.random.default_rng(2), count, 4)
    tracemalloc.start()
    found = ranks(queries, queries[::-1].copy())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(sizes) <= ranking.CHUNK**2
    assert sum(sizes) == count**2  # and still every one was compared
    assert peak < 8 * 2**20
    assert found.min() >= 1
    assert found.max() <= count
