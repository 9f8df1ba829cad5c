from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.localization.doubt import (
    AS_TOLD,
    HEADING_STEP_DEG,
    SCALE_STEP,
    SIGMAS,
    Hypothesis,
    height_ratio,
    hypotheses,
)


def turn_deg(a_deg: float, b_deg: float) -> float:
    return abs((a_deg - b_deg + 180.0) % 360.0 - 180.0)


@given(
    accuracy_deg=st.floats(0.1, 90.0),
    ratio=st.floats(1.0, 1.8),
    heading_share=st.floats(-1.0, 1.0),
    height_share=st.floats(-1.0, 1.0),
)
def test_whatever_may_be_true_is_within_half_a_step_of_one(
    accuracy_deg: float, ratio: float, heading_share: float, height_share: float
) -> None:
    found = hypotheses(accuracy_deg, ratio)
    off_deg = heading_share * min(SIGMAS * accuracy_deg, 180.0)
    off_log = height_share * math.log(ratio)
    nearest = min(
        max(
            turn_deg(each.heading_offset_deg, off_deg) / HEADING_STEP_DEG,
            abs(math.log1p(each.scale) - off_log) / math.log(SCALE_STEP),
        )
        for each in found
    )
    assert nearest <= 0.5 + 1e-9
    assert len(set(found)) == len(found)


@given(st.floats(0.1, 90.0), st.floats(1.0, 1.8))
def test_what_is_told_comes_first(accuracy_deg: float, ratio: float) -> None:
    first = hypotheses(accuracy_deg, ratio)[0]
    assert (first.heading_offset_deg, first.scale) == pytest.approx((0.0, 0.0))


def test_what_verification_finds_itself_is_one_hypothesis() -> None:
    assert hypotheses(3.0, height_ratio(0.02)) == (AS_TOLD,)


def test_any_heading_is_a_round() -> None:
    turns = {each.heading_offset_deg for each in hypotheses(90.0, 1.0)}
    assert len(turns) == 360.0 / HEADING_STEP_DEG
    assert -180.0 in turns
    assert 180.0 not in turns


def test_what_is_found_later_adds_up() -> None:
    found = Hypothesis(30.0, 0.2).further(-4.0, -0.05)
    assert found.heading_offset_deg == 26.0
    assert found.scale == pytest.approx(1.2 * 0.95 - 1.0)
