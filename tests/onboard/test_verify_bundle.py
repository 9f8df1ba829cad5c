from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.bundle import Bundle
from geobridge.onboard.bundle_maps import aliasing_map, coverage_map
from geobridge.onboard.cli import main
from geobridge.onboard.geodesy import Floats
from geobridge.onboard.retrieval.imagery import ReferenceImagery
from geobridge.onboard.retrieval.index import Index
from geobridge.onboard.verify_bundle import covered_m2, verify

squares = st.lists(
    st.tuples(st.integers(-20, 20), st.integers(-20, 20), st.integers(1, 8)), max_size=12
)


def area_m2(rows: list[tuple[float, float, float]]) -> float:
    found: Floats = np.array(rows, np.float64).reshape(-1, 3)
    return covered_m2(found[:, :2], found[:, 2])


@given(squares)
def test_overlaps_count_once_and_gaps_never(rows: list[tuple[int, int, int]]) -> None:
    """Corners on whole metres: every square metre is covered or it is not."""
    metres = {
        (east + i, north + k)
        for east, north, side in rows
        for i in range(side)
        for k in range(side)
    }
    centred = [(east + side / 2, north + side / 2, side) for east, north, side in rows]
    assert area_m2(centred) == pytest.approx(len(metres))


@given(squares.filter(bool), st.randoms(use_true_random=False))
def test_the_order_does_not_matter_and_more_is_never_less(
    rows: list[tuple[int, int, int]], random: Random
) -> None:
    shuffled = sorted(rows, key=lambda _: random.random())
    assert area_m2(shuffled) == pytest.approx(area_m2(rows))
    assert max(side**2 for _, _, side in rows) <= area_m2(rows) + 1e-9
    assert area_m2(rows[1:]) <= area_m2(rows) + 1e-9


def test_verify_tells_the_ground_from_the_box_around_it(rehearsal: Path) -> None:
    """The map is 400 m wide; squares at its edge hang over it by nearly half."""
    told = re.fullmatch(
        r"(\S+) km2 by footprints, (\S+) km2 by their centres; in a box of"
        r" (\d+) x (\d+) m, (\S+) km2",
        verify(rehearsal / "bundle")["covers"],
    )
    assert told is not None
    seen, beneath, width_m, height_m, box = map(float, told.groups())
    places = Bundle.open(rehearsal / "bundle").places()
    wide_m = np.ptp(places["east_m"]) + 100.0
    assert width_m == pytest.approx(wide_m, abs=1.0)
    assert box == pytest.approx(width_m * height_m / 1e6, abs=0.006)
    assert beneath == pytest.approx(0.16, abs=0.011)
    assert beneath < seen <= box


def test_the_facts_are_text_and_json_and_a_page(
    rehearsal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    words = ["verify", str(rehearsal / "bundle"), "--page", str(page)]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    layer = facts["satellite 100 m"]
    assert layer["places"] == facts["places"] == len(Bundle.open(rehearsal / "bundle").places())
    assert layer["search"] == "exact"
    assert "of places look like another" in layer["alike"]
    assert re.fullmatch(r"right \S+, wrong \S+ in the middle; \S+ needed", layer["scores"])
    assert f"satellite 100 m.places       {layer['places']}" in text
    written = page.read_text()
    assert written.count("<img ") == 2
    assert "http" not in written
    assert "map.tif" in written


def test_maps_show_places_where_they_are(rehearsal: Path) -> None:
    bundle = Bundle.open(rehearsal / "bundle")
    index, imagery = Index.open(bundle), ReferenceImagery.open(bundle)
    covered, alike = coverage_map(index, imagery), aliasing_map(index, imagery)
    assert alike is not None
    assert covered.shape == alike.shape
    assert max(covered.shape[:2]) == pytest.approx(1000, abs=1)
    blue = covered[..., 2].astype(int) - covered[..., 0]
    middle, corner = blue[480:520, 480:520], blue[:20, :20]
    assert np.median(middle) > 60  # squares, over whatever the imagery shows
    assert corner.max() < 10  # paper
    similar = index.places["aliasing"]
    at = np.rint(
        (index.centres_m - [bundle.manifest.coverage.west_m, bundle.manifest.coverage.north_m])
        * [1, -1]
        * (1000 / (bundle.manifest.coverage.east_m - bundle.manifest.coverage.west_m))
    ).astype(int)
    red = alike[at[:, 1], at[:, 0], 0].astype(int) - alike[at[:, 1], at[:, 0], 1]
    most, few = similar > np.quantile(similar, 0.9), similar < np.median(similar)
    assert red[most].mean() > red[few].mean()
