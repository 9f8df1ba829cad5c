"""The wiring: eyes, radio, state and watchdog, each loop in a thread of its own.

What goes wrong in any loop ends all of them: whoever started us starts us again, and every fix is
earned anew. A camera or a link that is away is nothing wrong.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..mavlink.silence import gimbal_silence, silence
from ..records import Rejection
from ..store.aboard import Aboard
from ..store.ground import judged
from .board import Board
from .eyes import Eyes, Localizes
from .radio import Radio
from .states import Facts, State, judge
from .thermal import HOT_MARGIN_C, Thermometer
from .watchdog import Notifier, Progress

NS_PER_S = 1_000_000_000
ROUND_S = 0.25
REPORT_NS = 5 * NS_PER_S
SILENT_NS, REMIND_NS = 10 * NS_PER_S, 60 * NS_PER_S
JOIN_S = 5.0
CAMERA_SILENT_S, SILENT_FRAMES, CAMERA_WEDGED_S = 0.5, 3.0, 8.0
"""Without a frame for so long, or for so many, there is none; in the end it is opened anew."""
MISSED_SHARE = 0.2
LIMITS_S = {"listen": 3.0, "speak": 2.0, "look": 8.0}
"""Of a loop that makes progress; the watchdog is not fed for a longer one."""

log = logging.getLogger(__name__)


@dataclass
class Daemon:
    """`talk` first, then `fly`, which returns when the frames end or `stop` is called."""

    eyes: Eyes
    radio: Radio
    board: Board
    notifier: Notifier = field(default_factory=Notifier)
    thermometer: Thermometer = field(default_factory=Thermometer)
    on_state: Callable[[State, str, int], None] = lambda state, reason, now_ns: None
    aboard: Aboard | None = None
    """Of a bundle that flies from a store."""

    _threads: list[threading.Thread] = field(default_factory=list, init=False)
    _stopped: threading.Event = field(default_factory=threading.Event, init=False)
    _failure: Exception | None = field(default=None, init=False)
    _told: tuple[State, str] | None = field(default=None, init=False)
    _patience_ns: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.progress = Progress(LIMITS_S)
        self.radio.state = self.state
        self.radio.mark = lambda loop: self.progress.mark(loop, time.monotonic_ns())
        self.eyes.on_look = self._look_began_or_ended

    def talk(self) -> None:
        """Begin to listen and to speak, before there is anything to see with."""
        self.board.is_open = True
        self._patience_ns = time.monotonic_ns() + SILENT_NS
        self._start(self.radio.listen)
        self._start(self.radio.speak)

    def fly(self, localizer: Localizes) -> None:
        """Look, until the frames or the flight end; a fix that stands then is taken back.

        Raises:
            Exception: whatever ended one of the loops.
        """
        self.board.is_tested = True
        self.notifier.tell("READY=1")
        self._start(lambda stopped: self.eyes.look(localizer, stopped), ends_all=True)
        try:
            self._watch()
        except KeyboardInterrupt:
            log.info("stopping")
        self.end("stopped")
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End `fly` from another thread."""
        self._stopped.set()

    def end(self, words: str) -> None:
        """Stop every loop; the autopilot and the pilot hear of it."""
        with _undisturbed():
            self.notifier.tell("STOPPING=1")
            self.stop()
            self.eyes.source.close()
            for thread in self._threads:
                thread.join(JOIN_S)
            self.radio.last_words(words)

    def state(self) -> tuple[State, str]:
        """As of now."""
        now_ns, board = time.monotonic_ns(), self.board
        missing = []
        if not self.radio.conversation.autopilot.is_heard(now_ns):
            missing.append("no autopilot heard" if self.radio.link.is_up else "link down")
        if board.camera:
            missing.append(board.camera)
        elif board.frame_ns is None or self._silent_s(now_ns) > self._camera_patience_s:
            missing.append("camera silent")
        if self.radio.conversation.lacks_gimbal(now_ns):
            missing.append("no gimbal attitude")
        last = board.last_outcome
        rejection = str(last.reason) if isinstance(last, Rejection) else None
        publisher = self.radio.publisher
        facts = Facts(
            is_open=board.is_open,
            is_tested=board.is_tested,
            fault=board.fault,
            is_giving=publisher.is_active,
            has_given=board.has_given,
            held=tuple(sorted(publisher.held)),
            missing=tuple(missing),
            last_rejection=rejection,
            impaired=(*missing, *self._impaired()),
        )
        return judge(facts)

    def _impaired(self) -> list[str]:
        board, found = self.board, []
        if board.is_hot:
            found.append("computer hot")
        if board.missed_share > MISSED_SHARE:
            found.append(f"{board.missed_share:.0%} of frames missed")
        if board.differences:
            found.append(f"{len(board.differences)} parameters differ")
        if board.objection:
            found.append(board.objection)
        return found

    def _start(self, loop: Callable[[threading.Event], None], *, ends_all: bool = False) -> None:
        name = getattr(loop, "__name__", "look")
        thread = threading.Thread(target=self._guard, args=(loop, ends_all), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guard(self, loop: Callable[[threading.Event], None], ends_all: bool) -> None:
        try:
            loop(self._stopped)
        except Exception as error:  # raised again by `fly`
            self._failure = self._failure or error
            self.stop()
        finally:
            if ends_all:
                self.stop()

    def _look_began_or_ended(self, has_begun: bool) -> None:
        if has_begun:
            self.progress.mark("look", time.monotonic_ns())
        else:
            self.progress.wait("look")

    def _watch(self) -> None:
        report_ns, before = time.monotonic_ns() + REPORT_NS, self.board.counted()
        while not self._stopped.wait(ROUND_S):
            now_ns = time.monotonic_ns()
            self._feed_watchdog(now_ns)
            self._take_temperature()
            self._tell_state(now_ns)
            self._tell_silence(now_ns)
            self._wake_camera(now_ns)
            if self.aboard is not None:
                reason = judged(self.radio.conversation.autopilot, now_ns)
                self.aboard.round(now_ns, is_safe=reason is None)
            if now_ns >= report_ns:
                counted = self.board.counted()
                _report(counted - before)
                report_ns, before = now_ns + REPORT_NS, counted

    def _feed_watchdog(self, now_ns: int) -> None:
        stuck = self.progress.stuck(now_ns)
        if stuck is None:
            self.notifier.tell("WATCHDOG=1")
        else:
            log.error("the loop %r does not come round; the watchdog is not fed", stuck)

    def _take_temperature(self) -> None:
        margin_c = self.thermometer.margin_c()
        self.board.is_hot = margin_c is not None and margin_c < HOT_MARGIN_C
        self.board.hottest_c = self.thermometer.hottest_c()

    def _tell_silence(self, now_ns: int) -> None:
        """Now and then, while somebody is not heard: what to look at."""
        radio, conversation = self.radio, self.radio.conversation
        if now_ns <= self._patience_ns or not radio.link.is_up:
            return
        if conversation.autopilot.heartbeat_ns is None:
            log.warning("%s", silence(radio.link, radio.config))
        elif conversation.lacks_gimbal(now_ns):
            log.warning("%s", gimbal_silence(radio.config))
        else:
            return
        self._patience_ns = now_ns + REMIND_NS

    def _tell_state(self, now_ns: int) -> None:
        told = self.state()
        if told == self._told:
            return
        if self._told is None or told[0] is not self._told[0]:
            log.info("%s", ": ".join(part for part in map(str, told) if part))
        self._told = told
        self.notifier.tell(f"STATUS={told[0]} {told[1]}".strip())
        self.on_state(*told, now_ns)

    @property
    def _camera_patience_s(self) -> float:
        return max(CAMERA_SILENT_S, SILENT_FRAMES / self.eyes.process_rate_hz)

    def _silent_s(self, now_ns: int) -> float:
        return (now_ns - (self.board.frame_ns or now_ns)) / NS_PER_S

    def _wake_camera(self, now_ns: int) -> None:
        """Let go of a device that neither gives a picture nor fails."""
        if self.eyes.reopen and self._silent_s(now_ns) > CAMERA_WEDGED_S and not self.board.camera:
            self.board.frame_ns = now_ns
            self.board.camera = "the camera is wedged"
            self.eyes.source.close()


def _report(counted: Any) -> None:
    counts = ", ".join(f"{count} {kind}" for kind, count in counted.most_common())
    log.info("frames in %d s: %s", REPORT_NS // NS_PER_S, counts or "none")


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No second signal may cut short the word that the last fix is withdrawn."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
