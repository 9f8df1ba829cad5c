from __future__ import annotations

import csv
import math
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geobridge.onboard.camera import Camera, Mount
from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Attitude, Image
from geobridge.onboard.simulation.exposure import Optics
from geobridge.onboard.simulation.flight import (
    Pose,
    SensorErrors,
    fly,
    render_frame,
    write_flight,
)
from geobridge.onboard.simulation.land.ground import Ground
from geobridge.onboard.simulation.orthophoto import (
    AUTUMN_OVERCAST,
    SUMMER_NOON,
    WINTER_MORNING,
    Appearance,
    render_orthophoto,
)
from geobridge.onboard.simulation.world import World, make_world

CLEAR_LENS = Optics(0.0, 1.0, 0.0, 0.0, 0.0)
NO_ERRORS = SensorErrors(*[0.0] * 9)
CAMERA = Camera.from_hfov(160, 120, 70.0)
BENT = replace(CAMERA, distortion=(-0.12, 0.03, 0.001, -0.001, 0.0))
GREY = (118, 116, 110)
ORIGIN = LocalFrame(47.4, 8.5)


@lru_cache
def fine_world() -> World:
    """Not a fixture: hypothesis would print all of it with a failing example."""
    return make_world(5, 160.0, 0.25)


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(4, 300.0, 1.0)


@pytest.fixture(scope="module")
def orthophoto(world: World) -> Image:
    return render_orthophoto(world, SUMMER_NOON)


@pytest.fixture(scope="module")
def poses(world: World) -> list[Pose]:
    route = [(-100.0, -60.0), (60.0, -60.0), (60.0, 20.0)]
    return fly(world, route, speed_m_s=12.0, height_agl_m=60.0, rate_hz=2.0, seed=3)


def pose(east_m: float = 0.0, north_m: float = 0.0, height_m: float = 80.0) -> Pose:
    return Pose(0.0, east_m, north_m, height_m, Attitude(0.0, 0.0, 0.0), 0.0, 0.0)


def edges(image: Image) -> npt.NDArray[np.float64]:
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), 1.0).astype(float)
    return np.hypot(cv2.Sobel(grey, cv2.CV_64F, 1, 0), cv2.Sobel(grey, cv2.CV_64F, 0, 1))


def correlation(one: Image, other: Image) -> float:
    return float(np.corrcoef(edges(one).ravel(), edges(other).ravel())[0, 1])


class TestWorld:
    def test_same_seed_same_bytes(self, world: World, orthophoto: Image) -> None:
        again = make_world(4, 300.0, 1.0)
        for one, other in (
            (world.surface.cover, again.surface.cover),
            (world.relief.height_m, again.relief.height_m),
            (world.buildings, again.buildings),
            (world.cars, again.cars),
        ):
            assert one.tobytes() == other.tobytes()
        assert render_orthophoto(again, SUMMER_NOON).tobytes() == orthophoto.tobytes()

    def test_another_seed_is_another_place(self, world: World) -> None:
        other = make_world(6, 300.0, 1.0)
        assert np.mean(other.surface.cover != world.surface.cover) > 0.5

    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_holds_what_a_town_has(self, seed: int) -> None:
        town = make_world(seed, 900.0, 2.0)
        covers = set(np.unique(town.surface.cover).tolist())
        assert {Ground.ASPHALT, Ground.STREET, Ground.TRACK, Ground.WATER, Ground.FIELD} <= covers
        assert {Ground.FOREST, Ground.CAR_PARK, Ground.PARK, Ground.PATH, Ground.YARD} <= covers
        assert town.surface.deck.any(), "no bridge"
        assert len({block.use for block in town.layout.blocks}) >= 7
        assert len(town.buildings) > 300
        assert len(town.crowns) > 1000
        assert np.ptp(town.buildings["height_m"]) > 10.0

    def test_roundabout_lies_where_the_layout_says(self, world: World) -> None:
        assert world.layout.roundabouts
        turn = np.linspace(0.0, 2.0 * math.pi, 16)
        for junction in world.layout.roundabouts:
            ring_m = (junction.radius_m - 7.0) * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
            assert world.grid.sample(world.surface.cover, junction.at_m) == Ground.PARK
            ring = world.grid.sample(world.surface.cover, junction.at_m + ring_m)
            on_map = world.grid.contains(junction.at_m + ring_m)
            assert np.all(ring[on_map] == Ground.ASPHALT)

    @pytest.mark.parametrize(
        ("seed", "size_m", "gsd_m", "named"),
        [
            (-1, 200.0, 1.0, "seed -1"),
            (0, 50.0, 1.0, "size_m 50"),
            (0, math.nan, 1.0, "size_m nan"),
            (0, 1e6, 0.5, "size_m 1000000"),
            (0, 200.0, 0.0, "gsd_m 0"),
            (0, 200.0, math.nan, "gsd_m nan"),
        ],
    )
    def test_impossible_maps_are_refused(
        self, seed: int, size_m: float, gsd_m: float, named: str
    ) -> None:
        with pytest.raises(DataError, match=named):
            make_world(seed, size_m, gsd_m)


class TestAppearance:
    @pytest.mark.parametrize("day", [WINTER_MORNING, AUTUMN_OVERCAST])
    def test_other_light_same_place(self, world: World, orthophoto: Image, day: Appearance) -> None:
        other = render_orthophoto(world, day)
        assert np.mean(np.abs(other.astype(float) - orthophoto)) > 8.0
        same = correlation(orthophoto, other)
        shifted = correlation(orthophoto, np.roll(other, (9, 7), axis=(0, 1)))
        elsewhere = correlation(orthophoto, render_orthophoto(make_world(6, 300.0, 1.0), day))
        assert same > 0.35
        assert same > 2.5 * max(shifted, elsewhere, 0.0)

    @pytest.mark.parametrize("azimuth_deg", [0.0, 90.0, 180.0, 270.0])
    def test_shadows_fall_away_from_the_sun(self, world: World, azimuth_deg: float) -> None:
        day = replace(SUMMER_NOON, sun_azimuth_deg=azimuth_deg, sun_elevation_deg=40.0)
        grey = render_orthophoto(world, day).mean(axis=2)
        houses = world.relief.owner > 0
        step = np.rint(
            5.0
            * np.array([math.cos(math.radians(azimuth_deg)), -math.sin(math.radians(azimuth_deg))])
        )
        near = {
            side: np.roll(houses, (-side * step).astype(int), axis=(0, 1))
            & (world.relief.owner == 0)
            for side in (1, -1)
        }
        assert grey[near[1] & ~near[-1]].mean() > grey[near[-1] & ~near[1]].mean() + 10.0

    def test_moved_cars_change_little(self, world: World, orthophoto: Image) -> None:
        moved = render_orthophoto(world, replace(SUMMER_NOON, cars_moved=1.0))
        changed = np.any(np.abs(moved.astype(int) - orthophoto) > 25, axis=2).mean()
        assert 0.0005 < changed < 0.05

    def test_noise_seed_draws_other_noise(self, world: World, orthophoto: Image) -> None:
        other = render_orthophoto(world, replace(SUMMER_NOON, noise_seed=9))
        difference = other.astype(float) - orthophoto
        assert 1.0 < difference.std() < 4.0

    @pytest.mark.parametrize(
        ("field", "value"),
        [("sun_elevation_deg", 0.0), ("haze", 1.5), ("cars_moved", math.nan)],
    )
    def test_impossible_days_are_refused(self, field: str, value: float) -> None:
        change: dict[str, Any] = {field: value}
        with pytest.raises(DataError, match=field):
            replace(SUMMER_NOON, **change)


class TestFrame:
    @settings(max_examples=60, deadline=None)
    @given(
        camera=st.sampled_from([CAMERA, BENT, replace(CAMERA, mount=Mount(pitch_deg=-70.0))]),
        roll_deg=st.floats(-15.0, 15.0),
        pitch_deg=st.floats(-15.0, 15.0),
        heading_deg=st.floats(0.0, 360.0),
        height_m=st.floats(15.0, 70.0),
        column=st.integers(20, 139),
        row=st.integers(20, 99),
    )
    def test_marker_appears_where_the_camera_model_says(
        self,
        camera: Camera,
        roll_deg: float,
        pitch_deg: float,
        heading_deg: float,
        height_m: float,
        column: int,
        row: int,
    ) -> None:
        attitude = Attitude(roll_deg, pitch_deg, heading_deg)
        here = Pose(0.0, 6.0, -9.0, height_m, attitude, 0.0, 0.0)
        pixel_from_ground = camera.pixel_from_ground(attitude, height_m)
        ground = np.linalg.solve(pixel_from_ground, [column, row, 1.0])
        target_m = ground[:2] / ground[2] + [6.0, -9.0]
        if np.abs(target_m).max() > 65.0:
            return
        map_column, map_row = np.rint(fine_world().grid.pixels(target_m)).astype(int)
        map_image = np.zeros((640, 640, 3), np.uint8)
        map_image[map_row - 3 : map_row + 4, map_column - 3 : map_column + 4] = 255

        frame = render_frame(map_image, fine_world(), camera, here, CLEAR_LENS)

        marker_m = (np.array([map_column, -map_row]) - [319.5, -319.5]) * 0.25 - [6.0, -9.0]
        straight = pixel_from_ground @ [*marker_m, 1.0]
        expected = camera.pixels([np.linalg.solve(camera.matrix, straight)])[0]
        rows, columns = np.indices((120, 160))
        near = np.hypot(columns - expected[0], rows - expected[1]) < 7.0
        light = frame[..., 0] * near
        found = [np.average(columns, weights=light), np.average(rows, weights=light)]
        assert found == pytest.approx(expected, abs=0.2)

    def test_beyond_the_edge_is_grey_and_not_the_other_side(
        self, world: World, orthophoto: Image
    ) -> None:
        frame = render_frame(orthophoto, world, CAMERA, pose(east_m=150.0), CLEAR_LENS)
        assert np.all(frame[:, 82:] == GREY)
        assert frame[:, :78].std() > 10.0

    def test_far_from_the_map_is_all_grey(self, world: World, orthophoto: Image) -> None:
        frame = render_frame(orthophoto, world, CAMERA, pose(east_m=5000.0), CLEAR_LENS)
        assert np.all(frame == GREY)

    def test_above_the_horizon_is_grey(self, world: World, orthophoto: Image) -> None:
        ahead = replace(CAMERA, mount=Mount(pitch_deg=-10.0))
        frame = render_frame(orthophoto, world, ahead, pose(height_m=20.0), CLEAR_LENS)
        assert np.all(frame[:20] == GREY)
        assert frame[-20:].std() > 10.0

    @pytest.mark.parametrize("map_pixels_per_pixel", [1.6, 2.9, 4.5])
    def test_averages_what_is_finer_than_its_pixels(
        self, world: World, map_pixels_per_pixel: float
    ) -> None:
        coins = np.random.default_rng(1).integers(0, 2, (300, 300, 1))
        speckle = np.repeat(255 * coins.astype(np.uint8), 3, axis=2)
        here = pose(height_m=map_pixels_per_pixel * CAMERA.fx_px)
        middle = render_frame(speckle, world, CAMERA, here, CLEAR_LENS)[45:75, 65:95]
        assert 0.4 < middle.std() * map_pixels_per_pixel / 127.5 < 1.0

    def test_motion_blurs_along_the_track_only(self) -> None:
        stripes = np.zeros((640, 640, 3), np.uint8)
        stripes[:, ::8] = stripes[:, 1::8] = stripes[:, 2::8] = stripes[:, 3::8] = 255
        north = replace(pose(height_m=30.0), velocity_north_m_s=20.0)
        east = replace(pose(height_m=30.0), velocity_east_m_s=20.0)
        slow = replace(CLEAR_LENS, exposure_s=0.05)
        along = render_frame(stripes, fine_world(), CAMERA, north, slow)[40:80, 60:100]
        across = render_frame(stripes, fine_world(), CAMERA, east, slow)[40:80, 60:100]
        assert across.std() < 0.8 * along.std()

    def test_lens_darkens_corners_and_noise_is_repeatable(
        self, world: World, orthophoto: Image
    ) -> None:
        flat = np.full_like(orthophoto, 150)
        frame = render_frame(flat, world, CAMERA, pose(height_m=40.0))
        assert frame[50:70, 70:90].mean() > frame[:10, :10].mean() + 15.0
        assert 1.0 < frame[50:70, 70:90].std() < 6.0
        assert frame.tobytes() == render_frame(flat, world, CAMERA, pose(height_m=40.0)).tobytes()

    def test_foreign_orthophoto_is_refused(self, world: World) -> None:
        with pytest.raises(DataError, match=r"\(10, 10, 3\)"):
            render_frame(np.zeros((10, 10, 3), np.uint8), world, CAMERA, pose())


coordinate = st.floats(-140.0, 140.0)


class TestFly:
    @settings(max_examples=40, deadline=None)
    @given(
        route=st.lists(st.tuples(coordinate, coordinate), min_size=2, max_size=6),
        speed_m_s=st.floats(5.0, 25.0),
        seed=st.integers(0, 99),
    )
    def test_steady_flight_inside_the_map(
        self, world: World, route: list[tuple[float, float]], speed_m_s: float, seed: int
    ) -> None:
        if np.hypot(*np.diff(route, axis=0).T).sum() < 2.0 * speed_m_s:
            return
        poses = fly(world, route, speed_m_s=speed_m_s, height_agl_m=60.0, rate_hz=5.0, seed=seed)
        places = np.array([(p.east_m, p.north_m) for p in poses])
        assert np.all(world.grid.contains(places))
        assert places[0] == pytest.approx(route[0])
        assert [p.time_s for p in poses] == pytest.approx(np.arange(len(poses)) / 5.0)
        assert np.all(np.hypot(*np.diff(places, axis=0).T) <= speed_m_s / 5.0 + 1e-6)
        assert all(abs(p.attitude.roll_deg) < 32.0 for p in poses)
        assert all(abs(p.attitude.pitch_deg) < 8.0 for p in poses)
        assert all(0.0 <= p.attitude.heading_deg < 360.0 for p in poses)
        assert all(
            math.hypot(p.velocity_east_m_s, p.velocity_north_m_s) == pytest.approx(speed_m_s)
            for p in poses
        )

    def test_heads_along_the_track_and_banks_into_the_turn(self, world: World) -> None:
        route = [(-120.0, -120.0), (-120.0, 120.0), (120.0, 120.0)]
        poses = fly(world, route, speed_m_s=12.0, height_agl_m=60.0, rate_hz=10.0, seed=1)
        assert math.cos(math.radians(poses[20].attitude.heading_deg)) > 0.99
        assert poses[-20].attitude.heading_deg == pytest.approx(90.0, abs=5.0)
        assert max(p.attitude.roll_deg for p in poses) > 12.0, "a right turn banks right"
        assert min(p.attitude.roll_deg for p in poses) > -6.0
        assert min(math.hypot(p.east_m + 120.0, p.north_m - 120.0) for p in poses) > 10.0

    @pytest.mark.parametrize(
        ("route", "named"),
        [
            ([(0.0, 0.0), (0.0, 151.0)], "route point 1"),
            ([(math.nan, 0.0), (0.0, 10.0)], "route point 0"),
            ([(0.0, 0.0)], "two points"),
            ([0.0, 1.0, 2.0], "two points"),
            ([(5.0, 5.0), (5.0, 5.0)], "too short"),
        ],
    )
    def test_impossible_routes_are_refused(
        self, world: World, route: list[tuple[float, float]], named: str
    ) -> None:
        with pytest.raises(DataError, match=named):
            fly(world, route, speed_m_s=10.0, height_agl_m=60.0, rate_hz=5.0, seed=0)

    @pytest.mark.parametrize("name", ["speed_m_s", "height_agl_m", "rate_hz"])
    def test_numbers_must_be_positive(self, world: World, name: str) -> None:
        numbers = {"speed_m_s": 10.0, "height_agl_m": 60.0, "rate_hz": 5.0, name: math.nan}
        with pytest.raises(DataError, match=name):
            fly(world, [(0.0, 0.0), (0.0, 100.0)], **numbers, seed=0)


def read_csv(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


class TestFiles:
    def test_read_back_as_flown(
        self, world: World, orthophoto: Image, poses: list[Pose], tmp_path: Path
    ) -> None:
        files = write_flight(
            tmp_path / "f", orthophoto, world, CAMERA, poses, ORIGIN, errors=NO_ERRORS
        )
        telemetry, truth = read_csv(files.telemetry), read_csv(files.truth)
        assert list(telemetry) == [
            "time_s",
            "roll_deg",
            "pitch_deg",
            "heading_deg",
            "height_agl_m",
            "alt_amsl_m",
            "velocity_north_m_s",
            "velocity_east_m_s",
        ]
        assert list(truth) == ["time_s", "lat_deg", "lon_deg"]
        assert truth["time_s"].tolist() == telemetry["time_s"].tolist()
        assert telemetry["time_s"] == pytest.approx([p.time_s for p in poses])
        flown = ORIGIN.to_enu(truth["lat_deg"], truth["lon_deg"])
        assert flown == pytest.approx(np.array([(p.east_m, p.north_m) for p in poses]), abs=1e-3)
        assert telemetry["heading_deg"] == pytest.approx(
            [p.attitude.heading_deg for p in poses], abs=1e-5
        )
        assert telemetry["velocity_north_m_s"] == pytest.approx(
            [p.velocity_north_m_s for p in poses], abs=1e-5
        )
        assert telemetry["alt_amsl_m"] - telemetry["height_agl_m"] == pytest.approx(
            np.full(len(poses), 120.0), abs=1e-5
        )
        assert sorted(path.name for path in (tmp_path / "f").iterdir()) == [
            "flight.mp4",
            "telemetry.csv",
            "truth.csv",
        ]

    def test_video_shows_the_frames(
        self, world: World, orthophoto: Image, poses: list[Pose], tmp_path: Path
    ) -> None:
        files = write_flight(tmp_path, orthophoto, world, CAMERA, poses, ORIGIN)
        reader = cv2.VideoCapture(str(files.video))
        assert reader.get(cv2.CAP_PROP_FPS) == pytest.approx(2.0)
        for here in poses:
            shown, picture = reader.read()
            assert shown
            frame = render_frame(orthophoto, world, CAMERA, here)
            assert cv2.PSNR(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), frame) > 24.0
        assert not reader.read()[0]
        reader.release()

    def test_telemetry_errs_as_its_sensors_do(
        self, world: World, orthophoto: Image, poses: list[Pose], tmp_path: Path
    ) -> None:
        small = Camera.from_hfov(32, 24, 70.0)
        biases = []
        for seed in range(12):
            files = write_flight(
                tmp_path / str(seed), orthophoto, world, small, poses, ORIGIN, seed=seed
            )
            error = read_csv(files.telemetry)["roll_deg"] - [p.attitude.roll_deg for p in poses]
            assert 0.2 < error.std() < 0.7, "noise"
            biases.append(error.mean())
        assert 0.3 < np.std(biases) < 1.3, "a bias of its own for every flight"

    def test_one_pose_is_no_flight(self, world: World, orthophoto: Image, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="1 poses"):
            write_flight(tmp_path, orthophoto, world, CAMERA, [pose()], ORIGIN)
