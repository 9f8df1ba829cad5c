"""MAV_CMD_EXTERNAL_POSITION_ESTIMATE over a real link, to stand-ins that go by the real rules."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import numpy as np
import pytest
from pymavlink import mavutil
from pymavlink.dialects.v20 import ardupilotmega as wire

from geobridge.onboard.config import FilterConfig, LinkConfig
from geobridge.onboard.daemon.board import Board
from geobridge.onboard.daemon.continuity import Continuity
from geobridge.onboard.daemon.daemon import Daemon
from geobridge.onboard.daemon.eyes import Eyes
from geobridge.onboard.daemon.run import wired
from geobridge.onboard.daemon.states import State
from geobridge.onboard.frames.paced import Paced
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.mavlink.link import Link
from geobridge.onboard.mavlink.outputs.external_position import objection
from geobridge.onboard.mavlink.outputs.publisher import Publisher
from geobridge.onboard.mavlink.telemetry import AutopilotTelemetry
from geobridge.onboard.mavlink.timesync import Timesync
from geobridge.onboard.records import Attitude, Fix, Frame, Rejection, Telemetry
from geobridge.onboard.simulation.autopilot.arducopter import ArduCopter
from geobridge.onboard.simulation.autopilot.autopilot import Autopilot
from geobridge.onboard.simulation.autopilot.link import AutopilotLink
from geobridge.onboard.simulation.autopilot.px4 import Px4
from geobridge.onboard.simulation.state import GnssReading, Readings

S, MS = 1_000_000_000, 1_000_000
FRAME = LocalFrame(47.4, 8.5)
SPEED_M_S, BACK_S = 12.0, 0.3
"""East, and how long a frame is looked at."""
ACCEPTED, DENIED, UNSUPPORTED = 0, 2, 3
FAILED, NOT_NOW, IN_PROGRESS = 4, 1, 5


@pytest.fixture(autouse=True)
def mavlink_2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a station of pymavlink begins with MAVLink 1, and changes over in mid-flight."""
    monkeypatch.setenv("MAVLINK20", "1")
    monkeypatch.setenv("MAVLINK_DIALECT", "ardupilotmega")


class Recording:
    size_px = (16, 12)

    def __iter__(self) -> Iterator[Frame]:
        for n in range(6000):
            yield Frame(np.full((12, 16, 3), n % 250, np.uint8), n * 200 * MS)

    def close(self) -> None: ...


class Localizer:
    """Knows where the vehicle was, `off_m` to the north of it, and takes its time to say so."""

    def __init__(self, east_m: Callable[[int], float]) -> None:
        self.east_m, self.off_m = east_m, 0.0

    def handle(self, frame: Frame, telemetry: Telemetry) -> Fix | Rejection:
        time.sleep(BACK_S)
        t_ns = frame.t_capture_ns
        lat_deg, lon_deg = FRAME.to_geodetic([self.east_m(t_ns), self.off_m])
        place = float(lat_deg), float(lon_deg)
        return Fix(t_ns, *place, 3.0, 580.0, 0.0, SPEED_M_S, 0.9, 0.5, 1)

    def reset(self) -> None: ...


def until(condition: Callable[[], bool], limit_s: float = 10.0) -> bool:
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        if condition():
            return True
        time.sleep(0.02)
    return False


def free_port() -> int:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as udp:
        udp.bind(("127.0.0.1", 0))
        return int(udp.getsockname()[1])


def daemon_to(address: str, localizer: Any, opened: ExitStack, **link: Any) -> Daemon:
    config = LinkConfig(address=address, output="external_position_estimate", **link)
    clock = Timesync()
    telemetry = AutopilotTelemetry(patience_s=0.0, clock=clock, has_own_gnss=True)
    publisher = Publisher(2.0, FilterConfig(), time.time_ns() - time.monotonic_ns())
    eyes = Eyes(Paced(Recording()), telemetry, publisher, Board(), 2.5, Continuity(1.5))
    port = opened.enter_context(closing(Link(config)))
    daemon = wired(config, port, clock, telemetry, eyes)
    daemon.talk()
    flight = threading.Thread(target=daemon.fly, args=(localizer,))
    flight.start()
    opened.callback(flight.join)
    opened.callback(daemon.stop)
    return daemon


class World:
    """A vehicle that flies east under an autopilot on UDP, with GNSS while `has_gnss`; used as a
    context. `answers` are the MAV_RESULTs to 43003, with the estimate's error just after."""

    def __init__(self, firmware: Any, *, has_gnss: bool = True) -> None:
        self.firmware, self.has_gnss = firmware, has_gnss
        self.autopilot = Autopilot(firmware, FRAME)
        self.start_ns = time.monotonic_ns()
        self.localizer = Localizer(self.east_m)
        self.answers: list[tuple[int, float]] = []
        self.sent: list[tuple[int, Any]] = []
        self.system = firmware.system
        self._stopped, self._opened = threading.Event(), ExitStack()

    def east_m(self, t_ns: int) -> float:
        return SPEED_M_S * (t_ns - self.start_ns) / S

    def __enter__(self) -> World:
        port = free_port()
        link = AutopilotLink(self, f"udpin:127.0.0.1:{port}")
        self._opened.enter_context(closing(link))
        thread = threading.Thread(target=link.run, args=(self.readings(),))
        thread.start()
        self._opened.callback(thread.join)
        self._opened.callback(self._stopped.set)
        self.daemon = daemon_to(f"udpout:127.0.0.1:{port}", self.localizer, self._opened)
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def readings(self) -> Iterator[Readings]:
        self.start_ns = time.monotonic_ns()
        for k in itertools.takewhile(lambda _: not self._stopped.is_set(), itertools.count()):
            time_s = k * 0.02
            gnss, velocity = None, (SPEED_M_S, 0.0, 0.0)
            if k % 10 == 0:
                kind = 3 if self.has_gnss else 1
                east_m = SPEED_M_S * time_s
                gnss = GnssReading(time_s, kind, 12, 0.8, east_m, 0.0, 580.0, velocity, 1, 1.5, 0.3)
            level = Attitude(0.0, 0.0, 90.0)
            yield Readings(time_s, level, (0.0, 0.0, 0.0), 580.0, 80.0, gnss)

    def step(self, readings: Readings, t_ns: int) -> list[Any]:
        return self.autopilot.step(readings, t_ns)

    def receive(self, message: Any, t_ns: int) -> list[Any]:
        answers = self.autopilot.receive(message, t_ns)
        if message.get_type() == "COMMAND_INT" and message.command == 43003:
            self.sent.append((t_ns, message))
            here = self.firmware.estimate
            error_m = float(np.hypot(here.east_m - self.east_m(t_ns), here.north_m))
            self.answers += [(a.result, error_m) for a in answers if a.get_type() == "COMMAND_ACK"]
        return answers

    def wait_for(self, result: int, since: int = 0, limit_s: float = 12.0) -> float:
        """The error just after the first answer of a kind, of those from `since` on."""
        until_s = time.monotonic() + limit_s
        while time.monotonic() < until_s:
            for answer, error_m in self.answers[since:]:
                if answer == result:
                    return error_m
            time.sleep(0.02)
        raise AssertionError(f"{result} was not answered: {self.answers}")

    def reason(self) -> str:
        return " ".join(map(str, self.daemon.state()))


@pytest.mark.parametrize(
    ("firmware", "not_now"), [(ArduCopter, FAILED), (Px4, NOT_NOW)], ids=["arducopter", "px4"]
)
def test_positions_are_taken_when_dead_reckoning_begins(firmware: Any, not_now: int) -> None:
    """Refused while GNSS is good, which is nothing wrong; then moved on by their age."""
    with World(firmware(FRAME, in_flight=True)) as world:
        world.wait_for(not_now)
        assert until(lambda: world.reason() == "TRACK "), world.reason()
        time.sleep(1.2)
        assert {answer for answer, _ in world.answers} == {not_now}
        before = len(world.answers)
        world.has_gnss = False
        # the fix is over 0.3 s old: 4 m behind the vehicle, unless it is moved on
        assert world.wait_for(ACCEPTED, before) < 3.0
        assert until(lambda: world.reason() == "TRACK "), world.reason()
        ages_s = [message.param2 for _, message in world.sent]
        assert all(BACK_S < age_s < 2.0 for age_s in ages_s)
        assert all(np.isnan(message.z) for _, message in world.sent)
        gaps_s = np.diff([t_ns for t_ns, _ in world.sent]) / S
        assert gaps_s.min() > 0.6  # each fix once, at most once a second


def test_arducopter_has_no_gate_of_its_own_and_px4_jumps_onto_what_it_refused() -> None:
    """Why nothing goes out that is not sure: 100 m off is taken by both, at once."""
    for firmware in (ArduCopter(FRAME, in_flight=True), Px4(FRAME, in_flight=True)):
        with World(firmware) as world:
            world.wait_for(FAILED if isinstance(firmware, ArduCopter) else NOT_NOW)
            world.localizer.off_m, world.has_gnss = 100.0, False
            since = len(world.answers)
            assert world.wait_for(ACCEPTED, since) == pytest.approx(100.0, abs=3.0)


def test_an_arducopter_that_was_never_aided_takes_none_and_the_pilot_is_told() -> None:
    with World(ArduCopter(FRAME, in_flight=True), has_gnss=False) as world:
        world.wait_for(FAILED)
        time.sleep(1.5)
        assert {answer for answer, _ in world.answers} == {FAILED}
        assert len(world.answers) >= 2  # and it is offered the next one
        assert world.reason() == "DEGRADED positions not taken for now"


class Peer:
    """An autopilot of pymavlink that answers 43003 as it is told to; used as a context."""

    def __init__(self, *results: int, target_component: int = 197) -> None:
        self.results, self.target_component = list(results), target_component
        self.heard: list[Any] = []
        self._stopped, self._opened = threading.Event(), ExitStack()

    def __enter__(self) -> Peer:
        peer = mavutil.mavlink_connection(
            "udpin:127.0.0.1:0", dialect="ardupilotmega", source_system=1, source_component=1
        )
        self.connection = self._opened.enter_context(closing(peer))
        thread = threading.Thread(target=self._run)
        thread.start()
        self._opened.callback(thread.join)
        self._opened.callback(self._stopped.set)
        address = f"udpout:127.0.0.1:{peer.port.getsockname()[1]}"
        localizer = Localizer(lambda t_ns: 0.0)
        self.daemon = daemon_to(address, localizer, self._opened)
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def _run(self) -> None:
        beat_s = 0.0
        while not self._stopped.is_set():
            message = self.connection.recv_match(blocking=True, timeout=0.05)
            if time.monotonic() - beat_s > 0.5 and self.heard:
                beat_s = time.monotonic()
                self.connection.mav.heartbeat_send(2, wire.MAV_AUTOPILOT_PX4, 0, 0, 4)
            if message is not None:
                self.heard.append(message)
                self._answer(message)

    def _answer(self, message: Any) -> None:
        if message.get_type() == "COMMAND_INT" and message.command == 43003 and self.results:
            result = self.results.pop(0) if len(self.results) > 1 else self.results[0]
            self.connection.mav.command_ack_send(43003, result, 0, 0, 1, self.target_component)

    def commands(self) -> int:
        return sum(m.get_type() == "COMMAND_INT" for m in list(self.heard))

    def state(self) -> str:
        return " ".join(map(str, self.daemon.state())).strip()

    def texts(self) -> list[str]:
        return [m.text for m in list(self.heard) if m.get_type() == "STATUSTEXT"]


def test_after_a_denial_the_pilot_is_told_and_the_next_fix_is_offered() -> None:
    with Peer(DENIED, DENIED, ACCEPTED) as peer:
        assert until(lambda: peer.state() == "DEGRADED positions denied by the autopilot")
        assert until(lambda: "GeoBridge: positions denied by the autopilot" in peer.texts())
        assert until(lambda: peer.commands() >= 3 and peer.state() == "TRACK")


def test_what_is_in_progress_is_neither_taken_nor_refused() -> None:
    with Peer(IN_PROGRESS) as peer:
        assert until(lambda: peer.commands() >= 2)
        time.sleep(0.3)
        assert peer.state() == "TRACK"
        assert peer.daemon.radio.conversation.autopilot.answer is None


def test_an_autopilot_that_lacks_the_command_is_a_fault_with_its_remedy() -> None:
    with Peer(UNSUPPORTED) as peer:
        assert until(lambda: peer.daemon.state()[0] is State.FAULT)
        assert "does not support it; set link.output to" in peer.state()
        time.sleep(1.5)
        assert peer.commands() == 1


def test_the_answer_to_somebody_else_says_nothing_of_ours() -> None:
    with Peer(UNSUPPORTED, target_component=190) as peer:
        assert until(lambda: peer.commands() >= 2)
        time.sleep(0.2)
        assert peer.state() == "TRACK"


@pytest.mark.parametrize("result", range(10))
def test_every_answer_has_a_meaning(result: int) -> None:
    for has_own_fix in (True, False):
        said = objection(result, has_own_fix=has_own_fix)
        if result == ACCEPTED:
            assert said is None
        elif result in (FAILED, NOT_NOW):
            assert (said is None) == has_own_fix
        else:
            assert said == "positions denied by the autopilot"
