"""The camera: intrinsics, distortion, mount; pixels to rays, ground to pixels.

Camera axes are x right, y down, z along the optical axis; (0, 0) is the centre of the top left
pixel. Body axes are forward, right, down. With the default mount (pitch -90) the camera looks
straight down and the top of the picture is the front of the vehicle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from . import fisheye
from .records import Attitude, Image, Mask

Matrix = npt.NDArray[np.float64]
Lens = Literal["pinhole", "fisheye"]
"""What `distortion` bends: a pinhole's picture, or the angles of an equidistant lens."""

_STEPS, _EXACT_PX = 12, 1e-6
"""Towards the direction that a lens bends into a pixel, and how near is near enough."""
_NEAR_PX, _FARTHEST = 0.1, 1e3
"""Not this near after all steps, nothing is bent there; and how far off the axis one searches."""
_ANGLES = 4000
_NED_FROM_ENU: Matrix = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
_BODY_FROM_FORWARD_CAMERA: Matrix = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def rotation(roll_deg: float, pitch_deg: float, yaw_deg: float) -> Matrix:
    """[3, 3] parent_from_child of the aerospace sequence yaw, pitch, roll (degrees)."""
    r, p, y = math.radians(roll_deg), math.radians(pitch_deg), math.radians(yaw_deg)
    cr, sr, cp, sp, cy, sy = (
        math.cos(r),
        math.sin(r),
        math.cos(p),
        math.sin(p),
        math.cos(y),
        math.sin(y),
    )
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def enu_from_body(attitude: Attitude) -> Matrix:
    """[3, 3] rotation from body axes to east, north, up."""
    ned_from_body = rotation(attitude.roll_deg, attitude.pitch_deg, attitude.heading_deg)
    return np.asarray(_NED_FROM_ENU.T @ ned_from_body)


def enu_from_gimbal(gimbal: Attitude) -> Matrix:
    """[3, 3] rotation from camera axes to east, north, up, by the camera's own attitude."""
    return np.asarray(enu_from_body(gimbal) @ _BODY_FROM_FORWARD_CAMERA)


@dataclass(frozen=True)
class Mount:
    """How the camera sits on the vehicle: angles as a gimbal reports them, -90 pitch looks down.

    `forward_m`, `right_m`, `down_m` lead from the point whose position the autopilot estimates to
    the camera, in body axes. On a `gimbal` the angles come with the telemetry instead.
    """

    roll_deg: float = 0.0
    pitch_deg: float = -90.0
    yaw_deg: float = 0.0
    forward_m: float = 0.0
    right_m: float = 0.0
    down_m: float = 0.0
    gimbal: bool = False

    @cached_property
    def body_from_camera(self) -> Matrix:
        """[3, 3] rotation from camera axes to body axes."""
        turn = rotation(self.roll_deg, self.pitch_deg, self.yaw_deg)
        return np.asarray(turn @ _BODY_FROM_FORWARD_CAMERA)

    @cached_property
    def lever_m(self) -> Matrix:
        """[3] metres forward, right and down from the autopilot's point to the camera."""
        return np.array([self.forward_m, self.right_m, self.down_m])


@dataclass(frozen=True)
class Camera:
    """Intrinsics in pixels, distortion, and the mount.

    Distortion is in OpenCV's order: k1 k2 p1 p2 k3 and so on for a pinhole, k1 k2 k3 k4 for a
    fisheye lens.
    """

    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    distortion: tuple[float, ...] = ()
    mount: Mount = Mount()
    lens: Lens = "pinhole"

    @classmethod
    def from_hfov(
        cls, width_px: int, height_px: int, hfov_deg: float, mount: Mount | None = None
    ) -> Camera:
        """A pinhole camera with square pixels and the given horizontal field of view."""
        f_px = width_px / (2.0 * math.tan(math.radians(hfov_deg) / 2.0))
        centre = ((width_px - 1) / 2.0, (height_px - 1) / 2.0)
        return cls(width_px, height_px, f_px, f_px, *centre, mount=mount or Mount())

    @cached_property
    def matrix(self) -> Matrix:
        """[3, 3] pixel_from_camera."""
        return np.array(
            [
                [self.fx_px, 0.0, self.cx_px],
                [0.0, self.fy_px, self.cy_px],
                [0.0, 0.0, 1.0],
            ]
        )

    @cached_property
    def middle_ray(self) -> Matrix:
        """[3] unit direction in camera axes of the middle of the picture."""
        middle_px = (self.width_px - 1) / 2.0, (self.height_px - 1) / 2.0
        return np.asarray(self.rays(middle_px)[0])

    def enu_from_camera(self, attitude: Attitude) -> Matrix:
        """[3, 3] rotation from camera axes to east, north, up, of a camera that is fixed."""
        return np.asarray(enu_from_body(attitude) @ self.mount.body_from_camera)

    def pixel_from_ground(self, attitude: Attitude, height_agl_m: float) -> Matrix:
        """[3, 3] homography from flat ground, metres (east, north, 1) of the camera, to pixels.

        The sign is kept, so a homogeneous third coordinate is positive in front of the camera.
        """
        camera_from_enu = self.enu_from_camera(attitude).T
        ground = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -height_agl_m]])
        return np.asarray(self.matrix @ camera_from_enu @ ground)

    @property
    def is_straight(self) -> bool:
        """Whether straight lines stay straight: a pinhole without distortion."""
        return self.lens == "pinhole" and not self.distortion

    def rays(self, pixels: npt.ArrayLike) -> Matrix:
        """[N, 2] pixels of the picture to [N, 3] unit directions in camera axes; NaN where the
        polynomials of a lens reach no such pixel."""
        points = np.asarray(pixels, float).reshape(-1, 2)
        flat = (points - [self.cx_px, self.cy_px]) / [self.fx_px, self.fy_px]
        if self.lens == "fisheye":
            directions = fisheye.rays(flat, self.distortion)
        else:
            if self.distortion:
                flat = _straightened(points, self.matrix, np.asarray(self.distortion))
            directions = np.column_stack([flat, np.ones(len(flat))])
            directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        if self.distortion:
            directions[directions[:, 2] < math.cos(_fold(self))] = np.nan
        return directions

    def pixels(self, rays: npt.ArrayLike) -> Matrix:
        """[N, 3] directions in front of the camera to [N, 2] pixels of the picture."""
        points = np.asarray(rays, float).reshape(-1, 3)
        if self.lens == "fisheye":
            flat = fisheye.flat(points, self.distortion)
        elif self.is_straight:
            flat = points[:, :2] / points[:, 2:]
        else:
            none, bent = np.zeros(3), np.asarray(self.distortion)
            found, _ = cv2.projectPoints(points[:, None], none, none, self.matrix, bent)
            return np.asarray(found, float).reshape(-1, 2)
        return np.asarray(flat * [self.fx_px, self.fy_px] + [self.cx_px, self.cy_px])

    def seen_px(self, rays: npt.ArrayLike) -> Matrix:
        """[N, 3] any directions to [N, 2] pixels, NaN where the lens does not look.

        Behind the camera, and beyond the outermost ray of the picture, where the polynomials of a
        lens would fold back into it. A pixel may lie outside of the picture.
        """
        points = np.asarray(rays, float).reshape(-1, 3)
        found = np.full((len(points), 2), np.nan)
        along = points[:, 2] / np.maximum(np.linalg.norm(points, axis=1), 1e-12)
        seen = along > _outermost(self)
        if seen.any():
            found[seen] = self.pixels(points[seen])
        return found

    def undistort(self, image: Image) -> Image:
        """The picture as the same camera without distortion would have taken it."""
        if self.is_straight:
            return image
        straight = cv2.remap(image, *_straight_from(self), cv2.INTER_LINEAR)
        return np.asarray(straight, np.uint8)

    def undistorted_valid(self) -> Mask:
        """[H, W] 1 where `undistort` shows something: a lens may not look into the corners."""
        whole = np.ones((self.height_px, self.width_px), np.uint8)
        return self.undistort(whole)


def _straightened(points: Matrix, matrix: Matrix, distortion: Matrix) -> Matrix:
    """[N, 2] pixels to [N, 2] on the plane at distance 1, without distortion.

    OpenCV's own five steps leave a tenth of a pixel at the corners of a wide lens, and diverge at
    those of a strong one: Newton's go on from there. NaN where none leads to a pixel.
    """
    flat = np.asarray(cv2.undistortPoints(points[:, None], matrix, distortion), float)
    flat = np.clip(np.nan_to_num(flat.reshape(-1, 2)), -_FARTHEST, _FARTHEST)
    none, off_px = np.zeros(3), np.zeros_like(points)
    for _ in range(_STEPS):
        directions = np.column_stack([flat, np.ones(len(flat))])
        found, slopes = cv2.projectPoints(directions[:, None], none, none, matrix, distortion)
        off_px = points - np.asarray(found, float).reshape(-1, 2)
        if not np.abs(off_px).max(initial=0.0) > _EXACT_PX:
            break
        moved = np.asarray(slopes, float).reshape(len(points), 2, -1)[:, :, 3:5]  # by the position
        moved = np.nan_to_num(moved, posinf=0.0, neginf=0.0)
        step = np.linalg.pinv(moved) @ off_px[..., None]
        flat = np.clip(flat + step[..., 0], -_FARTHEST, _FARTHEST)
    is_near = np.all(np.abs(off_px) <= _NEAR_PX, axis=1, keepdims=True)
    return np.asarray(np.where(is_near, flat, np.nan))


@lru_cache(maxsize=8)
def _outermost(camera: Camera) -> float:
    """Cosine off the optical axis that no ray of the picture exceeds."""
    if camera.is_straight:
        return 1e-6
    across, down = range(camera.width_px), range(camera.height_px)
    border = [(column, row) for row in (0, camera.height_px - 1) for column in across]
    border += [(column, row) for column in (0, camera.width_px - 1) for row in down]
    along, fold = camera.rays(border)[:, 2], _fold(camera)
    whole = np.isfinite(along).all()
    return math.cos(min(fold, 1.02 * math.acos(max(-1.0, along.min()))) if whole else fold)


@lru_cache(maxsize=8)
def _fold(camera: Camera) -> float:
    """The angle off the optical axis from where on the picture of some direction comes nearer to
    its middle again: what lies beyond would be seen twice."""
    most = math.pi if camera.lens == "fisheye" else math.pi / 2.0 - 1e-3
    angles = np.linspace(0.0, most, _ANGLES)
    nearest = most
    for azimuth in np.arange(8) * math.pi / 4.0:
        across = np.outer(np.sin(angles), [math.cos(azimuth), math.sin(azimuth)])
        found = camera.pixels(np.column_stack([across, np.cos(angles)]))
        radius = np.hypot(*((found - found[0]) / [camera.fx_px, camera.fy_px]).T)
        back = np.flatnonzero(~(np.diff(radius) > 0.0))
        nearest = min(nearest, float(angles[back[0]])) if len(back) else nearest
    return nearest


@lru_cache(maxsize=8)
def _straight_from(camera: Camera) -> tuple[cv2.typing.MatLike, cv2.typing.MatLike]:
    """Where in its picture each pixel of the undistorted one lies, as OpenCV is fastest with it."""
    pinhole = Camera(
        camera.width_px, camera.height_px, camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px
    )
    columns, rows = np.meshgrid(np.arange(camera.width_px), np.arange(camera.height_px))
    rays = pinhole.rays(np.column_stack([columns.ravel(), rows.ravel()]))
    found = camera.seen_px(rays).reshape(camera.height_px, camera.width_px, 2)
    column, row = np.moveaxis(np.nan_to_num(found, nan=-1e4).astype(np.float32), 2, 0)
    return cv2.convertMaps(column, row, cv2.CV_16SC2)
