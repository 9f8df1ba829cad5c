from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.localization.filter import Position
from geobridge.onboard.localization.particles import Looks, Particles

APART_M, REACH_M, STEP_M = 60.0, 30.0, 40.0
TRUE_M = np.array([-700.0, 100.0])


def looks(*at_m: tuple[float, float, float]) -> Looks:
    """Places east and north, with a cosine each."""
    table = np.array(at_m)
    return Looks(table[:, :2], table[:, 2], REACH_M)


def flown(cloud: Particles, frames: int, seed: int = 1) -> None:
    """Eastwards; the right place is among the candidates and is never the first of them."""
    rng = np.random.default_rng(seed)
    for frame in range(frames):
        if frame:
            cloud.move((STEP_M, 0.0), 3.0)
        east_m, north_m = TRUE_M + np.array([STEP_M * frame, 0.0])
        others = rng.uniform(-1000.0, 1000.0, (8, 2))
        cloud.look(looks((east_m, north_m, 0.55), *((*other, 0.6) for other in others.tolist())))


@given(st.integers(0, 50))
def test_what_looks_right_all_along_is_pointed_at(seed: int) -> None:
    cloud = Particles()
    flown(cloud, 8, seed)
    there = TRUE_M + np.array([7 * STEP_M, 0.0])
    pointed_at = cloud.modes_m(APART_M, 2)
    assert min(math.dist(mode, there) for mode in pointed_at) < REACH_M


def test_one_picture_does_not_tell() -> None:
    cloud = Particles()
    flown(cloud, 1)
    assert min(math.dist(mode, TRUE_M) for mode in cloud.modes_m(APART_M, 1)) > REACH_M


def test_who_was_carried_off_is_found_again() -> None:
    cloud = Particles()
    flown(cloud, 8)
    for _ in range(6):
        cloud.look(looks((800.0, -500.0, 0.6)))
    (mode,) = cloud.modes_m(APART_M, 1)
    assert math.dist(mode, (800.0, -500.0)) < REACH_M


def test_it_begins_where_the_vehicle_was_lost_and_flies_on() -> None:
    cloud = Particles()
    cloud.start(Position(0, 50.0, -20.0, 4.0, None, None))
    cloud.move((30.0, 10.0), 2.0)
    (mode,) = cloud.modes_m(APART_M, 1)
    assert mode == pytest.approx((80.0, -10.0), abs=3.0)
    cloud.forget()
    assert cloud.modes_m(APART_M, 1) == []


def test_the_same_flight_gives_the_same_places_to_the_last_bit() -> None:
    one, other = Particles(), Particles()
    for cloud in (one, other):
        flown(cloud, 5)
    assert one.modes_m(APART_M, 3) == other.modes_m(APART_M, 3)


@given(
    st.lists(
        st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.floats(-1.0, 1.0)),
        min_size=1,
        max_size=100,
    )
)
def test_modes_lie_apart_whatever_is_seen(places: list[tuple[float, float, float]]) -> None:
    cloud = Particles()
    for _ in range(3):
        cloud.look(looks(*places))
        cloud.move((1.0, 1.0), 5.0)
    modes = cloud.modes_m(APART_M, 4)
    assert 1 <= len(modes) <= 4
    assert all(math.dist(a, b) >= APART_M for k, a in enumerate(modes) for b in modes[:k])
