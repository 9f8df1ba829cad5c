"""Ears and voice of the daemon: one loop listens to the autopilot, one speaks at a steady beat."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from pymavlink.dialects.v20 import ardupilotmega as wire

from ..config import LinkConfig
from ..errors import ConfigError
from ..mavlink.conversation import Conversation
from ..mavlink.link import Link
from ..mavlink.outputs.choose import choose, named
from ..mavlink.outputs.external_position import objection
from ..mavlink.outputs.publisher import Publisher
from ..mavlink.parameters import ParameterCheck
from ..mavlink.pilot import Pilot
from ..mavlink.signing import Message
from ..mavlink.voice import Voice
from ..records import Prior
from .announcer import Announcer
from .board import Board
from .states import State

NS_PER_S = 1_000_000_000
LISTEN_S = 0.05
VERSION_NS = 10 * NS_PER_S
"""An autopilot that has not told its version by then will not."""
REJECTED_S = 2.0
"""PX4 resets itself onto a position that it has refused for 7 s, ArduPilot as well: stop before."""
BY_PILOT, BY_FILTER = "held by the pilot", "refused by the autopilot's filter"

log = logging.getLogger(__name__)


class Remembers(Protocol):
    """The flight record, as seen from here."""

    def heard(self, message: Message, now_ns: int) -> None:
        """A believed message."""

    def sent(self, message: Message, now_ns: int) -> None:
        """A position, or the word that there is none."""

    @property
    def lost(self) -> int:
        """Entries for which there was no room."""


@dataclass
class Radio:
    """`on_reset` has the track forgotten; `state` is judged anew whenever it is asked for."""

    config: LinkConfig
    link: Link
    conversation: Conversation
    publisher: Publisher
    board: Board
    state: Callable[[], tuple[State, str]]
    on_reset: Callable[[], None]
    record: Remembers | None = None
    mark: Callable[[str], None] = lambda loop: None

    _check: ParameterCheck | None = field(default=None, init=False)
    _heard_since_ns: int | None = field(default=None, init=False)
    _was_taken: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if self.config.output != "auto":
            self.publisher.output = named(
                self.config.output,
                self.config,
                self.conversation.autopilot,
                self.conversation.telemetry.attitude_at,
            )
        self._pilot = Pilot(self.config.source_system, self.config.source_component, self)
        self._announcer = Announcer(Voice(), self.link)

    def listen(self, stopped: threading.Event) -> None:
        """Until `stopped`."""
        while not stopped.is_set():
            for message in self.link.receive(LISTEN_S):
                now_ns = time.monotonic_ns()
                if self.record:
                    self.record.heard(message, now_ns)
                answer = self._pilot.answer(message)
                if answer is not None:
                    self.link.send(answer)
                elif message.get_srcSystem() == self.config.autopilot_system:
                    for each in self.conversation.feed(message, now_ns):
                        self.link.send(each)
                    if self._check:
                        self._check.feed(message, self.conversation.autopilot.kind)
            self.mark("listen")

    def speak(self, stopped: threading.Event) -> None:
        """Until `stopped`; beats that were missed are not made up for."""
        period_ns = round(NS_PER_S / self.config.rate_hz)
        beat_ns = time.monotonic_ns()
        while not stopped.wait(max(0, beat_ns - time.monotonic_ns()) / NS_PER_S):
            now_ns = time.monotonic_ns()
            self._heed_filter(now_ns)
            self._heed_answer(now_ns)
            self.give(now_ns)
            self._choose(now_ns)
            for question in self.conversation.due(now_ns):
                is_prompt = question.get_type() == "TIMESYNC"
                (self.link.send if is_prompt else self.link.say)(question)
            self._read_parameters(now_ns)
            self._announcer.announce(self.state(), self.publisher.moved, now_ns)
            self.mark("speak")
            beat_ns = max(beat_ns + period_ns, now_ns)

    def give(self, now_ns: int) -> None:
        """Positions, or the one word that there is none any more."""
        was_active = self.publisher.is_active
        for message in self.publisher.tick(now_ns):
            self.link.send(message)
            if self.record:
                self.record.sent(message, now_ns)
        moved = self.publisher.moved
        if moved is not None:
            self.board.positions.beat(now_ns)
        if moved is not None and not was_active:
            self.board.has_given, self._was_taken = True, False
            self.conversation.telemetry.pilot_prior = None
            log.info("position found, accuracy %.1f m radial", moved.radial_m)
        elif was_active and moved is None:
            log.warning("position lost; the autopilot was told, now silent")

    def last_words(self, words: str) -> None:
        """Take back what stands, and say why, before the end."""
        self.publisher.withdraw()
        self.give(time.monotonic_ns())
        self._announcer.last(self.state()[0], words)

    def publish(self, *, is_on: bool) -> None:
        """The pilot's order."""
        log.info("the pilot says: %s positions", "give" if is_on else "hold back")
        self.publisher.hold(BY_PILOT, is_held=not is_on)

    def look_at(self, prior: Prior) -> None:
        """The pilot's word where the vehicle may be."""
        log.info("the pilot says: look within %.0f m of a place", prior.horiz_accuracy_m)
        self.conversation.telemetry.pilot_prior = prior
        self.reset()

    def reset(self) -> None:
        """The pilot's order; also ours, when the autopilot began anew."""
        self.on_reset()
        self.board.has_given = False

    def rebooted(self) -> None:
        """The autopilot began anew: it may be another version, with other parameters."""
        self.reset()
        self._heard_since_ns = self._check = None
        if self.config.output == "auto":
            self.publisher.output = None
        self.board.differences = ()

    def _choose(self, now_ns: int) -> None:
        autopilot = self.conversation.autopilot
        if self._check is not None or autopilot.kind is None or self.board.fault:
            return
        self._heard_since_ns = self._heard_since_ns or now_ns
        if autopilot.version is None and now_ns - self._heard_since_ns < VERSION_NS:
            return
        try:
            output = choose(self.config, autopilot, self.conversation.telemetry.attitude_at)
        except ConfigError as error:
            self._give_up(str(error))
            return
        target = self.config.autopilot_system, self.config.autopilot_component
        log.info("positions go out as %s", output.name)
        self.conversation.telemetry.has_own_gnss = (
            output.name != "gps_input" or self.config.gps_id > 0
        )
        self.publisher.output, self._check = output, ParameterCheck(output.wanted, target)

    def _give_up(self, why: str) -> None:
        """Say no more positions: nobody there would read them."""
        self.publisher.output = self.publisher.moved = None
        self.board.fault = why
        log.error("%s", why)

    def _read_parameters(self, now_ns: int) -> None:
        check = self._check
        if check is None or self.board.differences:
            return
        if not check.is_done:
            for question in check.due(now_ns):
                self.link.say(question)
            return
        if check.was_heard:
            self.board.differences = tuple(check.differences())
            for line in self.board.differences:
                log.warning("autopilot: %s", line)
                self._announcer.warn(line)

    def _heed_filter(self, now_ns: int) -> None:
        """Do not win by patience: a filter that took us and now refuses us may be right."""
        autopilot = self.conversation.autopilot
        if not self.publisher.is_active or not autopilot.is_judging(now_ns):
            return
        rejected_s = autopilot.rejects_for_s(now_ns)
        if rejected_s == 0.0:
            self._was_taken = True
        elif self._was_taken and rejected_s > REJECTED_S:
            log.warning("%s for %.1f s; looking for the position anew", BY_FILTER, rejected_s)
            self._announcer.warn(BY_FILTER)
            self.on_reset()

    def _heed_answer(self, now_ns: int) -> None:
        """Of positions that are commands; one that cannot be carried out at all never will be."""
        autopilot, output = self.conversation.autopilot, self.publisher.output
        if autopilot.answer == wire.MAV_RESULT_UNSUPPORTED and output and not self.board.fault:
            self._give_up(
                f"link.output {output.name}: the autopilot does not support it; set link.output to"
                " gps_input (ArduPilot) or odometry (PX4)"
            )
            return
        has_own_fix = self.conversation.telemetry.has_fix(now_ns)
        against = objection(autopilot.answer, has_own_fix=has_own_fix)
        if against and against != self.board.objection:
            log.warning("%s", against)
            self._announcer.warn(against)
        self.board.objection = against
