"""Kin, neighbours on the ground and plans of an epoch, against their definitions on small sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from geobridge.training.batches.sampling import Kin, kin_of, nearest_places, plan_epoch, relation
from geobridge.training.datasets.batch import NEGATIVE, NEITHER, POSITIVE

Array = npt.NDArray[Any]

quick = settings(deadline=None, max_examples=60)


@st.composite
def ground(draw: DrawFn) -> tuple[Array, Array]:
    """Centres and sides of 1 to 80 places, from crowded to far apart; some lie nowhere."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 80))
    extent_m = draw(st.sampled_from([1.0, 100.0, 600.0, 3e4]))
    east_north_m = rng.uniform(-extent_m, extent_m, (count, 2))
    if draw(st.booleans()):
        east_north_m = np.rint(east_north_m / 40.0) * 40.0
    east_north_m[rng.random(count) < draw(st.sampled_from([0.0, 0.1, 1.0]))] = np.nan
    sides_m = draw(st.sampled_from([(150.0,), (80.0, 100.0, 128.0, 180.0), (5.0, 64.0, 2000.0)]))
    return east_north_m, rng.choice(sides_m, count)


def iou_of(east_north_m: Array, side_m: Array, a: int, b: int) -> float:
    """Of two squares, edge by edge; 0 where one lies nowhere."""
    common_m2 = float(np.isfinite(east_north_m[[a, b]]).all())
    for axis in (0, 1):
        low = max(east_north_m[i, axis] - side_m[i] / 2 for i in (a, b))
        high = min(east_north_m[i, axis] + side_m[i] / 2 for i in (a, b))
        common_m2 *= max(0.0, high - low) if common_m2 else 0.0
    return float(common_m2 / (side_m[a] ** 2 + side_m[b] ** 2 - common_m2))


def whole(kin: Kin) -> Array:
    return relation(kin, np.arange(kin.places), np.arange(kin.places))


@quick
@given(
    ground(),
    st.sampled_from([0.0, 0.14, 0.39, 0.9]),
    st.sampled_from([0.0, 0.14, 0.39]),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_kin_are_those_whose_squares_overlap_or_whose_names_are_one(
    places: tuple[Array, Array], positive: float, neither: float, seed: int, named: bool
) -> None:
    count = len(places[1])
    group = np.random.default_rng(seed).integers(0, count, count) if named else None
    found = whole(kin_of(*places, positive, neither, group))
    assert np.array_equal(found, found.T)
    for a in range(count):
        assert found[a, a] == POSITIVE
        for b in range(a):
            iou = iou_of(*places, a, b)
            if min(abs(iou - positive), abs(iou - neither)) < 1e-9 and iou > 0:
                continue  # rounding decides
            one = (group is not None and group[a] == group[b]) or 0 < iou >= positive
            expected = POSITIVE if one else NEITHER if 0 < iou >= neither else NEGATIVE
            assert found[a, b] == expected, (a, b, iou)


def test_squares_that_only_touch_are_strangers() -> None:
    kin = kin_of(np.array([[0.0, 0.0], [100.0, 0.0]]), np.full(2, 100.0), 0.0, 0.0)
    assert not len(kin.positive.items) + len(kin.neither.items)


def test_many_pairs_do_not_fit_one_portion(monkeypatch: pytest.MonkeyPatch) -> None:
    places = np.random.default_rng(0).uniform(0, 900, (300, 2)), np.full(300, 150.0)
    at_once = whole(kin_of(*places, 0.39, 0.14))
    monkeypatch.setattr("geobridge.training.batches.kin._CANDIDATES", 7)
    assert np.array_equal(whole(kin_of(*places, 0.39, 0.14)), at_once)
    assert (at_once == NEITHER).any()


@quick
@given(ground(), st.data())
def test_relation_of_some_rows_and_columns_is_cut_from_that_of_all(
    places: tuple[Array, Array], data: st.DataObject
) -> None:
    kin = kin_of(*places, 0.39, 0.14)
    some = st.lists(st.integers(0, kin.places - 1), min_size=1, max_size=20)
    rows, columns = np.array(data.draw(some)), np.array(data.draw(some))
    assert np.array_equal(relation(kin, rows, columns), whole(kin)[np.ix_(rows, columns)])


@quick
@given(ground(), st.integers(0, 90), st.sampled_from([1, 4, 64]), st.sampled_from([1, 300, 10**6]))
def test_nearest_places_are_as_sorting_all_of_them_gives(
    places: tuple[Array, Array], k: int, leaf: int, cells: int
) -> None:
    kin = kin_of(*places, 0.39, 0.14)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("geobridge.training.batches.nearest._LEAF", leaf)
        patch.setattr("geobridge.training.batches.nearest._CELLS", cells)
        found = nearest_places(places[0], k, kin)
    assert found.shape == (kin.places, k)
    strangers = whole(kin) == NEGATIVE
    for place in range(kin.places):
        apart_mm = np.rint(1000 * np.sqrt(((places[0][place] - places[0]) ** 2).sum(axis=1)))
        order = np.lexsort((np.arange(kin.places), apart_mm))
        right = [b for b in order if strangers[place, b] and np.isfinite(apart_mm[b])][:k]
        assert found[place].tolist() == right + [-1] * (k - len(right))


def line(count: int, apart_m: float) -> tuple[Kin, Array]:
    """Places on a line, and their neighbours."""
    east_north_m = np.stack([apart_m * np.arange(count), np.zeros(count)], axis=1)
    kin = kin_of(east_north_m, np.full(count, 100.0), 0.39, 0.14)
    return kin, nearest_places(east_north_m, 24, kin)


def met(plan: Array, kin: Kin) -> int:
    """Pairs of kin that share a batch."""
    each = [relation(kin, batch, batch) for batch in plan]
    return sum(int((table != NEGATIVE).sum()) - len(table) for table in each) // 2


@quick
@given(
    ground(),
    st.integers(1, 12),
    st.integers(0, 1000),
    st.integers(0, 1000),
    st.sampled_from([0.0, 0.3, 0.5, 1.0]),
)
def test_an_epoch_holds_every_place_at_most_once_and_parts_kin_where_they_are_few(
    places: tuple[Array, Array], size: int, seed: int, epoch: int, share: float
) -> None:
    kin = kin_of(*places, 0.39, 0.14)
    neighbours = nearest_places(places[0], 10, kin)
    arguments = (kin.places, size, seed, epoch, kin, neighbours, share)
    plan = plan_epoch(*arguments)
    assert plan.shape == (kin.places // size, size)
    assert len(np.unique(plan)) == plan.size
    assert np.isin(plan, np.arange(kin.places)).all()
    assert np.array_equal(plan, plan_epoch(*arguments))
    most = int(((whole(kin) != NEGATIVE).sum(axis=1) - 1).max())
    if 2 * most <= len(plan):
        assert met(plan, kin) == 0


def test_every_epoch_and_every_seed_is_another() -> None:
    kin, _ = line(100, 1000.0)
    plans = [plan_epoch(100, 8, seed, epoch, kin) for seed in (0, 1) for epoch in (0, 1, 2)]
    assert len({plan.tobytes() for plan in plans}) == 6
    left = {frozenset(range(100)) - frozenset(plan.ravel().tolist()) for plan in plans}
    assert len(left) == 6, "the remainder is always the same"
    for plan in plans:
        assert sorted(plan.ravel().tolist()) != plan.ravel().tolist()


@pytest.mark.parametrize("seed", range(8))
def test_the_last_batches_are_left_no_kin_either(seed: int) -> None:
    """Nothing is left over, and what is drawn last are those that came with many of their kin."""
    group = np.repeat(np.arange(16), 8)
    kin = kin_of(np.full((128, 2), np.nan), np.ones(128), 0.39, 0.14, group)
    assert met(plan_epoch(128, 8, seed, 0, kin), kin) == 0


def test_batches_are_full_where_kin_cannot_be_parted() -> None:
    everyone = kin_of(np.zeros((50, 2)), np.full(50, 100.0), 0.39, 0.14)
    plan = plan_epoch(50, 8, 0, 0, everyone)
    assert plan.shape == (6, 8)
    assert len(np.unique(plan)) == 48
    assert (relation(everyone, plan[0], plan[0]) == POSITIVE).all()


def test_kin_of_crowded_ground_are_parted() -> None:
    """Seventeen kin at most, twenty batches: more than the plan promises to part."""
    rng = np.random.default_rng(0)
    kin = kin_of(rng.uniform(0, 1500, (600, 2)), np.full(600, 150.0), 0.39, 0.14)
    assert met(rng.permutation(600).reshape(20, 30), kin) > 100
    assert met(plan_epoch(600, 30, 0, 0, kin), kin) == 0


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_the_share_asked_for_are_neighbours_of_others_in_the_batch(share: float) -> None:
    kin, neighbours = line(4000, 200.0)
    plan = plan_epoch(4000, 32, 3, 0, kin, neighbours, share)
    hard = [np.isin(batch, neighbours[batch]).mean() for batch in plan]
    plain = plan_epoch(4000, 32, 3, 0, kin, neighbours, 0.0)
    by_chance = np.mean([np.isin(batch, neighbours[batch]).mean() for batch in plain])
    assert np.median(hard) >= share
    # a place that brings some is a neighbour of theirs too, and some meet by chance
    assert np.mean(hard) < share + by_chance + 0.15
    assert by_chance < 0.25
    early, late = np.mean(hard[:62]), np.mean(hard[62:])
    assert early == pytest.approx(late, abs=0.06), "batches are in the order they were drawn in"


def test_a_place_brings_its_nearest_and_some_of_the_next() -> None:
    """Eight of a range of sixteen, which for this one batch are all still to be had."""
    kin, neighbours = line(31, 200.0)
    seen: set[int] = set()
    for seed in range(40):
        (batch,) = plan_epoch(31, 16, seed, 0, kin, neighbours, 0.5)
        rank = {place: rank for rank, place in enumerate(neighbours[batch[0]].tolist())}
        brought = [rank[place] for place in batch[1:9].tolist()]
        assert brought[:4] == [0, 1, 2, 3]
        seen |= set(brought[4:])
    assert seen == set(range(4, 16))


def test_neighbours_that_are_used_up_leave_full_batches() -> None:
    kin, _ = line(64, 200.0)
    nobody = np.full((64, 5), -1, np.int32)
    plan = plan_epoch(64, 16, 0, 0, kin, nobody, 0.5)
    assert sorted(plan.ravel().tolist()) == list(range(64))


def test_kin_never_come_as_neighbours() -> None:
    """Lists by similarity may be older than the kin; the plan looks itself."""
    kin, _ = line(200, 60.0)
    wrong = np.stack([np.roll(np.arange(200), -1), np.roll(np.arange(200), 1)], axis=1)
    assert (relation(kin, np.array([5]), wrong[5]) != NEGATIVE).all()
    assert met(plan_epoch(200, 10, 0, 0, kin, wrong.astype(np.int32), 0.8), kin) == 0


def test_fewer_places_than_a_batch_are_no_batch() -> None:
    kin, _ = line(3, 200.0)
    assert plan_epoch(3, 4, 0, 0, kin).shape == (0, 4)
