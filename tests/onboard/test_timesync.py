from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geobridge.onboard.mavlink.timesync import Timesync

S, MS, US = 1_000_000_000, 1_000_000, 1_000


class Remote:
    """A clock that began `boot_ns` of ours and gains `skew`, over a line that delays."""

    def __init__(self, boot_ns: int, skew: float, seed: int = 0) -> None:
        self.boot_ns, self.skew, self.rng = boot_ns, skew, np.random.default_rng(seed)

    def at(self, local_ns: int) -> int:
        return round((local_ns - self.boot_ns) * (1.0 + self.skew))

    def exchange(self, ours: Timesync, now_ns: int, there_ns: int, back_ns: int) -> None:
        asked_ns = ours.ask(now_ns)
        ours.take(self.at(now_ns + there_ns), asked_ns, now_ns + there_ns + back_ns)

    def delay_ns(self) -> int:
        return round(2 * MS + self.rng.exponential(8 * MS))


def synchronised(remote: Remote, seconds: float = 60.0) -> tuple[Timesync, int]:
    ours, now_ns = Timesync(), 100 * S
    while now_ns < (100 + seconds) * S:
        remote.exchange(ours, now_ns, remote.delay_ns(), remote.delay_ns())
        now_ns += 100 * MS
    return ours, now_ns


@pytest.mark.parametrize("skew", [0.0, 50e-6, -80e-6])
def test_the_offset_is_found_within_the_jitter_of_the_line(skew: float) -> None:
    remote = Remote(40 * S, skew, seed=3)
    ours, now_ns = synchronised(remote)
    assert ours.is_converged
    assert ours.error_ns is not None
    assert ours.error_ns < 4 * MS
    assert ours.skew == pytest.approx(skew, abs=60e-6)
    taken_ns = now_ns - 30 * MS
    found_ns = ours.to_local_ns(remote.at(taken_ns), now_ns)
    assert found_ns is not None
    assert abs(found_ns - taken_ns) < 3 * MS  # jitter of 8 ms each way


def test_a_few_fast_answers_are_enough_and_slow_ones_do_no_harm() -> None:
    remote, ours = Remote(40 * S, 0.0), Timesync()
    for n in range(8):
        there_ns = MS if n % 2 else 400 * MS  # every other answer is stuck in a queue
        remote.exchange(ours, (100 + n) * S, there_ns, MS)
    assert ours.is_converged
    found_ns = ours.to_local_ns(remote.at(110 * S), 110 * S + 5 * MS)
    assert found_ns == pytest.approx(110 * S, abs=MS)


def test_before_that_the_time_of_arrival_stands() -> None:
    remote, ours = Remote(40 * S, 0.0), Timesync()
    remote.exchange(ours, 100 * S, MS, MS)
    assert not ours.is_converged
    assert ours.to_local_ns(remote.at(100 * S), 101 * S) == 101 * S


def test_answers_to_other_people_s_questions_are_passed_over() -> None:
    ours = Timesync()
    asked_ns = ours.ask(100 * S)
    assert not ours.take(50 * S, asked_ns + 1, 100 * S + MS)
    assert not ours.take(0, asked_ns, 100 * S + MS)
    assert not ours.take(50 * S, asked_ns, 102 * S)  # too late
    assert ours.take(50 * S, asked_ns, 100 * S + MS)
    assert not ours.take(50 * S, asked_ns, 100 * S + MS)  # twice


@pytest.mark.fault("T3", "the autopilot's clock goes back", "the offset is discarded")
def test_a_clock_that_begins_anew_is_found_out_and_learnt_again() -> None:
    remote, ours = Remote(40 * S, 0.0), Timesync()
    for n in range(10):
        remote.exchange(ours, 100 * S + n * 100 * MS, MS, MS)
        assert not ours.note_boot_time(remote.at(100 * S + n * 100 * MS))
    again = Remote(101 * S, 0.0)
    signs = [ours.note_boot_time(again.at(102 * S + n * 20 * MS)) for n in range(5)]
    assert signs.count(True) == 1
    assert not ours.is_converged
    for n in range(10):
        again.exchange(ours, 103 * S + n * 100 * MS, MS, MS)
    assert ours.to_local_ns(again.at(105 * S), 105 * S + MS) == pytest.approx(105 * S, abs=10 * US)


def test_one_answer_is_enough_to_know_that_a_clock_began_anew() -> None:
    remote, ours = Remote(40 * S, 0.0), Timesync()
    for n in range(10):
        remote.exchange(ours, 100 * S + n * 100 * MS, MS, MS)
    Remote(101 * S, 0.0).exchange(ours, 102 * S, MS, MS)
    assert ours.boots == 1
    assert not ours.is_converged


def test_a_late_message_is_no_reboot() -> None:
    ours = Timesync()
    for n in range(50):
        assert not ours.note_boot_time((100 + n) * S)
        assert not ours.note_boot_time((95 + n) * S)  # five seconds on its way


def test_a_burst_of_late_messages_is_no_reboot() -> None:
    ours = Timesync()
    ours.note_boot_time(100 * S)
    assert not any(ours.note_boot_time(92 * S + n * 20 * MS) for n in range(100))


def test_an_autopilot_that_has_just_begun_may_begin_again() -> None:
    ours = Timesync()
    ours.note_boot_time(8 * S)
    assert [ours.note_boot_time(2 * S + n * 20 * MS) for n in range(4)].count(True) == 1


@settings(max_examples=50)
@given(
    st.integers(1, 10**14),
    st.floats(-1e-4, 1e-4),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=5, max_size=40),
    st.integers(0, 900),
)
@pytest.mark.fault("T5", "any delays on the line", "the error stays within half a round trip")
def test_the_error_is_bounded_by_the_fastest_round_trip(
    boot_ns: int, skew: float, delays_ms: list[tuple[int, int]], age_ms: int
) -> None:
    remote, ours, now_ns = Remote(boot_ns, skew), Timesync(), boot_ns + 100 * S
    for there_ms, back_ms in delays_ms:
        remote.exchange(ours, now_ns, there_ms * MS, back_ms * MS)
        now_ns += 100 * MS
    best_ns = min(there + back for there, back in delays_ms) * MS
    now_ns += 400 * MS
    taken_ns = now_ns - age_ms * MS
    found_ns = ours.to_local_ns(remote.at(taken_ns), now_ns)
    if found_ns is not None:
        assert found_ns <= now_ns
        assert found_ns - taken_ns <= best_ns / 2 + 2 * MS  # 5 s at the largest skew
