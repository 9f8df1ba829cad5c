"""`geobridge run`: from a configuration to a flight."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from ..config import LinkConfig, RunConfig, SourceConfig, load
from ..errors import ConfigError, GeobridgeError
from ..flightlogs.telemetry_csv import read_telemetry
from ..found import read_prior
from ..frames.device import Shooting
from ..frames.paced import Paced
from ..frames.source import FrameSource, is_live, open_source
from ..localization.opened import open_localizer
from ..mavlink.conversation import Conversation
from ..mavlink.link import Link
from ..mavlink.outputs.publisher import Publisher
from ..mavlink.telemetry import AutopilotTelemetry
from ..mavlink.timesync import Timesync
from ..status.ground import Ground
from ..status.server import StatusServer
from ..status.view import View
from ..store.aboard import Aboard
from ..store.store import Store
from ..trust import Trust
from .board import Board
from .continuity import Continuity
from .daemon import Daemon
from .eyes import Eyes, TelemetryAt
from .preflight import compared, listed
from .radio import Radio
from .record import begun
from .states import State

log = logging.getLogger(__name__)


def run(
    config_path: Path,
    overrides: Sequence[str] = (),
    params: bool = False,
    check_params: bool = False,
) -> str | None:
    """Fly as a configuration says, until the frames end or SIGINT or SIGTERM comes.

    Args:
        config_path: TOML of a `RunConfig`.
        overrides: `table.key=value`, over the file's.
        params: return what the autopilot must have set, and do not fly.
        check_params: read the autopilot's and return what differs, and do not fly.

    Raises:
        GeobridgeError: before the start; names what cannot be used.
        SystemExit: with 1, when frames or a loop fail in flight; with 3 where parameters differ.
    """
    config = load(RunConfig, config_path, overrides)
    if params:
        return listed(config.link)
    if check_params:
        return compared(config.link)
    with ExitStack() as opened:
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.signal(number, signal.default_int_handler)
            opened.callback(signal.signal, number, before)
        try:
            _fly(*_chosen(config, opened), opened)
        except KeyboardInterrupt:
            log.info("stopped before the flight")
    return None


def _chosen(config: RunConfig, opened: ExitStack) -> tuple[RunConfig, Aboard | None]:
    """The configuration with the folder that flies: its own, or a slot of its store."""
    store = Store.named(config.bundle)
    if store is None:
        return config, None
    aboard = Aboard(store)
    opened.callback(aboard.close)
    return config.model_copy(update={"bundle": str(aboard.path)}), aboard


def _fly(config: RunConfig, aboard: Aboard | None, opened: ExitStack) -> None:
    daemon = _assemble(config, opened)
    daemon.aboard = aboard
    page = View(daemon)
    if config.status.port is not None:
        server = StatusServer(page, config.status.port)
        opened.callback(server.close)
        log.info("status page: http://127.0.0.1:%d", server.port)
    daemon.talk()
    try:
        trust = Trust.of_device(config.trusted_keys, config.trust)
        if aboard is not None:
            aboard.check_list(trust.list_version if trust else 0)
        localizer = open_localizer(
            Path(config.bundle),
            config.localizer,
            config.camera.camera(*daemon.eyes.source.size_px),
            trusted_keys=trust,
            prior=read_prior(Path(config.prior)) if config.prior else None,
        )
        if config.status.port is not None:
            page.top_deg = config.camera.mount.yaw_deg
            page.ground = Ground(localizer.coverage, localizer.imagery, localizer.gsd_m)
    except BaseException as error:  # an interrupt as well
        if aboard is not None:
            aboard.not_opened(error)
        daemon.board.fault = str(error) or "stopped"
        daemon.end(daemon.board.fault)
        raise
    log.info("flying: %s, fixes to %s", config.source.frames, config.link.address)
    try:
        daemon.fly(localizer)
        if aboard is not None:
            aboard.left()
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

    def open_() -> FrameSource:
        return open_source(
            config.source.frames,
            rate_hz=config.source.rate_hz,
            times_ns=times_ns,
            shooting=_shooting(config.source),
        )

    link = Link(config.link)
    opened.callback(link.close)
    source = open_()
    opened.callback(source.close)
    clock, board = Timesync(), Board()
    autopilot = AutopilotTelemetry(clock=clock, has_own_gnss=config.link.gps_id > 0)
    telemetry: TelemetryAt = autopilot
    if not live:
        source = paced = Paced(source)
        telemetry = flight_log.shifted(paced.offset_ns) if flight_log else autopilot
    publisher = Publisher(
        config.link.max_fix_age_s, config.localizer.filter, time.time_ns() - time.monotonic_ns()
    )
    eyes = Eyes(
        source,
        telemetry,
        publisher,
        board,
        config.source.process_rate_hz,
        Continuity(config.localizer.filter.velocity_accuracy_m_s),
        reopen=open_ if live else None,
    )
    daemon = wired(
        config.link,
        link,
        clock,
        autopilot,
        eyes,
        has_gimbal=config.camera.mount.gimbal and not has_log,
    )
    if config.record.folder is not None:
        _record(daemon, config, opened)
    return daemon


def _record(daemon: Daemon, config: RunConfig, opened: ExitStack) -> None:
    recorder = begun(config)
    opened.callback(recorder.close)
    daemon.eyes.record = daemon.radio.record = recorder
    daemon.on_state = lambda state, reason, now_ns: recorder.event(str(state), reason, now_ns)


def _shooting(source: SourceConfig) -> Shooting:
    return Shooting(
        source.size_px, source.camera_rate_hz, round(source.exposure_offset_ms * 1_000_000)
    )


def wired(
    config: LinkConfig,
    link: Link,
    clock: Timesync,
    autopilot: AutopilotTelemetry,
    eyes: Eyes,
    *,
    has_gimbal: bool = False,
) -> Daemon:
    """A daemon of open parts; `has_gimbal`: the autopilot or a gimbal tells where it looks."""
    reset: list[Callable[[], None]] = []
    conversation = Conversation(config, autopilot, clock, lambda: reset[0](), has_gimbal=has_gimbal)
    radio = Radio(
        config,
        link,
        conversation,
        eyes.publisher,
        eyes.board,
        state=lambda: (State.BOOT, ""),
        on_reset=eyes.reset,
    )
    reset.append(radio.rebooted)
    return Daemon(eyes, radio, eyes.board)
