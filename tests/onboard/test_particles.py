from __future__ import annotations

import math

import numpy as np
import pytest

from geobridge.onboard.localization.particles import COUNT, MIN_PICTURES, Floats, Particles

S = 1_000_000_000
SPREAD_M, SIZE_M, VELOCITY = 12.0, 1000.0, (12.0, 3.0)
STARTS = np.array([(-300.0, -200.0), (100.0, 0.0), (-100.0, 300.0), (0.0, -350.0)])


def cloud() -> Particles:
    return Particles(velocity_accuracy_m_s=1.5, unknown_speed_m_s=25.0)


def candidates(truth_m: Floats, rng: np.random.Generator, margin: float) -> tuple[Floats, Floats]:
    """Fifty places and one that is right, whose score stands out by `margin` of their sigma."""
    wrong_m = rng.uniform(-SIZE_M / 2, SIZE_M / 2, (50, 2))
    places_m = np.vstack([wrong_m, truth_m + rng.normal(0.0, SPREAD_M / 2, 2)])
    scores = rng.normal(0.5, 0.1, 51)
    scores[-1] += 0.1 * margin
    return places_m, scores


def fly(
    particles: Particles, start_m: Floats, seconds: range, rng: np.random.Generator
) -> tuple[list[float | None], list[bool]]:
    """Second by second: how far off what gathered is, and whether the right one is among the three
    best candidates of that picture alone."""
    off_m, among_three = [], []
    for second in seconds:
        truth_m = start_m + np.array(VELOCITY) * second
        gathered = particles.gathered_m(second * S)
        off_m.append(None if gathered is None else math.dist(gathered, truth_m))
        places_m, scores = candidates(truth_m, rng, margin=1.0)
        among_three.append(bool((scores > scores[-1]).sum() < 3))
        particles.see(second * S, VELOCITY, places_m, scores, SPREAD_M)
    return off_m, among_three


@pytest.mark.parametrize("seed", range(3))
def test_what_is_alike_again_where_the_motion_leads_is_gathered(seed: int) -> None:
    rng, late, alone = np.random.default_rng(seed), [], []
    for start_m in STARTS:
        off_m, among_three = fly(cloud(), start_m, range(1, 25), rng)
        assert off_m[:MIN_PICTURES] == [None] * MIN_PICTURES
        late += off_m[12:]
        alone += among_three[12:]
    right = np.mean([off is not None and off < 2.0 * SPREAD_M for off in late])
    assert np.mean(alone) < 0.55
    assert right > np.mean(alone) + 0.2


def test_without_a_right_place_nothing_stays_gathered() -> None:
    rng, particles, gathered = np.random.default_rng(5), cloud(), []
    for second in range(1, 40):
        gathered.append(particles.gathered_m(second * S))
        places_m, scores = candidates(np.array([9e3, 9e3]), rng, margin=-5.0)
        particles.see(second * S, VELOCITY, places_m, scores, SPREAD_M)
    assert np.mean([place is not None for place in gathered]) < 0.3


def test_after_a_jump_it_gathers_elsewhere() -> None:
    rng, particles = np.random.default_rng(7), cloud()
    fly(particles, STARTS[0], range(1, 20), rng)
    off_m, _ = fly(particles, STARTS[1] - 20.0 * np.array(VELOCITY), range(20, 50), rng)
    assert np.mean([off is not None and off < 2.0 * SPREAD_M for off in off_m[15:]]) > 0.5


def test_a_long_silence_or_nothing_seen_leaves_nothing() -> None:
    particles = cloud()
    particles.see(0, None, np.zeros((0, 2)), np.zeros(0), SPREAD_M)
    assert particles.gathered_m(S) is None
    for second in range(1, 6):
        particles.see(second * S, (0.0, 0.0), np.zeros((1, 2)), np.ones(1), SPREAD_M)
    assert particles.gathered_m(6 * S) == pytest.approx((0.0, 0.0), abs=5.0)
    assert particles.gathered_m(11 * S) is None
    assert particles.gathered_m(5 * S) is None
    particles.clear()
    assert particles.gathered_m(6 * S) is None


def test_without_a_velocity_it_spreads() -> None:
    at_m = []
    for velocity in ((0.0, 0.0), None):
        particles = cloud()
        for second in range(1, 5):
            particles.see(second * S, velocity, np.zeros((1, 2)), np.ones(1), SPREAD_M)
        moved = particles._moved_to(5 * S)
        assert moved is not None
        assert len(moved) == COUNT
        at_m.append(float(moved.std()))
    assert at_m[1] > 1.5 * at_m[0]


def test_the_same_pictures_give_the_same_cloud_and_asking_changes_nothing() -> None:
    found = []
    for asks in (1, 3):
        rng, particles = np.random.default_rng(3), cloud()
        for second in range(1, 15):
            truth_m = STARTS[0] + np.array(VELOCITY) * second
            particles.see(second * S, VELOCITY, *candidates(truth_m, rng, 2.0), SPREAD_M)
            for _ in range(asks):
                place = particles.gathered_m(second * S + S // 2)
        found.append(place)
    assert found[0] is not None
    assert found[0] == found[1]
