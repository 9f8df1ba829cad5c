"""What the daemon does when something around it fails, in one process and in real time."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymavlink.dialects.v20 import ardupilotmega as wire

from geobridge.onboard.config import FilterConfig, LinkConfig, RunConfig, load
from geobridge.onboard.daemon import daemon as daemon_module
from geobridge.onboard.daemon import eyes as eyes_module
from geobridge.onboard.daemon import run as run_module
from geobridge.onboard.daemon.board import Board
from geobridge.onboard.daemon.continuity import Continuity
from geobridge.onboard.daemon.daemon import Daemon
from geobridge.onboard.daemon.eyes import Eyes
from geobridge.onboard.daemon.run import wired
from geobridge.onboard.daemon.states import State
from geobridge.onboard.errors import BundleError, DataError
from geobridge.onboard.mavlink.link import Link
from geobridge.onboard.mavlink.outputs.publisher import Publisher
from geobridge.onboard.mavlink.telemetry import AutopilotTelemetry
from geobridge.onboard.mavlink.timesync import Timesync
from geobridge.onboard.records import Fix, Frame, Reason, Rejection, Telemetry

S, MS = 1_000_000_000, 1_000_000


def fix_at(t_ns: int) -> Fix:
    return Fix(t_ns, 47.4, 8.5, 3.0, 580.0, 0.0, 0.0, 0.8, 0.5, 0)


class Camera:
    """Twenty pictures a second, until it is unplugged or hangs."""

    size_px = (16, 12)

    def __init__(self) -> None:
        self.is_unplugged = self.hangs = False
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        while not self.closed.wait(0.05):
            if self.is_unplugged:
                raise DataError("camera:0: stopped giving pictures")
            while self.hangs and not self.closed.wait(0.05):
                pass
            t_ns = time.monotonic_ns()
            yield Frame(np.full((12, 16, 3), t_ns % 250, np.uint8), t_ns)

    def close(self) -> None:
        self.closed.set()


class Localizer:
    def __init__(self) -> None:
        self.resets = 0
        self.see: Callable[[Frame], Fix | Rejection] = lambda frame: fix_at(frame.t_capture_ns)

    def handle(self, frame: Frame, telemetry: Telemetry) -> Fix | Rejection:
        return self.see(frame)

    def reset(self) -> None:
        self.resets += 1


class Flight:
    def __init__(self, peer: socket.socket, **link: Any) -> None:
        address = f"udpout:127.0.0.1:{peer.getsockname()[1]}"
        config = LinkConfig(address=address, **{"output": "gps_input", **link})
        clock = Timesync()
        telemetry = AutopilotTelemetry(patience_s=0.0, clock=clock)
        publisher = Publisher(0.5, FilterConfig(), time.time_ns() - time.monotonic_ns())
        self.cameras = [Camera()]
        self.eyes = Eyes(
            self.cameras[0],
            telemetry,
            publisher,
            Board(),
            10.0,
            Continuity(1.5),
            reopen=self.reopen,
        )
        self.link = Link(config)
        self.daemon: Daemon = wired(config, self.link, clock, telemetry, self.eyes)
        self.localizer = Localizer()

    def reopen(self) -> Camera:
        self.cameras.append(Camera())
        return self.cameras[-1]

    def autopilot_says(self, message: Any) -> None:
        self.daemon.radio.conversation.feed(message, time.monotonic_ns())


@contextmanager
def flying(**link: Any) -> Iterator[Flight]:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as peer:
        peer.bind(("127.0.0.1", 0))
        flight = Flight(peer, **link)
        thread = threading.Thread(target=flight.daemon.fly, args=(flight.localizer,))
        with closing(flight.link):
            flight.daemon.talk()
            thread.start()
            try:
                yield flight
            finally:
                flight.daemon.stop()
                thread.join(10.0)


def comes(condition: Callable[[], bool], limit_s: float = 8.0) -> bool:
    until_s = time.monotonic() + limit_s
    while time.monotonic() < until_s:
        if condition():
            return True
        time.sleep(0.02)
    return False


def is_giving(flight: Flight) -> bool:
    return flight.eyes.publisher.is_active


@pytest.mark.fault("C1", "the camera fails", "opened again when it is back")
def test_a_camera_that_is_unplugged_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eyes_module, "BACK_OFF_S", (0.1, 0.2))
    with flying() as flight:
        assert comes(lambda: is_giving(flight))
        flight.cameras[0].is_unplugged = True
        assert comes(lambda: "stopped giving pictures" in flight.daemon.state()[1])
        assert comes(lambda: len(flight.cameras) == 2)
        assert comes(lambda: flight.daemon.board.camera is None and is_giving(flight))


@pytest.mark.fault(
    "C1",
    "the camera gives nothing more and does not fail",
    "no position; it is let go of and opened anew",
)
def test_a_camera_that_hangs_is_no_position_and_is_let_go_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(daemon_module, "CAMERA_WEDGED_S", 1.5)
    monkeypatch.setattr(eyes_module, "BACK_OFF_S", (0.1, 0.2))
    with flying() as flight:
        assert comes(lambda: is_giving(flight))
        flight.cameras[0].hangs = True
        assert comes(lambda: flight.daemon.state()[0] is State.NO_FIX)
        assert "camera silent" in flight.daemon.state()[1]
        assert comes(lambda: len(flight.cameras) == 2 and is_giving(flight))


def drained(systemd: socket.socket) -> list[bytes]:
    """All that has been said until now."""
    systemd.setblocking(False)
    found = []
    while True:
        try:
            found.append(systemd.recv(200))
        except BlockingIOError:
            return found


@pytest.mark.fault("P2", "a localizer that hangs", "the watchdog is not fed")
def test_the_watchdog_is_fed_by_progress_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(daemon_module.LIMITS_S, "look", 1.0)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(2.0)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        told = []
        released = threading.Event()
        with flying() as flight:
            while b"WATCHDOG=1" not in told:
                told.append(systemd.recv(200))
            assert told[0] == b"READY=1"

            def hang(frame: Frame) -> Fix:
                released.wait(10.0)
                return fix_at(frame.t_capture_ns)

            flight.localizer.see = hang
            time.sleep(1.5)
            drained(systemd)
            time.sleep(1.0)
            assert b"WATCHDOG=1" not in drained(systemd)
            released.set()
            systemd.settimeout(3.0)
            while systemd.recv(200) != b"WATCHDOG=1":
                pass


@pytest.mark.fault("L9", "the autopilot's filter rejects us", "silence before it resets onto us")
def test_a_filter_that_turns_against_us_is_heeded_before_it_gives_in() -> None:
    with flying() as flight:

        def status(variance: float) -> None:
            flight.autopilot_says(
                wire.MAVLink_ekf_status_report_message(0, 0.0, variance, 0.0, 0.0, 0.0)
            )

        assert comes(lambda: is_giving(flight))
        status(0.3)
        time.sleep(0.3)
        for _ in range(30):
            status(1.4)
            time.sleep(0.1)
            if flight.localizer.resets:
                break
        assert flight.localizer.resets == 1


def test_a_filter_that_never_took_us_may_be_won_over() -> None:
    with flying() as flight:
        assert comes(lambda: is_giving(flight))
        for _ in range(30):
            flight.autopilot_says(
                wire.MAVLink_ekf_status_report_message(0, 0.0, 1.4, 0.0, 0.0, 0.0)
            )
            time.sleep(0.1)
        assert flight.localizer.resets == 0
        assert is_giving(flight)


@pytest.mark.fault("N2", "frames of another place", "not given")
def test_a_contradicted_track_elsewhere_is_not_given() -> None:
    with flying() as flight:
        assert comes(lambda: is_giving(flight))
        flight.localizer.see = lambda frame: Rejection(frame.t_capture_ns, Reason.INCONSISTENT)
        assert comes(lambda: not is_giving(flight))
        far = {"lat_deg": 47.401}
        flight.localizer.see = lambda frame: Fix(**{**vars(fix_at(frame.t_capture_ns)), **far})
        time.sleep(0.6)
        assert not is_giving(flight)
        assert flight.daemon.board.counted()["fix elsewhere"] > 2
        flight.localizer.see = lambda frame: fix_at(frame.t_capture_ns)
        assert comes(lambda: is_giving(flight))


def test_an_autopilot_without_the_message_is_a_fault_and_the_daemon_stays_awake() -> None:
    with flying() as flight:
        beat = wire.MAVLink_heartbeat_message(2, 12, 0, 0, 4, 3)
        version = wire.MAVLink_autopilot_version_message(
            0, 1 << 24 | 18 << 16, 0, 0, 0, [0] * 8, [0] * 8, [0] * 8, 0, 0, 0
        )
        flight.autopilot_says(beat)
        flight.autopilot_says(version)
        assert comes(lambda: flight.daemon.state()[0] is State.FAULT)
        assert "PX4 does not read GPS_INPUT" in flight.daemon.state()[1]
        assert comes(lambda: not is_giving(flight))


def test_a_bundle_that_must_not_fly_is_told_over_the_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise BundleError("bundle: no trusted key signed it")

    monkeypatch.setattr(run_module, "open_localizer", refused)
    monkeypatch.setattr(run_module, "open_source", lambda *_, **__: Camera())
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(0.2)
        path = tmp_path / "onboard.toml"
        path.write_text(
            'bundle = "none"\n[camera]\nhfov_deg = 70.0\n[source]\nframes = "camera:0"\n'
            f'[link]\naddress = "udpout:127.0.0.1:{peer.getsockname()[1]}"\n'
        )
        assert load(RunConfig, path)
        with caplog.at_level(logging.INFO), pytest.raises(BundleError, match="no trusted key"):
            run_module.run(path)
        texts, statuses = [], []
        parser = wire.MAVLink(None)
        while True:
            try:
                for message in parser.parse_buffer(peer.recv(1000)) or []:
                    if message.get_type() == "STATUSTEXT":
                        texts.append(message.text)
                    elif message.get_type() == "HEARTBEAT":
                        statuses.append(message.system_status)
            except TimeoutError:
                break
    assert any("FAULT: bundle: no trusted key signed it" in text for text in texts)
    assert statuses[-1] == wire.MAV_STATE_POWEROFF
