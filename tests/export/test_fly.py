from __future__ import annotations

import csv
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pymavlink import mavutil
from pymavlink.DFReader import DFReader_binary

pytest.importorskip("numba")

from geobridge.export.flights.disk import camera_toml
from geobridge.export.flights.fly import fly
from geobridge.export.flights.land import route_over
from geobridge.export.flights.moments import kept
from geobridge.export.flights.options import DAYS, camera_of, day_of, errors_of
from geobridge.export.flights.wires import Wires, other_end
from geobridge.onboard.camera import Camera, Mount
from geobridge.onboard.config import ReplayConfig, RunConfig, load
from geobridge.onboard.errors import DataError, LinkError
from geobridge.onboard.flightlogs.telemetry_csv import read_telemetry
from geobridge.onboard.flightlogs.truth_csv import read_track
from geobridge.onboard.frames.folder import FolderSource
from geobridge.onboard.frames.stream import StreamSource
from geobridge.onboard.frames.video import VideoSource
from geobridge.onboard.geodesy import LocalFrame, distance_m
from geobridge.onboard.records import Attitude
from geobridge.onboard.simulation.autopilot.vehicle import Estimate
from geobridge.onboard.simulation.flying.simulate import STEP_S
from geobridge.onboard.simulation.flying.terrain import Terrain
from geobridge.onboard.simulation.live import Moment
from geobridge.onboard.simulation.render.day import Day
from geobridge.onboard.simulation.state import State

FRAME = LocalFrame(47.4, 8.5)
ROUTE = "m:-60,-30:-10,-30:-10,20"
SMALL: dict[str, Any] = {"size_km": 0.2, "seed": 3, "camera_px": "96x64", "height_agl_m": 80.0}
METRES = st.tuples(st.floats(-400.0, 400.0), st.floats(-400.0, 400.0))


def flat(enu_m: Any) -> Any:
    return np.full(np.shape(enu_m)[:-1], 100.0)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("video") / "flight"
    return fly(ROUTE, out, rate_hz=2.0, gnss=["outage@4"], **SMALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    loose = {"dropped_share": 0.3, "clock_offset_s": 0.5, "kept_log": "bin", "frames": True}
    out = tmp_path_factory.mktemp("folder") / "flight"
    return fly(ROUTE, out, rate_hz=2.0, day="autumn_overcast", **loose, **SMALL)


def true_poses(flight: dict[str, Any]) -> list[dict[str, str]]:
    with Path(flight["poses"]).open(newline="") as file:
        return list(csv.DictReader(file))


class TestOnDisk:
    def test_the_flight_goes_where_the_route_goes(self, video: dict[str, Any]) -> None:
        assert video["ending"] == "arrived"
        assert video["route_m"] == pytest.approx(100.0, abs=0.01)
        assert 8.0 < video["duration_s"] < 20.0
        poses = true_poses(video)
        assert len(poses) == video["pictures"]
        start = FRAME.to_geodetic([-60.0, -30.0])
        end = FRAME.to_geodetic([-10.0, 20.0])
        for row, place, near_m in ((poses[0], start, 0.1), (poses[-1], end, 12.0)):
            there = float(row["lat_deg"]), float(row["lon_deg"])
            assert distance_m(*there, float(place[0]), float(place[1])) < near_m
        assert all(70.0 < float(row["height_agl_m"]) < 90.0 for row in poses)

    def test_a_video_its_tables_and_its_tlog_can_be_read(self, video: dict[str, Any]) -> None:
        frames = list(VideoSource(Path(video["frames"])))
        telemetry, truth = (
            read_telemetry(Path(video["telemetry"])),
            read_track(Path(video["truth"])),
        )
        assert len(frames) == video["pictures"]
        for frame in frames:
            assert frame.image.shape == (64, 96, 3)
            assert frame.image.std() > 5.0
            assert telemetry.at(frame.t_capture_ns).attitude is not None
            assert truth.at(frame.t_capture_ns) is not None
        reader = mavutil.mavlink_connection(video["log"], dialect="ardupilotmega")
        messages = list(iter(reader.recv_match, None))
        reader.close()
        counts = Counter(message.get_type() for message in messages)
        assert counts["CAMERA_FEEDBACK"] == len(frames)
        fixes = [m.fix_type for m in messages if m.get_type() == "GPS_RAW_INT"]
        assert fixes[:20] == [3] * 20  # 5 Hz, until 4 s
        assert set(fixes[20:]) == {1}

    def test_pictures_and_their_log_of_the_autopilot_can_be_read(
        self, folder: dict[str, Any]
    ) -> None:
        frames = list(FolderSource(Path(folder["frames"]), rate_hz=2.0))
        names = [row["file"] for row in true_poses(folder)]
        assert [frame.name for frame in frames] == names
        assert 2 <= len(names) == folder["pictures"]
        assert int(Path(names[-1]).stem) + 1 > len(names)  # the lost ones keep their numbers
        reader = DFReader_binary(folder["log"])
        counts = Counter(row.get_type() for row in iter(reader.recv_msg, None))
        reader.data_map.close()
        reader.filehandle.close()
        assert counts["CAM"] == len(names)
        assert min(counts["ATT"], counts["POS"], counts["GPS"]) > 30

    def test_the_same_command_makes_the_same_bytes_and_another_number_another_flight(
        self, video: dict[str, Any], tmp_path: Path
    ) -> None:
        def again(number: int) -> dict[str, Any]:
            out = tmp_path / f"{number}"
            return fly(ROUTE, out, number=number, rate_hz=2.0, gnss=["outage@4"], **SMALL)

        same, other = again(0), again(1)
        for part in ("frames", "log", "telemetry", "truth", "poses", "config"):
            assert Path(same[part]).read_bytes() == Path(video[part]).read_bytes(), part
        assert Path(other["poses"]).read_bytes() != Path(video["poses"]).read_bytes()

    def test_the_camera_is_told_to_replay(self, video: dict[str, Any]) -> None:
        camera = load(ReplayConfig, Path(video["config"])).camera.camera(96, 64)
        assert camera == camera_of("96x64", 70.0, -90.0)

    @pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # rasterio's own
    def test_one_can_fly_over_a_map_of_ones_own(self, tmp_path: Path) -> None:
        pytest.importorskip("rasterio")
        from geobridge.export.geotiff import write_geotiff

        picture = np.zeros((300, 300, 3), np.uint8)
        picture[:, :150] = (200, 40, 40)  # red in the west
        picture[:, 150:] = (40, 40, 200)
        raster = write_geotiff(tmp_path / "map.tif", picture, FRAME, -150.0, 150.0, 1.0)
        places = [FRAME.to_geodetic(place) for place in ((-90.0, 0.0), (90.0, 0.0))]
        route = ":".join(f"{float(lat):.8f},{float(lon):.8f},40" for lat, lon in places)
        flown = fly(route, tmp_path / "out", raster=raster, camera_px="64x48", rate_hz=1.0)
        frames = [frame.image.mean(axis=(0, 1)) for frame in VideoSource(Path(flown["frames"]))]
        assert frames[0][0] > 2.0 * frames[0][2]
        assert frames[-1][2] > 2.0 * frames[-1][0]

    def test_wind_too_strong_for_the_vehicle_is_told(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        out = tmp_path / "out"
        strong: dict[str, Any] = {"wind_m_s": 25.0, "wind_from_deg": 90.0, "airframe": "fixed_wing"}
        flown = fly(ROUTE, out, rate_hz=2.0, **strong, **SMALL)
        assert flown["ending"] == "left_map"
        assert "ends early: left_map" in caplog.text

    @pytest.mark.slow
    def test_replay_takes_a_flight_as_it_comes(self, rehearsal: Path, tmp_path: Path) -> None:
        world = {"size_km": 0.4, "seed": 7, "camera_px": "320x240", "height_agl_m": 110.0}
        flown = fly("m:-100,-100:-100,0", tmp_path / "flight", rate_hz=1.0, **world)
        words = ["replay", flown["frames"], "--telemetry", flown["telemetry"]]
        words += ["--truth", flown["truth"], "--config", flown["config"], "--json"]
        words += ["--bundle", str(rehearsal / "bundle"), "-o", str(tmp_path / "out")]
        command = [str(Path(sys.executable).with_name("geobridge")), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["frames"] == flown["pictures"]


class TestLive:
    @pytest.mark.slow
    def test_autopilot_and_camera_are_there_and_gnss_ends(self, tmp_path: Path) -> None:
        ground, port = ground_station()
        flown: dict[str, Any] = {}
        with TemporaryDirectory() as short:
            eye = Path(short) / "eye"
            wires = {"live": f"udpout:127.0.0.1:{port}", "camera_socket": eye}
            route, out = "m:-60,-30:0,-30", tmp_path / "out"
            arguments = {**wires, "gnss": ["outage@3"], "rate_hz": 4.0, **SMALL}
            flight = threading.Thread(target=lambda: flown.update(fly(route, out, **arguments)))
            flight.start()
            frames = watched(eye)
            messages = list(iter(lambda: ground.recv_match(blocking=True, timeout=2.0), None))
            flight.join()
        ground.close()
        assert flown["ending"] == "arrived"
        counts = Counter(message.get_type() for message in messages)
        assert counts["HEARTBEAT"] >= 4
        assert counts["ATTITUDE"] >= 15.0 * flown["duration_s"]
        fixes = [m.fix_type for m in messages if m.get_type() == "GPS_RAW_INT"]
        assert fixes == sorted(fixes, reverse=True)
        assert {3, 1} == set(fixes)
        assert fixes.count(3) == pytest.approx(15, abs=2)
        check_frames(frames)
        check_moments(Path(flown["moments"]), flown["duration_s"])

    def test_take_off_does_not_wait_for_ever(self, caplog: pytest.LogCaptureFixture) -> None:
        ground, port = ground_station()
        with TemporaryDirectory() as short:
            wires = {"live": f"udpout:127.0.0.1:{port}", "camera_socket": Path(short) / "eye"}
            wing = {"autopilot": "px4", "airframe": "fixed_wing"}
            flown = fly("m:-60,-30:-50,-30", **wires, wait_s=0.2, **wing, **SMALL)
        beat = ground.recv_match(type="HEARTBEAT", blocking=True, timeout=2.0)
        ground.close()
        assert beat.type == mavutil.mavlink.MAV_TYPE_FIXED_WING
        assert flown["ending"] == "arrived"
        assert flown["pictures"] == 0
        assert "moments" not in flown
        assert "nobody looks" in caplog.text

    @pytest.mark.slow
    def test_who_interrupts_a_flight_keeps_what_happened(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        with TemporaryDirectory() as short:
            words = ["fly", "m:-60,-60:60,-60:60,60", "-o", str(out), "--size-km", "0.2"]
            words += ["--live", "udpout:127.0.0.1:9", "--camera-socket", f"{short}/eye"]
            command = [str(Path(sys.executable).with_name("geobridge")), *words, "--wait-s", "0.1"]
            flight = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            assert flight.stderr is not None
            while "flying 240 m" not in flight.stderr.readline():
                assert flight.poll() is None
            time.sleep(2.0)
            flight.send_signal(signal.SIGINT)
            said = flight.communicate(timeout=30.0)[1].splitlines()
            assert list(Path(short).iterdir()) == []
        assert flight.returncode == 130
        assert said[-1] == "geobridge fly: interrupted"
        moments = [json.loads(line) for line in (out / "moments.jsonl").read_text().splitlines()]
        assert 15 <= len(moments) <= 40
        assert f"{len(moments)} moments of the flight: {out / 'moments.jsonl'}" in said[-2]

    def test_a_taken_socket_is_refused(self, tmp_path: Path) -> None:
        with TemporaryDirectory() as short:
            taken = Path(short) / "eye"
            taken.touch()
            with pytest.raises(LinkError, match="eye: Address already in use"):
                fly(ROUTE, live="udpout:127.0.0.1:9", camera_socket=taken, **SMALL)

    @pytest.mark.parametrize(
        ("address", "other"),
        [
            ("udpout:127.0.0.1:14550", '"udpin:127.0.0.1:14550"'),
            ("udpout:192.168.1.7:14550", '"udpin:0.0.0.0:14550"'),
            ("udpin:0.0.0.0:14550", '"udpout:127.0.0.1:14550"'),
            ("/dev/ttyUSB0", "the other end of /dev/ttyUSB0"),
        ],
    )
    def test_the_daemon_is_told_the_other_end(self, address: str, other: str) -> None:
        assert other_end(address) == other


def ground_station() -> tuple[Any, int]:
    """A MAVLink connection that listens, and its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return mavutil.mavlink_connection(f"udpin:127.0.0.1:{port}", dialect="ardupilotmega"), port


def watched(eye: Path) -> list[tuple[int, int, float]]:
    """Waits for the camera; the list fills with capture, arrival (ns) and contrast of frames."""
    found: list[tuple[int, int, float]] = []
    end_s = time.monotonic() + 90.0  # the first picture compiles
    while not eye.is_socket():
        assert time.monotonic() < end_s
        time.sleep(0.02)

    def look() -> None:
        source = StreamSource(f"stream:{eye}")
        try:
            for frame in source:
                contrast = float(frame.image.std())
                found.append((frame.t_capture_ns, time.monotonic_ns(), contrast))
        except DataError:  # the flight is over
            source.close()

    threading.Thread(target=look, daemon=True).start()
    return found


def check_frames(frames: list[tuple[int, int, float]]) -> None:
    captured_ns, arrived_ns, contrasts = np.array(frames).T
    assert len(frames) >= 12
    assert np.all(np.diff(captured_ns) > 0)
    assert np.all(arrived_ns - captured_ns > 0)
    assert np.median(arrived_ns - captured_ns) < 1e9
    assert contrasts.min() > 5.0


def check_moments(path: Path, duration_s: float) -> None:
    moments = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(moments) == pytest.approx(10.0 * duration_s, abs=2)
    for moment in moments:
        assert moment["has_gnss"] == (moment["time_s"] < 3.0 - STEP_S / 2.0)
        true, believed = moment["true"], moment["believed"]
        there = believed["lat_deg"], believed["lon_deg"]
        assert distance_m(true["lat_deg"], true["lon_deg"], *there) < 20.0


Complaint = Callable[..., str]
WORLD = ("--size-km", "0.2")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["m:0,0:0,900"], "route, place 2: off the map by 800.0 m"),
        (["m:0,0:1e9,0"], "route, place 2: off the map, 1000000 km away"),
        (["m:0,0:7"], "route, place 2: expected metres east,north"),
        (["m:0,0:nan,0"], "route, place 2: expected metres east,north"),
        (["m:0,0"], "expected at least two places"),
        (["m:0,0:0.9,0"], "route: too short for this map, speed and picture rate: the flight is"),
        (["m:0,0:9,0", "--rate-hz", "0.5"], "s (arrived), before a second picture"),
        (["m:0,0,-30:50,0"], "30.0 m below the ground"),
        (["10.0,20.0:10.0,21.0"], "off the map"),
        (["nowhere.plan"], "nowhere.plan: No such file or directory"),
        ([ROUTE, "--day", "doomsday"], "--day 'doomsday': expected one of summer_noon"),
        ([ROUTE, "--camera-px", "640"], "--camera-px '640': expected WIDTHxHEIGHT"),
        ([ROUTE, "--camera-px", "9x640"], "each 16 to 4096"),
        ([ROUTE, "--camera-px", "641x480"], "expected even sides"),
        ([ROUTE, "--hfov-deg", "180"], "--hfov-deg 180: expected 2 to 169"),
        ([ROUTE, "--pitch-deg", "-91"], "--pitch-deg -91: expected -90 (down) to 90"),
        ([ROUTE, "--exposure-ms", "-1"], "--exposure-ms -1: expected 0 to 1000"),
        ([ROUTE, "--rate-hz", "1e9"], "--rate-hz 1e+09: expected more than 0, at most 120"),
        ([ROUTE, "--gnss", "gone@3"], "GNSS fault 'gone@3': expected outage@SECONDS"),
        ([ROUTE, "--sensor", "luck=1"], "--sensor luck: expected one of attitude_bias_deg"),
        (
            [ROUTE, "--sensor", "alt_bias_m=high"],
            "--sensor 'alt_bias_m=high': expected name=number",
        ),
        ([ROUTE, "--sensor", "baro_forgets_s=0"], "baro_forgets_s=0: expected 0.1 to 100000"),
        ([ROUTE, "--sensor", "gnss_rate_hz=0"], "gnss_rate_hz=0: expected 0.1 to 50"),
        ([ROUTE, "--sensor", "gnss_satellites=1e9"], "satellites=1e+09: expected 0 to 40"),
        ([ROUTE, "--sensor", "attitude_bias_deg=90"], "attitude_bias_deg=90: expected 0 to 45"),
        ([ROUTE, "--sensor", "alt_bias_m=1e6"], "alt_bias_m=1e+06: expected 0 to 1000"),
        ([ROUTE, "--sensor", "height_scale=2"], "height_scale=2: expected 0 to 1"),
        ([ROUTE, "--speed-m-s", "1e9"], "--speed-m-s 1e+09: expected 0.5 to 60"),
        ([ROUTE, "--height-agl-m", "1"], "--height-agl-m 1: expected 2 to 5000"),
        ([ROUTE, "--gust-m-s", "11"], "--gust-m-s 11: expected 0 to 10"),
        ([ROUTE, "--vibration-deg", "90"], "--vibration-deg 90: expected 0 to 5"),
        ([ROUTE, "--clock-offset-s", "-11"], "--clock-offset-s -11: expected -10 to 10"),
        ([ROUTE, "--gnss", "jump@3:1,1e9"], "GNSS fault 'jump@3:1,1e9': expected outage"),
        ([ROUTE, "--gnss", "jump@3:1,400"], "'jump@3:1,400': expected a bearing of -360 to 360"),
        ([ROUTE, "--gnss", "jump@3:50000,45"], "GNSS fault 'jump@3:50000,45': moves the position"),
        ([ROUTE, "--gnss", "drift@3:9000,45"], "GNSS fault 'drift@3:9000,45': moves the position"),
        ([ROUTE, "--wind-m-s", "-3"], "--wind-m-s -3: expected 0 to 25"),
        ([ROUTE, "--dropped-share", "0.1"], "a video cannot tell; expected with --frames"),
        ([ROUTE, "--late-share", "0.1"], "files are never late; expected with --live"),
        ([ROUTE, "--clock-offset-s", "0", "--dropped-share", "2", "--frames"], "0 to below 1"),
        ([ROUTE, "--dsm", "."], "--dsm .: expected with --map"),
        ([ROUTE, "--size-km", "50"], "--size-km 50: expected 0.2 to 10"),
        ([ROUTE, "--set", "GPS2_TYPE=0"], "--set GPS2_TYPE=0: expected with --live"),
        ([ROUTE, "--live", "udpout:127.0.0.1:9"], "expected both or neither"),
        (
            [ROUTE, "--live", "nowhere", "--camera-socket", "eye"],
            "link.address 'nowhere': expected udpout:HOST:PORT",
        ),
        (
            [ROUTE, "--live", "udpout:127.0.0.1:9", "--camera-socket", "e" * 200],
            "expected at most 107 bytes",
        ),
        (
            [ROUTE, "--live", "udpout:127.0.0.1:9", "--camera-socket", "eye", "--set", "LUCK=1"],
            "parameter LUCK: this autopilot has none of that name",
        ),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], said: str, complaint: Complaint, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    world = () if "--size-km" in words else WORLD
    assert said in complaint("fly", *words, "-o", tmp_path / "out", *world)
    assert list(tmp_path.iterdir()) == []


def test_a_full_folder_and_no_folder_are_refused(complaint: Complaint, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    assert "expected a new or an empty folder" in complaint("fly", ROUTE, "-o", tmp_path)
    assert "expected -o FOLDER" in complaint("fly", ROUTE)


@given(st.lists(METRES, min_size=2, max_size=5, unique=True), st.floats(20.0, 200.0))
def test_metres_lead_where_they_say(places: list[tuple[float, float]], height_m: float) -> None:
    assume(np.hypot(*np.diff(np.array(places), axis=0).T).min() > 1.0)
    terrain = Terrain(FRAME, -500.0, -500.0, 500.0, 500.0, flat)
    text = "m:" + ":".join(f"{east!r},{north!r},{height_m!r}" for east, north in places)
    points = route_over(terrain, text, None, 100.0).points
    for east_m, north_m in places:
        away_m = np.hypot(points[:, 0] - east_m, points[:, 1] - north_m)
        assert away_m.min() < 1e-3
    assert points[:, 2] == pytest.approx(100.0 + height_m)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # rasterio's own
def test_a_map_too_small_for_the_aircraft_is_told_before_a_picture_is_rendered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("rasterio")
    from geobridge.export.geotiff import write_geotiff

    picture, out = np.full((24, 24, 3), 90, np.uint8), tmp_path / "out"
    raster = write_geotiff(tmp_path / "map.tif", picture, FRAME, -3.0, 3.0, 0.25)
    route, fast = "m:2.4,0:2.4,-0.9:-2.4,-0.9", {"airframe": "fixed_wing", "speed_m_s": 30.0}
    with caplog.at_level("INFO"), pytest.raises(DataError) as complaint:
        fly(route, out, raster=raster, **fast)
    assert "route: too short for this map" in str(complaint.value)
    assert "(left_map)" in str(complaint.value)
    assert "pictures; about" not in caplog.text
    assert not out.exists()


@given(
    st.builds(
        Camera,
        *[st.integers(16, 4096)] * 2,
        *[st.floats(1.0, 1e4)] * 2,
        *[st.floats(0.0, 15.5)] * 2,  # the optical axis lies in every such picture
        st.sampled_from([(), (-0.1, 1e-7, 0.0, 2.5e-5), (0.1, 0.2, 0.3, 0.4, 0.5)]),
        st.builds(Mount, *[st.floats(-180.0, 180.0)] * 3),
    )
)
def test_a_camera_reads_as_it_was_written(camera: Camera) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "flight.toml"
        path.write_text("\n".join(camera_toml(camera)))
        read = load(ReplayConfig, path).camera.camera(camera.width_px, camera.height_px)
    assert read == camera


@pytest.mark.parametrize(("autopilot", "gps_id"), [("arducopter", 1), ("px4", 0)])
def test_the_lines_that_are_told_make_a_configuration(
    autopilot: str, gps_id: int, tmp_path: Path
) -> None:
    wires = Wires("udpout:127.0.0.1:14550", Path('/tmp/a "camera"'), autopilot)
    lines = ['bundle = "here"', *wires.onboard_toml(), "camera.hfov_deg = 70"]
    path = tmp_path / "onboard.toml"
    path.write_text("\n".join(lines))
    config = load(RunConfig, path)
    assert config.source.frames == 'stream:/tmp/a "camera"'
    assert config.link.address == "udpin:127.0.0.1:14550"
    assert config.link.gps_id == gps_id


@pytest.mark.parametrize("what", [KeyboardInterrupt(), LinkError("the link has failed")])
def test_what_happened_is_kept_however_a_flight_ends(what: BaseException, tmp_path: Path) -> None:
    level, still = Attitude(0.0, 0.0, 90.0), (0.0, 0.0, 0.0)

    def flight() -> Iterator[Moment]:
        for k in range(3):
            state = State(k / 10, float(k), 0.0, 100.0, level, still)
            yield Moment(k, state, Estimate(0.0, 0.0, 100.0, still, level, 1.0, True), True)
        raise what

    with pytest.raises(type(what)):
        kept(flight(), tmp_path / "out", FRAME)
    lines = (tmp_path / "out" / "moments.jsonl").read_text().splitlines()
    assert [json.loads(line)["t_ns"] for line in lines] == [0, 1, 2]
    with pytest.raises(type(what)):
        kept(flight(), None, FRAME)
    assert len(list(tmp_path.iterdir())) == 1


def test_every_day_has_a_name() -> None:
    assert all(isinstance(day_of(name), Day) for name in DAYS)
    assert len({id(day) for day in DAYS.values()}) == len(DAYS) == 8


def test_errors_go_to_the_instrument_they_name() -> None:
    sensors, gnss = errors_of(["alt_bias_m=7.5", "gnss_wander_m=3", "gnss_satellites=9"])
    assert (sensors.alt_bias_m, gnss.wander_m, gnss.satellites) == (7.5, 3.0, 9)
    assert isinstance(gnss.satellites, int)
