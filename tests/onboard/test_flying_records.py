from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymavlink import mavutil
from pymavlink.DFReader import DFReader_binary

from geobridge.onboard.errors import DataError
from geobridge.onboard.flightlogs.read import read_flight_log
from geobridge.onboard.flightlogs.telemetry_csv import read_telemetry
from geobridge.onboard.flightlogs.truth_csv import read_track
from geobridge.onboard.frames.folder import FolderSource
from geobridge.onboard.frames.video import VideoSource
from geobridge.onboard.geodesy import Floats, LocalFrame, distance_m
from geobridge.onboard.records import Image
from geobridge.onboard.simulation.flying.aircraft import Airframe
from geobridge.onboard.simulation.flying.exposures import Exposure, Shutter, exposures
from geobridge.onboard.simulation.flying.faults import parse_faults
from geobridge.onboard.simulation.flying.recording import (
    START_UNIX_S,
    FlightFiles,
    Log,
    Pictures,
    write_flight,
)
from geobridge.onboard.simulation.flying.route import Datum, Stop, lay
from geobridge.onboard.simulation.flying.sampling import state_at
from geobridge.onboard.simulation.flying.simulate import Flight, simulate
from geobridge.onboard.simulation.flying.terrain import Terrain
from geobridge.onboard.simulation.state import State


def slope(enu: Floats) -> Floats:
    return 300.0 + 0.02 * enu[..., 1]


LAND = Terrain(LocalFrame(-35.0, 149.0), -2000.0, -2000.0, 2000.0, 2000.0, slope)
LOOSE = Shutter(2.0, jitter_s=0.03, clock_offset_s=0.25, dropped_share=0.2)


@pytest.fixture(scope="module")
def flight() -> Flight:
    places = [(-100.0, -200.0), (-100.0, 150.0), (60.0, 150.0)]
    stops = [Stop(f"{k}", *p, 90.0, Datum.GROUND, 12.0) for k, p in enumerate(places)]
    return simulate(
        lay("route", stops, LAND, places[0]),
        LAND,
        faults=parse_faults(["outage@19.9-29.9"]),
        seed=5,
    )


def picture(state: State) -> Image:
    """Its red is 20 times the seconds of the flight, so that a frame tells when it was taken."""
    return np.full((48, 64, 3), (round(state.time_s * 4.0) % 256, 40, 90), np.uint8)


def seconds(image: Image) -> float:
    return float(np.median(image[..., 0])) / 4.0


def shots_of(flight: Flight, shutter: Shutter) -> list[Exposure]:
    return exposures(shutter, 0.0, flight.truth[-1].time_s, seed=5)


@pytest.fixture(scope="module")
def video(flight: Flight, tmp_path_factory: pytest.TempPathFactory) -> FlightFiles:
    folder = tmp_path_factory.mktemp("video") / "flight"
    return write_flight(folder, flight, shots_of(flight, Shutter(2.0)), picture, LAND)


@pytest.fixture(scope="module")
def folder(flight: Flight, tmp_path_factory: pytest.TempPathFactory) -> FlightFiles:
    return write_flight(
        tmp_path_factory.mktemp("folder") / "flight",
        flight,
        shots_of(flight, LOOSE),
        picture,
        LAND,
        pictures=Pictures.FOLDER,
        log=Log.DATAFLASH,
    )


def place(state: State) -> tuple[float, float]:
    lat_deg, lon_deg = LAND.frame.to_geodetic([state.east_m, state.north_m])
    return float(lat_deg), float(lon_deg)


def messages(path: Path) -> list[Any]:
    reader = mavutil.mavlink_connection(str(path), dialect="ardupilotmega")
    found = list(iter(reader.recv_match, None))
    reader.close()
    return found


def rows(path: Path) -> list[Any]:
    reader = DFReader_binary(str(path))
    found = list(iter(reader.recv_msg, None))
    reader.data_map.close()
    reader.filehandle.close()
    return found


class TestVideo:
    def test_frames_telemetry_and_truth_are_on_one_clock(
        self, flight: Flight, video: FlightFiles
    ) -> None:
        telemetry, truth = read_telemetry(video.telemetry), read_track(video.truth)
        frames = list(VideoSource(video.pictures))
        assert len(frames) == len(shots_of(flight, Shutter(2.0)))
        for frame in frames:
            true = state_at(flight.truth, frame.t_capture_ns * 1e-9)
            assert seconds(frame.image) == pytest.approx(true.time_s, abs=1.6)  # of mp4's colours
            there = truth.at(frame.t_capture_ns)
            assert there is not None
            assert distance_m(*there, *place(true)) < 0.02
            told = telemetry.at(frame.t_capture_ns)
            assert told.attitude is not None
            assert told.attitude.roll_deg == pytest.approx(true.attitude.roll_deg, abs=4.0)
            assert told.velocity_east_m_s == pytest.approx(true.velocity_enu_m_s[0], abs=2.5)
            assert told.height_agl_m == pytest.approx(90.0, abs=8.0)
            assert told.alt_amsl_m == pytest.approx(true.alt_amsl_m, abs=8.0)

    def test_uneven_pictures_are_no_video(self, flight: Flight, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="not taken in step, or one before it is missing"):
            write_flight(tmp_path / "flight", flight, shots_of(flight, LOOSE), picture, LAND)
        assert list(tmp_path.iterdir()) == []


class TestFolder:
    def test_pictures_have_rows_of_their_own(self, flight: Flight, folder: FlightFiles) -> None:
        telemetry = read_telemetry(folder.telemetry)
        times_ns = telemetry.times_by_file()
        truth = read_track(folder.truth, times_ns)
        frames = list(FolderSource(folder.pictures, times_ns=times_ns))
        shots = shots_of(flight, LOOSE)
        assert [frame.name for frame in frames] == [f"{shot.number:06d}.jpg" for shot in shots]
        for frame, shot in zip(frames, shots, strict=True):
            assert frame.t_capture_ns * 1e-9 == pytest.approx(shot.time_s + 0.25, abs=1e-5)
            assert seconds(frame.image) == pytest.approx(shot.time_s, abs=0.5)
            there = truth.at(frame.t_capture_ns)
            assert there is not None
            assert distance_m(*there, *place(state_at(flight.truth, shot.time_s))) < 0.02

    def test_a_wrong_clock_parts_telemetry_and_truth(
        self, flight: Flight, folder: FlightFiles
    ) -> None:
        samples = read_telemetry(folder.telemetry).samples
        for sample, shot in zip(samples, shots_of(flight, LOOSE), strict=True):
            told = state_at(flight.believed, shot.time_s + 0.25)
            assert sample.alt_amsl_m == pytest.approx(told.alt_amsl_m, abs=1e-5)

    def test_poses_are_the_whole_truth(self, flight: Flight, folder: FlightFiles) -> None:
        lines = folder.poses.read_text().splitlines()
        assert lines[0] == (
            "time_s,file,lat_deg,lon_deg,alt_amsl_m,height_agl_m,roll_deg,pitch_deg,heading_deg"
        )
        for line, shot in zip(lines[1:], shots_of(flight, LOOSE), strict=True):
            true = state_at(flight.truth, shot.time_s)
            alt_m, height_m, roll_deg, _, heading_deg = map(float, line.split(",")[4:])
            assert alt_m == pytest.approx(true.alt_amsl_m)
            assert height_m == pytest.approx(alt_m - LAND.ground_at(true.east_m, true.north_m))
            assert roll_deg == pytest.approx(true.attitude.roll_deg, abs=1e-6)
            assert heading_deg == pytest.approx(true.attitude.heading_deg, abs=1e-6)


class TestTlog:
    def test_holds_what_a_ground_station_hears(self, flight: Flight, video: FlightFiles) -> None:
        found = Counter(message.get_type() for message in messages(video.log))
        seconds_flown = flight.truth[-1].time_s
        assert found["ATTITUDE"] == pytest.approx(10.0 * seconds_flown, abs=3)
        assert found["GLOBAL_POSITION_INT"] == pytest.approx(5.0 * seconds_flown, abs=3)
        assert found["GPS_RAW_INT"] == pytest.approx(5.0 * seconds_flown, abs=3)
        assert found["HEARTBEAT"] == pytest.approx(seconds_flown, abs=2)
        assert found["CAMERA_FEEDBACK"] == len(shots_of(flight, Shutter(2.0)))
        assert "BAD_DATA" not in found

    def test_units(self, flight: Flight, video: FlightFiles) -> None:
        kinds = set()
        for message in messages(video.log):
            kind = message.get_type()
            kinds.add(kind)
            if kind in ("ATTITUDE", "GLOBAL_POSITION_INT"):
                believed = state_at(flight.believed, message.time_boot_ms / 1e3 - 60.0)
                check = _same_attitude if kind == "ATTITUDE" else _same_position
                check(message, believed, flight)
            elif kind == "SYSTEM_TIME":
                flown_s = message.time_boot_ms / 1e3 - 60.0
                assert message.time_unix_usec / 1e6 - START_UNIX_S == pytest.approx(flown_s)
                assert message._timestamp == pytest.approx(START_UNIX_S + flown_s + 0.03, abs=1e-3)
            elif kind == "GPS_RAW_INT":
                assert (message.fix_type == 1) == (19.9 <= message.time_usec / 1e6 - 60.0 < 29.9)
            elif kind == "DISTANCE_SENSOR":
                assert message.current_distance / 1e2 == pytest.approx(90.0, abs=8.0)
                assert message.orientation == 25
        assert {"ATTITUDE", "GLOBAL_POSITION_INT", "DISTANCE_SENSOR", "PARAM_VALUE"} <= kinds

    def test_pictures_are_where_they_were_believed_to_be(
        self, flight: Flight, video: FlightFiles
    ) -> None:
        feedback = [m for m in messages(video.log) if m.get_type() == "CAMERA_FEEDBACK"]
        for message, shot in zip(feedback, shots_of(flight, Shutter(2.0)), strict=True):
            assert message.img_idx == shot.number
            assert message.time_usec / 1e6 - START_UNIX_S == pytest.approx(shot.time_s, abs=1e-5)
            believed = state_at(flight.believed, shot.time_s)
            assert distance_m(message.lat / 1e7, message.lng / 1e7, *place(believed)) < 0.02
            assert message.alt_msl == pytest.approx(believed.alt_amsl_m, abs=1e-3)
            assert message.yaw == pytest.approx(believed.attitude.heading_deg, abs=1e-3)


class TestReadBack:
    """Logs of simulated autopilots, by the readers of recorded ones."""

    @pytest.mark.parametrize("form", ["tlog", "dataflash"])
    def test_belief_and_truth_are_what_was_flown(
        self, flight: Flight, video: FlightFiles, folder: FlightFiles, form: str
    ) -> None:
        log = read_flight_log(video.log if form == "tlog" else folder.log)
        assert log.kind == form
        assert any("without a 3D fix" in line for line in log.oddities)
        assert log.truth is not None
        late_ns = 30_000_000 if form == "tlog" else 0  # the link, which nobody can know
        for flown_s in (3.0, 11.3, 25.0):
            t_ns = round((START_UNIX_S + flown_s) * 1e9) + late_ns
            told, believed = log.telemetry.at(t_ns), state_at(flight.believed, flown_s)
            assert told.attitude is not None
            assert told.attitude.heading_deg == pytest.approx(
                believed.attitude.heading_deg, abs=0.5
            )
            assert told.prior is not None
            where = told.prior.lat_deg, told.prior.lon_deg
            assert distance_m(*where, *place(believed)) < 0.3
            height_m = flight.height_agl_m(flown_s)
            # a real rangefinder measures along the vehicle's own down
            tilt = math.hypot(told.attitude.roll_deg, told.attitude.pitch_deg)
            leaned_m = height_m * (1.0 - math.cos(math.radians(tilt)))
            assert told.height_agl_m == pytest.approx(height_m - leaned_m, abs=0.6)
            there = log.truth.at(t_ns)
            if flown_s == 25.0:
                assert there is None  # the receiver was out
            else:
                assert there is not None
                assert distance_m(*there, *place(state_at(flight.truth, flown_s))) < 12.0
        assert len(log.camera_events) > 20


def _same_attitude(message: Any, believed: State, _: Flight) -> None:
    attitude = believed.attitude
    assert math.degrees(message.roll) == pytest.approx(attitude.roll_deg, abs=1e-4)
    assert math.degrees(message.pitch) == pytest.approx(attitude.pitch_deg, abs=1e-4)
    assert abs(message.yaw) <= math.pi + 1e-6
    assert math.remainder(math.degrees(message.yaw) - attitude.heading_deg, 360.0) == pytest.approx(
        0.0, abs=1e-4
    )


def _same_position(message: Any, believed: State, flight: Flight) -> None:
    assert distance_m(message.lat / 1e7, message.lon / 1e7, *place(believed)) < 0.02
    assert message.alt / 1e3 == pytest.approx(believed.alt_amsl_m, abs=1e-3)
    above_m = believed.alt_amsl_m - flight.home_alt_amsl_m
    assert message.relative_alt / 1e3 == pytest.approx(above_m, abs=1e-3)
    north_east_down = message.vx / 1e2, message.vy / 1e2, message.vz / 1e2
    east, north, up = believed.velocity_enu_m_s
    assert north_east_down == pytest.approx((north, east, -up), abs=6e-3)


class TestDataflash:
    def test_describes_itself(self, flight: Flight, folder: FlightFiles) -> None:
        found = Counter(row.get_type() for row in rows(folder.log))
        flown_s = flight.truth[-1].time_s
        assert found["ATT"] == found["POS"] == pytest.approx(10.0 * flown_s, abs=2)
        assert found["GPS"] == found["GPA"] == pytest.approx(5.0 * flown_s, abs=2)
        assert found["CAM"] == len(shots_of(flight, LOOSE))
        assert found["FMT"] == 9
        parameters = {row.Name: row.Value for row in rows(folder.log) if row.get_type() == "PARM"}
        assert parameters["GPS1_TYPE"] == 1.0
        texts = [row.Message for row in rows(folder.log) if row.get_type() == "MSG"]
        assert texts == ["ArduCopter V4.5.0 (simulated flight)"]

    def test_units(self, flight: Flight, folder: FlightFiles) -> None:
        for row in rows(folder.log):
            kind = row.get_type()
            if kind in ("FMT", "PARM", "MSG"):
                continue
            flown_s = row.TimeUS / 1e6 - 60.0
            assert row._timestamp == pytest.approx(START_UNIX_S + flown_s, abs=2e-3)
            believed = state_at(flight.believed, flown_s)
            if kind == "ATT":
                assert row.Roll == pytest.approx(believed.attitude.roll_deg, abs=1e-4)
                assert row.Pitch == pytest.approx(believed.attitude.pitch_deg, abs=1e-4)
                assert row.Yaw == pytest.approx(believed.attitude.heading_deg, abs=1e-3)
            elif kind in ("POS", "CAM"):
                assert distance_m(row.Lat, row.Lng, *place(believed)) < 0.02
                assert row.Alt == pytest.approx(believed.alt_amsl_m, abs=0.02)
            elif kind == "GPS":
                assert row.Status == (1 if 19.9 <= flown_s < 29.9 else 3)
                unix_s = 315_964_800 + row.GWk * 604_800 + row.GMS / 1e3 - 18.0
                assert unix_s == pytest.approx(START_UNIX_S + flown_s, abs=2e-3)
            elif kind == "RFND":
                assert row.Dist == pytest.approx(90.0, abs=8.0)

    def test_a_wing_is_a_plane(self, tmp_path: Path) -> None:
        stops = [Stop(f"{n}", 0.0, n, 90.0, Datum.GROUND, 18.0) for n in (0.0, 200.0)]
        wing = simulate(lay("route", stops, LAND, (0.0, 0.0)), LAND, Airframe.FIXED_WING)
        files = write_flight(tmp_path / "flight", wing, shots_of(wing, Shutter(2.0)), picture, LAND)
        heartbeats = [m for m in messages(files.log) if m.get_type() == "HEARTBEAT"]
        assert {mavutil.mode_string_v10(message) for message in heartbeats} == {"AUTO"}
        assert {message.type for message in heartbeats} == {1}


class TestWriting:
    def test_same_flight_same_bytes(
        self, flight: Flight, folder: FlightFiles, tmp_path: Path
    ) -> None:
        again = write_flight(
            tmp_path / "again",
            flight,
            shots_of(flight, LOOSE),
            picture,
            LAND,
            pictures=Pictures.FOLDER,
            log=Log.DATAFLASH,
        )
        for one, other in zip(vars(folder).values(), vars(again).values(), strict=True):
            if one.is_file():
                assert one.read_bytes() == other.read_bytes()

    def test_a_folder_in_use_is_left_alone(self, flight: Flight, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(DataError, match="expected a new or an empty folder"):
            write_flight(tmp_path, flight, shots_of(flight, Shutter(2.0)), picture, LAND)
        assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]

    def test_pictures_are_of_one_size(self, flight: Flight, tmp_path: Path) -> None:
        def growing(state: State) -> Image:
            return np.zeros((48, 64 if state.time_s < 5.0 else 66, 3), np.uint8)

        with pytest.raises(DataError, match="picture 10: expected 64x48 px as the first one"):
            write_flight(tmp_path / "flight", flight, shots_of(flight, Shutter(2.0)), growing, LAND)
        assert list(tmp_path.iterdir()) == []

    def test_two_pictures_are_needed(self, flight: Flight, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="1 pictures; a flight needs at least two"):
            write_flight(
                tmp_path / "flight", flight, shots_of(flight, Shutter(2.0))[:1], picture, LAND
            )


def _speeds(path: Path) -> tuple[list[float], list[float]]:
    """Told by GLOBAL_POSITION_INT, and from the way between two of them, m/s."""
    told, flown = [], []
    found = [m for m in messages(path) if m.get_type() == "GLOBAL_POSITION_INT"]
    for before, after in zip(found[:-20:20], found[20::20], strict=False):
        passed_s = (after.time_boot_ms - before.time_boot_ms) / 1e3
        way_m = distance_m(before.lat / 1e7, before.lon / 1e7, after.lat / 1e7, after.lon / 1e7)
        told.append(0.005 * (math.hypot(before.vx, before.vy) + math.hypot(after.vx, after.vy)))
        flown.append(way_m / passed_s)
    return told, flown


class TestAgainstReal:
    """What reads a real log reads ours, to the same agreement."""

    def test_positions_and_speeds_agree(self, video: FlightFiles) -> None:
        told, flown = _speeds(video.log)
        assert np.median(np.abs(np.subtract(told, flown))) < 1.0
        assert max(told) > 10.0

    @pytest.mark.real_data
    def test_as_they_do_in_a_real_flight(self, data: Path) -> None:
        told, flown = _speeds(data / "canberra_2018" / "flight.tlog")
        assert np.median(np.abs(np.subtract(told, flown))) < 1.0
        assert max(told) > 10.0

    @pytest.mark.real_data
    def test_messages_are_of_the_same_kinds(self, video: FlightFiles, data: Path) -> None:
        real = {m.get_type() for m in messages(data / "canberra_2018" / "flight.tlog")}
        ours = {m.get_type() for m in messages(video.log)}
        assert ours - real == {"CAMERA_FEEDBACK", "DISTANCE_SENSOR"}

    @pytest.mark.real_data
    def test_without_a_fix_as_a_real_receiver(self, folder: FlightFiles, data: Path) -> None:
        def lost(path: Path) -> Counter[tuple[int, float]]:
            found = [row for row in rows(path) if row.get_type() == "GPS" and row.Status < 2]
            return Counter((row.NSats, round(row.HDop, 2)) for row in found)

        real = lost(data / "flight_logs" / "arducopter_unlocked_gps.bin")
        assert set(lost(folder.log)) == {real.most_common(1)[0][0]}
