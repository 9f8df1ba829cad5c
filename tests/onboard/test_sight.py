from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from geobridge.onboard.camera import Camera, Mount
from geobridge.onboard.localization.prepare import Prepared
from geobridge.onboard.localization.rectify import Picture, lay
from geobridge.onboard.localization.sight import Relief, Sight
from geobridge.onboard.manifest_entries import TerrainEntry
from geobridge.onboard.records import Attitude, Image
from geobridge.onboard.simulation.render.day import SUMMER_NOON, Day
from geobridge.onboard.simulation.render.optics import Optics
from geobridge.onboard.simulation.render.scenery import Scenery, Setting, on_day
from geobridge.onboard.simulation.render.views import drone
from geobridge.onboard.simulation.state import State
from geobridge.onboard.simulation.world import make_world
from geobridge.onboard.terrain import Terrain

Floats = npt.NDArray[np.float64]

LENSES = {
    "straight": Camera.from_hfov(320, 240, 70.0),
    "barrel": Camera(320, 240, 230.0, 228.0, 161.0, 117.0, (-0.25, 0.06, 0.001, -0.001)),
    "fisheye": Camera(
        320, 240, 130.0, 131.0, 158.0, 121.0, (-0.02, 0.004, -0.001, 0.0002), lens="fisheye"
    ),
}
SHARP = Optics(exposure_s=0.0, vignetting=0.0, read_noise_levels=0.0, shot_noise_levels=0.0)

lenses = st.sampled_from(list(LENSES.values()))
attitudes = st.builds(
    Attitude, st.floats(-25.0, 25.0), st.floats(-30.0, 55.0), st.floats(0.0, 360.0)
)
levers = st.tuples(st.floats(-2.0, 2.0), st.floats(-2.0, 2.0), st.floats(-1.0, 1.0))


class Hills:
    """Smooth ground that is nowhere steeper than a third."""

    lowest_m = -36.0

    def up_m(self, ground_m: Floats) -> Floats:
        east, north = ground_m[:, 0], ground_m[:, 1]
        return np.asarray(12.0 * np.sin(east / 60.0) + 12.0 * (np.cos(north / 60.0) - 1.0))


reliefs = st.sampled_from([None, Hills()])


def sight_of(camera: Camera, attitude: Attitude, relief: Relief | None, lever: Floats) -> Sight:
    camera_m = lever + np.array([0.0, 0.0, 120.0])
    return Sight(camera, camera.enu_from_camera(attitude), camera_m, relief)


@given(lenses, attitudes, reliefs, levers, st.floats(5.0, 314.0), st.floats(5.0, 234.0))
def test_frame_to_ground_and_back(
    camera: Camera,
    attitude: Attitude,
    relief: Relief | None,
    lever: tuple[float, float, float],
    column: float,
    row: float,
) -> None:
    sight = sight_of(camera, attitude, relief, np.array(lever))
    ray = sight.enu_from_camera @ camera.rays([[column, row]])[0]
    assume(ray[2] < -0.35)
    ground_m = sight.ground_m([[column, row]])
    assert sight.frame_px(ground_m) == pytest.approx(np.array([[column, row]]), abs=0.01)


@given(lenses, attitudes, reliefs, levers)
@example(LENSES["straight"], Attitude(1.0, 10.0, 107.5), None, (0.0, 0.0, 0.0))
def test_a_patch_knows_where_in_the_frame_it_came_from(
    camera: Camera,
    attitude: Attitude,
    relief: Relief | None,
    lever: tuple[float, float, float],
) -> None:
    sight = sight_of(camera, attitude, relief, np.array(lever))
    columns, rows = np.meshgrid(np.arange(320), np.arange(240))
    ramps = np.stack([columns // 2, rows, columns * 0], axis=-1).astype(np.uint8)
    patch = lay(Picture(ramps), sight, 96.0, 1.0)
    assume(patch is not None and patch.valid_fraction > 0.2)
    assert patch is not None
    kernel = np.ones((5, 5), np.uint8)  # at the border of the picture it fades into black
    inside = cv2.erode(np.pad(patch.valid, 2), kernel)[2:-2, 2:-2]
    at = np.argwhere(inside > 0)[::7, ::-1]
    expected = patch.frame_px(at)
    found = patch.image[at[:, 1], at[:, 0]].astype(float)
    assert np.abs(found[:, 0] - expected[:, 0] / 2.0).max() < 1.1
    assert np.abs(found[:, 1] - expected[:, 1]).max() < 1.1
    again = sight.ground_m(expected)
    assert again == pytest.approx(patch.ground_m(at), abs=0.5)


@given(heading_deg=st.floats(0.0, 360.0), height_m=st.floats(40.0, 400.0))
def test_straight_down_is_a_similarity(heading_deg: float, height_m: float) -> None:
    camera = LENSES["straight"]
    sight = Sight.above(camera, Attitude(0.0, 0.0, heading_deg), height_m)
    patch = lay(Picture(np.zeros((240, 320, 3), np.uint8)), sight, height_m, height_m / 64.0)
    assert patch is not None
    points = np.array([[0.0, 0.0], [63.0, 0.0], [0.0, 63.0], [20.0, 41.0]])
    turn, scale = math.radians(heading_deg), camera.fx_px / 64.0
    turned = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    expected = (points - 31.5) @ turned.T * scale + [159.5, 119.5]
    assert patch.frame_px(points) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("lens", LENSES)
def test_what_is_not_seen_has_no_pixel(lens: str) -> None:
    camera = LENSES[lens]
    ahead = Sight.above(camera, Attitude(0.0, 80.0, 0.0), 100.0)
    assert np.isnan(ahead.frame_px([[0.0, -900.0]])).all()
    assert np.isnan(ahead.ground_m([[160.0, 2.0]])).all()
    assert np.isnan(camera.seen_px([[3.0, 0.0, -1.0], [0.0, 0.0, -1.0]])).all()


def test_a_lens_does_not_fold_the_ground_beyond_it_into_the_picture() -> None:
    """Its polynomial turns back at 60 degrees, which is outside of the picture."""
    camera = replace(LENSES["barrel"], distortion=(-0.11, 0.0, 0.0, 0.0))
    far = camera.pixels([[12.0, 0.0, 4.0]])[0]
    assert -0.5 < far[0] < 319.5
    assert np.isnan(camera.seen_px([[12.0, 0.0, 4.0]])).all()


@given(attitudes, st.floats(-180.0, 180.0), levers)
def test_a_turned_sight_is_one_of_another_heading(
    attitude: Attitude, turn_deg: float, lever: tuple[float, float, float]
) -> None:
    camera = replace(LENSES["straight"], mount=Mount(2.0, -80.0, 10.0, *lever))
    image = np.zeros((240, 320, 3), np.uint8)
    told = Prepared(image, camera, attitude, 120.0)
    other = replace(attitude, heading_deg=attitude.heading_deg - turn_deg)
    turned, expected = told.sight(turn_deg, 0.1), Prepared(image, camera, other, 132.0).sight()
    assert turned.enu_from_camera == pytest.approx(expected.enu_from_camera, abs=1e-9)
    assert turned.camera_m == pytest.approx(expected.camera_m, abs=1e-9)


@pytest.fixture(scope="module")
def hilly() -> Setting:
    return on_day(Scenery(make_world(11, size_m=800.0)), SUMMER_NOON)


def heights_of(setting: Setting, spacing_m: float = 4.0) -> Terrain:
    """The ground of a rendered land as a bundle carries it."""
    count = round(800.0 / spacing_m) + 1
    entry = TerrainEntry(
        path="reference/terrain.npy",
        spacing_m=spacing_m,
        west_m=-400.0,
        north_m=400.0,
        rows=count,
        columns=count,
    )
    east, north = np.meshgrid(
        -400.0 + spacing_m * np.arange(count), 400.0 - spacing_m * np.arange(count)
    )
    ground = setting.place.ground_amsl_m(np.stack([east, north], axis=-1))
    return Terrain(entry, np.asarray(ground, "<f4"))


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("tilt_deg", [0.0, 35.0, 55.0])
def test_open_ground_is_where_rays_through_the_rendered_land_meet_it(
    hilly: Setting, lens: str, tilt_deg: float
) -> None:
    camera, terrain = LENSES[lens], heights_of(hilly)
    attitude, at_m = Attitude(4.0, tilt_deg, 40.0), (-60.0, -80.0)
    ground_m = terrain.ground_amsl_m(*at_m)
    assert ground_m is not None
    state = State(0.0, *at_m, ground_m + 150.0, attitude, (0.0, 0.0, 0.0))
    points = drone(hilly, camera, state).points_enu_m
    relief = terrain.around(*at_m)
    assert relief is not None
    sight = replace(Sight.above(camera, attitude, 150.0), relief=relief)
    rows, columns = np.nonzero(np.isfinite(points[..., 0]) & (np.abs(points[..., 0]) < 390.0))
    met = points[rows, columns]
    bare = np.abs(terrain.heights_amsl_m(met[:, :2]) - met[:, 2]) < 0.2
    bare &= np.abs(met[:, 1]) < 390.0
    assert bare.sum() > 3000
    found = sight.frame_px(met[bare, :2] - at_m)
    off_px = np.hypot(*(found - np.column_stack([columns, rows])[bare]).T)
    assert np.percentile(off_px, 99) < 0.3
    flat_px = Sight.above(camera, attitude, 150.0).frame_px(met[bare, :2] - at_m)
    assert np.nanpercentile(np.hypot(*(flat_px - found).T), 90) > 1.0  # so the relief matters


@settings(max_examples=12)
@given(
    lens=st.sampled_from(list(LENSES)),
    tilt_deg=st.sampled_from([0.0, 25.0, 45.0, 60.0]),
    heading_deg=st.floats(0.0, 360.0),
)
def test_an_oblique_picture_is_laid_on_the_map_to_less_than_a_pixel(
    level: Callable[[Image], Setting],
    land: Callable[[int, Day], Image],
    lens: str,
    tilt_deg: float,
    heading_deg: float,
) -> None:
    camera, picture = LENSES[lens], land(7, SUMMER_NOON)
    attitude = Attitude(0.0, tilt_deg, heading_deg)
    away_m = 110.0 * math.tan(math.radians(tilt_deg)) / 2.0
    turn = math.radians(heading_deg)
    at_m = -away_m * math.sin(turn), -away_m * math.cos(turn)  # so that the middle is on the map
    state = State(0.0, *at_m, 110.0, attitude, (0.0, 0.0, 0.0))
    seen = drone(level(picture), camera, state, SHARP, samples=2).image
    patch = lay(Picture(seen), Sight.above(camera, attitude, 110.0), 64.0, 1.0)
    assert patch is not None
    east_m, north_m = patch.east_m + at_m[0], patch.north_m + at_m[1]
    columns, rows = np.meshgrid(np.arange(64) - 31.5, np.arange(64) - 31.5)
    smooth = cv2.GaussianBlur(picture, (0, 0), 1.5)
    expected = cv2.remap(
        smooth,
        (399.5 + 2.0 * (east_m + columns)).astype(np.float32),
        (399.5 - 2.0 * (north_m - rows)).astype(np.float32),
        cv2.INTER_LINEAR,
    )
    window = cv2.createHanningWindow((64, 64), cv2.CV_32F) * patch.valid
    greys = [
        cv2.cvtColor(each, cv2.COLOR_RGB2GRAY).astype(np.float32)
        for each in (expected, patch.image)
    ]
    flat = [cv2.GaussianBlur(g, (0, 0), 1.5) - cv2.GaussianBlur(g, (0, 0), 8.0) for g in greys]
    shift, _ = cv2.phaseCorrelate(flat[0], flat[1], window.astype(np.float32))
    assert math.hypot(*shift) < 0.35
