"""The camera: intrinsics, distortion, mount; pixels to rays, ground to pixels.

Camera axes are x right, y down, z along the optical axis; (0, 0) is the centre of the top left
pixel. Body axes are forward, right, down. With the default mount (pitch -90) the camera looks
straight down and the top of the picture is the front of the vehicle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from .records import Attitude, Image

Matrix = npt.NDArray[np.float64]

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


@dataclass(frozen=True)
class Mount:
    """How the camera sits on the vehicle: angles as a gimbal reports them, -90 pitch looks down."""

    roll_deg: float = 0.0
    pitch_deg: float = -90.0
    yaw_deg: float = 0.0

    @property
    def body_from_camera(self) -> Matrix:
        """[3, 3] rotation from camera axes to body axes."""
        turn = rotation(self.roll_deg, self.pitch_deg, self.yaw_deg)
        return np.asarray(turn @ _BODY_FROM_FORWARD_CAMERA)


@dataclass(frozen=True)
class Camera:
    """Intrinsics in pixels, distortion in OpenCV's order (k1 k2 p1 p2 k3), and the mount."""

    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    distortion: tuple[float, ...] = ()
    mount: Mount = Mount()

    @classmethod
    def from_hfov(
        cls, width_px: int, height_px: int, hfov_deg: float, mount: Mount | None = None
    ) -> Camera:
        """A pinhole camera with square pixels and the given horizontal field of view."""
        f_px = width_px / (2.0 * math.tan(math.radians(hfov_deg) / 2.0))
        centre = ((width_px - 1) / 2.0, (height_px - 1) / 2.0)
        return cls(width_px, height_px, f_px, f_px, *centre, mount=mount or Mount())

    @property
    def matrix(self) -> Matrix:
        """[3, 3] pixel_from_camera."""
        return np.array(
            [
                [self.fx_px, 0.0, self.cx_px],
                [0.0, self.fy_px, self.cy_px],
                [0.0, 0.0, 1.0],
            ]
        )

    def enu_from_camera(self, attitude: Attitude) -> Matrix:
        """[3, 3] rotation from camera axes to east, north, up."""
        return np.asarray(enu_from_body(attitude) @ self.mount.body_from_camera)

    def pixel_from_ground(self, attitude: Attitude, height_agl_m: float) -> Matrix:
        """[3, 3] homography from flat ground, metres (east, north, 1) of the camera, to pixels.

        The sign is kept, so a homogeneous third coordinate is positive in front of the camera.
        """
        camera_from_enu = self.enu_from_camera(attitude).T
        ground = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -height_agl_m]])
        return np.asarray(self.matrix @ camera_from_enu @ ground)

    def rays(self, pixels: npt.ArrayLike) -> Matrix:
        """[N, 2] distorted pixels to [N, 3] unit directions in camera axes."""
        points = np.asarray(pixels, float).reshape(-1, 1, 2)
        if self.distortion:
            flat = cv2.undistortPoints(points, self.matrix, np.asarray(self.distortion))
            flat = np.asarray(flat, float).reshape(-1, 2)
        else:
            flat = (points.reshape(-1, 2) - [self.cx_px, self.cy_px]) / [self.fx_px, self.fy_px]
        directions = np.column_stack([flat, np.ones(len(flat))])
        return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True))

    def pixels(self, rays: npt.ArrayLike) -> Matrix:
        """[N, 3] directions in front of the camera to [N, 2] distorted pixels."""
        points = np.asarray(rays, float).reshape(-1, 1, 3)
        none = np.zeros(3)
        found, _ = cv2.projectPoints(
            points, none, none, self.matrix, np.asarray(self.distortion or (0.0,) * 4)
        )
        return np.asarray(found, float).reshape(-1, 2)

    def undistort(self, image: Image) -> Image:
        """The picture as the same camera without distortion would have taken it."""
        if not self.distortion:
            return image
        straight = cv2.undistort(image, self.matrix, np.asarray(self.distortion))
        return np.asarray(straight, np.uint8)
