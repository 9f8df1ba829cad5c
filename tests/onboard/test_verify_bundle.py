from __future__ import annotations

import re
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.bundle import Bundle
from geobridge.onboard.geodesy import Floats
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
    told = re.search(
        r"covers +(\S+) km2 by footprints, (\S+) km2 by their centres; in a box of"
        r" (\d+) x (\d+) m, (\S+) km2\n",
        verify(rehearsal / "bundle"),
    )
    assert told is not None
    seen, beneath, width_m, height_m, box = map(float, told.groups())
    places = Bundle.open(rehearsal / "bundle").places()
    wide_m = np.ptp(places["east_m"]) + 100.0
    assert width_m == pytest.approx(wide_m, abs=1.0)
    assert box == pytest.approx(width_m * height_m / 1e6, abs=0.006)
    assert beneath == pytest.approx(0.16, abs=0.011)
    assert beneath < seen <= box
