from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.config import FilterConfig, GateConfig
from geobridge.onboard.localization.breaker import Breaker
from geobridge.onboard.localization.filter import MotionFilter, Position
from geobridge.onboard.localization.gate import (
    MAX_COSINE,
    UNCALIBRATED_MIN_SCORE,
    Evidence,
    gate,
    is_doubtful,
    looks_alike,
    may_confirm,
)
from geobridge.onboard.manifest_entries import ScoresEntry
from geobridge.onboard.records import Reason

S = 1_000_000_000
CONFIG = FilterConfig()
GATE = GateConfig()
GOOD = Evidence(
    score=0.6,
    correlation=0.4,
    peak_ratio=1.8,
    inliers=12,
    agreeing=0.8,
    spread=0.2,
    geometry_sigmas=1.0,
    innovation_sigmas=1.0,
    tracking=True,
)


def at(
    t_s: float, east_m: float = 0.0, north_m: float = 0.0, velocity: float | None = 0.0
) -> Position:
    return Position(round(t_s * S), east_m, north_m, 3.0, velocity, velocity)


def confirmed(until_s: float = 4.0) -> MotionFilter:
    motion = MotionFilter(CONFIG)
    for second in range(CONFIG.confirmations):
        motion.agree(at(until_s - CONFIG.confirmations + 1 + second))
    assert motion.confirmed
    return motion


numbers = st.floats(allow_nan=True, allow_infinity=True)
told = st.none() | numbers


def evidences(
    cosine: st.SearchStrategy[float],
    share: st.SearchStrategy[float],
    near: st.SearchStrategy[float],
) -> st.SearchStrategy[Evidence]:
    return st.builds(
        Evidence,
        score=cosine,
        correlation=cosine,
        peak_ratio=near,
        inliers=st.integers(0, 25),
        agreeing=share,
        spread=share,
        geometry_sigmas=near,
        innovation_sigmas=st.none() | near,
        tracking=st.booleans(),
        min_score=st.none() | cosine,
        looks_alike=st.booleans(),
        flown_m=near,
        disputed=st.booleans(),
        doubtful_s=near,
    )


evidence = evidences(numbers, numbers, numbers)
likely = evidences(st.floats(-0.5, 1.2), st.floats(0.0, 1.2), st.floats(-1.0, 6.0))
CONFIGURED = GateConfig(min_score=0.3)


@given(evidence | likely, st.sampled_from([GATE, CONFIGURED]))
def test_the_gate_passes_what_reaches_every_threshold_and_nothing_else(
    found: Evidence, config: GateConfig
) -> None:
    of_bundle = UNCALIBRATED_MIN_SCORE if found.min_score is None else found.min_score
    least = of_bundle if config.min_score is None else config.min_score
    doubtful = found.looks_alike and not found.tracking
    contrast = GATE.min_peak_ratio_alike if doubtful else GATE.min_peak_ratio
    innovation = found.innovation_sigmas
    needed = GATE.min_correlation if found.tracking else GATE.min_correlation_untracked
    agreeing = GATE.min_agreeing if found.tracking else GATE.min_agreeing_untracked
    reaches = (
        least <= found.score <= MAX_COSINE
        and needed <= found.correlation <= MAX_COSINE
        and found.inliers >= GATE.min_inliers
        and agreeing <= found.agreeing <= 1.0
        and found.spread >= GATE.min_spread
        and found.peak_ratio >= contrast
        and found.geometry_sigmas <= GATE.max_geometry_sigmas
        and (innovation is None or innovation <= GATE.max_innovation_sigmas)
        and found.doubtful_s <= GATE.max_doubtful_s
    )
    assert (gate(found, config) is None) == reaches


FIGURES = ("score", "correlation", "peak_ratio", "agreeing", "spread", "geometry_sigmas")
FIGURES += ("innovation_sigmas", "doubtful_s")


@given(evidence, st.sampled_from(FIGURES))
def test_nan_anywhere_withholds(found: Evidence, field: str) -> None:
    assert gate(replace(found, **{field: math.nan}), GATE) is not None


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"score": 0.1}, Reason.LOW_SCORE, "score 0.100, at least 0.2 needed"),
        ({"score": 91.9}, Reason.LOW_SCORE, "score 91.900"),
        ({"score": 1.02}, Reason.LOW_SCORE, "score 1.020"),
        ({"correlation": 0.12}, Reason.NOT_VERIFIED, "correlation 0.120 below 0.15"),
        (
            {"correlation": 0.17, "tracking": False},
            Reason.NOT_VERIFIED,
            "correlation 0.170 below 0.2",
        ),
        ({"min_score": 0.7}, Reason.LOW_SCORE, "score 0.600, at least 0.7 needed"),
        ({"min_score": math.nan}, Reason.LOW_SCORE, "score 0.600"),
        (
            {"peak_ratio": 1.4, "tracking": False, "looks_alike": True},
            Reason.AMBIGUOUS,
            "peak ratio 1.40 below 1.5, and the map looks alike elsewhere",
        ),
        ({"peak_ratio": 1.2}, Reason.AMBIGUOUS, "peak ratio 1.20 below 1.3"),
        ({"inliers": 5}, Reason.SCATTERED, "5 parts of the picture agree, 80% of those shown; 6"),
        ({"agreeing": 0.3}, Reason.SCATTERED, "12 parts of the picture agree, 30% of those shown"),
        ({"agreeing": 0.45, "tracking": False}, Reason.SCATTERED, "12 parts of the picture agree"),
        ({"agreeing": 1.1}, Reason.SCATTERED, "12 parts of the picture agree, 110%"),
        ({"spread": 0.05}, Reason.SCATTERED, "parts that agree are spread by 0.05"),
        ({"geometry_sigmas": 4.5}, Reason.IMPLAUSIBLE, "heading or height 4.5 sigma from what is"),
        ({"innovation_sigmas": 4.5}, Reason.INCONSISTENT, "4.5 sigma from the predicted position"),
        (
            {"doubtful_s": 5.5},
            Reason.DOUBTFUL,
            "nothing but doubtful evidence for 5.5 s, 5 allowed",
        ),
    ],
)
def test_every_threshold_has_its_reason(
    change: dict[str, float], reason: Reason, detail: str
) -> None:
    refusal = gate(replace(GOOD, **change), GATE)
    assert refusal is not None
    assert refusal[0] is reason
    assert refusal[1].startswith(detail)


def test_exactly_the_threshold_is_enough() -> None:
    least = Evidence(
        score=UNCALIBRATED_MIN_SCORE,
        correlation=GATE.min_correlation,
        peak_ratio=GATE.min_peak_ratio,
        inliers=GATE.min_inliers,
        agreeing=GATE.min_agreeing,
        spread=GATE.min_spread,
        geometry_sigmas=GATE.max_geometry_sigmas,
        innovation_sigmas=GATE.max_innovation_sigmas,
        tracking=True,
        doubtful_s=GATE.max_doubtful_s,
    )
    assert gate(least, GATE) is None
    assert gate(replace(least, innovation_sigmas=None, agreeing=1.0), GATE) is None
    assert gate(replace(least, correlation=MAX_COSINE, score=MAX_COSINE), GATE) is None
    first = replace(
        least,
        correlation=GATE.min_correlation_untracked,
        agreeing=GATE.min_agreeing_untracked,
        tracking=False,
    )
    assert gate(first, GATE) is None
    alike = replace(first, looks_alike=True, peak_ratio=GATE.min_peak_ratio_alike)
    assert gate(alike, GATE) is None


def test_what_nobody_says_speaks_for_nothing() -> None:
    assert (GOOD.flown_m, GOOD.doubtful_s) == (0.0, 0.0)
    assert GOOD.min_score is None
    assert not GOOD.looks_alike
    assert not GOOD.disputed


@pytest.mark.parametrize(
    ("change", "doubtful"),
    [
        ({}, False),
        ({"correlation": 0.17}, True),
        ({"agreeing": 0.45}, True),
        ({"peak_ratio": 1.4, "looks_alike": True}, True),
        ({"peak_ratio": 1.4}, False),
        ({"disputed": True}, True),
        ({"innovation_sigmas": 3.9, "geometry_sigmas": 3.9}, False),
    ],
)
def test_doubtful_is_what_would_not_do_for_a_first_position(
    change: dict[str, float], doubtful: bool
) -> None:
    found = replace(GOOD, **change)
    assert gate(found, GATE) is None
    assert is_doubtful(found, GATE) == doubtful


@pytest.mark.parametrize(
    ("looks", "tracking", "flown_m", "peak_ratio", "may"),
    [
        (False, False, 0.0, 1.9, True),
        (True, True, 0.0, 1.9, True),
        (True, False, 29.9, 1.9, False),
        (True, False, 29.9, 2.0, True),
        (True, False, 30.0, 1.9, True),
        (True, False, math.nan, math.nan, False),
    ],
)
@pytest.mark.fault("N4", "a place that looks like another", "stricter, or withheld")
def test_where_the_map_looks_alike_agreement_has_to_reach_far(
    looks: bool, tracking: bool, flown_m: float, peak_ratio: float, may: bool
) -> None:
    found = replace(
        GOOD, looks_alike=looks, tracking=tracking, flown_m=flown_m, peak_ratio=peak_ratio
    )
    refusal = may_confirm(found, GATE)
    assert (refusal is None) == may
    assert refusal is None or (refusal[0] is Reason.UNCONFIRMED and "30 needed" in refusal[1])


def scores(alike: float) -> ScoresEntry:
    shares = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    return ScoresEntry(queries=1, genuine=shares, impostor=shares, alike=alike)


def test_a_place_looks_alike_where_a_far_one_does_as_much_as_its_neighbours() -> None:
    assert not looks_alike(1.0, None)
    assert looks_alike(0.8, scores(0.8))
    assert looks_alike(math.nan, scores(0.8))
    assert not looks_alike(0.79, scores(0.8))


def test_doubt_grows_until_something_is_certain() -> None:
    breaker = Breaker()
    assert breaker.after(1 * S, doubtful=False) == 0.0
    assert [breaker.after(t * S, doubtful=True) for t in (2, 3, 9)] == [0.0, 1.0, 7.0]
    assert breaker.after(10 * S, doubtful=False) == 0.0
    assert breaker.after(11 * S, doubtful=True) == 0.0


def test_what_may_not_confirm_agrees_and_waits() -> None:
    motion = MotionFilter(CONFIG)
    assert motion.flown_m(at(0.0, 3.0, 4.0)) == 0.0
    told = [motion.agree(at(t_s, 3.0 * t_s), may_confirm=False) for t_s in range(12)]
    assert not any(told)
    assert motion.flown_m(at(12.0, 36.0, 4.0)) == pytest.approx(math.hypot(36.0, 4.0))
    assert motion.agree(at(12.0, 36.0))


def test_confirmation_needs_the_count() -> None:
    motion = MotionFilter(CONFIG)
    told = [motion.agree(at(second)) for second in range(CONFIG.confirmations + 1)]
    assert told == [False] * (CONFIG.confirmations - 1) + [True, True]


def test_confirmation_needs_the_span() -> None:
    motion = MotionFilter(FilterConfig(confirmations=3, confirmation_span_s=2.0))
    told = [motion.agree(at(t_s)) for t_s in (0.0, 0.5, 1.0, 1.5, 1.999, 2.0)]
    assert told == [False] * 5 + [True]


def test_prediction_follows_the_velocity_and_grows_less_certain() -> None:
    motion = MotionFilter(CONFIG)
    motion.agree(Position(0, 10.0, 20.0, 3.0, 5.0, -2.0))
    assert motion.predict(2 * S) == Position(
        2 * S, 20.0, 16.0, math.hypot(3.0, 2 * CONFIG.velocity_accuracy_m_s), 5.0, -2.0
    )


def test_without_a_velocity_the_vehicle_may_have_flown_anywhere_near() -> None:
    motion = MotionFilter(CONFIG)
    motion.agree(at(0.0, 10.0, 20.0, velocity=None))
    predicted = motion.predict(S)
    assert predicted is not None
    assert (predicted.east_m, predicted.north_m) == (10.0, 20.0)
    assert predicted.sigma_m == pytest.approx(math.hypot(3.0, CONFIG.unknown_speed_m_s))


def test_innovation_is_the_distance_in_common_sigmas() -> None:
    motion = MotionFilter(FilterConfig(velocity_accuracy_m_s=4.0))
    assert motion.innovation(at(0.0)) is None
    motion.agree(at(0.0))
    assert motion.innovation(at(1.0, 30.0, 40.0)) == pytest.approx(50.0 / math.hypot(3.0, 5.0))


@given(st.floats(-1e6, 1e6), st.floats(0.0, CONFIG.max_coast_s))
def test_nan_is_never_consistent(east_m: float, t_s: float) -> None:
    motion = MotionFilter(CONFIG)
    motion.agree(at(0.0, velocity=math.nan))
    innovation = motion.innovation(at(t_s, east_m))
    assert gate(replace(GOOD, innovation_sigmas=innovation), GATE) is not None


def test_an_outlier_before_confirmation_starts_the_count_anew() -> None:
    motion = MotionFilter(CONFIG)
    for second in range(CONFIG.confirmations - 1):
        motion.agree(at(second))
    motion.disagree(at(CONFIG.confirmations, 500.0))
    predicted = motion.predict(CONFIG.confirmations * S)
    assert predicted is not None
    assert predicted.east_m == 500.0
    later = range(CONFIG.confirmations + 1, 2 * CONFIG.confirmations)
    assert [motion.agree(at(t_s, 500.0)) for t_s in later] == [False] * 3 + [True]


@pytest.mark.fault("N12", "an innovation beyond its sigmas", "rejected")
def test_an_outlier_after_confirmation_changes_nothing() -> None:
    motion = confirmed(until_s=4.0)
    before = motion.predict(5 * S)
    motion.disagree(at(5.0, 500.0))
    assert motion.confirmed
    assert motion.predict(5 * S) == before


@pytest.mark.fault("T2", "a long gap between frames", "the track is earned anew")
def test_after_the_coast_everything_is_earned_anew() -> None:
    motion = confirmed(until_s=4.0)
    last_ns = round((4.0 + CONFIG.max_coast_s) * S)
    assert motion.predict(last_ns) is not None
    assert motion.confirmed
    assert motion.predict(last_ns + 1) is None
    assert not motion.confirmed
    assert not motion.agree(at(20.0))


def test_time_that_goes_backwards_forgets_everything() -> None:
    motion = confirmed(until_s=4.0)
    assert motion.predict(4 * S - 1) is None
    assert not motion.confirmed
    assert motion.innovation(at(4.0)) is None


def test_a_place_that_stands_still_while_the_vehicle_flies_is_found_out() -> None:
    motion = MotionFilter(CONFIG)
    innovations = []
    for tick in range(40):
        stuck = Position(tick * S // 5, 0.0, 0.0, 5.8, 12.0, 0.0)
        innovations.append(motion.innovation(stuck))
        motion.agree(stuck)
    steps = [value for value in innovations if value is not None]
    assert steps[0] < 1.0  # one frame's step says nothing
    assert steps[-1] > GATE.max_innovation_sigmas


def test_a_place_that_moves_as_the_velocity_says_stays_consistent_for_ever() -> None:
    motion = MotionFilter(CONFIG)
    for tick in range(200):
        moving = Position(tick * S // 5, 12.0 * tick / 5, 0.0, 5.8, 12.0, 0.0)
        innovation = motion.innovation(moving)
        assert innovation is None or innovation < 1e-6
        motion.agree(moving)
