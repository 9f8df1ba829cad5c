"""States, watchdog and thermometer, each alone."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.daemon.states import Facts, State, judge
from geobridge.onboard.daemon.thermal import Thermometer
from geobridge.onboard.daemon.watchdog import Notifier, Progress

S = 1_000_000_000
FLYING = Facts(is_open=True, is_tested=True)


@pytest.mark.parametrize(
    ("facts", "state", "reason"),
    [
        (Facts(), State.BOOT, ""),
        (Facts(is_open=True), State.SELFTEST, ""),
        (FLYING, State.ACQUIRE, ""),
        (replace(FLYING, last_rejection="low_score"), State.ACQUIRE, "low_score"),
        (replace(FLYING, missing=("camera silent",)), State.ACQUIRE, "camera silent"),
        (replace(FLYING, is_giving=True, has_given=True), State.TRACK, ""),
        (replace(FLYING, is_giving=True, impaired=("hot", "slow")), State.DEGRADED, "hot, slow"),
        (replace(FLYING, has_given=True, last_rejection="frozen"), State.NO_FIX, "frozen"),
        (
            replace(FLYING, has_given=True, held=("held",), missing=("x",)),
            State.NO_FIX,
            "held",
        ),
        (replace(FLYING, is_giving=True, fault="bundle"), State.FAULT, "bundle"),
    ],
)
def test_every_state_has_its_reason(facts: Facts, state: State, reason: str) -> None:
    assert judge(facts) == (state, reason)


@given(
    st.builds(
        Facts,
        is_open=st.booleans(),
        is_tested=st.booleans(),
        fault=st.none() | st.text(min_size=1),
        is_giving=st.booleans(),
        has_given=st.booleans(),
        held=st.just(()) | st.just(("held",)),
        missing=st.just(()) | st.just(("link down",)),
        last_rejection=st.none() | st.just("low_score"),
        impaired=st.just(()) | st.just(("hot",)),
    )
)
def test_track_means_tested_without_fault_and_giving(facts: Facts) -> None:
    state, reason = judge(facts)
    if state in (State.TRACK, State.DEGRADED):
        assert facts.is_tested
        assert facts.is_giving
        assert facts.fault is None
        assert (state is State.DEGRADED) == bool(facts.impaired)
    if state is State.FAULT:
        assert reason == facts.fault


def test_systemd_hears_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(1.0)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        Notifier().tell("READY=1", "STATUS=TRACK")
        assert systemd.recv(100) == b"READY=1\nSTATUS=TRACK"
    Notifier().tell("WATCHDOG=1")  # nobody there any more
    monkeypatch.delenv("NOTIFY_SOCKET")
    Notifier().tell("WATCHDOG=1")


def test_a_loop_that_does_not_come_round_is_stuck_and_one_that_waits_is_not() -> None:
    progress = Progress({"speak": 2.0, "look": 8.0})
    assert progress.stuck(100 * S) is None
    progress.mark("speak", 10 * S)
    progress.mark("look", 10 * S)
    assert progress.stuck(12 * S) is None
    assert progress.stuck(12 * S + 1) == "speak"
    progress.mark("speak", 18 * S)
    assert progress.stuck(19 * S) == "look"
    progress.wait("look")
    assert progress.stuck(20 * S) is None


def zone(root: Path, number: int, temp: str, trips: dict[str, int]) -> Path:
    folder = root / f"thermal_zone{number}"
    folder.mkdir()
    (folder / "temp").write_text(temp)
    for n, (kind, limit) in enumerate(trips.items()):
        (folder / f"trip_point_{n}_type").write_text(f"{kind}\n")
        (folder / f"trip_point_{n}_temp").write_text(str(limit))
    return folder


@pytest.mark.fault("P5", "a false sysfs with trip points", "the margin is read, not assumed")
def test_the_margin_is_to_the_nearest_trip_of_any_zone(tmp_path: Path) -> None:
    zone(tmp_path, 0, "61500", {"passive": 80_000, "critical": 100_000})
    cold = zone(tmp_path, 1, "50000\n", {"active": 45_000, "hot": 55_000})
    zone(tmp_path, 2, "99000", {})
    zone(tmp_path, 3, "nonsense", {"critical": 90_000})
    ours = Thermometer(tmp_path)
    assert ours.margin_c() == 5.0
    assert ours.hottest_c() == 61.5
    (cold / "temp").unlink()
    assert ours.margin_c() == 18.5


def test_a_computer_without_zones_is_never_hot(tmp_path: Path) -> None:
    assert Thermometer(tmp_path).margin_c() is None
