"""The camera on its socket, and short flights in real time; nobody at the autopilot's other end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymavlink.dialects.v20 import ardupilotmega as wire

from geobridge.onboard.errors import LinkError
from geobridge.onboard.frames.stream import StreamSource
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Attitude, Image
from geobridge.onboard.simulation import socket_camera
from geobridge.onboard.simulation.autopilot.arducopter import ArduCopter
from geobridge.onboard.simulation.autopilot.autopilot import Autopilot
from geobridge.onboard.simulation.autopilot.link import AutopilotLink
from geobridge.onboard.simulation.autopilot.px4 import Px4
from geobridge.onboard.simulation.flying.aircraft import Aircraft, Airframe
from geobridge.onboard.simulation.flying.faults import parse_faults
from geobridge.onboard.simulation.flying.read_route import read_route
from geobridge.onboard.simulation.flying.terrain import Terrain
from geobridge.onboard.simulation.live import Moment, fly_live, moments
from geobridge.onboard.simulation.socket_camera import SocketCamera
from geobridge.onboard.simulation.state import State

FRAME = LocalFrame(47.4, 8.5)
TERRAIN = Terrain(FRAME, -400.0, -400.0, 400.0, 400.0, lambda at: np.full(at.shape[:-1], 500.0))
S = 1_000_000_000


def state_at(east_m: float) -> State:
    return State(0.0, east_m, 0.0, 600.0, Attitude(0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


def picture(state: State) -> Image:
    return np.full((12, 16, 3), round(state.east_m), np.uint8)


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[SocketCamera]:
    with closing(SocketCamera(tmp_path / "camera", picture, 50.0)) as camera:
        camera.start()
        yield camera


def test_the_camera_shows_where_the_vehicle_is_and_when(camera: SocketCamera) -> None:
    camera.show(state_at(1.0), 11 * S)
    with closing(StreamSource(f"stream:{camera.path}")) as source:
        for number, frame in enumerate(islice(source, 40)):
            east_m = frame.t_capture_ns // S - 10
            assert np.array_equal(frame.image, picture(state_at(east_m)))
            if number == 20:
                camera.show(state_at(5.0), 15 * S)
        assert east_m == 5


def test_a_vehicle_that_stays_is_seen_now_by_the_clock_of_the_camera(tmp_path: Path) -> None:
    with closing(SocketCamera(tmp_path / "camera", picture, 50.0, clock_offset_s=3.0)) as camera:
        camera.show(state_at(1.0))
        camera.start()
        with closing(StreamSource(f"stream:{camera.path}")) as source:
            start_ns, frames = time.monotonic_ns(), list(islice(source, 5))
            ahead_s = np.array([frame.t_capture_ns - start_ns for frame in frames]) / S
            assert np.all(np.diff(ahead_s) > 0.0)
            assert 2.5 < ahead_s[0] < ahead_s[-1] < 5.0
            camera.show(state_at(2.0), 7 * S)
            assert any(frame.t_capture_ns == 10 * S for frame in islice(source, 10))


def test_pictures_come_at_the_camera_s_rate(camera: SocketCamera) -> None:
    camera.show(state_at(1.0), S)
    with closing(StreamSource(f"stream:{camera.path}")) as source:
        frames = iter(source)
        next(frames)
        start_s = time.monotonic()
        assert len(list(islice(frames, 20))) == 20
        assert 0.3 < time.monotonic() - start_s < 3.0


def test_a_picture_that_is_lost_is_not_sent(tmp_path: Path) -> None:
    taken = count()

    def seen(state: State) -> Image | None:
        return None if next(taken) % 2 else picture(state)

    with closing(SocketCamera(tmp_path / "camera", seen, 50.0)) as camera:
        camera.show(state_at(1.0), S)
        camera.start()
        with closing(StreamSource(f"stream:{camera.path}")) as source:
            assert len(list(islice(source, 4))) == 4
        assert next(taken) >= 7


def test_nothing_is_seen_before_the_vehicle_is_there(camera: SocketCamera) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as viewer:
        viewer.connect(str(camera.path))
        viewer.settimeout(0.15)
        with pytest.raises(TimeoutError):
            viewer.recv(1)
        camera.show(state_at(1.0), S)
        viewer.settimeout(5.0)
        assert viewer.recv(4) == b"GBF1"


def test_who_hangs_up_makes_room_for_the_next(camera: SocketCamera) -> None:
    camera.show(state_at(3.0), S)
    for _ in range(3):
        with closing(StreamSource(f"stream:{camera.path}")) as source:
            assert next(iter(source)).t_capture_ns == S


def test_a_viewer_that_takes_nothing_does_not_hold_the_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_camera, "PATIENCE_S", 0.2)
    large = np.zeros((1000, 1000, 3), np.uint8)  # more than a socket buffers
    camera = SocketCamera(tmp_path / "camera", lambda _: large, 50.0)
    camera.show(state_at(0.0), S)
    camera.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as viewer:
        viewer.connect(str(camera.path))
        time.sleep(0.05)
        closing_thread = threading.Thread(target=camera.close, daemon=True)
        closing_thread.start()
        closing_thread.join(3.0)
        assert not closing_thread.is_alive()


def test_the_camera_leaves_nothing_behind(tmp_path: Path) -> None:
    before = threading.active_count()
    for _ in range(2):
        camera = SocketCamera(tmp_path / "camera", picture, 10.0)
        camera.start()
        camera.close()
    assert not (tmp_path / "camera").exists()
    assert threading.active_count() == before


def test_a_socket_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    for path, why in (
        (tmp_path / "taken", "Address already in use"),
        (tmp_path / "no" / "camera", "No such file or directory"),
        (tmp_path / ("x" * 120), "AF_UNIX path too long"),
    ):
        with pytest.raises(LinkError) as complaint:
            SocketCamera(path, picture, 5.0)
        assert str(complaint.value) == f"{path}: {why}"


def test_a_socket_left_behind_is_bound_anew_and_one_in_use_is_not(tmp_path: Path) -> None:
    path = tmp_path / "camera"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as gone:
        gone.bind(str(path))  # its file stays
    camera = SocketCamera(path, picture, 50.0)
    camera.start()
    with closing(camera):
        with pytest.raises(LinkError, match="camera: Address already in use"):
            SocketCamera(path, picture, 50.0)
        camera.show(state_at(2.0), S)
        with closing(StreamSource(f"stream:{path}")) as source:
            assert next(iter(source)).t_capture_ns == S


class Watcher:
    """In the camera's place: calls somebody with what the camera would show."""

    def __init__(self, seen: Callable[[State], None] = lambda state: None) -> None:
        self.seen = seen
        self.times_ns: list[int] = []

    def show(self, state: State, t_ns: int) -> None:
        self.times_ns.append(t_ns)
        self.seen(state)


class Flight:
    """A copter under way, and everything that `fly_live` and `moments` need."""

    def __init__(self, *places_m: tuple[float, float], faults: tuple[str, ...] = ()) -> None:
        lat_deg, lon_deg = FRAME.to_geodetic(places_m)
        places = zip(lat_deg, lon_deg, strict=True)
        text = ":".join(f"{lat:.8f},{lon:.8f},100" for lat, lon in places)
        route = read_route(text, TERRAIN, speed_m_s=10.0)
        self.aircraft = Aircraft(route, TERRAIN, faults=parse_faults(faults), seed=1)
        self.guidance = self.aircraft.guidance(route)
        self.firmware = ArduCopter(FRAME, {}, in_flight=True)
        self.autopilot = Autopilot(self.firmware, FRAME)

    def fly(self, limit_s: float, camera: Any = None) -> list[Moment]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ground:
            ground.bind(("127.0.0.1", 0))
            address = f"udpout:127.0.0.1:{ground.getsockname()[1]}"
            with closing(AutopilotLink(self.autopilot, address)) as link:
                parts = self.aircraft, self.guidance, self.autopilot, link, camera or Watcher()
                return list(fly_live(*parts, limit_s))

    def fly_at_once(self, limit_s: float) -> list[Moment]:
        def sense(t_ns: int) -> None:
            self.autopilot.step(self.aircraft.readings, t_ns)

        return list(moments(self.aircraft, self.guidance, self.firmware, limit_s, sense))


FAR = (-200.0, 0.0), (200.0, 0.0)


def test_a_flight_goes_by_the_clock_of_the_machine() -> None:
    flight, watcher = Flight(*FAR, faults=("outage@1",)), Watcher()
    start_ns = time.monotonic_ns()
    flown = flight.fly(2.01, watcher)
    end_ns = time.monotonic_ns()
    assert 1.99 * S <= end_ns - start_ns < 4.0 * S
    assert len(flown) == 21
    times_ns = np.array([moment.t_ns for moment in flown])
    assert start_ns <= times_ns[0]
    assert np.all(np.diff(times_ns) == pytest.approx(0.1 * S, abs=1000))
    assert len(watcher.times_ns) == 101
    assert watcher.times_ns[::5] == times_ns.tolist()
    assert [moment.has_gnss for moment in flown[2:10]] == [True] * 8
    assert [moment.has_gnss for moment in flown[13:]] == [False] * 8
    moved_m = flown[-1].state.east_m - flown[0].state.east_m
    assert moved_m == pytest.approx(20.0, abs=4.0)


def test_a_flight_ends_where_its_route_does() -> None:
    flight = Flight((0.0, 0.0), (0.0, 15.0))
    flown = flight.fly(30.0)
    assert flight.guidance.has_arrived
    assert flown[-1].state.time_s < 10.0
    assert flown[-1].state.north_m == pytest.approx(15.0, abs=6.0)


def test_a_flight_ends_when_the_autopilot_takes_another_mode() -> None:
    flight = Flight(*FAR)

    def give_up(state: State) -> None:
        if state.time_s > 0.5:
            flight.firmware.mode = "LAND"

    flown = flight.fly(10.0, Watcher(give_up))
    assert flown[-1].state.time_s == pytest.approx(0.5, abs=0.1)
    assert not flight.guidance.has_arrived


def test_a_flight_ends_at_the_edge_of_the_map(monkeypatch: pytest.MonkeyPatch) -> None:
    flight = Flight((360.0, 0.0), (395.0, 0.0))
    monkeypatch.setattr(flight.guidance, "steer", lambda *_: (15.0, 0.0, 0.0))
    flown = flight.fly(15.0)
    assert flown[-1].state.time_s < 10.0
    assert not flight.guidance.has_arrived
    assert flight.aircraft.state.east_m > 400.0


def test_a_flight_that_is_not_in_real_time_is_the_same_one() -> None:
    alone, live = Flight(*FAR).fly_at_once(2.01), Flight(*FAR).fly(2.01)
    assert [moment.t_ns for moment in alone[:3]] == [0, S // 10, S // 5]
    assert [moment.state for moment in alone] == [moment.state for moment in live]
    assert [moment.has_gnss for moment in alone] == [moment.has_gnss for moment in live]


def test_without_gnss_the_autopilot_gives_up_on_the_way() -> None:
    flight = Flight(*FAR, faults=("outage@1",))
    flown = flight.fly_at_once(60.0)
    assert 5.0 < flown[-1].state.time_s < 40.0
    assert not flown[-1].has_gnss
    assert flight.firmware.mode == "LAND"
    assert not flight.guidance.has_arrived


@pytest.mark.parametrize("pilot", [ArduCopter, Px4])
def test_heartbeats_name_the_airframe_and_modes_stay_the_autopilot_s(pilot: Any) -> None:
    kinds, modes = [], []
    for airframe in Airframe:
        firmware = pilot(FRAME, {}, in_flight=True)
        autopilot = Autopilot(firmware, FRAME, airframe)
        said = autopilot.step(Flight(*FAR).aircraft.readings, S)
        [beat] = [message for message in said if message.get_type() == "HEARTBEAT"]
        kinds.append(beat.type)
        modes.append((beat.custom_mode, firmware.mode))
    assert kinds == [wire.MAV_TYPE_QUADROTOR, wire.MAV_TYPE_FIXED_WING]
    assert len(set(modes)) == 1
