"""MAVLink 2 over one port that may come and go: the autopilot's messages in, ours out."""

from __future__ import annotations

import logging
import random
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..config import LinkConfig
from ..errors import ConfigError, LinkError
from .gimbal import KINDS as GIMBAL_KINDS
from .line import Line
from .ports import Port, is_loopback, open_port
from .signing import Codec, Message, SigningClock, read_key

BACK_OFF_S = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
WAITING_TEXTS = 32
ALARM_NS = 10_000_000_000
PILOT_SPEAKS = frozenset({"COMMAND_LONG", "COMMAND_INT", "PING"})

log = logging.getLogger(__name__)


@dataclass
class Traffic:
    """What went over a link since it was opened."""

    heard: int = 0
    foreign: int = 0
    """Messages of other systems and components, and of a pilot who sends no command."""
    damaged: int = 0
    """Pieces that were no message, those that were not signed among them."""
    sent: int = 0
    dropped: int = 0
    """Positions and texts for which the line had no room."""
    reconnects: int = 0


class Link:
    """One thread calls `receive` again and again; any thread may send.

    Believed are the configured autopilot, attitudes of the configured gimbal, and commands of the
    configured ground station. A port that fails in flight is opened anew, less and less often,
    until it is there again.

    Raises:
        ConfigError: an address beyond this computer without `allow_remote` and a key; a bad key.
        LinkError: the port cannot be opened now, which later it may fail to be.
    """

    def __init__(self, config: LinkConfig, open_: Callable[[str, int], Port] = open_port) -> None:
        _check_reach(config)
        self.traffic = Traffic()
        self._config, self._open = config, open_
        self._clock = SigningClock(_store(config))
        key = read_key(config.signing_key) if config.signing_key else None
        self._codec = Codec(
            config.source_system, config.source_component, key, self._clock, config.signing_link_id
        )
        self._line = Line(config.baud if config.address.startswith("/") else 0)
        self._sending = threading.Lock()
        self._texts: deque[Message] = deque(maxlen=WAITING_TEXTS)
        self._failures, self._retry_s, self._warned_ns = 0, 0.0, 0
        self._refused_told = 0
        self._port: Port | None = self._open(config.address, config.baud)

    @property
    def is_up(self) -> bool:
        """Whether there is a port; not whether somebody is at its other end."""
        return self._port is not None

    @property
    def refused(self) -> int:
        """Frames whose signature was missing or wrong."""
        return self._codec.refused

    def receive(self, timeout_s: float) -> list[Message]:
        """The believed messages of one read, maybe none; sends what waits for a free line."""
        port = self._port or self._reopened(timeout_s)
        if port is None:
            return []
        with suppress(OSError):  # the signing store: what it holds may be used up, no more
            self._clock.save()
        self._drain_texts()
        try:
            if not select.select([port], [], [], timeout_s)[0]:
                return []
            data = port.read()
        except (LinkError, OSError, ValueError) as error:
            self._lose(port, error)
            return []
        messages, damaged = self._codec.decode(data, is_datagram=port.is_datagram)
        self.traffic.damaged += damaged
        self._raise_alarm()
        believed = [message for message in messages if self._is_believed(message)]
        self.traffic.heard += len(believed)
        self.traffic.foreign += len(messages) - len(believed)
        if any(message.get_type() not in GIMBAL_KINDS for message in believed):
            port.believe()  # a gimbal beside the autopilot is nobody to send positions to
        return believed

    def send(self, message: Message) -> bool:
        """A position or an answer, at once; left out where it would have to wait."""
        return self._put(message, is_prompt=True)

    def say(self, message: Message) -> None:
        """A text or a request: when the line has nothing better to do. The oldest give way."""
        self._texts.append(message)

    def flush(self, timeout_s: float) -> None:
        """Wait until what was said has been sent, at most so long."""
        until_s = time.monotonic() + timeout_s
        while self._texts and self.is_up and time.monotonic() < until_s:
            self._drain_texts()
            time.sleep(0.005)

    def close(self) -> None:
        """Let go of the port."""
        with self._sending:
            if self._port is not None:
                self._port.close()
            self._port = None

    def _put(self, message: Message, *, is_prompt: bool) -> bool:
        with self._sending:
            port, now_ns = self._port, time.monotonic_ns()
            if port is None or not self._line.has_room(now_ns, is_prompt=is_prompt):
                self.traffic.dropped += is_prompt
                return False
            data = self._codec.encode(message)
            try:
                is_sent = port.write(data)
            except LinkError:  # reading will fail too, and says so
                is_sent = False
            if is_sent:
                self._line.take(len(data), now_ns)
                self.traffic.sent += 1
            else:
                self.traffic.dropped += is_prompt
            return is_sent

    def _drain_texts(self) -> None:
        while self._texts:
            text = self._texts.popleft()
            if not self._put(text, is_prompt=False):
                with suppress(IndexError):
                    self._texts.appendleft(text)
                return

    def _is_believed(self, message: Message) -> bool:
        source = message.get_srcSystem(), message.get_srcComponent()
        config = self._config
        if source == (config.autopilot_system, config.autopilot_component):
            return True
        if source == (config.autopilot_system, config.gimbal_component):
            return message.get_type() in GIMBAL_KINDS
        return source[0] == config.ground_system and message.get_type() in PILOT_SPEAKS

    def _lose(self, port: Port, error: Exception) -> None:
        log.warning("%s; opening it again", error)
        with self._sending:
            port.close()
            self._port = None
        self._failures, self._retry_s = 0, time.monotonic()

    def _reopened(self, timeout_s: float) -> Port | None:
        wait_s = self._retry_s - time.monotonic()
        if wait_s > 0.0:
            time.sleep(min(wait_s, timeout_s))
            return None
        try:
            port = self._open(self._config.address, self._config.baud)
        except LinkError as error:
            pause_s = BACK_OFF_S[min(self._failures, len(BACK_OFF_S) - 1)]
            log.debug("%s; again in %.1f s", error, pause_s)
            self._failures += 1
            # peers that lost each other at once should not meet again at once for ever
            self._retry_s = time.monotonic() + pause_s * random.uniform(0.75, 1.25)
            return None
        log.info("link.address %s: open again", self._config.address)
        self.traffic.reconnects += 1
        with self._sending:
            self._port = port
        return port

    def _raise_alarm(self) -> None:
        now_ns = time.monotonic_ns()
        if self.refused > self._refused_told and now_ns - self._warned_ns > ALARM_NS:
            log.warning(
                "link: %d frames without a right signature; is it the same key on both ends?",
                self.refused,
            )
            self._warned_ns, self._refused_told = now_ns, self.refused


def _check_reach(config: LinkConfig) -> None:
    if is_loopback(config.address):
        return
    if not config.allow_remote:
        raise ConfigError(
            f"link.address {config.address}: reaches beyond this computer;"
            " set link.allow_remote=true and link.signing_key"
        )
    if config.signing_key is None:
        raise ConfigError(
            f"link.address {config.address}: reaches beyond this computer; set link.signing_key"
        )


def _store(config: LinkConfig) -> Path | None:
    return Path(config.signing_state).expanduser() if config.signing_key else None
