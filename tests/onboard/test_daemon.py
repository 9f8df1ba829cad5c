from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pymavlink import mavutil
from pymavlink.dialects.v20 import common

from geobridge.onboard.config import FilterConfig, LinkConfig
from geobridge.onboard.daemon import daemon as daemon_module
from geobridge.onboard.daemon.board import Board
from geobridge.onboard.daemon.continuity import Continuity
from geobridge.onboard.daemon.daemon import Daemon
from geobridge.onboard.daemon.eyes import Eyes
from geobridge.onboard.daemon.run import run, wired
from geobridge.onboard.errors import ConfigError, DataError, LinkError
from geobridge.onboard.frames.paced import Paced
from geobridge.onboard.geodesy import distance_m
from geobridge.onboard.mavlink.link import Link
from geobridge.onboard.mavlink.outputs.publisher import Publisher
from geobridge.onboard.mavlink.telemetry import AutopilotTelemetry
from geobridge.onboard.mavlink.timesync import Timesync
from geobridge.onboard.records import Attitude, Fix, Frame, Reason, Rejection, Telemetry

S, MS = 1_000_000_000, 1_000_000
LAT_DEG, LON_DEG = 46.8426, -91.9945


def fix_at(t_capture_ns: int) -> Fix:
    return Fix(t_capture_ns, LAT_DEG, LON_DEG, 3.0, 240.0, 5.0, 0.0, 0.8, 0.5, 0)


class Localizer:
    """Sees what it is told to see, and remembers what it was asked."""

    def __init__(self, see: Callable[[Frame], Fix | Rejection]) -> None:
        self.see = see
        self.asked: list[tuple[Frame, Telemetry]] = []

    def handle(self, frame: Frame, telemetry: Telemetry) -> Fix | Rejection:
        self.asked.append((frame, telemetry))
        return self.see(frame)

    def reset(self) -> None: ...


class Recording:
    size_px = (64, 48)

    def __init__(self, times_ns: list[int]) -> None:
        self.times_ns = times_ns

    def __iter__(self) -> Iterator[Frame]:
        for t_ns in self.times_ns:
            yield Frame(np.full((48, 64, 3), 128, np.uint8), t_ns)

    def close(self) -> None: ...


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A pymavlink ground station that listens on loopback."""
    monkeypatch.setenv("MAVLINK20", "1")  # else its first message imports a dialect in mid-flight
    monkeypatch.setenv("MAVLINK_DIALECT", "common")
    connection = mavutil.mavlink_connection("udpin:127.0.0.1:0", dialect="common")
    yield connection
    connection.close()


def address_of(peer: Any) -> str:
    return f"udpout:127.0.0.1:{peer.port.getsockname()[1]}"


@dataclass
class Flight:
    """A daemon and what it looks with."""

    daemon: Daemon
    localizer: Localizer
    link: Link

    def run(self) -> None:
        with closing(self.link):
            self.daemon.talk()
            self.daemon.fly(self.localizer)


def flying(
    address: str,
    localizer: Localizer,
    times_ns: list[int],
    output: str = "gps_input",
    **link: Any,
) -> Flight:
    config, clock = LinkConfig(address=address, output=output, **link), Timesync()
    autopilot = AutopilotTelemetry(patience_s=0.0, clock=clock)
    unix_offset_ns = time.time_ns() - time.monotonic_ns()
    publisher = Publisher(config.max_fix_age_s, FilterConfig(), unix_offset_ns)
    source, continuity = Paced(Recording(times_ns)), Continuity(1.5)
    eyes = Eyes(source, autopilot, publisher, Board(), 10.0, continuity)
    connection = Link(config)
    return Flight(wired(config, connection, clock, autopilot, eyes), localizer, connection)


def all_heard(peer: Any) -> list[Any]:
    return list(iter(lambda: peer.recv_match(blocking=True, timeout=0.1), None))


def fix_types(peer: Any) -> list[int]:
    return [m.fix_type for m in all_heard(peer) if m.get_type() == "GPS_INPUT"]


def listen(peer: Any, until: threading.Event) -> list[tuple[int, Any]]:
    heard = []
    while not until.is_set():
        if (message := peer.recv_match(blocking=True, timeout=0.05)) is not None:
            heard.append((time.monotonic_ns(), message))
    return heard


def test_a_flight_is_a_steady_stream_of_positions_and_one_word_at_the_end(peer: Any) -> None:
    localizer = Localizer(lambda frame: fix_at(frame.t_capture_ns))
    daemon = flying(address_of(peer), localizer, [n * 50 * MS for n in range(41)], rate_hz=8.0)
    ended = threading.Event()
    heard: list[tuple[int, Any]] = []
    ear = threading.Thread(target=lambda: heard.extend(listen(peer, ended)))
    ear.start()
    daemon.run()
    time.sleep(0.2)
    ended.set()
    ear.join()
    gps = [(t_ns, m) for t_ns, m in heard if m.get_type() == "GPS_INPUT"]
    positions = [(t_ns, m) for t_ns, m in gps if m.fix_type == 3]
    assert [m.fix_type for _, m in gps] == [3] * len(positions) + [1]
    assert 10 <= len(positions) <= 18  # two seconds at 8 Hz
    assert np.diff([t_ns for t_ns, _ in positions]).mean() < 215 * MS
    for _, message in positions:
        away_m = distance_m(LAT_DEG, LON_DEG, message.lat / 1e7, message.lon / 1e7)
        assert away_m < 5.0 * 0.5  # moved on by 5 m/s for less than half a second
        assert message.alt == 240.0
        assert message.horiz_accuracy >= 3.0 * 2**0.5
    assert 12 <= len(localizer.asked) <= 22  # 20 Hz of frames, 10 Hz wanted
    heartbeats = [m for _, m in heard if m.get_type() == "HEARTBEAT"]
    assert 3 <= len(heartbeats) <= 4
    assert heartbeats[-1].get_srcComponent() == 197
    assert heartbeats[-2].system_status == common.MAV_STATE_ACTIVE
    assert heartbeats[-1].system_status == common.MAV_STATE_POWEROFF
    last = positions[-1][1]
    sent_s = 315_964_800 - 18 + last.time_week * 604_800 + last.time_week_ms / 1000
    assert sent_s == pytest.approx(time.time_ns() / S, abs=5.0)


def test_rejected_frames_send_nothing_but_heartbeats(
    peer: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_module, "REPORT_NS", 400 * MS)
    localizer = Localizer(lambda frame: Rejection(frame.t_capture_ns, Reason.LOW_SCORE))
    daemon = flying(address_of(peer), localizer, [0, 200 * MS, 600 * MS])
    with caplog.at_level(logging.INFO):
        daemon.run()
    heard = {message.get_type() for message in all_heard(peer)}
    assert heard == {"HEARTBEAT", "STATUSTEXT", "NAMED_VALUE_FLOAT"}
    assert "low_score" in caplog.text


def test_a_contradiction_silences_at_once_and_the_next_fix_speaks_again(peer: Any) -> None:
    def see(frame: Frame) -> Fix | Rejection:
        number = len(localizer.asked)
        if number in (6, 7, 8):
            return Rejection(frame.t_capture_ns, Reason.INCONSISTENT)
        return fix_at(frame.t_capture_ns)

    localizer = Localizer(see)
    times_ns = [n * 200 * MS for n in range(13)]
    daemon = flying(address_of(peer), localizer, times_ns, rate_hz=10.0)
    daemon.run()
    spoken = fix_types(peer)
    runs = [kind for n, kind in enumerate(spoken) if n == 0 or spoken[n - 1] != kind]
    assert runs == [3, 1, 3, 1]  # positions, one word, positions, the word at the end
    assert spoken.count(1) == 2


def test_the_localizer_is_given_what_the_autopilot_says(peer: Any) -> None:
    localizer = Localizer(lambda frame: Rejection(frame.t_capture_ns, Reason.LOW_SCORE))
    daemon = flying(address_of(peer), localizer, [n * 100 * MS for n in range(10)])
    flight = threading.Thread(target=daemon.run)
    flight.start()
    assert peer.recv_match(type="HEARTBEAT", blocking=True, timeout=2.0) is not None
    peer.mav.srcSystem, peer.mav.srcComponent = 1, 1
    peer.mav.heartbeat_send(common.MAV_TYPE_QUADROTOR, common.MAV_AUTOPILOT_PX4, 0, 0, 4)
    for _ in range(8):
        peer.mav.attitude_send(0, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0)
        peer.mav.global_position_int_send(0, 0, 0, 300_000, 80_000, 0, 0, 0, 0)
        time.sleep(0.1)
    flight.join()
    told = [telemetry for _, telemetry in localizer.asked if telemetry.attitude is not None]
    assert len(told) >= 5
    frame, telemetry = localizer.asked[-1]
    assert telemetry.height_above_home_m == 80.0
    assert telemetry.attitude == Attitude(pytest.approx(5.7296, abs=1e-3), 0.0, 0.0)
    assert abs(telemetry.t_ns - frame.t_capture_ns) < 300 * MS


def test_a_crash_of_the_frame_loop_ends_publishing_with_a_word(peer: Any) -> None:
    def see(frame: Frame) -> Fix:
        if len(localizer.asked) == 4:
            raise RuntimeError("a bug")
        return fix_at(frame.t_capture_ns)

    localizer = Localizer(see)
    daemon = flying(address_of(peer), localizer, [n * 100 * MS for n in range(100)])
    with pytest.raises(RuntimeError, match="a bug"):
        daemon.run()
    gps = fix_types(peer)
    assert gps[0] == 3
    assert gps.index(1) == len(gps) - 1


def test_a_localizer_that_hangs_is_not_waited_for_with_an_old_fix(peer: Any) -> None:
    released = threading.Event()

    def see(frame: Frame) -> Fix:
        if len(localizer.asked) == 2:
            released.wait(5.0)
        return fix_at(frame.t_capture_ns)

    localizer = Localizer(see)
    daemon = flying(address_of(peer), localizer, [0, 100 * MS], max_fix_age_s=0.4)
    flight = threading.Thread(target=daemon.run)
    flight.start()
    time.sleep(1.0)
    gps = fix_types(peer)
    released.set()
    flight.join()
    assert gps == [3] * (len(gps) - 1) + [1]
    assert 2 <= len(gps) <= 6


@pytest.mark.fault("L1", "the link is lost in flight", "the flight goes on")
def test_a_link_that_is_lost_is_opened_anew_and_the_flight_goes_on() -> None:
    localizer = Localizer(lambda frame: fix_at(frame.t_capture_ns))
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        address = f"tcp:127.0.0.1:{server.getsockname()[1]}"
        daemon = flying(address, localizer, [n * 100 * MS for n in range(600)])
        first, _ = server.accept()
        flight = threading.Thread(target=daemon.run)
        flight.start()
        time.sleep(0.3)
        first.close()
        again, _ = server.accept()
        with closing(again):
            again.settimeout(3.0)
            assert b"\xfd" in again.recv(1000)
            daemon.daemon.stop()
            flight.join(10.0)
    assert not flight.is_alive()


@pytest.fixture
def flight(tmp_path: Path) -> Path:
    frames = tmp_path / "frames"
    frames.mkdir()
    rows = ["file,time_s,height_agl_m"]
    for number in range(60):
        picture = np.full((48, 64, 3), number, np.uint8)
        assert cv2.imwrite(str(frames / f"{number:03}.png"), picture)
        rows.append(f"{number:03}.png,{1000 + 0.1 * number:.1f},{50 + number}")
    (tmp_path / "telemetry.csv").write_text("\n".join(rows))
    config = tmp_path / "flight.toml"
    config.write_text(
        f'bundle = "{tmp_path}/bundle"\n[camera]\nhfov_deg = 70.0\n'
        f'[source]\nframes = "{frames}"\ntelemetry = "{tmp_path}/telemetry.csv"\n'
        "process_rate_hz = 10.0\n"
    )
    return config


STANDING_IN = """
import logging, sys
from pathlib import Path
from geobridge.onboard.records import Fix
import geobridge.onboard.daemon.run as daemon
class Localizer:
    def reset(self): pass
    def handle(self, frame, telemetry):
        assert telemetry.t_ns == frame.t_capture_ns
        number = int(frame.name[:3])
        assert telemetry.height_agl_m == 50 + number, telemetry
        if {crash_at} == number:
            from geobridge.onboard.errors import DataError
            raise DataError("frames: gone")
        return Fix(frame.t_capture_ns, 10.0, 20.0, 3.0, None, None, None, 1.0, 1.0, 0)
def open_localizer(bundle, config, camera, trusted_keys, prior):
    assert trusted_keys is None
    assert bundle.name == "bundle" and (camera.width_px, camera.height_px) == (64, 48)
    return Localizer()
daemon.open_localizer = open_localizer
logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
daemon.run(Path(sys.argv[1]), sys.argv[2:])
"""


def started(flight: Path, peer: Any, crash_at: int = -1) -> subprocess.Popen[str]:
    code = STANDING_IN.replace("{crash_at}", str(crash_at))
    command = [
        sys.executable,
        "-c",
        code,
        str(flight),
        f"link.address={address_of(peer)}",
        "link.output=gps_input",
    ]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_sigterm_ends_a_flight_cleanly(flight: Path, peer: Any) -> None:
    with started(flight, peer) as process:
        assert peer.recv_match(type="GPS_INPUT", blocking=True, timeout=20.0) is not None
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=10.0)
    assert process.returncode == 0, log
    assert "position found" in log
    assert "Traceback" not in log
    assert fix_types(peer)[-1] == 1


def test_a_second_signal_does_not_cut_the_last_word(flight: Path, peer: Any) -> None:
    with started(flight, peer) as process:
        assert peer.recv_match(type="GPS_INPUT", blocking=True, timeout=20.0) is not None
        process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=10.0)
    assert "Traceback" not in log
    assert fix_types(peer)[-1] == 1


def test_frames_that_fail_in_flight_exit_with_1_and_one_line(flight: Path, peer: Any) -> None:
    with started(flight, peer, crash_at=3) as process:
        _, log = process.communicate(timeout=20.0)
    assert process.returncode == 1, log
    assert log.splitlines()[-1] == "frames: gone"
    assert "Traceback" not in log


def test_mistakes_are_told_before_the_start(flight: Path) -> None:
    with pytest.raises(ConfigError, match=r"^command line: source\.speed: unknown key"):
        run(flight, ["source.speed=1"])
    with pytest.raises(ConfigError, match="a recording cannot go with a camera"):
        run(flight, ["source.frames=camera:0"])
    (flight.parent / "telemetry.csv").write_text("time_s,speed\n0,1\n")
    with pytest.raises(DataError, match=r"telemetry\.csv, line 1, speed: unknown column"):
        run(flight)
    with pytest.raises(LinkError, match=r"link\.address 'nowhere': expected"):
        run(flight, ["source.telemetry=mavlink", "source.rate_hz=1", "link.address=nowhere"])
