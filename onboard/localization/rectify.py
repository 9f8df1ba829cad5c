"""A frame of any attitude to a north-up ground patch at the references' scale.

Flat ground is assumed at the height the autopilot states; `heading` and scale errors remain and are
left to verification.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..camera import Camera
from ..records import Attitude, Image, Mask

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Patch:
    """A square of ground, north up, and where its centre lies from the vehicle.

    `image` [S, S, 3], `valid` [S, S]; `east_m`, `north_m` of the patch centre against the point of
    the ground below the vehicle.
    """

    image: Image
    valid: Mask
    gsd_m: float
    east_m: float
    north_m: float

    @property
    def valid_fraction(self) -> float:
        """Part of the square that the frame shows."""
        return float(self.valid.mean())


def rectify(
    image: Image,
    camera: Camera,
    attitude: Attitude,
    height_agl_m: float,
    footprint_m: float,
    gsd_m: float,
) -> Patch | None:
    """Warp the ground around the middle of an undistorted picture; None above the horizon."""
    pixel_from_ground = camera.pixel_from_ground(attitude, height_agl_m)
    centre = ground_point(camera, attitude, height_agl_m)
    if centre is None:
        return None
    size_px = max(8, round(footprint_m / gsd_m))
    ground_from_patch = north_up_grid(*centre, size_px, gsd_m)
    pixel_from_patch = pixel_from_ground @ ground_from_patch
    if not _all_in_front(pixel_from_patch, size_px):
        return None
    picture, valid = warp(image, pixel_from_patch, size_px)
    return Patch(picture, valid, gsd_m, *centre)


def ground_point(
    camera: Camera, attitude: Attitude, height_agl_m: float
) -> tuple[float, float] | None:
    """Metres east and north of the vehicle of the ground in the middle of the picture."""
    middle = np.array([(camera.width_px - 1) / 2.0, (camera.height_px - 1) / 2.0, 1.0])
    ray = camera.enu_from_camera(attitude) @ np.linalg.solve(camera.matrix, middle)
    if ray[2] >= -1e-6:
        return None
    reach = height_agl_m / -ray[2]
    return float(ray[0] * reach), float(ray[1] * reach)


def north_up_grid(east_m: float, north_m: float, size_px: int, gsd_m: float) -> Matrix:
    """[3, 3] ground metres from pixels of a north-up square with this centre."""
    half = (size_px - 1) / 2.0
    return np.array(
        [
            [gsd_m, 0.0, east_m - half * gsd_m],
            [0.0, -gsd_m, north_m + half * gsd_m],
            [0.0, 0.0, 1.0],
        ]
    )


def warp(image: Image, pixel_from_patch: Matrix, size_px: int) -> tuple[Image, Mask]:
    """[S, S, 3] picture and [S, S] mask; shrinks the picture first where it is much finer."""
    image, pixel_from_patch = _shrink(image, pixel_from_patch, size_px)
    valid = np.ones(image.shape[:2], np.uint8)
    inverse = cv2.WARP_INVERSE_MAP
    square = (size_px, size_px)
    picture = cv2.warpPerspective(image, pixel_from_patch, square, flags=cv2.INTER_LINEAR | inverse)
    mask = cv2.warpPerspective(valid, pixel_from_patch, square, flags=cv2.INTER_NEAREST | inverse)
    return np.asarray(picture, np.uint8), np.asarray(mask, np.uint8)


def _shrink(image: Image, pixel_from_patch: Matrix, size_px: int) -> tuple[Image, Matrix]:
    middle = np.array([size_px / 2.0, size_px / 2.0])
    steps = middle + np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    at = np.column_stack([steps, np.ones(3)]) @ pixel_from_patch.T
    at = at[:, :2] / at[:, 2:]
    factor = int(np.sqrt(abs(np.linalg.det(at[1:] - at[0]))))
    if factor < 2:
        return image, pixel_from_patch
    height, width = image.shape[0] // factor, image.shape[1] // factor
    if not (height and width):
        return image, pixel_from_patch
    cropped = image[: height * factor, : width * factor]
    small = cv2.resize(cropped, (width, height), interpolation=cv2.INTER_AREA)
    offset = 0.5 / factor - 0.5
    small_from_full = np.array([[1 / factor, 0, offset], [0, 1 / factor, offset], [0, 0, 1]])
    return np.asarray(small, np.uint8), small_from_full @ pixel_from_patch


def _all_in_front(pixel_from_patch: Matrix, size_px: int) -> bool:
    last = size_px - 1.0
    corners = np.array([[0, 0, 1], [last, 0, 1], [0, last, 1], [last, last, 1.0]])
    return bool(np.all(corners @ pixel_from_patch[2] > 1e-9))


def crop_centre(patch: Patch, footprint_m: float) -> Patch:
    """The middle of a patch; of the patch's parity, so that both have the same centre."""
    size_px = patch.image.shape[0]
    side_px = min(size_px, round(footprint_m / patch.gsd_m))
    margin = (size_px - side_px) // 2
    inner = slice(margin, size_px - margin)
    image, valid = patch.image[inner, inner], patch.valid[inner, inner]
    return Patch(image, valid, patch.gsd_m, patch.east_m, patch.north_m)
