"""What to say at every beat: the last fix moved on, one word that there is none, or nothing."""

from __future__ import annotations

import threading
from typing import Protocol

from ...config import FilterConfig
from ...records import Fix
from ..signing import Message
from .moved import NS_PER_S, Moved, is_sound, moved_on
from .wanted import Wanted


class Output(Protocol):
    """One message that an autopilot accepts."""

    @property
    def name(self) -> str:
        """As `link.output` has it."""

    @property
    def rate_hz(self) -> float:
        """How often it is to be spoken."""

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        """What the user must set on the autopilot."""

    def position(self, moved: Moved) -> list[Message]:
        """What to send while there is a position; nothing where it is not yet time."""

    def negative(self, now_ns: int, unix_ns: int) -> list[Message]:
        """The one word that there is none any more."""


class Publisher:
    """No clock and no socket; one thread may offer while another one ticks.

    `unix_offset_ns` is what the wall clock was ahead of the monotonic one when it was read, once: a
    clock that is set in flight moves nothing.
    """

    def __init__(self, max_fix_age_s: float, motion: FilterConfig, unix_offset_ns: int) -> None:
        self.output: Output | None = None
        self.moved: Moved | None = None
        """What was said last; None while nothing is said."""
        self._max_age_ns = round(max_fix_age_s * NS_PER_S)
        self._motion = motion
        self._unix_offset_ns = unix_offset_ns
        self._lock = threading.Lock()
        self._fix: Fix | None = None
        self._newest_ns = -1
        self._held: set[str] = set()

    @property
    def is_active(self) -> bool:
        """Whether the autopilot was last told a position."""
        return self.moved is not None

    @property
    def held(self) -> frozenset[str]:
        """Why nothing is said although it could be."""
        return frozenset(self._held)

    def offer(self, fix: Fix) -> bool:
        """Take a fix, unless it is older than the one held or no vehicle can be there so."""
        with self._lock:
            if fix.t_capture_ns <= self._newest_ns or not is_sound(fix):
                return False
            self._fix, self._newest_ns = fix, fix.t_capture_ns
            return True

    def withdraw(self) -> None:
        """Stop believing the last fix."""
        with self._lock:
            self._fix = None

    def hold(self, why: str, *, is_held: bool) -> None:
        """Keep silent for a reason, or no longer for that one."""
        (self._held.add if is_held else self._held.discard)(why)

    def tick(self, now_ns: int) -> list[Message]:
        """What to send now; after the last fix has aged, one negative, then nothing."""
        fix, output = self._fix, self.output
        if output is None:
            return []
        if fix is not None and not 0 <= now_ns - fix.t_capture_ns <= self._max_age_ns:
            fix = None
        was_active, unix_ns = self.is_active, now_ns + self._unix_offset_ns
        if fix is None or self._held:
            self.moved = None
            return output.negative(now_ns, unix_ns) if was_active else []
        self.moved = moved_on(fix, now_ns, unix_ns, self._motion)
        return output.position(self.moved)
