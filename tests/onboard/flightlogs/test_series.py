from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.flightlogs.angles import euler_deg
from geobridge.onboard.flightlogs.gps_time import leap_seconds, utc_ns
from geobridge.onboard.flightlogs.mavlink.boot_clock import boot_clock
from geobridge.onboard.flightlogs.series import Series, half_turn, in_order, series

S = 1_000_000_000
ANGLES = st.floats(-179.0, 179.0)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=40))
def test_what_is_kept_is_in_order_and_as_much_as_can_be(seconds: list[int]) -> None:
    times_ns = np.array(seconds, np.int64) * S
    rows = in_order(times_ns, "ATT", [])
    assert (np.diff(rows) > 0).all()
    assert (np.diff(times_ns[rows]) > 0).all()
    longest = [0] * len(seconds)
    for row, second in enumerate(seconds):
        before = [longest[each] for each in range(row) if seconds[each] < second]
        longest[row] = 1 + max(before, default=0)
    assert len(rows) == max(longest)


def test_a_row_hours_away_is_none_of_the_flight() -> None:
    findings: list[str] = []
    kept = in_order(np.array([0, 1, 2, 90_000], np.int64) * S, "ATT", findings)
    assert kept.tolist() == [0, 1, 2]
    assert "1 rows lie more than an hour" in findings[0]


@given(ANGLES, ANGLES, st.floats(0.0, 1.0))
def test_angles_turn_the_short_way(start: float, end: float, weight: float) -> None:
    turning = Series(np.array([0, S], np.int64), np.array([[start], [end]]), "yaw")
    at = turning.at(np.array([round(weight * S)], np.int64), turning=True)[0, 0]
    assert -180.0 <= at < 180.0
    away = abs(float(half_turn(np.array([at - start]))[0]))
    whole = abs(float(half_turn(np.array([end - start]))[0]))
    assert away == pytest.approx(weight * whole, abs=1e-5)


def test_rows_that_are_no_numbers_are_left_out() -> None:
    found = series([0, S, 2 * S], [[1.0, float("nan"), 3.0]], "x", [])
    assert found is not None
    assert found.at(np.array([S], np.int64))[0, 0] == pytest.approx(2.0)
    assert series([0, S], [[float("nan")] * 2], "x", []) is None
    assert series([], [[]], "x", []) is None


@given(ANGLES, st.floats(-85.0, 85.0), ANGLES)
def test_quaternions_give_the_angles_that_made_them(
    roll: float, pitch: float, heading: float
) -> None:
    half = np.radians([roll, pitch, heading]) / 2.0
    (sr, sp, sy), (cr, cp, cy) = np.sin(half), np.cos(half)
    quaternion = [
        cr * cp * cy + sr * sp * sy,
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
    ]
    found = euler_deg(np.array([quaternion]) * 3.0)[0]
    assert np.abs(half_turn(found - [roll, pitch, heading])).max() < 1e-6


@pytest.mark.parametrize(
    ("unix_s", "leaps"),
    [(1_230_767_999, 14), (1_341_100_800, 16), (1_435_708_799, 16), (1_483_228_800, 18)],
)
def test_leap_seconds_as_announced(unix_s: int, leaps: int) -> None:
    assert leap_seconds(unix_s) == leaps


def test_a_gps_week_that_is_none_is_told() -> None:
    assert utc_ns([0, 2000, np.nan], [5, -1, 3]).tolist() == [-1, -1, -1]
    assert utc_ns([1973], [6_448_000]).tolist() == [(1_509_235_200 + 6448 - 18) * S]


@given(st.lists(st.integers(0, 2000), min_size=30, max_size=120))
def test_the_autopilots_clock_is_found_through_any_jitter(late_ms: list[int]) -> None:
    boot_ns = np.arange(len(late_ms), dtype=np.int64) * S // 10 + 7 * S
    received_ns = boot_ns + 1000 * S + np.array(late_ms, np.int64) * 1_000_000
    clock = boot_clock(received_ns, boot_ns)
    found = clock.at(received_ns, boot_ns)
    assert (found == boot_ns + 1000 * S + min(late_ms) * 1_000_000).all()
    assert clock.restarts == 0


def test_a_restart_is_a_clock_of_its_own() -> None:
    boot_ns = np.array([*range(20), *range(10)], np.int64) * S
    received_ns = np.array([*range(100, 120), *range(130, 140)], np.int64) * S
    clock = boot_clock(received_ns, boot_ns)
    assert clock.restarts == 1
    assert (clock.at(received_ns, boot_ns) == received_ns).all()
