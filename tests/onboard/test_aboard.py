"""Which slot a daemon flies, start by start."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from geobridge.onboard import durable
from geobridge.onboard.errors import BundleError, ConfigError, EngineError
from geobridge.onboard.mavlink.autopilot import Autopilot, Kind
from geobridge.onboard.store.aboard import MAX_STARTS, Aboard, chosen, fallen_back, proved
from geobridge.onboard.store.ground import judged
from geobridge.onboard.store.state import Slot, SlotEntry, Standing, State, other
from geobridge.onboard.store.store import FLIGHT, Store


def entry(standing: Standing, version: int = 1) -> SlotEntry:
    return SlotEntry(
        bundle_version=version,
        manifest_sha256="0" * 64,
        signed_by="0" * 16,
        standing=standing,
        why="a test",
    )


def store_of(folder: Path, **slots: Standing) -> Store:
    """Slot a flies, unless there is a b."""
    store = Store(folder)
    entries = {slot: entry(standing) for slot, standing in slots.items()}
    durable.make_folder(folder)
    store.change(lambda _: State(active="b" if "b" in slots else "a", slots=entries))
    return store


def start(store: Store) -> tuple[Slot, Aboard]:
    aboard = Aboard(store)
    return ("a" if aboard.path == store.slot("a") else "b"), aboard


def test_a_good_bundle_flies_and_nothing_is_written(tmp_path: Path) -> None:
    store = store_of(tmp_path, a="good")
    before = store.state()
    for _ in range(5):
        slot, aboard = start(store)
        aboard.close()
        assert slot == "a"
    assert store.state() == before


@pytest.mark.fault("B7", "a bundle whose starts do not last", "back to the last good one")
def test_three_short_starts_lead_back_to_the_last_good_one(tmp_path: Path) -> None:
    store = store_of(tmp_path, a="good", b="trial")
    flown = []
    for _ in range(MAX_STARTS + 2):
        slot, aboard = start(store)
        aboard.round(0, is_safe=False)
        aboard.close()  # as a kill would
        flown.append(slot)
    assert flown == ["b"] * MAX_STARTS + ["a", "a"]
    state = store.state()
    assert state.standing("b") == "bad"
    assert "back to the last good one, for slot b is bad: 3 starts" in state.why


def test_two_minutes_make_it_good(tmp_path: Path) -> None:
    store = store_of(tmp_path, a="good", b="trial")
    _, aboard = start(store)
    start_ns = 10**15
    aboard.round(start_ns, is_safe=False)
    aboard.round(start_ns + 120_000_000_000, is_safe=False)
    assert store.state().standing("b") == "trial"
    aboard.round(start_ns + 120_000_000_001, is_safe=False)
    assert store.state().standing("b") == "good"
    with patch.object(Store, "change", side_effect=AssertionError("written again")):
        aboard.round(start_ns + 120_000_000_002, is_safe=False)
    aboard.close()
    assert store.state().standing("b") == "good"
    assert store.state().trial_starts == 0


def test_an_end_in_order_is_no_mark_against_it(tmp_path: Path) -> None:
    store = store_of(tmp_path, a="good", b="trial")
    for _ in range(2 * MAX_STARTS):
        slot, aboard = start(store)
        aboard.left()
        aboard.close()
        assert slot == "b"


@pytest.mark.parametrize(
    ("standing", "error", "next_slot"),
    [
        ("trial", BundleError("hash"), "a"),
        ("trial", EngineError("plan"), "a"),
        ("trial", ConfigError("key"), "b"),
        ("good", BundleError("hash"), "a"),
        ("good", EngineError("no GPU today"), "b"),
        ("good", KeyboardInterrupt(), "b"),
    ],
)
def test_what_could_not_be_opened(
    tmp_path: Path, standing: Standing, error: BaseException, next_slot: Slot
) -> None:
    store = store_of(tmp_path, a="good", b=standing)
    _, aboard = start(store)
    aboard.not_opened(error)
    aboard.close()
    slot, aboard = start(store)
    aboard.close()
    assert slot == next_slot


def test_with_nothing_good_there_is_no_flight_and_it_says_why(tmp_path: Path) -> None:
    store = store_of(tmp_path, a="trial")
    _, aboard = start(store)
    aboard.not_opened(BundleError("places.npy: changed"))
    aboard.close()
    with pytest.raises(
        BundleError, match=r"slot a is bad: places\.npy: changed; geobridge install"
    ):
        Aboard(store)
    with pytest.raises(BundleError, match="no store yet; geobridge install"):
        Aboard(Store(tmp_path / "new"))


@pytest.mark.fault("B9", "a disk that is read-only", "only what is good flies")
def test_uncounted_nothing_on_trial_flies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes no more: the start cannot be counted."""
    store = store_of(tmp_path, a="good", b="trial")
    monkeypatch.setattr(os, "fsync", _read_only)
    slot, aboard = start(store)
    aboard.close()
    assert slot == "a"
    store = store_of_unsynced(tmp_path / "good", monkeypatch, b="good", a="good")
    slot, aboard = start(store)
    aboard.close()
    assert slot == "b"


def store_of_unsynced(folder: Path, monkeypatch: pytest.MonkeyPatch, **slots: Standing) -> Store:
    monkeypatch.undo()
    store = store_of(folder, **slots)
    monkeypatch.setattr(os, "fsync", _read_only)
    return store


def _read_only(handle: int) -> None:
    raise OSError(30, "Read-only file system")


def test_the_flight_lock_follows_the_vehicle(tmp_path: Path) -> None:
    store = store_of(tmp_path, a="good")
    _, aboard = start(store)
    assert store.is_held(FLIGHT), "before anything was heard"
    aboard.round(1, is_safe=True)
    assert not store.is_held(FLIGHT)
    aboard.round(2, is_safe=False)
    assert store.is_held(FLIGHT)
    aboard.close()
    assert not store.is_held(FLIGHT)


def test_two_daemons_do_not_fly_from_one_store(tmp_path: Path) -> None:
    store = store_of(tmp_path, a="good")
    _, aboard = start(store)
    with pytest.raises(BundleError, match="another daemon"):
        Aboard(store)
    aboard.round(1, is_safe=True)  # on the ground it is still the one
    with pytest.raises(BundleError, match="another daemon"):
        Aboard(store)
    aboard.close()
    start(store)[1].close()


def test_an_older_list_of_keys_opens_nothing(tmp_path: Path) -> None:
    store = store_of(tmp_path, a="good")
    store.change(lambda state: state.model_copy(update={"list_version": 4}))
    _, aboard = start(store)
    aboard.check_list(4)
    aboard.check_list(5)
    with pytest.raises(ConfigError, match="version 4, and 5 was seen"):
        aboard.check_list(4)
    with pytest.raises(ConfigError, match="version 3, and 5 was seen"):
        aboard.check_list(3)
    aboard.close()


def heard(**said: object) -> Autopilot:
    autopilot = Autopilot()
    autopilot.heartbeat_ns, autopilot.kind = 0, Kind.ARDUPILOT
    for name, value in said.items():
        setattr(autopilot, name, value)
    return autopilot


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({}, None),
        ({"is_landed": True}, None),
        ({"is_armed": True}, "armed"),
        ({"is_landed": False}, "in the air"),
        ({"is_armed": True, "is_landed": True}, "armed"),
        ({"kind": None}, "not heard"),
        ({"heartbeat_ns": None}, "not heard"),
        ({"heartbeat_ns": -60_000_000_000}, "not heard"),
    ],
)
def test_only_a_vehicle_that_says_so_is_on_the_ground(
    said: dict[str, object], reason: str | None
) -> None:
    found = judged(heard(**said), 1)
    assert (found is None) == (reason is None)
    assert reason is None or reason in str(found)


def test_a_start_makes_of_a_state_what_it_says() -> None:
    nothing = State()
    assert chosen(nothing) == nothing
    lost = State(active="b", slots={"a": entry("good")})
    assert chosen(lost).active is None
    bad = State(active="b", slots={"a": entry("good"), "b": entry("bad")})
    assert chosen(bad).active == "a"
    assert chosen(bad).standing("b") == "bad"
    ready = State(active="b", slots={"a": entry("good"), "b": entry("ready")})
    assert chosen(ready).active == "a"
    assert len(fallen_back(ready, "b", "x" * 999).slots["b"].why) == 300
    beside = fallen_back(bad.model_copy(update={"active": "a"}), "b", "again")
    assert (beside.active, beside.slots["b"].why) == ("a", "a test")


def test_only_what_flies_proves_itself() -> None:
    state = State(active="b", slots={"a": entry("trial"), "b": entry("trial")}, trial_starts=2)
    assert proved(state, "a") == state
    done = proved(state, "b")
    assert (done.standing("b"), done.standing("a"), done.trial_starts) == ("good", "trial", 0)
    assert proved(done, "b") == done
    good = State(active="b", slots={"b": entry("good")}, trial_starts=1)
    assert proved(good, "b") == good


class Starts(RuleBasedStateMachine):
    """Any order of installations, starts, kills, flights and refusals."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State(active="a", slots={"a": entry("good")})
        self.flown: Slot | None = None

    @rule()
    def install(self) -> None:
        active = self.state.active
        slot = other(active)
        if self.state.standing(active) == "trial" and self.state.standing(slot) == "good":
            return  # refused
        slots = {**self.state.slots, slot: entry("trial")}
        changes = {"slots": slots, "active": slot, "trial_starts": 0}
        self.state = self.state.model_copy(update=changes)

    @rule()
    def start(self) -> None:
        self.state = chosen(self.state)
        self.flown = self.state.active

    @precondition(lambda self: self.flown is not None)
    @rule(is_opened=st.booleans())
    def fly(self, is_opened: bool) -> None:
        assert self.flown is not None
        if not is_opened and self.state.standing(self.flown) == "trial":
            self.state = fallen_back(self.state, self.flown, "refused")
        elif self.state.standing(self.flown) == "trial":
            self.state = self.state.with_slot(self.flown, standing="good")
        self.flown = None

    @invariant()
    def a_good_one_is_never_lost(self) -> None:
        assert "good" in {each.standing for each in self.state.slots.values()}

    @invariant()
    def a_bad_one_never_flies(self) -> None:
        assert self.state.standing(self.state.active) in ("good", "trial")
        assert self.state.trial_starts <= MAX_STARTS


TestStarts = Starts.TestCase
TestStarts.settings = settings(max_examples=60, stateful_step_count=30)
