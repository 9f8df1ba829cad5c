"""Frames to the localizer, and what it finds to the publisher; a live camera may come and go."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import GeobridgeError
from ..frames.source import FrameSource
from ..mavlink.outputs.publisher import Publisher
from ..records import Fix, Frame, Reason, Rejection, Telemetry
from .board import Board
from .continuity import Continuity

NS_PER_S = 1_000_000_000
MAX_AHEAD_NS = NS_PER_S // 5
BACK_OFF_S = (0.5, 1.0, 2.0, 4.0, 8.0)
COOLING = 2
"""How many times fewer frames are looked at while the computer is hot."""

log = logging.getLogger(__name__)


class Localizes(Protocol):
    """What the frames are for."""

    def handle(self, frame: Frame, telemetry: Telemetry) -> Fix | Rejection:
        """Where the vehicle was, or why that is not known."""

    def reset(self) -> None:
        """Forget the track."""


class TelemetryAt(Protocol):
    """What the autopilot knew when a frame was taken."""

    def at(self, t_ns: int) -> Telemetry:
        """At `t_ns`, or the nearest there is, under its own time."""


class Remembers(Protocol):
    """The flight record, as seen from here."""

    def handled(self, frame: Frame, telemetry: Telemetry, outcome: Fix | Rejection) -> None:
        """A frame, what the localizer was told beside it, and what became of both."""

    def reset(self, t_capture_ns: int) -> None:
        """The localizer forgot its track before the frame that was taken then."""


@dataclass
class Eyes:
    """One loop. `reopen` opens a live camera again; a recording has none, and ends.

    Frames and `telemetry` are on the monotonic clock. `mark` is told when a frame comes and when
    one is awaited.
    """

    source: FrameSource
    telemetry: TelemetryAt
    publisher: Publisher
    board: Board
    process_rate_hz: float
    continuity: Continuity
    reopen: Callable[[], FrameSource] | None = None
    record: Remembers | None = None
    on_look: Callable[[bool], None] = lambda is_looking: None

    _wants_reset: threading.Event = field(default_factory=threading.Event, init=False)
    _due_ns: int = field(default=0, init=False)

    def look(self, localizer: Localizes, stopped: threading.Event) -> None:
        """Until the frames of a recording end, or `stopped` is set.

        Raises:
            GeobridgeError: the frames of a recording cannot be read.
        """
        for frame in self._frames(stopped):
            self.board.frame_ns, self.board.camera = frame.t_capture_ns, None
            if self._is_due(frame):
                self.on_look(True)
                self._obey_reset(localizer, frame)
                self._handle(localizer, frame)
                self.on_look(False)

    def reset(self) -> None:
        """Have the localizer forget its track before the next frame; from any thread."""
        self.publisher.withdraw()
        self._wants_reset.set()

    def _obey_reset(self, localizer: Localizes, frame: Frame) -> None:
        if self._wants_reset.is_set():
            self._wants_reset.clear()
            self.continuity.forget()
            localizer.reset()
            if self.record:
                self.record.reset(frame.t_capture_ns)

    def _frames(self, stopped: threading.Event) -> Iterator[Frame]:
        failures = 0
        while not stopped.is_set():
            try:
                for frame in self.source:
                    if stopped.is_set():
                        return
                    failures = 0
                    yield frame
                if self.reopen is None or stopped.is_set():
                    return
                self.board.camera = "the camera gives no pictures"
            except GeobridgeError as error:
                if self.reopen is None:
                    raise
                self.board.camera = str(error)
            log.warning("%s; opening it again", self.board.camera)
            while not stopped.wait(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)]):
                failures += 1
                if self._reopened():
                    break

    def _reopened(self) -> bool:
        assert self.reopen is not None
        try:
            self.source.close()
            self.source = self.reopen()
        except GeobridgeError as error:
            self.board.camera = str(error)
            return False
        return True

    def _is_due(self, frame: Frame) -> bool:
        """Whether to look at it: on a grid, so that jitter skips nothing."""
        if frame.t_capture_ns > time.monotonic_ns() + MAX_AHEAD_NS:
            self.board.count("dated ahead of now")  # and nothing may wait for its time to come
            return False
        cooling = COOLING if self.board.is_hot else 1
        period_ns = round(cooling * NS_PER_S / self.process_rate_hz)
        if frame.t_capture_ns < self._due_ns - period_ns // 2:
            return False
        late_ns = frame.t_capture_ns - self._due_ns if self._due_ns else 0
        self.board.missed(max(0, (late_ns - period_ns // 2) // period_ns))
        is_late = frame.t_capture_ns >= self._due_ns + period_ns
        self._due_ns = (frame.t_capture_ns if is_late else self._due_ns) + period_ns
        return True

    def _handle(self, localizer: Localizes, frame: Frame) -> None:
        telemetry = self.telemetry.at(frame.t_capture_ns)
        start_ns = time.monotonic_ns()
        outcome = localizer.handle(frame, telemetry)
        took_ms = (time.monotonic_ns() - start_ns) / 1e6
        self.continuity.moved(frame.t_capture_ns, telemetry)
        if isinstance(outcome, Rejection):
            kind = str(outcome.reason)
            log.debug("no fix: %s: %s", outcome.reason, outcome.detail)
            if outcome.reason is Reason.INCONSISTENT:
                self.publisher.withdraw()  # this frame or the last fix is wrong; nobody knows which
                self.continuity.contradicted(frame.t_capture_ns)
        elif not self.continuity.accepts(outcome):
            kind = "fix elsewhere"
            self.publisher.withdraw()
        elif self._wants_reset.is_set():
            kind = "fix before a reset"
        else:
            kind = "fix" if self.publisher.offer(outcome) else "unsound fix"
        self.board.handled(frame, outcome, took_ms, telemetry)
        self.board.count(kind)
        if self.record:
            self.record.handled(frame, telemetry, outcome)
