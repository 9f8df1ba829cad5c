"""The daemon and its store: which slot flies at this start, and when it has proved itself.

A running daemon never changes its bundle. What is on trial has three starts to fly for two minutes;
every start is counted before anything of the bundle is read. After the third, or as soon as the
bundle is refused, the next start flies the last good one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from ..errors import BundleError, ConfigError, EngineError, GeobridgeError
from .state import Slot, State, other
from .store import DAEMON, FLIGHT, Lock, Store

MAX_STARTS = 3
GOOD_NS = 120 * 1_000_000_000
WHY_CHARS = 300

log = logging.getLogger(__name__)


class Aboard:
    """Held by the daemon from before it opens the bundle until it ends.

    Raises:
        BundleError: no bundle that may fly; another daemon flies from this store.
    """

    def __init__(self, store: Store) -> None:
        if not store.path.is_dir():
            raise BundleError(f"{store.path}: no store yet; geobridge install brings a bundle")
        self._store = store
        self._locks = {DAEMON: Lock(store.path / DAEMON), FLIGHT: Lock(store.path / FLIGHT)}
        try:
            if not (self._locks[DAEMON].take() and self._locks[FLIGHT].take()):
                raise BundleError(f"{store.path}: another daemon flies from this store")
            self._slot = self._chosen()
            self._locks[self._slot] = Lock(store.path / f"{self._slot}.lock")
            self._locks[self._slot].take()
        except BaseException:
            self.close()
            raise
        self._since_ns: int | None = None
        self._is_proved = store.state().standing(self._slot) == "good"

    @property
    def path(self) -> Path:
        """The bundle that flies."""
        return self._store.slot(self._slot)

    def check_list(self, version: int) -> None:
        """The list of keys must be as new as the newest that was seen here; which is remembered.

        Raises:
            ConfigError: it is older: what was revoked since would be trusted again.
        """
        seen = self._store.state().list_version
        if version < seen:
            raise ConfigError(f"trust.key_list: version {version}, and {seen} was seen")
        self._change(lambda state: state.model_copy(update={"list_version": version}))

    def not_opened(self, error: BaseException) -> None:
        """The bundle could not be opened: the next start takes another one, where that may help."""
        is_trial = self._store.state().standing(self._slot) == "trial"
        if isinstance(error, BundleError) or (is_trial and isinstance(error, EngineError)):
            why = " ".join(str(error).split())
            self._change(lambda state: fallen_back(state, self._slot, why))
        elif isinstance(error, (GeobridgeError, KeyboardInterrupt)):
            self.left()

    def round(self, now_ns: int, *, is_safe: bool) -> None:
        """Called a few times a second in flight; `is_safe`: disarmed and on the ground."""
        flight = self._locks[FLIGHT]
        (flight.give if is_safe else flight.take)()
        self._since_ns = self._since_ns or now_ns
        if not self._is_proved and now_ns - self._since_ns > GOOD_NS:
            self._prove()

    def left(self) -> None:
        """It was ended in order: this start says nothing against the bundle."""
        self._change(
            lambda state: (
                state.model_copy(update={"trial_starts": 0})
                if state.active == self._slot
                else state
            )
        )

    def close(self) -> None:
        """Give everything back."""
        for lock in self._locks.values():
            lock.close()

    def _chosen(self) -> Slot:
        state = self._change(chosen)
        if state is None:  # uncounted, what is on trial does not fly
            state = chosen(self._store.state())
            if state.standing(state.active) == "trial":
                state = fallen_back(state, state.active or "a", "its start could not be counted")
        if state.active is None:
            raise BundleError(f"{self._store.path}: {state.why}; geobridge install brings a bundle")
        log.info("%s: slot %s, %s", self._store.path, state.active, state.why)
        return state.active

    def _prove(self) -> None:
        self._is_proved = True
        self._change(lambda state: proved(state, self._slot))

    def _change(self, change: Callable[[State], State]) -> State | None:
        try:
            return self._store.change(change)
        except OSError as error:
            log.error("%s: %s; its state stays as it was", self._store.path, error.strerror)
            return None


def chosen(state: State) -> State:
    """What a start makes of a state: the slot that flies, and the start counted."""
    slot = state.active
    if slot is None or slot not in state.slots:
        return state.model_copy(update={"active": None})
    standing = state.slots[slot].standing
    if standing == "good":
        return state
    if standing == "trial" and state.trial_starts < MAX_STARTS:
        return state.model_copy(update={"trial_starts": state.trial_starts + 1})
    why = f"{MAX_STARTS} starts that did not last"
    return fallen_back(state, slot, why)


def proved(state: State, slot: Slot) -> State:
    """What flew for long enough is good, unless something else was installed meanwhile."""
    if state.active != slot or state.standing(slot) != "trial":
        return state
    state = state.with_slot(slot, standing="good", why="flew for two minutes")
    return state.model_copy(update={"trial_starts": 0})


def fallen_back(state: State, slot: Slot, why: str) -> State:
    """A slot is bad; the other one flies, if it ever proved itself."""
    why = why[:WHY_CHARS]
    if state.standing(slot) != "bad":
        state = state.with_slot(slot, standing="bad", why=why)
    if state.active != slot:
        return state
    beside = other(slot)
    if state.standing(beside) != "good":
        nothing = {"active": None, "trial_starts": 0, "why": f"slot {slot} is bad: {why}"}
        return state.model_copy(update=nothing)
    told = f"back to the last good one, for slot {slot} is bad: {why}"
    return state.model_copy(update={"active": beside, "trial_starts": 0, "why": told})
