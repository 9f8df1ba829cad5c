"""What state the daemon is in, and why, from plain facts. No clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(str, Enum):
    """From power-on to landing."""

    BOOT = "BOOT"
    """Opening ports and cameras."""
    SELFTEST = "SELFTEST"
    """Checking the bundle and its known answers."""
    ACQUIRE = "ACQUIRE"
    """Looking for the first position, or for the first one since an order to forget."""
    TRACK = "TRACK"
    """Giving positions."""
    DEGRADED = "DEGRADED"
    """Giving positions, though something is not as it should be."""
    NO_FIX = "NO_FIX"
    """Had a position, and has none now."""
    FAULT = "FAULT"
    """Nothing will be given until somebody mends something."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Facts:
    """What the state follows from. Texts are reasons for people."""

    is_open: bool = False
    is_tested: bool = False
    fault: str | None = None
    is_giving: bool = False
    has_given: bool = False
    held: tuple[str, ...] = ()
    """Why nothing is given that could be."""
    missing: tuple[str, ...] = ()
    """What there must be for a position, and is not."""
    last_rejection: str | None = None
    impaired: tuple[str, ...] = ()
    """What is not as it should be, although positions may go on."""


def judge(facts: Facts) -> tuple[State, str]:
    """The state, and its reason in a few words; no reason where there is nothing to explain."""
    if facts.fault is not None:
        return State.FAULT, facts.fault
    if not facts.is_tested:
        return (State.SELFTEST if facts.is_open else State.BOOT), ""
    if facts.is_giving:
        return (State.DEGRADED if facts.impaired else State.TRACK), ", ".join(facts.impaired)
    reasons = facts.held or facts.missing or _last(facts.last_rejection)
    return (State.NO_FIX if facts.has_given else State.ACQUIRE), ", ".join(reasons)


def _last(rejection: str | None) -> tuple[str, ...]:
    return () if rejection is None else (rejection,)
