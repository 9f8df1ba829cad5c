from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.daemon.continuity import MAX_AWAY_M, Continuity
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Fix, Telemetry

S = 1_000_000_000
FRAME = LocalFrame(47.4, 8.5)


def fix(t_s: float, east_m: float, north_m: float = 0.0) -> Fix:
    lat_deg, lon_deg = FRAME.to_geodetic([east_m, north_m])
    return Fix(round(t_s * S), float(lat_deg), float(lon_deg), 2.0, None, None, None, 1, 1, 0)


def flown(ours: Continuity, since_s: int, until_s: int, east_m_s: float) -> None:
    for second in range(since_s, until_s + 1):
        ours.moved(second * S, Telemetry(second * S, velocity_east_m_s=east_m_s))


def test_without_a_contradiction_every_fix_is_accepted() -> None:
    ours = Continuity(1.5)
    assert ours.accepts(fix(1, 0.0))
    assert ours.accepts(fix(60, 5000.0))


@pytest.mark.parametrize("after_s", [5, 20, 55])
def test_a_track_80_m_away_is_refused_and_the_old_one_taken_back(after_s: int) -> None:
    ours = Continuity(1.5)
    ours.accepts(fix(1, 0.0))
    ours.contradicted(2 * S)
    flown(ours, 2, after_s, 6.0)
    there_m = 6.0 * (after_s - 1)
    assert not ours.accepts(fix(after_s, there_m, 80.0))
    assert ours.is_waiting
    assert ours.accepts(fix(after_s, there_m + 4.0))
    assert not ours.is_waiting


def test_after_a_minute_the_old_track_may_have_been_the_mistake() -> None:
    ours = Continuity(1.5)
    ours.accepts(fix(1, 0.0))
    ours.contradicted(2 * S)
    assert not ours.accepts(fix(61, 500.0))
    assert ours.accepts(fix(63, 500.0))


def test_the_pilot_s_reset_ends_it() -> None:
    ours = Continuity(1.5)
    ours.accepts(fix(1, 0.0))
    ours.contradicted(2 * S)
    ours.forget()
    assert ours.accepts(fix(4, 500.0))


def test_more_contradictions_do_not_make_it_longer() -> None:
    ours = Continuity(1.5)
    ours.accepts(fix(1, 0.0))
    for second in range(2, 62):
        ours.contradicted(second * S)
    assert ours.accepts(fix(63, 500.0))


@given(st.integers(3, 60), st.floats(-400, 400), st.floats(-400, 400))
@pytest.mark.fault("N2", "a new track far away", "refused for a minute")
def test_nothing_far_from_dead_reckoning_passes_within_the_minute(
    after_s: int, east_m: float, north_m: float
) -> None:
    ours = Continuity(1.5)
    ours.accepts(fix(1, 0.0))
    ours.contradicted(2 * S)
    if ours.accepts(fix(after_s, east_m, north_m)):
        assert (east_m**2 + north_m**2) ** 0.5 <= MAX_AWAY_M + 0.1
    assert ours.accepts(replace(fix(after_s, 0.0), horiz_accuracy_m=1.0))
