from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geobridge.onboard.simulation.describe.describe import describe
from geobridge.onboard.simulation.describe.words import axis, wind
from geobridge.onboard.simulation.world import World, make_world
from geobridge.training.appearance.compass import has_hand, has_points, has_sides, rewrite

QUARTERS = st.integers(0, 3)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(5, 600.0, 1.0)


def turned(east: float, north: float, quarters: int, mirrored: bool) -> tuple[float, float]:
    """By geometry alone: a turn anticlockwise, then east and west exchanged."""
    for _ in range(quarters):
        east, north = -north, east
    return (-east if mirrored else east), north


@given(st.integers(0, 7), QUARTERS, st.booleans())
def test_a_point_of_the_compass_follows_the_geometry(
    eighth: int, quarters: int, mirrored: bool
) -> None:
    at = math.cos(eighth * math.pi / 4), math.sin(eighth * math.pi / 4)
    was, then = wind(*at), wind(*turned(*at, quarters, mirrored))
    for frame in ("trees in the {}", "the {}ern edge", "facing {}wards", "a hut ({})"):
        assert rewrite(frame.format(was), quarters, mirrored) == frame.format(then)


@given(st.floats(0, 3.14), QUARTERS, st.booleans())
def test_a_line_is_still_told_as_lines_are(angle: float, quarters: int, mirrored: bool) -> None:
    eighths = round(angle / (math.pi / 4))
    along = math.cos(eighths * math.pi / 4), math.sin(eighths * math.pi / 4)
    east, north = turned(*along, quarters, mirrored)
    text = rewrite(f"a road running {axis(angle)}", quarters, mirrored)
    assert text == f"a road running {axis(math.atan2(north, east))}"


@settings(deadline=None, max_examples=25)
@given(st.floats(-180, 180), st.floats(-180, 180), QUARTERS, st.booleans())
def test_turning_back_gives_the_description_again(
    world: World, east_m: float, north_m: float, quarters: int, mirrored: bool
) -> None:
    text = describe(world, east_m, north_m, 60.0)
    there = rewrite(text, quarters, mirrored)
    # after a mirror a quarter leads the other way round
    back = rewrite(there, quarters if mirrored else -quarters, mirrored)
    assert back == text
    if quarters % 2 and has_points(text):
        assert there != text


@pytest.mark.parametrize(
    ("text", "quarter", "mirror"),
    [
        ("A northern field.", "A western field.", "A northern field."),
        ("An eastern field.", "A northern field.", "A western field."),
        ("a north-facing slope", "a west-facing slope", "a north-facing slope"),
        ("a South-West, NORTH side", "a South-East, WEST side", "a South-East, NORTH side"),
        ("the north eastern corner", "the north western corner", "the north western corner"),
        ("north-northeast, east-southeast", "west-northwest, north-northeast",
         "north-northwest, west-southwest"),
        ("the NE corner, SSW", "the NW corner, ESE", "the NW corner, SSE"),
        ("an N-S road; the E edge", "a W-E road; the N edge", "an N-S road; the W edge"),
        ("in the north and south", "in the east and west", "in the north and south"),
        ("the easternmost house", "the northernmost house", "the westernmost house"),
        ("flows east to west", "flows north to south", "flows west to east"),
        ("an east-west road", "a north-south road", "an east-west road"),
    ],
)  # fmt: skip
def test_the_ways_people_write_it(text: str, quarter: str, mirror: str) -> None:
    assert has_points(text)
    assert rewrite(text, 1, False) == quarter
    assert rewrite(text, 0, True) == mirror
    assert rewrite(text, 0, False) == text


@pytest.mark.parametrize(
    "text",
    ["At least a beast in Northampton at Easter.", "Eastbourne, an S-shaped bend, route N 5.", ""],
)
def test_other_words_stay(text: str) -> None:
    assert not has_points(text)
    assert rewrite(text, 3, True) == text


@pytest.mark.parametrize(
    ("text", "mirror"),
    [
        ("a road on the left", "a road on the right"),
        ("from left to right", "from right to left"),
        ("Left of it, the left-hand barn", "Right of it, the right-hand barn"),
        ("in the upper left corner", "in the upper right corner"),
        ("the rightmost house", "the leftmost house"),
        ("it turns right at the barn, to the right", "it turns right at the barn, to the left"),
        ("left of the river", "right of the river"),
    ],
)
def test_left_and_right_follow_a_mirror_alone(text: str, mirror: str) -> None:
    assert has_sides(text)
    assert rewrite(text, 0, True) == mirror
    assert rewrite(text, 2, False) == text


@pytest.mark.parametrize(
    "text",
    ["at a right angle", "right next to the barn", "an area left open", "a right of way"],
)
def test_what_is_right_without_a_side_stays(text: str) -> None:
    assert not has_sides(text)
    assert rewrite(text, 1, True) == text


def test_the_top_of_a_picture_is_a_side_and_that_of_a_hill_is_none() -> None:
    assert has_sides("at the top of the image")
    assert has_sides("the lower half")
    assert not has_sides("a tower on top of the hill, upper floors")


def test_a_mirror_turns_clocks_round() -> None:
    text = "A spiral, clockwise; anticlockwise."
    assert has_hand(text)
    assert rewrite(text, 0, True) == "A spiral, anticlockwise; clockwise."
    assert rewrite(text, 1, False) == text


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), QUARTERS, st.booleans())
def test_any_text_can_be_rewritten(text: str, quarters: int, mirrored: bool) -> None:
    assert isinstance(rewrite(text, quarters, mirrored), str)
    if not (has_points(text) or has_sides(text) or has_hand(text)):
        assert rewrite(text, quarters, mirrored) == text


def test_the_rendered_vocabulary_has_no_left_and_right(world: World) -> None:
    rng = np.random.default_rng(0)
    for east_m, north_m in rng.uniform(-180, 180, (20, 2)):
        assert not has_sides(describe(world, float(east_m), float(north_m), 60.0))
