"""A frame of any attitude to a north-up ground patch at the references' scale, and back.

Ground is a plane or what a height model says, at the height above ground that the autopilot states.
Errors of heading and scale remain and are left to verification.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from ..camera import Camera
from ..records import Attitude, Image, Mask
from .shrink import shrink
from .sight import Sight

Matrix = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]

NODE_PX = 8
"""Where a lens or a relief bends the ground, it is followed exactly at every so many pixels and
straight between; on a pinhole's plane every pixel is exact."""
_NOWHERE_PX = -1e4


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture [H, W, 3], and smaller ones of it that are made once."""

    image: Image
    _smaller: dict[int, Image] = field(default_factory=dict)

    def smaller(self, factor: int) -> Image:
        """The picture that many times smaller."""
        if factor not in self._smaller:
            self._smaller[factor] = shrink(self.image, factor)
        return self._smaller[factor]

    def factor(self, steps_px: Matrix) -> int:
        """By how much [2, 2] steps of one patch pixel in it allow it to be smaller."""
        factor = int(np.sqrt(abs(np.linalg.det(steps_px))))
        return factor if 1 < factor <= min(self.image.shape[:2]) else 1


@dataclass(frozen=True)
class Patch:
    """A square of ground, north up, and where its centre lies from the vehicle.

    `image` [S, S, 3], `valid` [S, S]; `east_m`, `north_m` of the patch centre against the point of
    the ground below the vehicle. `sight` leads from its ground to the frame it was cut from.
    """

    image: Image
    valid: Mask
    gsd_m: float
    east_m: float
    north_m: float
    sight: Sight | None = None

    @property
    def valid_fraction(self) -> float:
        """Part of the square that the frame shows."""
        return np.count_nonzero(self.valid) / self.valid.size

    def ground_m(self, patch_px: npt.ArrayLike) -> Matrix:
        """[N, 2] columns and rows of the patch to [N, 2] metres east and north of the vehicle."""
        points = np.asarray(patch_px, float).reshape(-1, 2)
        middle = (len(self.image) - 1) / 2.0
        centre_m = np.array([self.east_m, self.north_m])
        return np.asarray(centre_m + (points - middle) * [self.gsd_m, -self.gsd_m])

    def frame_px(self, patch_px: npt.ArrayLike) -> Matrix:
        """[N, 2] columns and rows of the patch to [N, 2] of the frame as the camera gave it; NaN
        where the camera does not look.

        Raises:
            ValueError: the patch was not cut from a frame.
        """
        if self.sight is None:
            raise ValueError("the patch was not cut from a frame")
        return self.sight.frame_px(self.ground_m(patch_px))


def rectify(
    image: Image,
    camera: Camera,
    attitude: Attitude,
    height_agl_m: float,
    footprint_m: float,
    gsd_m: float,
) -> Patch | None:
    """The flat ground in the middle of a picture; None where it shows no ground."""
    return lay(Picture(image), Sight.above(camera, attitude, height_agl_m), footprint_m, gsd_m)


def lay(picture: Picture, sight: Sight, footprint_m: float, gsd_m: float) -> Patch | None:
    """Warp the ground around the middle of a frame; None where it shows nothing of that square.

    `picture` is the frame as the camera gave it, not undistorted.
    """
    centre = sight.centre_m
    if centre is None:
        return None
    size_px = max(8, round(footprint_m / gsd_m))
    ground_from_patch = north_up_grid(*centre, size_px, gsd_m)
    from_ground = sight.homography()
    if from_ground is None:
        image, valid = _follow(picture, sight, ground_from_patch, size_px)
    else:
        image, valid = _plane(picture, from_ground @ ground_from_patch, size_px)
    if not valid.any():
        return None
    return Patch(image, valid, gsd_m, *centre, sight)


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


def _plane(picture: Picture, pixel_from_patch: Matrix, size_px: int) -> tuple[Image, Mask]:
    """The picture of a pinhole over a plane; ground behind the camera is not valid."""
    image, valid = warp(picture, pixel_from_patch, size_px)
    last = size_px - 1.0
    corners = np.array([[0, 0, 1], [last, 0, 1], [0, last, 1], [last, last, 1.0]])
    if np.all(corners @ pixel_from_patch[2] > 1e-9):
        return image, valid
    per_column, per_row, rest = pixel_from_patch[2]
    along = np.arange(size_px)
    behind = along * per_column + (along * per_row)[:, None] + rest <= 1e-9
    image[behind], valid[behind] = 0, 0
    return image, valid


def _follow(
    picture: Picture, sight: Sight, ground_from_patch: Matrix, size_px: int
) -> tuple[Image, Mask]:
    """The picture through any lens over any relief, followed at the nodes of a grid."""
    count = -(-size_px // NODE_PX) + 2
    nodes = (np.arange(count) - 0.5) * NODE_PX - 0.5  # one before the first pixel, one behind
    columns, rows = np.meshgrid(nodes, nodes)
    at = np.column_stack([columns.ravel(), rows.ravel(), np.ones(count * count)])
    found = sight.frame_px((at @ ground_from_patch.T)[:, :2]).reshape(count, count, 2)
    seen = np.isfinite(found[..., 0]).astype(np.float32)
    exact = np.nan_to_num(found, nan=_NOWHERE_PX).astype(np.float32)
    column, row = (_between(exact[..., axis], size_px) for axis in (0, 1))
    return _sample(picture, column, row, _between(seen, size_px) >= 1.0)


def _between(at_nodes: Plane, size_px: int) -> Plane:
    """[C, C] at the nodes to [S, S] at the pixels, bilinear."""
    side_px = len(at_nodes) * NODE_PX
    whole = cv2.resize(at_nodes, (side_px, side_px), interpolation=cv2.INTER_LINEAR)
    inner = slice(NODE_PX, NODE_PX + size_px)
    return np.asarray(whole[inner, inner], np.float32)


def _sample(
    picture: Picture, column: Plane, row: Plane, sure: npt.NDArray[np.bool_]
) -> tuple[Image, Mask]:
    """The picture at [S, S] columns and rows of it, valid where that is sure and inside."""
    height, width = picture.image.shape[:2]
    inside = (column >= 0) & (column <= width - 1) & (row >= 0) & (row <= height - 1)
    valid = (sure & inside).astype(np.uint8)
    at = len(column) // 2
    steps = [
        [float(v[i, j] - v[at, at]) for v in (column, row)] for i, j in ((at, at + 1), (at + 1, at))
    ]
    factor = picture.factor(np.array(steps))
    if factor > 1:
        column, row = (
            (v + np.float32(0.5)) / np.float32(factor) - np.float32(0.5) for v in (column, row)
        )
    edge = cv2.BORDER_REPLICATE  # a pixel is valid up to its middle, and its outer half is nowhere
    image = cv2.remap(picture.smaller(factor), column, row, cv2.INTER_LINEAR, borderMode=edge)
    return np.asarray(cv2.bitwise_and(image, image, mask=valid), np.uint8), valid


def warp(picture: Picture, pixel_from_patch: Matrix, size_px: int) -> tuple[Image, Mask]:
    """[S, S, 3] image and [S, S] mask; from a smaller picture where it is much finer."""
    image, pixel_from_patch = _shrink(picture, pixel_from_patch, size_px)
    valid = _whole(*image.shape[:2])
    inverse = cv2.WARP_INVERSE_MAP
    square = (size_px, size_px)
    seen = cv2.warpPerspective(image, pixel_from_patch, square, flags=cv2.INTER_LINEAR | inverse)
    mask = cv2.warpPerspective(valid, pixel_from_patch, square, flags=cv2.INTER_NEAREST | inverse)
    return np.asarray(seen, np.uint8), np.asarray(mask, np.uint8)


@lru_cache(maxsize=8)
def _whole(height_px: int, width_px: int) -> Mask:
    """[H, W] of a picture that is valid all over; the same for every warp of it."""
    return np.ones((height_px, width_px), np.uint8)


def _shrink(picture: Picture, pixel_from_patch: Matrix, size_px: int) -> tuple[Image, Matrix]:
    middle = np.array([size_px / 2.0, size_px / 2.0])
    steps = middle + np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    at = np.column_stack([steps, np.ones(3)]) @ pixel_from_patch.T
    at = at[:, :2] / at[:, 2:]
    factor = picture.factor(at[1:] - at[0])
    if factor == 1:
        return picture.image, pixel_from_patch
    offset = 0.5 / factor - 0.5
    small_from_full = np.array([[1 / factor, 0, offset], [0, 1 / factor, offset], [0, 0, 1]])
    return picture.smaller(factor), small_from_full @ pixel_from_patch


def crop(patch: Patch, footprint_m: float, east: int, north: int) -> Patch:
    """The square in the middle (0, 0) of a patch, or at its eastern (1) or western (-1), northern
    (1) or southern (-1) edge; of the patch's parity, so that the middle has the patch's centre."""
    size_px = patch.image.shape[0]
    side_px = min(size_px, round(footprint_m / patch.gsd_m))
    margin = (size_px - side_px) // 2
    side_px = size_px - 2 * margin
    top, left = margin * (1 - north), margin * (1 + east)
    inside = slice(top, top + side_px), slice(left, left + side_px)
    return replace(
        patch,
        image=patch.image[inside],
        valid=patch.valid[inside],
        east_m=patch.east_m + east * margin * patch.gsd_m,
        north_m=patch.north_m + north * margin * patch.gsd_m,
    )
