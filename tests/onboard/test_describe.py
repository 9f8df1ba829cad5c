"""Places in words: nothing is claimed that is not there, and what is there tells places apart."""

from __future__ import annotations

import math
import re
from difflib import SequenceMatcher
from functools import lru_cache
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geobridge.onboard.errors import DataError
from geobridge.onboard.simulation import world as worlds
from geobridge.onboard.simulation.describe.describe import describe
from geobridge.onboard.simulation.land.geometry import dense, rectangle
from geobridge.onboard.simulation.land.ground import Ground
from geobridge.onboard.simulation.land.plan import (
    Block,
    Junction,
    JunctionKind,
    Landmark,
    Layout,
    River,
    Road,
    RoadKind,
    Settlement,
    Trunk,
    TrunkKind,
    Use,
    Waters,
)
from geobridge.onboard.simulation.land.raster import Floats
from geobridge.onboard.simulation.land.solids import Facade
from geobridge.onboard.simulation.world import World, make_world

REACH_M = 60.0
MAX_WORDS = 55
FORBIDDEN = re.compile(
    r"\b(cars?|truck|vehicle|sun\w*|shadow\w*|light|dark|bright|snow\w*|rain\w*|cloud\w*|fog|haze"
    r"|summer|autumn|winter|spring|season|perhaps|maybe|possibly|seems?|appears?|likely"
    r"|latitude|longitude|metres?|\d+)\b|[()]"
)
WINDS = ["east", "northeast", "north", "northwest", "west", "southwest", "south", "southeast"]
AWAY = River(np.array([[-900.0, 5000.0], [900.0, 5000.0]]), np.array([8.0, 8.0]))
EVIDENCE: dict[str, tuple[Ground, ...]] = {
    r"\b(river|brook|sea|lake|pond)\b": (Ground.WATER, Ground.BRIDGE, Ground.ASPHALT),
    r"\bbeach\b": (Ground.SAND,),
    r"\bfields?\b": (Ground.FIELD,),
    r"\bwoodland\b": (Ground.FOREST,),
    r"\bmeadow\b": (Ground.MEADOW,),
    r"\brailway line\b": (Ground.BALLAST, Ground.SLEEPERS),
    r"\bdirt tracks?\b": (Ground.TRACK,),
    r"\bstreets?\b": (Ground.STREET, Ground.ASPHALT),
    r"\b(main road|lane|roundabouts?)\b": (Ground.ASPHALT,),
    r"\brunning track\b": (Ground.PARK,),
    r"\bquarry of\b": (Ground.ROCK, Ground.BARE),
    r"\bcar park\b": (Ground.CAR_PARK,),
}


@lru_cache
def town(seed: int = 7) -> World:
    """Not a fixture: hypothesis would print all of it with a failing example."""
    return make_world(seed, 1000.0, 1.0)


def planned(
    roads: tuple[Road, ...] = (),
    trunks: tuple[Trunk, ...] = (),
    rivers: tuple[River, ...] = (),
    junctions: tuple[Junction, ...] = (),
    uses: tuple[tuple[Floats, Use], ...] = (),
    seed: int = 1,
) -> World:
    """The world that is built from a plan of 260 m with only these things in it."""
    blocks = tuple(Block(dense(shape, closed=True), shape, use) for shape, use in uses)
    landmarks = tuple(
        Landmark(shape.mean(axis=0), use, 40.0) for shape, use in uses if use is Use.CHURCH
    )
    layout = Layout(
        size_m=260.0,
        waters=Waters((*rivers, AWAY), (), None),
        settlements=(Settlement(np.zeros(2), 100.0),),
        areas=(),
        roads=roads,
        trunks=trunks,
        junctions=junctions,
        bridges=(),
        stations=(),
        landmarks=landmarks,
        blocks=blocks,
    )
    with patch.object(worlds, "plan_land", lambda seed, size_m: layout):
        return make_world(seed, 260.0, 1.0)


def line(angle_deg: float, aside_m: float = 0.0) -> Floats:
    """Through the whole plan, so far to the left of its middle."""
    angle = math.radians(angle_deg)
    along = np.arange(-180.0, 180.1, 6.0)[:, None] * [math.cos(angle), math.sin(angle)]
    return np.asarray(along + aside_m * np.array([-math.sin(angle), math.cos(angle)]))


def square(half_m: float, east_m: float = 0.0, north_m: float = 0.0) -> Floats:
    return rectangle(np.array([east_m, north_m]), 0.0, 2.0 * half_m, 2.0 * half_m)


def here(world: World, east_m: float = 0.0, north_m: float = 0.0) -> str:
    return describe(world, east_m, north_m, REACH_M)


def cover_around(world: World, east_m: float, north_m: float) -> set[int]:
    columns, rows = world.grid.pixels(
        [[east_m - REACH_M, north_m + REACH_M], [east_m + REACH_M, north_m - REACH_M]]
    ).T
    left, right = np.clip(np.rint(columns).astype(int), 0, world.grid.size_px)
    top, bottom = np.clip(np.rint(rows).astype(int), 0, world.grid.size_px)
    return {int(kind) for kind in np.unique(world.surface.cover[top:bottom, left:right])}


places = st.tuples(st.floats(-490.0, 490.0), st.floats(-490.0, 490.0))


@settings(max_examples=60, deadline=None)
@given(places, st.floats(40.0, 150.0), st.sampled_from([7, 8]))
def test_texts_are_short_plain_sentences(
    at_m: tuple[float, float], reach_m: float, seed: int
) -> None:
    text = describe(town(seed), *at_m, reach_m)
    assert text == describe(town(seed), *at_m, reach_m)
    assert 3 <= len(text.split()) <= MAX_WORDS
    assert not FORBIDDEN.search(text.lower().replace("car park", ""))
    assert re.fullmatch(r"([A-Z][^.]*[^ .,]\.( |$))+", text), text
    assert "  " not in text
    assert " ," not in text


@settings(max_examples=60, deadline=None)
@given(places, st.sampled_from([7, 8]))
def test_no_ground_is_claimed_that_is_not_there(at_m: tuple[float, float], seed: int) -> None:
    text, cover = here(town(seed), *at_m), cover_around(town(seed), *at_m)
    for words, kinds in EVIDENCE.items():
        assert not re.search(words, text) or cover & set(kinds), (words, text)


@settings(max_examples=60, deadline=None)
@given(places, st.sampled_from([7, 8]))
def test_no_landmark_or_junction_is_claimed_that_is_not_there(
    at_m: tuple[float, float], seed: int
) -> None:
    text, layout = here(town(seed), *at_m), town(seed).layout

    def near(point: Floats, reach_m: float) -> bool:
        return bool(np.abs(point - np.array(at_m)).max() < reach_m)

    kinds = {j.kind for j in layout.junctions if near(j.at_m, REACH_M)}
    uses = {mark.use for mark in layout.landmarks if near(mark.at_m, REACH_M + 1.5 * mark.extent_m)}
    assert "roundabout" not in text or JunctionKind.ROUNDABOUT in kinds
    assert "crossroads" not in text or JunctionKind.CROSSING in kinds
    assert "T-junction" not in text or JunctionKind.T in kinds
    for word, use in (("church", Use.CHURCH), ("stadium", Use.STADIUM), ("silos", Use.SILOS)):
        assert word not in text or use in uses
    assert "bridge" not in text or any(
        near(b.line_m.mean(axis=0), REACH_M + 20.0) for b in layout.bridges
    )


def test_bare_land_claims_nothing_but_itself() -> None:
    text = here(planned(uses=((square(150.0), Use.FIELD),)))
    assert "field with rows from" in text
    assert not re.search(r"road|street|track|river|house|wood|meadow|slope|hill", text)


@settings(max_examples=16, deadline=None)
@given(
    st.integers(0, 7),
    st.sampled_from(["river", "railway line", "motorway", "main road", "dirt track"]),
)
def test_lines_are_told_with_their_course_and_side(turn: int, noun: str) -> None:
    """A line that passes 36 m to its own left of the middle, in each of eight directions."""
    line_m = line(45.0 * turn, 36.0)
    world = planned(
        rivers=(River(line_m, np.full(len(line_m), 14.0)),) if noun == "river" else (),
        trunks=tuple(
            Trunk(line_m, kind)
            for kind, name in ((TrunkKind.RAIL, "railway line"), (TrunkKind.MOTORWAY, "motorway"))
            if name == noun
        ),
        roads=tuple(
            Road(line_m, kind)
            for kind, name in ((RoadKind.COLLECTOR, "main road"), (RoadKind.TRACK, "dirt track"))
            if name == noun
        ),
    )
    ends = {WINDS[turn], WINDS[(turn + 4) % 8]}
    found = re.search(
        rf"{noun} (?:runs|running) (\w+) to (\w+) (?:along|across) the (\w+)", here(world)
    )
    assert found is not None
    assert {found[1], found[2]} == ends
    assert found[3] == WINDS[(turn + 2) % 8] + "ern"


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 7), st.floats(30.0, 48.0))
def test_a_landmark_is_told_on_its_side_and_nowhere_else(turn: int, away_m: float) -> None:
    world = planned(uses=((square(128.0), Use.MEADOW), (square(26.0), Use.CHURCH)))
    angle = math.radians(45.0 * turn)
    seen_from = (-away_m * math.cos(angle), -away_m * math.sin(angle))
    text = here(world, *seen_from)
    assert re.search(rf"church.* in the {WINDS[turn]}\b|In the {WINDS[turn]} is .*church", text)
    beyond = (0.0, -86.0) if turn % 2 else (86.0, 0.0)
    assert "church" not in here(world, *beyond)


def test_sides_are_told_by_what_divides_the_place() -> None:
    halves = (
        (rectangle(np.array([0.0, 70.0]), 0.0, 300.0, 130.0), Use.FOREST),
        (rectangle(np.array([0.0, -70.0]), 0.0, 300.0, 130.0), Use.FIELD),
    )
    text = here(planned(roads=(Road(line(0.0), RoadKind.COLLECTOR),), uses=halves))
    sides = re.findall(r"(\w+) side of the main road", text)
    assert sorted(sides) == ["northern", "southern"]
    wood = text.index("woodland")
    field = text.index("field")
    assert (wood < field) == (text.index("northern side") < text.index("southern side"))


@pytest.mark.parametrize(
    ("kind", "angles_deg", "words"),
    [
        (JunctionKind.T, (0, 180, 270), "T-junction with a southern side road"),
        (JunctionKind.T, (45, 225, 315), "T-junction with a southeastern side road"),
        (JunctionKind.CROSSING, (0, 90, 180, 270), "crossroads"),
        (JunctionKind.ROUNDABOUT, (0, 120, 240), "roundabout of three roads"),
    ],
)
def test_junctions_by_kind_and_arms(
    kind: JunctionKind, angles_deg: tuple[int, ...], words: str
) -> None:
    roads = tuple(
        Road(line(angle)[len(line(angle)) // 2 :], RoadKind.COLLECTOR) for angle in angles_deg
    )
    radius_m = 17.0 if kind is JunctionKind.ROUNDABOUT else 0.0
    text = here(planned(roads, junctions=(Junction(np.zeros(2), kind, len(roads), radius_m),)))
    assert words in text
    assert "in the centre" in text


def test_streets_side_by_side_are_counted() -> None:
    streets = tuple(Road(line(90.0, aside), RoadKind.STREET) for aside in (-40.0, 0.0, 40.0))
    assert "three parallel streets running north to south" in here(planned(streets)).replace(
        "Three", "three"
    ).replace("streets run ", "streets running ")


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 40))
def test_sure_counts_are_right(seed: int) -> None:
    """The world itself knows how many barns it has built."""
    world = planned(uses=((square(100.0), Use.FARM),), seed=seed)
    barns = int((world.buildings["facade"] == Facade.HALL).sum())
    words = {1: "a barn of a farm", 2: "two barns around", 3: "three barns around"}[barns]
    assert words in here(world).lower()


def test_texts_tell_places_apart() -> None:
    rng = np.random.default_rng(3)
    at_m = rng.uniform(-440.0, 440.0, (80, 2))
    texts = [here(town(), east, north) for east, north in at_m]
    wet = town().grid.sample(town().surface.cover, at_m) == Ground.WATER
    dry = [text for text, is_wet in zip(texts, wet, strict=True) if not is_wet]
    assert len(set(dry)) > 0.95 * len(dry)
    openings = {text.split()[0] for text in dry}
    assert len(openings) >= 4


def test_a_few_metres_change_little() -> None:
    rng = np.random.default_rng(4)
    at_m = rng.uniform(-420.0, 420.0, (40, 2))
    alike = [
        SequenceMatcher(
            None,
            sorted(here(town(), e, n).lower().split()),
            sorted(here(town(), e + 2.0, n - 2.0).lower().split()),
        ).ratio()
        for e, n in at_m
    ]
    far = [
        SequenceMatcher(
            None,
            sorted(here(town(), *one).lower().split()),
            sorted(here(town(), *other).lower().split()),
        ).ratio()
        for one, other in zip(at_m, at_m[::-1], strict=True)
    ]
    assert np.mean(alike) > 0.9
    assert np.mean(far) < 0.75


def test_a_paved_square_beside_a_church_is_open_ground() -> None:
    world = planned(uses=((square(150.0), Use.CHURCH),))
    assert "open ground" in here(world, 70.0, -70.0).lower()


def test_a_place_at_the_edge_of_the_map_is_described() -> None:
    assert here(town(), 499.0, 499.0).endswith(".")


@pytest.mark.parametrize("reach_m", [39.9, 150.1, math.nan, -60.0])
def test_a_reach_out_of_range_is_refused(reach_m: float) -> None:
    with pytest.raises(DataError, match=r"reach_m .*: expected 40 to 150 m"):
        describe(town(), 0.0, 0.0, reach_m)


@pytest.mark.parametrize("at_m", [(501.0, 0.0), (0.0, -600.0), (math.nan, 0.0)])
def test_a_place_off_the_map_is_refused(at_m: tuple[float, float]) -> None:
    with pytest.raises(DataError, match="expected within 500 m"):
        describe(town(), *at_m, REACH_M)
