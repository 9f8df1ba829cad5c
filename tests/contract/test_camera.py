from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.camera import Camera, Mount, enu_from_body, rotation
from geobridge.onboard.records import Attitude

LEVEL = Attitude(0.0, 0.0, 0.0)
NADIR = Camera.from_hfov(852, 480, 73.7)

angles = st.floats(-180.0, 180.0)
tilts = st.floats(-25.0, 25.0)
metres = st.floats(-40.0, 40.0)
attitudes = st.builds(Attitude, tilts, tilts, angles)
radial = [st.floats(-0.15, 0.12), st.floats(-0.02, 0.05)]
tangential = [st.floats(-0.002, 0.002)] * 2
lenses = st.one_of(
    st.just(()),
    st.tuples(*radial, *tangential),
    st.tuples(*radial, *tangential, st.floats(-0.01, 0.01)),
)


def ground_pixel(
    camera: Camera, attitude: Attitude, height_m: float, east_m: float, north_m: float
) -> list[float]:
    """The same point by the textbook: one elementary turn after the other, then divide by depth."""

    def turn(axis: int, degrees: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        i, j = [(1, 2), (2, 0), (0, 1)][axis]
        matrix = np.eye(3)
        matrix[[i, i, j, j], [i, j, i, j]] = c, -s, s, c
        return matrix

    ned = np.array([north_m, east_m, height_m])  # the camera is the origin, the ground below it
    yaw, pitch, roll = (
        turn(2, attitude.heading_deg),
        turn(1, attitude.pitch_deg),
        turn(0, attitude.roll_deg),
    )
    forward, right, down = (yaw @ pitch @ roll).T @ ned
    x, y, z = right, -forward, down  # mounted with the picture's top to the front, looking down
    return [camera.fx_px * x / z + camera.cx_px, camera.fy_px * y / z + camera.cy_px]


def pixel(camera: Camera, attitude: Attitude, height_m: float, *ground_m: float) -> list[float]:
    u, v, w = camera.pixel_from_ground(attitude, height_m) @ [*ground_m, 1.0]
    assert w > 0
    return [u / w, v / w]


@given(attitudes, st.floats(50.0, 500.0), metres, metres)
def test_ground_to_pixel_by_hand(
    attitude: Attitude, height_m: float, east_m: float, north_m: float
) -> None:
    expected = ground_pixel(NADIR, attitude, height_m, east_m, north_m)
    assert pixel(NADIR, attitude, height_m, east_m, north_m) == pytest.approx(expected, abs=1e-6)


@given(attitudes, st.floats(50.0, 500.0), metres, metres)
def test_rays_and_the_homography_are_one_camera(
    attitude: Attitude, height_m: float, east_m: float, north_m: float
) -> None:
    at = pixel(NADIR, attitude, height_m, east_m, north_m)
    ray = NADIR.enu_from_camera(attitude) @ NADIR.rays([at])[0]
    assert ray * height_m / -ray[2] == pytest.approx([east_m, north_m, -height_m], abs=1e-6)


@given(lenses, st.floats(0.0, 851.0), st.floats(0.0, 479.0))
def test_pixel_to_ray_and_back(lens: tuple[float, ...], u_px: float, v_px: float) -> None:
    camera = Camera(852, 480, 700.0, 690.0, 430.0, 236.0, lens)
    rays = camera.rays([[u_px, v_px]])
    assert np.linalg.norm(rays, axis=1) == pytest.approx([1.0])
    assert camera.pixels(rays) == pytest.approx(np.array([[u_px, v_px]]), abs=0.05)


@given(st.tuples(*[st.floats(-0.6, 0.6)] * 2, *[st.floats(-0.01, 0.01)] * 2, st.floats(-1.0, 1.0)))
def test_no_pixel_is_seen_twice(distortion: tuple[float, ...]) -> None:
    """Of any polynomials: they fold, and what lies beyond the fold is not in the picture."""
    camera = replace(NADIR, distortion=distortion)
    grid = np.stack(np.meshgrid(np.linspace(0, 851, 13), np.linspace(0, 479, 9)), -1).reshape(-1, 2)
    rays = camera.rays(grid)
    known = np.isfinite(rays).all(axis=1)
    assert camera.pixels(rays[known]) == pytest.approx(grid[known], abs=0.2)
    angles = np.linspace(0.0, math.radians(89.0), 600)
    for azimuth in np.linspace(0.0, 2.0 * math.pi, 9):
        across = np.outer(np.sin(angles), [math.cos(azimuth), math.sin(azimuth)])
        seen = camera.seen_px(np.column_stack([across, np.cos(angles)]))
        radius = np.hypot(*(seen - seen[0]).T)
        assert not np.any(np.diff(radius[np.isfinite(radius)]) < -0.5)


def test_a_lens_that_folds_within_the_picture_has_no_corners() -> None:
    camera = replace(Camera.from_hfov(1640, 1232, 63.3), distortion=(0.17, -0.22, 0.0, 0.0, -0.61))
    rays = camera.rays([[0.0, 0.0], [1639.0, 1231.0], [0.0, 616.0], [820.0, 0.0]])
    assert np.isfinite(rays[:, 0]).tolist() == [False, False, True, True]
    beyond = [math.sin(math.radians(45.0)), 0.0, math.cos(math.radians(45.0))]
    assert np.isnan(camera.seen_px([beyond])).all()


def test_a_fisheye_has_no_rays_beyond_its_fold() -> None:
    camera = replace(
        Camera.from_hfov(1280, 960, 130.0), lens="fisheye", distortion=(-0.1, 0.0, 0.0, 0.0)
    )
    wide = replace(camera, fx_px=300.0, fy_px=300.0)
    rays = wide.rays([[640.0, 480.0], [0.0, 480.0], [0.0, 0.0]])
    assert np.isfinite(rays[:, 0]).tolist() == [True, False, False]


def test_a_strong_pincushion_reaches_its_corners() -> None:
    camera = replace(Camera.from_hfov(640, 480, 110.0), distortion=(0.35, 0.0, 0.0, 0.0))
    corners = [[0.0, 0.0], [639.0, 0.0], [639.0, 479.0], [0.0, 479.0]]
    assert camera.pixels(camera.rays(corners)) == pytest.approx(np.array(corners), abs=1e-3)


def test_the_default_mount_looks_down_with_the_front_on_top() -> None:
    assert NADIR.enu_from_camera(LEVEL) @ [0, 0, 1] == pytest.approx([0, 0, -1])
    assert NADIR.enu_from_camera(LEVEL) @ [0, -1, 0] == pytest.approx([0, 1, 0])
    assert NADIR.enu_from_camera(LEVEL) @ [1, 0, 0] == pytest.approx([1, 0, 0])


@given(angles)
def test_the_top_of_the_picture_is_the_heading(heading_deg: float) -> None:
    up = NADIR.enu_from_camera(Attitude(0.0, 0.0, heading_deg)) @ [0, -1, 0]
    heading = math.radians(heading_deg)
    assert up == pytest.approx([math.sin(heading), math.cos(heading), 0.0], abs=1e-12)


def seen_in_the_middle(attitude: Attitude, mount: Mount | None = None) -> tuple[float, float]:
    """East and north of the ground on the optical axis, 100 m below."""
    axis = Camera.from_hfov(640, 480, 60.0, mount).enu_from_camera(attitude) @ [0.0, 0.0, 1.0]
    return float(axis[0] / -axis[2] * 100.0), float(axis[1] / -axis[2] * 100.0)


@pytest.mark.parametrize(
    ("attitude", "expected"),
    [
        (Attitude(0.0, 10.0, 0.0), (0.0, 1.0)),  # nose up, flying north: looks ahead, north
        (Attitude(0.0, 10.0, 90.0), (1.0, 0.0)),  # nose up, flying east: looks ahead, east
        (Attitude(0.0, -10.0, 0.0), (0.0, -1.0)),  # nose down: looks behind
        (Attitude(10.0, 0.0, 0.0), (-1.0, 0.0)),  # right wing down: looks left, west
        (Attitude(10.0, 0.0, 180.0), (1.0, 0.0)),  # the same, flying south: left is east
    ],
)
def test_signs_of_the_attitude(attitude: Attitude, expected: tuple[float, float]) -> None:
    reach_m = 100.0 * math.tan(math.radians(10.0))
    east_m, north_m = seen_in_the_middle(attitude)
    assert (east_m / reach_m, north_m / reach_m) == pytest.approx(expected, abs=1e-9)


def test_a_camera_tilted_forward_looks_ahead() -> None:
    east_m, north_m = seen_in_the_middle(LEVEL, Mount(pitch_deg=-45.0))
    assert (east_m, north_m) == pytest.approx((0.0, 100.0))
    cancelled = seen_in_the_middle(Attitude(0.0, -45.0, 0.0), Mount(pitch_deg=-45.0))
    assert cancelled == pytest.approx((0.0, 0.0), abs=1e-9)


def test_a_camera_turned_on_its_mount_turns_the_picture() -> None:
    camera = Camera.from_hfov(640, 480, 60.0, Mount(yaw_deg=90.0))
    assert camera.enu_from_camera(LEVEL) @ [0, -1, 0] == pytest.approx([1, 0, 0])


@given(angles, st.floats(-90.0, 90.0), angles)
def test_rotations_are_rotations(roll_deg: float, pitch_deg: float, yaw_deg: float) -> None:
    for matrix in (
        rotation(roll_deg, pitch_deg, yaw_deg),
        enu_from_body(Attitude(roll_deg, pitch_deg, yaw_deg)),
        Mount(roll_deg, pitch_deg, yaw_deg).body_from_camera,
    ):
        assert matrix @ matrix.T == pytest.approx(np.eye(3), abs=1e-12)
        assert np.linalg.det(matrix) == pytest.approx(1.0)


def test_field_of_view_is_from_pixel_edge_to_pixel_edge() -> None:
    edges = NADIR.rays([[-0.5, 239.5], [851.5, 239.5]])
    angles_deg = np.degrees(np.arctan2(edges[:, 0], edges[:, 2]))
    assert angles_deg == pytest.approx([-73.7 / 2, 73.7 / 2])


def test_points_behind_the_camera_have_a_negative_third_coordinate() -> None:
    tilted = Attitude(0.0, 80.0, 0.0)
    homography = NADIR.pixel_from_ground(tilted, 100.0)
    assert (homography @ [0.0, 1000.0, 1.0])[2] > 0
    assert (homography @ [0.0, -1000.0, 1.0])[2] < 0


def test_undistorting_a_picture_follows_the_rays() -> None:
    """A dot where the lens puts a direction must land where the pinhole camera puts it."""
    lens = Camera(320, 240, 260.0, 260.0, 159.5, 119.5, (-0.2, 0.03, 0.001, -0.001))
    pinhole = Camera(320, 240, 260.0, 260.0, 159.5, 119.5)
    rows, columns = np.mgrid[:240, :320]
    for ray in ([0.3, 0.2, 1.0], [-0.45, 0.3, 1.0], [0.0, -0.4, 1.0]):
        ((u, v),), ((u0, v0),) = lens.pixels([ray]), pinhole.pixels([ray])
        dot = 250.0 * np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / (2 * 3.0**2))
        straight = lens.undistort(np.repeat(dot[..., None], 3, axis=2).astype(np.uint8))[..., 0]
        weight = straight / straight.sum()
        found = (weight * columns).sum(), (weight * rows).sum()
        assert found == pytest.approx((u0, v0), abs=0.25)
        assert math.dist((u, v), (u0, v0)) > 1.0


def test_without_distortion_the_picture_is_left_alone() -> None:
    image = np.zeros((480, 852, 3), np.uint8)
    assert NADIR.undistort(image) is image
