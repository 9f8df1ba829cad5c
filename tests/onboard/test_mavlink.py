from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymavlink.dialects.v20 import common

from geobridge.onboard.config import FilterConfig
from geobridge.onboard.geodesy import distance_m
from geobridge.onboard.mavlink.outputs.gps_input import GpsInput, gps_time
from geobridge.onboard.mavlink.outputs.moved import is_sound
from geobridge.onboard.mavlink.outputs.publisher import Publisher
from geobridge.onboard.records import Fix

S, MS = 1_000_000_000, 1_000_000
UNIX_2024_NS = 1_704_067_200 * S

FIX = Fix(
    t_capture_ns=100 * S,
    lat_deg=-35.363,
    lon_deg=149.165,
    horiz_accuracy_m=4.0,
    alt_amsl_m=640.0,
    velocity_north_m_s=8.0,
    velocity_east_m_s=-6.0,
    score=0.7,
    correlation=0.4,
    place=3,
)


class Ours:
    """A publisher of GPS_INPUT, whose messages come one by one."""

    def __init__(self, gps_id: int = 0, max_fix_age_s: float = 2.0) -> None:
        motion = FilterConfig(velocity_accuracy_m_s=1.5, unknown_speed_m_s=15.0)
        self.publisher = Publisher(max_fix_age_s, motion, UNIX_2024_NS)
        self.publisher.output = GpsInput(gps_id, 8.0)
        self.offer, self.withdraw = self.publisher.offer, self.publisher.withdraw

    def tick(self, now_ns: int) -> Any:
        messages = self.publisher.tick(now_ns)
        assert len(messages) <= 1
        return messages[0] if messages else None


def publisher(**config: Any) -> Ours:
    return Ours(**config)


def is_position(fields: Any) -> bool:
    return fields is not None and fields.fix_type == 3


def ignores(fields: Any, *names: str) -> bool:
    return all(
        fields.ignore_flags & getattr(common, f"GPS_INPUT_IGNORE_FLAG_{name}") for name in names
    )


def test_a_fix_at_its_own_time_is_sent_as_it_is() -> None:
    ours = publisher(gps_id=1)
    assert ours.offer(FIX)
    fields = ours.tick(FIX.t_capture_ns)
    assert fields is not None
    assert (fields.lat, fields.lon) == (-353630000, 1491650000)
    assert (fields.alt, fields.vn, fields.ve) == (640.0, 8.0, -6.0)
    assert (fields.gps_id, fields.fix_type, fields.yaw) == (1, 3, 0)
    assert fields.satellites_visible >= 6
    assert 0 < fields.hdop <= 2.5
    assert fields.horiz_accuracy == pytest.approx(4.0 * math.sqrt(2))
    assert fields.speed_accuracy == pytest.approx(1.5 * math.sqrt(2))
    assert ignores(fields, "VDOP", "VEL_VERT", "VERTICAL_ACCURACY")
    assert not ignores(fields, "ALT")
    assert not ignores(fields, "VEL_HORIZ")


def test_between_fixes_the_position_moves_on_and_the_accuracy_grows() -> None:
    ours = publisher()
    ours.offer(FIX)
    fields = ours.tick(FIX.t_capture_ns + 2 * S)
    assert fields is not None
    moved_m = distance_m(FIX.lat_deg, FIX.lon_deg, fields.lat / 1e7, fields.lon / 1e7)
    assert moved_m == pytest.approx(20.0, abs=0.02)
    assert fields.lat / 1e7 > FIX.lat_deg
    assert fields.lon / 1e7 < FIX.lon_deg
    assert fields.horiz_accuracy == pytest.approx(math.sqrt(2) * 5.0)  # 4 and 3 in quadrature


def test_without_velocity_and_altitude_both_are_ignored_and_the_accuracy_grows_faster() -> None:
    ours = publisher()
    ours.offer(replace(FIX, velocity_east_m_s=None, alt_amsl_m=None))
    fields = ours.tick(FIX.t_capture_ns + S)
    assert fields is not None
    assert ignores(fields, "ALT", "VEL_HORIZ", "VEL_VERT", "SPEED_ACCURACY")
    assert (fields.lat, fields.lon) == (-353630000, 1491650000)
    assert (fields.vn, fields.ve, fields.alt) == (0.0, 0.0, 0.0)
    assert fields.horiz_accuracy == pytest.approx(math.sqrt(2) * math.hypot(4.0, 15.0))


def test_after_the_last_fix_has_aged_one_word_that_there_is_none_then_silence() -> None:
    ours = publisher(max_fix_age_s=2.0)
    assert ours.tick(99 * S) is None
    ours.offer(FIX)
    assert is_position(ours.tick(102 * S))
    lost = ours.tick(102 * S + 1)
    assert lost is not None
    assert (lost.fix_type, lost.lat, lost.lon, lost.satellites_visible) == (1, 0, 0, 0)
    assert lost.ignore_flags == 255
    assert [ours.tick(103 * S), ours.tick(104 * S)] == [None, None]
    ours.offer(replace(FIX, t_capture_ns=105 * S))
    assert is_position(ours.tick(105 * S))


def test_a_fix_taken_back_is_followed_by_the_word_at_once() -> None:
    ours = publisher()
    ours.offer(FIX)
    ours.tick(100 * S)
    ours.withdraw()
    lost = ours.tick(100 * S + 1)
    assert lost is not None
    assert lost.fix_type == 1
    assert ours.tick(100 * S + 2) is None


def test_what_holds_it_back_silences_it_and_lets_go_again() -> None:
    ours = publisher()
    ours.offer(FIX)
    assert is_position(ours.tick(100 * S))
    ours.publisher.hold("the pilot", is_held=True)
    assert ours.tick(100 * S + 1).fix_type == 1
    assert ours.tick(100 * S + 2) is None
    ours.publisher.hold("the pilot", is_held=False)
    assert is_position(ours.tick(100 * S + 3))


def test_a_fix_of_before_it_was_taken_back_does_not_come_again() -> None:
    ours = publisher()
    ours.offer(FIX)
    ours.withdraw()
    assert not ours.offer(FIX)
    assert ours.tick(100 * S) is None


@pytest.mark.fault("T4", "an older fix", "dropped")
def test_an_older_fix_does_not_replace_a_newer_one() -> None:
    ours = publisher()
    assert ours.offer(FIX)
    assert not ours.offer(replace(FIX, t_capture_ns=FIX.t_capture_ns - 1, lat_deg=0.0))
    fields = ours.tick(FIX.t_capture_ns)
    assert fields is not None
    assert fields.lat == -353630000


maybe_m_s = st.none() | st.floats(-150, 150)
sound_fixes = st.builds(
    Fix,
    t_capture_ns=st.integers(0, 20 * S),
    lat_deg=st.floats(-90, 90),
    lon_deg=st.floats(-180, 180),
    horiz_accuracy_m=st.floats(0.1, 100),
    alt_amsl_m=st.none() | st.floats(-400, 9000),
    velocity_north_m_s=maybe_m_s,
    velocity_east_m_s=maybe_m_s,
    score=st.floats(-1, 1),
    correlation=st.floats(0, 1),
    place=st.just(0),
)
broken_fixes = st.builds(
    lambda fix, name, value: replace(fix, **{name: value}),
    sound_fixes,
    st.sampled_from(["lat_deg", "lon_deg", "horiz_accuracy_m", "alt_amsl_m", "velocity_east_m_s"]),
    st.sampled_from([math.nan, math.inf, -math.inf, -1e9, 1e300]),
)


@given(broken_fixes)
def test_a_fix_that_cannot_be_is_not_taken(fix: Fix) -> None:
    ours = publisher()
    assert not ours.offer(fix)
    assert ours.tick(fix.t_capture_ns) is None


@given(
    st.lists(sound_fixes | broken_fixes | st.integers(0, 3 * S) | st.just("withdraw"), max_size=30),
    st.floats(0.1, 5.0),
)
def test_never_a_position_without_accuracy_or_from_an_old_fix_and_one_word_when_lost(
    events: list[Fix | int | str], max_fix_age_s: float
) -> None:
    ours = publisher(max_fix_age_s=max_fix_age_s)
    now_ns, held, was_position = 0, None, False
    for event in events:
        if isinstance(event, Fix):
            if ours.offer(event):
                held = event
                assert is_sound(event)
            continue
        if event == "withdraw":
            held = None
            ours.withdraw()
            continue
        assert isinstance(event, int)
        now_ns += event
        fields = ours.tick(now_ns)
        if is_position(fields):
            assert fields is not None
            assert held is not None
            assert 0 <= now_ns - held.t_capture_ns <= max_fix_age_s * S + 1
            assert fields.horiz_accuracy >= held.horiz_accuracy_m * math.sqrt(2) * 0.999
            assert all(math.isfinite(getattr(fields, name)) for name in fields.fieldnames)
            assert abs(fields.lat) <= 900_000_000
            assert abs(fields.lon) <= 1_800_000_000
        else:
            assert (fields is not None) == was_position
        if fields is not None:
            fields.pack(common.MAVLink(None, 1, 197))
        was_position = is_position(fields)


def test_gps_time_counts_leap_seconds_and_does_not_know_a_clock_that_was_never_set() -> None:
    epoch_ns = 315_964_800 * S
    assert gps_time(epoch_ns + 604_800 * S) == (1, 18_000)
    # 2024-01-01T00:00:00Z is a Monday: GPS week 2295, one day and 18 s into it
    assert gps_time(UNIX_2024_NS + 5 * MS) == (2295, 86_418_005)
    assert gps_time(30 * S) == (0, 0)
