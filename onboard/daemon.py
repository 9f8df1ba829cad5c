"""In flight: frames to the localizer, its fixes to the autopilot, until frames or pilot end it.

Three threads: one takes frames, one listens to the autopilot, one speaks to it at a steady rate.
What goes wrong in any of them ends all three: whoever started us starts us again, and every fix is
earned anew.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from .config import RunConfig, SourceConfig, load
from .errors import ConfigError, GeobridgeError, LinkError
from .flightlogs.recorder import Recorder
from .flightlogs.telemetry_csv import read_telemetry
from .found import read_prior
from .frames.device import Shooting
from .frames.paced import Paced
from .frames.source import FrameSource, is_live, open_source
from .localization.localizer import open_localizer
from .mavlink.link import Link
from .mavlink.outputs import Publisher
from .mavlink.telemetry import AutopilotTelemetry
from .records import Fix, Frame, Reason, Rejection, Telemetry

NS_PER_S = 1_000_000_000
HEARTBEAT_NS = NS_PER_S
REPORT_NS = 5 * NS_PER_S
MAX_AHEAD_NS = NS_PER_S // 5
LISTEN_S = 0.2
JOIN_S = 5.0

log = logging.getLogger(__name__)


class Localizes(Protocol):
    """What the frames are for."""

    def handle(self, frame: Frame, telemetry: Telemetry) -> Fix | Rejection:
        """Where the vehicle was, or why that is not known."""


class TelemetryAt(Protocol):
    """What the autopilot knew when a frame was taken."""

    def at(self, t_ns: int) -> Telemetry:
        """At `t_ns`, or the nearest there is, under its own time."""


@dataclass
class Daemon:
    """The wiring. `run` returns when the frames end or `stop` is called.

    Frames and `telemetry` are on the monotonic clock; `autopilot` is fed with what the link hears.
    """

    localizer: Localizes
    source: FrameSource
    telemetry: TelemetryAt
    autopilot: AutopilotTelemetry
    link: Link
    publisher: Publisher
    rate_hz: float
    process_rate_hz: float
    record: Callable[[Fix | Rejection], None] = lambda outcome: None

    _outcomes: Counter[str] = field(default_factory=Counter, init=False)
    _counting: threading.Lock = field(default_factory=threading.Lock, init=False)
    _stopped: threading.Event = field(default_factory=threading.Event, init=False)
    _failure: Exception | None = field(default=None, init=False)

    def run(self) -> None:
        """Fly; a fix that stands at the end is taken back. KeyboardInterrupt is taken as `stop`.

        Raises:
            Exception: whatever ended one of the threads.
        """
        threads = [
            threading.Thread(target=self._guard, args=(loop,), name=loop.__name__, daemon=True)
            for loop in (self._take_frames, self._listen, self._speak)
        ]
        for thread in threads:
            thread.start()
        try:
            self._stopped.wait()
        except KeyboardInterrupt:
            log.info("stopping")
        with _undisturbed():
            self.stop()
            self.source.close()
            for thread in threads:
                thread.join(JOIN_S)
            self.publisher.withdraw()
            with suppress(LinkError):  # raised below, if the link is what failed
                self._publish(time.monotonic_ns())
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """End `run` from another thread."""
        self._stopped.set()

    def _guard(self, loop: Callable[[], None]) -> None:
        try:
            loop()
        except Exception as error:  # raised again by `run`
            self._failure = self._failure or error
        finally:
            self.stop()

    def _take_frames(self) -> None:
        period_ns = round(NS_PER_S / self.process_rate_hz)
        due_ns = 0
        for frame in self.source:
            if self._stopped.is_set():
                return
            if frame.t_capture_ns > time.monotonic_ns() + MAX_AHEAD_NS:
                self._count("dated ahead of now")  # and nothing may wait for its time to come
            elif frame.t_capture_ns >= due_ns - period_ns // 2:  # on a grid: jitter skips nothing
                is_late = frame.t_capture_ns >= due_ns + period_ns
                due_ns = (frame.t_capture_ns if is_late else due_ns) + period_ns
                self._handle(frame)

    def _handle(self, frame: Frame) -> None:
        outcome = self.localizer.handle(frame, self.telemetry.at(frame.t_capture_ns))
        self.record(outcome)
        if isinstance(outcome, Rejection):
            kind = str(outcome.reason)
            log.debug("no fix: %s: %s", outcome.reason, outcome.detail)
            if outcome.reason is Reason.INCONSISTENT:
                self.publisher.withdraw()  # this frame or the last fix is wrong; nobody knows which
        else:
            kind = "fix" if self.publisher.offer(outcome) else "unsound fix"
        self._count(kind)

    def _count(self, kind: str) -> None:
        with self._counting:
            self._outcomes[kind] += 1

    def _listen(self) -> None:
        while not self._stopped.is_set():
            for message in self.link.receive(LISTEN_S):
                known = self.autopilot.system
                self.autopilot.feed(message, time.monotonic_ns())
                if self.autopilot.system != known:
                    log.info("autopilot heard: system %d", self.autopilot.system)

    def _speak(self) -> None:
        period_ns = round(NS_PER_S / self.rate_hz)
        beat_ns = heartbeat_ns = time.monotonic_ns()
        report_ns = beat_ns + REPORT_NS
        while not self._stopped.wait(max(0, beat_ns - time.monotonic_ns()) / NS_PER_S):
            now_ns = time.monotonic_ns()
            self._publish(now_ns)
            if now_ns >= heartbeat_ns:
                self.link.send_heartbeat(is_active=self.publisher.is_active)
                heartbeat_ns += HEARTBEAT_NS
            if now_ns >= report_ns:
                self._report()
                report_ns += REPORT_NS
            beat_ns = max(beat_ns + period_ns, now_ns)  # beats that were missed are not made up for

    def _publish(self, now_ns: int) -> None:
        was_active = self.publisher.is_active
        fields = self.publisher.tick(now_ns)
        if fields is None:
            return
        self.link.send_gps_input(fields)
        if not was_active:
            log.info("position found, accuracy %.1f m radial", fields.horiz_accuracy)
        elif not self.publisher.is_active:
            log.warning("position lost; the autopilot was told, now silent")

    def _report(self) -> None:
        with self._counting:
            outcomes, self._outcomes = self._outcomes, Counter()
        counts = ", ".join(f"{count} {kind}" for kind, count in outcomes.most_common())
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


def run(config_path: Path, overrides: Sequence[str] = ()) -> None:
    """Fly as a configuration says, until the frames end or SIGINT or SIGTERM comes.

    Raises:
        GeobridgeError: before the start; names what cannot be used.
        SystemExit: with 1, when frames or the link fail in flight.
    """
    config = load(RunConfig, config_path, overrides)
    with ExitStack() as opened:
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.signal(number, signal.default_int_handler)
            opened.callback(signal.signal, number, before)
        daemon = _assemble(config, opened)
        log.info("flying: %s, fixes to %s", config.source.frames, config.link.address)
        try:
            daemon.run()
        except GeobridgeError as error:
            log.error("%s", error)
            raise SystemExit(1) from None


def _assemble(config: RunConfig, opened: ExitStack) -> Daemon:
    live = is_live(config.source.frames)
    has_log = config.source.telemetry != "mavlink"
    if live and has_log:
        raise ConfigError("source.telemetry: a recording cannot go with a camera; use mavlink")
    flight_log = read_telemetry(Path(config.source.telemetry)) if has_log else None
    times_ns = flight_log.times_by_file() if flight_log else None
    source = open_source(
        config.source.frames,
        rate_hz=config.source.rate_hz,
        times_ns=times_ns,
        shooting=_shooting(config.source),
    )
    opened.callback(source.close)
    link = Link(config.link)
    opened.callback(link.close)
    camera = config.camera.camera(*source.size_px)
    localizer = open_localizer(
        Path(config.bundle),
        config.localizer,
        camera,
        trusted_keys=config.trusted_keys,
        prior=read_prior(Path(config.prior)) if config.prior else None,
    )
    autopilot = AutopilotTelemetry(has_own_gnss=config.link.gps_id > 0)
    telemetry: TelemetryAt = autopilot
    if not live:
        source = paced = Paced(source)
        telemetry = flight_log.shifted(paced.offset_ns) if flight_log else autopilot
    wall_clock_ahead_ns = time.time_ns() - time.monotonic_ns()
    return Daemon(
        localizer,
        source,
        telemetry,
        autopilot,
        link,
        Publisher(config.link, config.localizer.filter, wall_clock_ahead_ns),
        rate_hz=config.link.rate_hz,
        process_rate_hz=config.source.process_rate_hz,
        record=_recorder(config.record, opened),
    )


def _shooting(source: SourceConfig) -> Shooting:
    offset_ns = round(source.exposure_offset_ms * NS_PER_S / 1000)
    return Shooting(source.size_px, source.camera_rate_hz, offset_ns)


def _recorder(record: str | None, opened: ExitStack) -> Callable[[Fix | Rejection], None]:
    if record is None:
        return lambda outcome: None
    recorder = Recorder(Path(record))
    opened.callback(recorder.close)
    return recorder.write
