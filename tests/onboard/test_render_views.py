"""Geometry of the views, on land whose every point is known."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

from geobridge.onboard.camera import Camera, Mount
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Attitude, Image
from geobridge.onboard.simulation.land.ground import Ground
from geobridge.onboard.simulation.land.solids import BOX, CROWN, Rows
from geobridge.onboard.simulation.land.terrain import Terrain
from geobridge.onboard.simulation.render.day import Day
from geobridge.onboard.simulation.render.optics import Optics, SatelliteSensor
from geobridge.onboard.simulation.render.scene import Heights, Scene, build_scene, texture_of
from geobridge.onboard.simulation.render.scenery import Setting, on_day
from geobridge.onboard.simulation.render.views import (
    EYE_M,
    drone,
    orthomap,
    panorama,
    satellite,
    street_photo,
)
from geobridge.onboard.simulation.state import State

Floats = npt.NDArray[np.float64]

ORIGIN = LocalFrame(47.4, 8.5)
NORTH_UP = Attitude(0.0, 0.0, 0.0)
HALF_M, GSD_M, LEVEL_AMSL_M = 128.0, 0.25, 100.0
CLEAR = Optics(
    exposure_s=0.0, auto_exposure=0.0, vignetting=0.0, blur_px=0.0, read_noise_levels=0.0,
    shot_noise_levels=0.0,
)  # fmt: skip
SHARP = SatelliteSensor(blur_px=0.0, noise_levels=0.0, haze=0.0)
EVEN = Day(overcast=1.0, visibility_m=1e9)
CAMERA = Camera.from_hfov(160, 120, 60.0)
BENT = replace(CAMERA, distortion=(-0.12, 0.03, 0.001, -0.001, 0.0))


@dataclass(frozen=True, eq=False)
class Plate:
    """256 m of land with a picture on it."""

    terrain: Terrain
    picture: Image
    boxes: Rows
    frame: LocalFrame = ORIGIN
    bounds_m: tuple[float, float, float, float] = (-HALF_M, -HALF_M, HALF_M, HALF_M)

    def ground_amsl_m(self, enu_m: npt.ArrayLike) -> Floats:
        return self.terrain.alt_amsl_m(enu_m)

    def scene(self, day: Day) -> Scene:
        ground = self.terrain
        cover = np.full(self.picture.shape[:2], Ground.CONCRETE, np.uint8)
        return build_scene(
            Heights(ground.heights_amsl_m, ground.west_m, ground.north_m, ground.spacing_m),
            texture_of(self.picture, -HALF_M, HALF_M, GSD_M),
            cover,
            np.zeros((64, 64), np.uint8),
            self.boxes,
            np.zeros(0, CROWN),
            np.zeros((0, 3), np.float32),
        )


def plate(picture: Image | None = None, boxes: Rows | None = None, relief_m: float = 0.0) -> Plate:
    nodes = round(2.0 * HALF_M) + 1
    hills = cv2.GaussianBlur(np.random.default_rng(1).normal(size=(nodes, nodes)), (0, 0), 12.0)
    heights = LEVEL_AMSL_M + relief_m * hills / np.ptp(hills)
    size_px = round(2.0 * HALF_M / GSD_M)
    return Plate(
        Terrain(heights.astype(np.float32), 1.0, -HALF_M, HALF_M),
        np.full((size_px, size_px, 3), 110, np.uint8) if picture is None else picture,
        np.zeros(0, BOX) if boxes is None else boxes,
    )


def patched(*places_m: tuple[float, float], half_m: float = 1.0) -> Image:
    """A dark picture with bright squares whose middles are these places."""
    size_px = round(2.0 * HALF_M / GSD_M)
    picture = np.full((size_px, size_px, 3), 20, np.uint8)
    half_px = round(half_m / GSD_M)
    for east_m, north_m in places_m:
        column, row = round((east_m + HALF_M) / GSD_M), round((HALF_M - north_m) / GSD_M)
        picture[row - half_px : row + half_px, column - half_px : column + half_px] = 255
    return picture


def speckled(seed: int = 3) -> Image:
    size_px = round(2.0 * HALF_M / GSD_M)
    noise = np.random.default_rng(seed).normal(size=(size_px, size_px, 1))
    smooth = cv2.GaussianBlur(noise, (0, 0), 3.0)
    return np.repeat(
        np.clip(110 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)[..., None], 3, 2
    )


def block(east_m: float, north_m: float, side_m: float, height_m: float) -> Rows:
    rows = np.zeros(1, BOX)
    rows["east_m"], rows["north_m"], rows["base_amsl_m"] = east_m, north_m, LEVEL_AMSL_M
    rows["length_m"], rows["width_m"], rows["height_m"] = side_m, side_m, height_m
    rows["colour"] = 0.6
    return rows


def state(
    east_m: float = 0.0,
    north_m: float = 0.0,
    height_m: float = 60.0,
    attitude: Attitude = NORTH_UP,
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> State:
    return State(0.0, east_m, north_m, LEVEL_AMSL_M + height_m, attitude, velocity)


def middle_of_light(image: Image, around: Floats, reach_px: float) -> Floats:
    """[2] column and row of what is bright near a place."""
    rows, columns = np.indices(image.shape[:2])
    near = np.hypot(columns - around[0], rows - around[1]) < reach_px
    light = np.where(near, np.clip(image[..., 0].astype(float) - 100.0, 0.0, None), 0.0)
    return np.array([np.average(columns, weights=light), np.average(rows, weights=light)])


def pixel_of(camera: Camera, here: State, enu_m: Floats) -> Floats:
    """[N, 2] where `camera.py` has points [N, 2] of level ground."""
    straight = camera.pixel_from_ground(here.attitude, here.alt_amsl_m - LEVEL_AMSL_M)
    ground = np.column_stack([enu_m - [here.east_m, here.north_m], np.ones(len(enu_m))])
    return camera.pixels(ground @ straight.T @ np.linalg.inv(camera.matrix).T)


@lru_cache
def marked() -> Setting:
    """Not a fixture: hypothesis would print all of it with a failing example."""
    grid = [(float(e), float(n)) for e in range(-96, 97, 16) for n in range(-96, 97, 16)]
    return on_day(plate(patched(*grid)), EVEN)


attitudes = st.builds(
    Attitude, st.floats(-25.0, 25.0), st.floats(-25.0, 25.0), st.floats(0.0, 359.0)
)


class TestDrone:
    @settings(max_examples=40)
    @given(
        camera=st.sampled_from([CAMERA, BENT]),
        attitude=attitudes,
        mount=st.builds(Mount, st.just(0.0), st.floats(-90.0, -45.0), st.floats(-40.0, 40.0)),
        height_m=st.floats(15.0, 70.0),
    )
    def test_things_are_where_the_camera_model_has_them(
        self, camera: Camera, attitude: Attitude, mount: Mount, height_m: float
    ) -> None:
        camera, here = replace(camera, mount=mount), state(3.0, -5.0, height_m, attitude)
        shot = drone(marked(), camera, here, CLEAR)
        points = shot.points_enu_m
        on_map = np.isfinite(shot.distance_m) & (np.abs(points[..., :2]).max(-1) < HALF_M - 1.0)
        rows, columns = np.nonzero(on_map)
        expected = pixel_of(camera, here, points[on_map][:, :2])
        assert np.abs(expected - np.column_stack([columns, rows])).max(initial=0.0) < 0.05
        assert np.abs(points[on_map][:, 2] - LEVEL_AMSL_M).max(initial=0.0) < 0.01
        ways = points[on_map] - [here.east_m, here.north_m, here.alt_amsl_m]
        assert np.linalg.norm(ways, axis=1) == pytest.approx(shot.distance_m[on_map], rel=1e-4)

    @settings(max_examples=40)
    @given(camera=st.sampled_from([CAMERA, BENT]), attitude=attitudes)
    def test_the_picture_shows_what_its_points_say(
        self, camera: Camera, attitude: Attitude
    ) -> None:
        here = state(3.0, -5.0, 40.0, attitude)
        image = drone(marked(), camera, here, CLEAR, samples=4).image
        squares = np.array([(e, n) for e in (-16.0, 0.0, 16.0) for n in (-16.0, 0.0, 16.0)])
        expected = pixel_of(camera, here, squares)
        size = np.array([camera.width_px, camera.height_px])
        shown = [p for p in expected if np.all((p > 8.0) & (p < size - 9.0))]
        for place in shown:
            assert middle_of_light(image, place, 8.0) == pytest.approx(place, abs=0.35)

    def test_from_straight_above_it_agrees_with_the_map(self) -> None:
        setting, height_m = on_day(plate(speckled()), EVEN), 50.0
        camera = Camera.from_hfov(128, 128, 60.0)
        gsd_m = height_m / camera.fx_px
        corner_m = 64.0 * gsd_m
        from_drone = drone(setting, camera, state(height_m=height_m), CLEAR).image
        from_space = orthomap(setting, -corner_m, corner_m, gsd_m, (128, 128), SHARP).image
        one, other = from_drone[..., 0].astype(float), from_space[..., 0].astype(float)
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.99
        shift_px, _ = cv2.phaseCorrelate(one, other)
        assert math.hypot(*shift_px) < 0.1

    def test_undistorted_it_is_what_a_straight_lens_sees(self) -> None:
        setting = on_day(plate(speckled(), block(-6.0, 4.0, 8.0, 15.0)), EVEN)
        here = state(attitude=Attitude(4.0, 6.0, 70.0))
        bent = BENT.undistort(drone(setting, BENT, here, CLEAR, samples=2).image).astype(float)
        straight = drone(setting, CAMERA, here, CLEAR, samples=2).image.astype(float)
        raw = drone(setting, BENT, here, CLEAR, samples=2).image.astype(float)
        inner = np.s_[12:-12, 16:-16, 0]
        assert np.abs(bent - straight)[inner].mean() < 2.5
        assert np.abs(raw - straight)[inner].mean() > 8.0

    def test_hills_are_stood_on(self) -> None:
        hilly = plate(relief_m=30.0)
        camera = replace(CAMERA, mount=Mount(pitch_deg=-25.0))
        shot = drone(on_day(hilly, EVEN), camera, state(0.0, -90.0, 40.0), CLEAR)
        points = shot.points_enu_m[np.isfinite(shot.distance_m)]
        points = points[np.abs(points[:, :2]).max(axis=1) < HALF_M - 1.0]
        assert len(points) > 5000
        assert points[:, 2] == pytest.approx(hilly.ground_amsl_m(points[:, :2]), abs=0.02)

    @pytest.mark.parametrize("heading_deg", [0.0, 60.0, 200.0])
    def test_motion_smears_along_the_way(self, heading_deg: float) -> None:
        camera = Camera.from_hfov(200, 200, 40.0)
        setting = on_day(plate(patched((0.0, 0.0), half_m=0.5)), EVEN)
        velocity = (12.0, 16.0, 0.0)
        here = state(0.0, 0.0, 50.0, Attitude(0.0, 0.0, heading_deg), velocity)
        slow = drone(setting, camera, here, replace(CLEAR, exposure_s=0.15), samples=2)
        light = np.clip(slow.image[..., 0].astype(float) ** 2 - 45.0**2, 0.0, None)
        spread = np.cov(np.indices(light.shape)[::-1].reshape(2, -1), aweights=light.ravel())
        lengths, ways = np.linalg.eigh(spread)
        turn = camera.enu_from_camera(here.attitude).T @ velocity
        along = ways[:, 1] @ (turn[:2] / np.linalg.norm(turn[:2]))
        assert abs(along) > 0.99
        smear_px = 20.0 * 0.15 * camera.fx_px / 50.0
        assert math.sqrt(12.0 * (lengths[1] - lengths[0])) == pytest.approx(smear_px, rel=0.12)

    def test_a_rolling_shutter_slants_what_stands_upright(self) -> None:
        camera = Camera.from_hfov(160, 160, 40.0)
        stripe = patched(*[(0.0, n / 2.0) for n in range(-120, 121)], half_m=0.75)
        setting = on_day(plate(stripe), EVEN)
        moving = state(height_m=50.0, velocity=(20.0, 0.0, 0.0))
        rolled = drone(setting, camera, moving, replace(CLEAR, readout_s=0.03), samples=4)
        columns = np.array([np.average(np.arange(160), weights=r) for r in above(rolled.image)])
        slope = np.polyfit(np.arange(160), columns, 1)[0]
        assert slope * 160.0 == pytest.approx(-20.0 * 0.03 * camera.fx_px / 50.0, rel=0.05)
        at_once = drone(setting, camera, moving, CLEAR, samples=4)
        still = np.array([np.average(np.arange(160), weights=r) for r in above(at_once.image)])
        assert np.ptp(still) < 0.2

    def test_points_of_a_rolling_shutter_are_where_its_rows_saw_them(self) -> None:
        moving = state(height_m=50.0, velocity=(20.0, 0.0, 0.0))
        shot = drone(marked(), CAMERA, moving, replace(CLEAR, readout_s=0.1))
        middle = shot.points_enu_m[:, 80, 0]
        when_s = ((np.arange(120) + 0.5) / 120 - 0.5) * 0.1
        assert np.diff(middle - 20.0 * when_s) == pytest.approx(np.zeros(119), abs=1e-3)

    def test_vibration_shakes_by_its_amount_and_differently_each_time(self) -> None:
        camera = Camera.from_hfov(128, 128, 40.0)
        setting = on_day(plate(), EVEN)
        still = drone(setting, camera, state(), CLEAR).points_enu_m
        shaking = replace(CLEAR, vibration_deg=0.3, readout_s=0.03)
        moved_deg = []
        for seed in range(24):
            shaken = drone(setting, camera, state(), shaking, seed=seed).points_enu_m
            moved_m = (shaken - still)[64, 64, :2]
            moved_deg.append(np.degrees(moved_m / 60.0))
        assert np.std(moved_deg) == pytest.approx(0.3, rel=0.35)
        assert len(np.unique(np.array(moved_deg).round(6), axis=0)) == 24


def above(image: Image) -> Floats:
    return np.clip(image[..., 0].astype(float) - 60.0, 0.0, None)


class TestSatellite:
    @pytest.mark.parametrize(("east_m", "north_m"), [(0.0, 0.0), (6.0, 0.0), (-4.0, 2.5)])
    def test_registration_moves_the_picture_and_not_the_points(
        self, east_m: float, north_m: float
    ) -> None:
        setting = on_day(plate(patched((10.0, 20.0))), EVEN)
        sensor = replace(SHARP, registration_east_m=east_m, registration_north_m=north_m)
        shot = satellite(setting, 0.0, 0.0, 80.0, 160, sensor)
        column, row = middle_of_light(shot.image, np.array([80.0, 80.0]), 80.0)
        pixel = np.array([(10.0 + east_m + 40.0) / 0.5, (40.0 - 20.0 - north_m) / 0.5])
        assert [column + 0.5, row + 0.5] == pytest.approx(pixel, abs=0.05)
        shown = shot.points_enu_m[round(row), round(column)]
        assert shown[:2] == pytest.approx([10.0, 20.0], abs=0.6)

    def test_tall_things_lean_and_the_ground_stays(self) -> None:
        setting = on_day(plate(boxes=block(0.0, 0.0, 4.0, 30.0)), EVEN)
        leaning = replace(SHARP, off_nadir_deg=20.0, off_nadir_azimuth_deg=90.0)
        for sensor, moved_m in ((SHARP, 0.0), (leaning, 30.0 * math.tan(math.radians(20.0)))):
            shot = satellite(setting, 0.0, 0.0, 64.0, 256, sensor)
            roof = shot.points_enu_m[..., 2] > LEVEL_AMSL_M + 29.9
            column = np.nonzero(roof)[1].mean() * 0.25 - 32.0
            assert column == pytest.approx(moved_m, abs=0.3)
            assert np.abs(shot.points_enu_m[roof][:, :2]).max() < 2.05
            assert shot.points_enu_m[200, 10, :2] == pytest.approx([-29.4, -18.1], abs=0.1)

    def test_its_points_lie_on_a_regular_grid(self) -> None:
        shot = satellite(marked(), 5.0, -7.0, 32.0, 64, SHARP)
        at_m = (np.arange(64) + 0.5) * 0.5 - 16.0
        assert shot.points_enu_m[10, :, 0] == pytest.approx(5.0 + at_m, abs=1e-3)
        assert shot.points_enu_m[:, 10, 1] == pytest.approx(-7.0 - at_m, abs=1e-3)
        assert shot.points_enu_m[..., 2] == pytest.approx(np.full((64, 64), 100.0), abs=2e-3)


class TestStreet:
    @settings(max_examples=30)
    @given(bearing_deg=st.floats(0.0, 360.0), heading_deg=st.floats(0.0, 360.0))
    def test_a_tower_stands_at_its_bearing(self, bearing_deg: float, heading_deg: float) -> None:
        bearing = math.radians(bearing_deg)
        tower = block(60.0 * math.sin(bearing), 60.0 * math.cos(bearing), 3.0, 40.0)
        shot = panorama(on_day(plate(boxes=tower), EVEN), 0.0, 0.0, heading_deg, 360, CLEAR)
        seen = np.isfinite(shot.distance_m[60:80]).any(axis=0)
        turned = np.radians(np.flatnonzero(seen) + 0.5 - 180.0)
        column = np.angle(np.exp(1j * turned).mean())
        off = np.angle(np.exp(1j * (column - bearing + math.radians(heading_deg))))
        assert abs(math.degrees(off)) < 0.7
        assert 1 <= seen.sum() <= 6

    def test_the_eye_is_at_its_height_and_up_is_up(self) -> None:
        shot = panorama(on_day(plate(), EVEN), 0.0, 0.0, 0.0, 256, CLEAR)
        assert np.isinf(shot.distance_m[:64]).all()
        assert np.isnan(shot.points_enu_m[:64]).all()
        assert shot.distance_m[-1] == pytest.approx(np.full(256, EYE_M), abs=0.01)
        sky, ground = shot.image[:60].astype(int).mean(), shot.image[70:].astype(int).mean()
        assert abs(sky - ground) > 10.0

    @pytest.mark.parametrize("heading_deg", [0.0, 90.0, 222.0])
    def test_a_photo_looks_where_it_is_turned(self, heading_deg: float) -> None:
        heading = math.radians(heading_deg)
        tower = block(40.0 * math.sin(heading), 40.0 * math.cos(heading), 4.0, 12.0)
        tilted = replace(CAMERA, mount=Mount(pitch_deg=-90.0))
        shot = street_photo(
            on_day(plate(boxes=tower), EVEN), tilted, 0.0, 0.0, heading_deg, optics=CLEAR
        )
        above_eye = np.isfinite(shot.distance_m[:55])
        columns = np.nonzero(above_eye)[1]
        assert columns.mean() == pytest.approx(CAMERA.cx_px, abs=1.5)
        assert shot.distance_m[:55][above_eye].min() == pytest.approx(38.0, abs=1.0)


class TestShadows:
    @settings(max_examples=30)
    @given(azimuth_deg=st.floats(0.0, 360.0), elevation_deg=st.floats(20.0, 65.0))
    def test_they_fall_away_from_the_sun_as_long_as_it_is_low(
        self, azimuth_deg: float, elevation_deg: float
    ) -> None:
        setting = on_day(
            plate(boxes=block(0.0, 0.0, 0.6, 20.0)),
            Day(sun_azimuth_deg=azimuth_deg, sun_elevation_deg=elevation_deg, visibility_m=1e9),
        )
        shot = satellite(setting, 0.0, 0.0, 128.0, 512, SHARP)
        flat = shot.points_enu_m[..., 2] < LEVEL_AMSL_M + 0.5
        dark = flat & (shot.image[..., 1] < 0.8 * np.median(shot.image[..., 1]))
        points = shot.points_enu_m[dark][:, :2]
        away = -np.array([math.sin(math.radians(azimuth_deg)), math.cos(math.radians(azimuth_deg))])
        length_m = 20.0 / math.tan(math.radians(elevation_deg))
        assert (points @ away).max() == pytest.approx(length_m, abs=0.9)
        assert (points @ away).min() > -0.7
        assert np.abs(points @ [away[1], -away[0]]).max() < 0.8

    def test_none_is_hard_under_a_closed_sky(self) -> None:
        tower, levels = plate(boxes=block(0.0, 0.0, 4.0, 20.0)), []
        for overcast in (0.0, 0.5, 1.0):
            shot = satellite(on_day(tower, Day(overcast=overcast)), 0.0, 0.0, 80.0, 160, SHARP)
            ground = shot.image[shot.points_enu_m[..., 2] < LEVEL_AMSL_M + 0.5][:, 1]
            low, high = np.percentile(ground, [1, 99])
            levels.append(high - low)
        assert levels[0] > levels[1] + 10.0 > levels[2] + 20.0
        assert levels[2] < 3.0
