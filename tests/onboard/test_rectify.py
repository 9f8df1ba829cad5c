from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from geobridge.onboard.camera import Camera, Mount
from geobridge.onboard.localization.rectify import Patch, Picture, crop, rectify
from geobridge.onboard.localization.shrink import shrink
from geobridge.onboard.records import Attitude, Image

Floats = npt.NDArray[np.float64]

LEVEL = Attitude(0.0, 0.0, 0.0)
WIDTH_PX, HEIGHT_PX = 240, 180

attitudes = st.builds(
    Attitude, st.floats(-15.0, 15.0), st.floats(-15.0, 15.0), st.floats(0.0, 360.0)
)
mounts = st.builds(Mount, st.floats(-5.0, 5.0), st.floats(-95.0, -80.0), st.floats(-180.0, 180.0))


def ground_seen(camera: Camera, attitude: Attitude, height_agl_m: float) -> Floats:
    """[H, W, 2] metres east and north of the vehicle of the flat ground in every pixel."""
    columns, rows = np.meshgrid(np.arange(camera.width_px), np.arange(camera.height_px))
    rays = camera.rays(np.column_stack([columns.ravel(), rows.ravel()]))
    enu = rays @ camera.enu_from_camera(attitude).T
    ground = enu[:, :2] * (height_agl_m / -enu[:, 2:])
    return ground.reshape(camera.height_px, camera.width_px, 2)


def dot_on_ground(ground_m: Floats, dot_m: npt.ArrayLike, sigma_m: float) -> Image:
    away_m = np.linalg.norm(ground_m - np.asarray(dot_m), axis=2)
    grey = 20.0 + 220.0 * np.exp(-0.5 * (away_m / sigma_m) ** 2)
    return np.repeat(grey.round().astype(np.uint8)[..., None], 3, axis=2)


def centroid_px(patch: Patch) -> Floats:
    """Row and column of the dot."""
    light = np.maximum(patch.image[..., 0].astype(float) - 60.0, 0.0) * patch.valid
    rows, columns = np.indices(light.shape)
    return np.array([(rows * light).sum(), (columns * light).sum()]) / light.sum()


def expected_px(patch: Patch, dot_m: npt.ArrayLike) -> Floats:
    east_m, north_m = np.asarray(dot_m) - (patch.east_m, patch.north_m)
    middle = (len(patch.image) - 1) / 2.0
    return np.array([middle - north_m / patch.gsd_m, middle + east_m / patch.gsd_m])


@given(
    attitude=attitudes,
    mount=mounts,
    height_agl_m=st.floats(40.0, 160.0),
    column=st.integers(90, 150),
    row=st.integers(70, 110),
)
def test_a_dot_on_the_ground_lands_at_its_metric_place(
    attitude: Attitude, mount: Mount, height_agl_m: float, column: int, row: int
) -> None:
    camera = Camera.from_hfov(WIDTH_PX, HEIGHT_PX, 70.0, mount)
    ground_m = ground_seen(camera, attitude, height_agl_m)
    dot_m, gsd_m = ground_m[row, column], height_agl_m / 100.0
    picture = dot_on_ground(ground_m, dot_m, sigma_m=3.0 * gsd_m)
    patch = rectify(picture, camera, attitude, height_agl_m, 100.0 * gsd_m, gsd_m)
    assert patch is not None
    expected = expected_px(patch, dot_m)
    assume(np.all((expected > 15.0) & (expected < len(patch.image) - 15.0)))
    assert np.abs(centroid_px(patch) - expected).max() < 1.0


def test_north_is_up_and_east_is_right_whatever_the_heading() -> None:
    camera = Camera.from_hfov(WIDTH_PX, HEIGHT_PX, 70.0)
    for heading_deg in (0.0, 90.0, 200.0, 315.0):
        attitude = Attitude(0.0, 0.0, heading_deg)
        ground_m = ground_seen(camera, attitude, 100.0)
        patch = rectify(dot_on_ground(ground_m, (20.0, 30.0), 3.0), camera, attitude, 100.0, 90, 1)
        assert patch is not None
        assert centroid_px(patch) == pytest.approx([44.5 - 30.0, 44.5 + 20.0], abs=0.3)


@given(factor=st.floats(1.0, 8.0), east_m=st.floats(-8, 8), north_m=st.floats(-8, 8))
def test_shrinking_does_not_shift(factor: float, east_m: float, north_m: float) -> None:
    camera = Camera.from_hfov(320, 320, 60.0)
    height_agl_m = camera.fx_px / factor  # a pixel of the picture sees 1 / factor metres
    ground_m = ground_seen(camera, LEVEL, height_agl_m)
    picture = dot_on_ground(ground_m, (east_m, north_m), sigma_m=2.0)
    patch = rectify(picture, camera, LEVEL, height_agl_m, 40.0, 1.0)
    assert patch is not None
    assert np.abs(centroid_px(patch) - expected_px(patch, (east_m, north_m))).max() < 0.15


@pytest.mark.parametrize("factor", [2.0, 2.7, 3.4, 4.0, 5.9, 8.0])
def test_shrinking_does_not_alias(factor: float) -> None:
    camera = Camera.from_hfov(400, 400, 60.0)
    board = (np.indices((400, 400)).sum(axis=0) % 2 * 255).astype(np.uint8)
    picture = np.repeat(board[..., None], 3, axis=2)
    patch = rectify(picture, camera, LEVEL, camera.fx_px / factor, 40.0, 1.0)
    assert patch is not None
    assert patch.image[patch.valid > 0].std() < 15.0  # the board's own is 127
    assert patch.image[patch.valid > 0].mean() == pytest.approx(127.5, abs=3.0)


def test_ground_outside_the_picture_is_not_valid() -> None:
    camera = Camera.from_hfov(WIDTH_PX, HEIGHT_PX, 70.0)
    white = np.full((HEIGHT_PX, WIDTH_PX, 3), 255, np.uint8)
    patch = rectify(white, camera, LEVEL, 100.0, 200.0, 1.0)
    assert patch is not None
    seen_m2 = (240 * 180) * (100.0 / camera.fx_px) ** 2
    assert patch.valid.sum() == pytest.approx(seen_m2, rel=0.02)
    assert not patch.image[patch.valid == 0].all(axis=1).any()


@pytest.mark.parametrize(("pitch_deg", "footprint_m"), [(60.0, 600.0), (75.0, 900.0)])
def test_beyond_the_horizon_nothing_is_valid(pitch_deg: float, footprint_m: float) -> None:
    camera = Camera.from_hfov(WIDTH_PX, HEIGHT_PX, 70.0)
    white = np.full((HEIGHT_PX, WIDTH_PX, 3), 255, np.uint8)
    patch = rectify(white, camera, Attitude(0.0, pitch_deg, 0.0), 100.0, footprint_m, 1.0)
    assert patch is not None
    behind = (np.indices(patch.valid.shape)[0] - (len(patch.valid) - 1) / 2.0) > patch.north_m
    assert behind.any()
    assert not patch.valid[behind].any()
    assert not patch.image[behind].any()
    assert 0.05 < patch.valid_fraction < 0.9


@pytest.mark.parametrize("pitch_deg", [140.0, 180.0])
def test_a_camera_that_sees_no_ground_gives_nothing(pitch_deg: float) -> None:
    camera = Camera.from_hfov(WIDTH_PX, HEIGHT_PX, 70.0)
    grey = np.full((HEIGHT_PX, WIDTH_PX, 3), 128, np.uint8)
    assert rectify(grey, camera, Attitude(0.0, pitch_deg, 0.0), 100.0, 100.0, 1.0) is None


@given(size_px=st.integers(8, 300), share=st.floats(0.1, 1.2), gsd_m=st.sampled_from([0.5, 1, 2]))
def test_the_crop_has_the_centre_of_the_patch(size_px: int, share: float, gsd_m: float) -> None:
    ramp = np.arange(size_px) - (size_px - 1) / 2.0
    image = np.zeros((size_px, size_px, 3), np.uint8)
    image[..., 0] = np.arange(size_px) % 256
    patch = Patch(image, np.ones((size_px, size_px), np.uint8), gsd_m, 3.0, -4.0)
    wanted_px = max(1, round(share * size_px))
    cropped = crop(patch, wanted_px * gsd_m, 0, 0)
    side_px = len(cropped.image)
    assert cropped.image.shape == (side_px, side_px, 3)
    assert 0 <= side_px - min(wanted_px, size_px) <= 1
    first = (size_px - side_px) // 2
    assert ramp[first : first + side_px].mean() == 0.0
    assert np.array_equal(cropped.image[0, :, 0], image[0, first : first + side_px, 0])
    assert (cropped.gsd_m, cropped.east_m, cropped.north_m) == (gsd_m, 3.0, -4.0)


def test_the_squares_around_the_middle_lie_where_they_say() -> None:
    camera, attitude = Camera.from_hfov(640, 480, 80.0), Attitude(2.0, -3.0, 40.0)
    picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    patch = rectify(picture, camera, attitude, 100.0, 100.0, 1.0)
    assert patch is not None
    for east, north in ((-1, 0), (1, 1), (0, -1)):
        square = crop(patch, 60.0, east, north)
        assert square.image.shape == (60, 60, 3)
        shown = patch.frame_px([[20.0 + 20 * east, 20.0 - 20 * north]])
        assert np.allclose(square.frame_px([[0.0, 0.0]]), shown)
        assert (square.east_m, square.north_m) == (
            patch.east_m + 20.0 * east,
            patch.north_m + 20.0 * north,
        )


@pytest.mark.parametrize("factor", range(2, 8))
def test_a_smaller_picture_is_of_the_means_of_squares(factor: int) -> None:
    sums = np.arange(255 * factor**2 + 1)
    filled = np.clip(sums[:, None] - 255 * np.arange(factor**2), 0, 255).astype(np.uint8)
    side_by_side = filled.reshape(len(sums), factor, factor).transpose(1, 0, 2)
    grey = side_by_side.reshape(factor, -1)
    image = np.dstack([grey, grey[:, ::-1], np.roll(grey, factor, axis=1)])
    image = np.vstack([image, image[:, ::-1]])
    small = Picture(image).smaller(factor)
    off = small[0, :, 0] - sums / factor**2
    if factor in (4, 6):  # rounded twice, a half up
        assert off.min() >= -0.5
        assert off.max() <= 1.0
    else:
        area = cv2.resize(image, (len(sums), 2), interpolation=cv2.INTER_AREA)
        assert np.array_equal(small, area)
        assert np.abs(off).max() <= 0.5


def test_what_is_left_at_the_edge_of_a_smaller_picture_is_left_out() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (50, 71, 3), dtype=np.uint8)
    for factor in range(1, 9):
        small = shrink(picture, factor)
        assert small.shape == (50 // factor, 71 // factor, 3)
        whole = picture[: 50 // factor * factor, : 71 // factor * factor]
        assert np.array_equal(small, shrink(whole, factor))
        assert np.array_equal(small[..., 1], shrink(picture[..., 1], factor))
