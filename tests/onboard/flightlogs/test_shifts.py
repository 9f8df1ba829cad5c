from __future__ import annotations

from unittest import mock

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.flightlogs import shifts
from geobridge.onboard.flightlogs.shifts import NEAR_NS, most_met

STEP_NS = NEAR_NS // 8

moments = st.lists(st.integers(0, 60).map(lambda step: step * STEP_NS), min_size=1, max_size=12)


def met(taken: list[int], stamps: list[int]) -> int:
    """Messages that are the nearest of a picture, the earlier of two as near."""
    found = set()
    for t_ns in taken:
        nearest = min(stamps, key=lambda stamp: (abs(stamp - t_ns), stamp))
        if abs(nearest - t_ns) <= NEAR_NS:
            found.add(nearest)
    return len(found)


@given(moments, moments.map(lambda each: sorted(set(each))), st.integers(1, 50))
def test_the_most_are_met_of_all_shifts(taken: list[int], stamps: list[int], at_once: int) -> None:
    tried = {stamp - t_ns for stamp in stamps for t_ns in taken}
    counts = {shift: met([t_ns + shift for t_ns in taken], stamps) for shift in tried}
    expected = max(counts.values())
    with mock.patch.object(shifts, "_PAIRS", at_once):
        best, good = most_met(np.array(taken), np.array(stamps))
    assert best == expected
    assert good.tolist() == sorted(shift for shift in tried if counts[shift] == best)


def test_thousands_of_pictures_take_no_longer_than_their_reading() -> None:
    random = np.random.default_rng(7)
    stamps = np.cumsum(random.integers(1_500_000_000, 2_500_000_000, 4000))
    late = random.integers(0, 200_000_000, 4000)
    taken = (stamps + 7_200_000_000_000 + late)[random.random(4000) < 0.95]
    best, good = most_met(taken, stamps)
    assert best == len(taken)
    assert abs(int(np.median(good)) + 7_200_100_000_000) < 100_000_000
