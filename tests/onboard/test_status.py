"""The status page over a daemon under way, by its addresses and in a real browser."""

from __future__ import annotations

import http.client
import itertools
import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from geobridge.onboard.config import FilterConfig, LinkConfig
from geobridge.onboard.daemon.board import Board, Pace
from geobridge.onboard.daemon.continuity import Continuity
from geobridge.onboard.daemon.daemon import Daemon
from geobridge.onboard.daemon.eyes import Eyes
from geobridge.onboard.daemon.run import wired
from geobridge.onboard.errors import ConfigError
from geobridge.onboard.frames.paced import Paced
from geobridge.onboard.manifest_entries import CoverageEntry
from geobridge.onboard.mavlink.link import Link
from geobridge.onboard.mavlink.outputs.publisher import Publisher
from geobridge.onboard.mavlink.telemetry import AutopilotTelemetry
from geobridge.onboard.mavlink.timesync import Timesync
from geobridge.onboard.records import Fix, Frame, Image, Mask, Rejection, Telemetry
from geobridge.onboard.status import server as server_module
from geobridge.onboard.status.ground import Ground
from geobridge.onboard.status.metrics import Metric, exposition, labelled
from geobridge.onboard.status.server import StatusServer
from geobridge.onboard.status.view import Newest, View, _lines

MS = 1_000_000
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
COVERAGE = CoverageEntry(
    origin_lat_deg=47.4,
    origin_lon_deg=8.5,
    west_m=-400.0,
    south_m=-250.0,
    east_m=400.0,
    north_m=250.0,
    footprint_m=160.0,
    spacing_m=40.0,
    sources=(),
)


class Imagery:
    """Fields and paths, as far as the coverage goes."""

    def read(
        self, east_m: float, north_m: float, size_px: int
    ) -> tuple[Image, Mask, tuple[float, float]]:
        step = np.arange(size_px) - size_px / 2
        east, north = np.meshgrid(east_m + step, north_m - step)
        image = np.stack(
            [
                110 + 40 * np.sin(east / 37.0),
                130 + 50 * np.sin(north / 53.0) * np.cos(east / 91.0),
                90 + 20 * np.sin((east + north) / 29.0),
            ],
            axis=-1,
        )
        image[(np.abs(east - 0.4 * north) < 6) | (np.abs(north) < 4)] = (200, 190, 170)
        valid = (np.abs(east) < 400) & (np.abs(north) < 250)
        return image.astype(np.uint8), valid.astype(np.uint8), (east_m, north_m)


class Recording:
    size_px = (320, 240)

    def __init__(self) -> None:
        self.strip = Imagery().read(0.0, 30.0, 700)[0][:240]

    def __iter__(self) -> Iterator[Frame]:
        for n in range(3000):
            left_px = 4 * (n % 90)
            yield Frame(self.strip[:, left_px : left_px + 320].copy(), n * 100 * MS)

    def close(self) -> None: ...


class Localizer:
    def __init__(self) -> None:
        self.count = 0

    def handle(self, frame: Frame, telemetry: Telemetry) -> Fix | Rejection:
        east_m = -200.0 + 4.0 * (self.count % 120)
        self.count += 1
        north_m = 30.0 + 40.0 * np.sin(east_m / 60.0)
        lat_deg, lon_deg = COVERAGE.frame.to_geodetic([east_m, north_m])
        place = float(lat_deg), float(lon_deg)
        return Fix(frame.t_capture_ns, *place, 6.0, 580.0, 0.0, 40.0, 0.81, 0.44, 7)

    def reset(self) -> None: ...


@pytest.fixture(scope="module")
def page() -> Iterator[tuple[StatusServer, Daemon]]:
    config = LinkConfig(address="udpout:127.0.0.1:9", output="gps_input")
    clock = Timesync()
    telemetry = AutopilotTelemetry(patience_s=0.0, clock=clock)
    unix_offset_ns = time.time_ns() - time.monotonic_ns()
    publisher = Publisher(2.0, FilterConfig(), unix_offset_ns)
    source = Paced(Recording())
    eyes = Eyes(source, telemetry, publisher, Board(), 10.0, Continuity(1.5))
    with closing(Link(config)) as link:
        daemon = wired(config, link, clock, telemetry, eyes)
        view = View(daemon)
        with closing(StatusServer(view, 0)) as server:
            daemon.talk()
            view.ground = Ground(COVERAGE, Imagery(), 1.0)
            flight = threading.Thread(target=daemon.fly, args=(Localizer(),))
            flight.start()
            until_s = time.monotonic() + 10.0
            while daemon.board.counted()["fix"] < 20 and time.monotonic() < until_s:
                view.snapshot()
                time.sleep(0.05)
            yield server, daemon
            daemon.stop()
            flight.join()


def asked(server: StatusServer, path: str, **headers: str) -> tuple[int, bytes, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    with closing(connection):
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read(), response.headers


def test_the_snapshot_has_what_a_person_asks_for(page: Any) -> None:
    status, body, _ = asked(page[0], "/status.json")
    seen = json.loads(body)
    assert status == 200
    assert seen["state"] in ("TRACK", "DEGRADED")
    assert seen["output"] == "gps_input"
    assert seen["accuracy_m"] > 8.0
    assert len(seen["map"]["track"]) == 1
    assert seen["position_rate_hz"] == pytest.approx(8.0, abs=2.0)
    assert seen["frame_rate_hz"] == pytest.approx(10.0, abs=3.0)
    assert all(0.0 < each < 1.0 for each in seen["map"]["here"])
    assert seen["counts"]["fix"] >= 20


def test_health_and_metrics_are_what_monitors_expect(page: Any) -> None:
    status, body, _ = asked(page[0], "/healthz")
    assert (status, body.split()[0] in (b"TRACK", b"DEGRADED")) == (200, True)
    status, body, headers = asked(page[0], "/metrics")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lines = body.decode().splitlines()
    for line in lines:
        assert re.fullmatch(
            r"# (HELP|TYPE) geobridge_\w+ .+|geobridge_\w+(\{.*\})? [\d.e+naNi-]+", line
        )
    assert 'geobridge_frames_total{outcome="fix"}' in body.decode()
    assert sum(line.startswith("geobridge_state{") and line.endswith(" 1") for line in lines) == 1


def test_a_fault_is_not_well(page: Any) -> None:
    server, daemon = page
    daemon.board.fault = "the bundle is not signed"
    status, body, _ = asked(server, "/healthz")
    daemon.board.fault = None
    assert (status, body) == (503, b"FAULT the bundle is not signed\n")


def test_pictures_are_pictures(page: Any) -> None:
    for path in ("/map.jpg", "/frame.jpg", "/reference.jpg"):
        status, body, headers = asked(page[0], path)
        assert (status, headers["Content-Type"], body[:2]) == (200, "image/jpeg", b"\xff\xd8")


def test_it_is_for_reading_and_for_this_computer_alone(page: Any) -> None:
    server, _ = page
    assert server._server.server_address[0] == "127.0.0.1"
    assert asked(server, "/../etc/passwd")[0] == 404
    assert asked(server, "/status.json", Host="evil.example")[0] == 403
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    with closing(connection):
        connection.request("POST", "/", body=b"x")
        assert connection.getresponse().status == 501
    with pytest.raises(ConfigError, match=f"status.port {server.port}: "):
        StatusServer(server.view, server.port)


def fix_at(t_s: float, east_m: float = 0.0, north_m: float = 0.0) -> Fix:
    lat_deg, lon_deg = COVERAGE.frame.to_geodetic([east_m, north_m])
    return Fix(round(t_s * 1e9), float(lat_deg), float(lon_deg), 6.0, 580.0, 0, 0, 0.8, 0.4, 7)


@pytest.mark.parametrize(("top_deg", "quarters"), [(0.0, 0), (90.0, 1), (180.0, 2), (-90.0, 3)])
def test_the_map_is_turned_as_the_frame(top_deg: float, quarters: int) -> None:
    ground = Ground(COVERAGE, Imagery(), 1.0)

    def shown(turn_deg: float) -> Any:
        data = np.frombuffer(ground.reference(fix_at(0, 80.0, 40.0), turn_deg), np.uint8)
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), float)

    expected = np.rot90(shown(0.0), quarters)
    assert np.abs(shown(top_deg) - expected)[4:-4, 4:-4].mean() < 6.0


def test_the_track_is_thinned_and_broken_where_there_was_silence() -> None:
    board, frame = Board(), Frame(np.zeros((2, 2, 3), np.uint8), 0)
    for n in [*range(50), *range(200, 250)]:
        board.handled(frame, fix_at(n / 5.0, n), 1.0, Telemetry(0))
    first, second = _lines(Ground(COVERAGE, Imagery(), 1.0), board.track())
    assert (len(first), len(second)) == (5, 5)
    assert first[0] == [0.5, 0.5]


def test_a_picture_is_made_once_however_many_look() -> None:
    pictures, newest, thing = iter([b"1", b"2", b"3"]), Newest(), object()
    seen = [newest.of(each, lambda: next(pictures)) for each in (thing, thing, object(), thing)]
    assert seen == [b"1", b"1", b"2", b"3"]


def test_a_pace_is_that_of_now() -> None:
    pace = Pace()
    assert pace.rate_hz(0) == 0.0
    for n in range(20):
        pace.beat(n * 125 * MS)
    assert pace.rate_hz(19 * 125 * MS) == pytest.approx(8.0)
    assert pace.rate_hz(60_000 * MS) == 0.0
    for n in range(20):
        pace.beat(60_000 * MS + n * 250 * MS)
    assert pace.rate_hz(60_000 * MS + 19 * 250 * MS) == pytest.approx(4.0)


def test_many_visitors_do_not_hold_up_the_flight(page: Any) -> None:
    """Eight of them ask as fast as they can; positions keep their pace, and all are answered."""
    server, daemon = page
    paths = itertools.cycle(["/status.json", "/map.jpg", "/metrics", "/reference.jpg", "/"])
    answers: list[int] = []
    ended = time.monotonic() + 3.0

    def visit() -> None:
        while time.monotonic() < ended:
            answers.append(asked(server, next(paths))[0])

    visitors = [threading.Thread(target=visit) for _ in range(8)]
    sent = daemon.radio.link.traffic.sent
    fixes = daemon.board.counted()["fix"]
    for each in visitors:
        each.start()
    for each in visitors:
        each.join()
    assert set(answers) == {200}
    assert len(answers) > 50
    assert daemon.radio.link.traffic.sent - sent >= 0.7 * 3.0 * 8.0
    assert daemon.board.counted()["fix"] - fixes >= 0.4 * 3.0 * 10.0


def test_visitors_who_say_nothing_are_few_and_let_go(
    page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MAX_VISITORS", 6)
    with closing(StatusServer(page[0].view, 0)) as server:
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(10)]
        try:
            assert until(lambda: busy() == 6)
            for each in silent[-4:]:  # for whom there was no place
                each.settimeout(2.0)
                assert each.recv(10) == b""
            silent[0].settimeout(server_module.MAX_THREADS_WAIT_S + 5.0)
            assert silent[0].recv(10) == b""
        finally:
            for each in silent:
                each.close()
        assert until(lambda: busy() == 0)
        assert asked(server, "/healthz")[0] == 200


def busy() -> int:
    """Threads of visitors."""
    return sum("process_request_thread" in each.name for each in threading.enumerate())


def until(condition: Callable[[], bool], limit_s: float = 8.0) -> bool:
    end_s = time.monotonic() + limit_s
    while not condition() and time.monotonic() < end_s:
        time.sleep(0.02)
    return condition()


def test_labels_are_escaped() -> None:
    text = exposition([Metric("x", "gauge", "X.", labelled("why", {'a "b"\n': 1.0}))])
    assert 'geobridge_x{why="a \\"b\\"\\n"} 1' in text


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_shows_it(page: Any, tmp_path: Path) -> None:
    server, _ = page
    common = [
        str(CHROMIUM),
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        f"--user-data-dir={tmp_path}/profile",
        *("--virtual-time-budget=4000", "--window-size=1180,860"),
    ]
    address = f"http://127.0.0.1:{server.port}/"
    dom = subprocess.run(
        [*common, "--dump-dom", address], capture_output=True, text=True, timeout=90
    ).stdout
    assert re.search(r'<p id="state"[^>]*class="(TRACK|DEGRADED)"', dom)
    assert "accuracy (1 sigma, radial)" in dom
    assert re.search(r'<path id="track" d="M[\d., -]+', dom)
    picture = tmp_path / "page.png"
    subprocess.run(
        [*common, f"--screenshot={picture}", address], capture_output=True, timeout=90, check=True
    )
    shown = picture.read_bytes()
    assert shown[:4] == b"\x89PNG"
    assert len(shown) > 40_000  # the pictures are in it
