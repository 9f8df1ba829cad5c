"""An earlier flight as imagery: every picture laid on the ground below it, north up.

The ground is taken as flat below each picture, at the height the telemetry states, as in flight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from geobridge.onboard.camera import Camera
from geobridge.onboard.errors import DataError
from geobridge.onboard.frames.picture import read_picture, size_of
from geobridge.onboard.geodesy import MAX_RADIUS_M, Floats, LocalFrame
from geobridge.onboard.localization.rectify import Picture, ground_point, north_up_grid, warp
from geobridge.onboard.records import Attitude, Image, Mask
from geobridge.training.rasters.warp import nothing

MAX_TILT_DEG = 40.0
"""Pictures that look farther from straight down are left out."""
CACHED = 6


@dataclass(frozen=True)
class Shot:
    """One picture of a flight and where the camera was."""

    path: Path
    lat_deg: float
    lon_deg: float
    attitude: Attitude
    height_agl_m: float
    camera: Camera

    @property
    def tilt_deg(self) -> float:
        """Between the optical axis and straight down."""
        down = -float(self.camera.enu_from_camera(self.attitude)[2, 2])
        return math.degrees(math.acos(max(-1.0, min(1.0, down))))

    @property
    def sees_no_horizon(self) -> bool:
        """Whether all of the picture is ground, once it is undistorted."""
        enu_from_pixel = self.camera.enu_from_camera(self.attitude) @ np.linalg.inv(
            self.camera.matrix
        )
        rays = _corners(self.camera.width_px, self.camera.height_px) @ enu_from_pixel.T
        return bool((rays[:, 2] < -0.05 * np.linalg.norm(rays, axis=1)).all())

    @property
    def centre_m(self) -> tuple[float, float]:
        """Metres east and north of the camera of the middle of what it shows."""
        centre = ground_point(self.camera, self.attitude, self.height_agl_m)
        assert centre is not None, "pictures that see the horizon are left out"
        return centre

    def ground_m(self) -> Floats:
        """[4, 2] metres east and north of the camera of the corners of what it shows."""
        from_pixel = np.linalg.inv(self.camera.pixel_from_ground(self.attitude, self.height_agl_m))
        at = _corners(self.camera.width_px, self.camera.height_px) @ from_pixel.T
        return np.asarray(at[:, :2] / at[:, 2:], np.float64)


def _corners(width_px: int, height_px: int) -> Floats:
    """[4, 3] homogeneous, from the upper left one clockwise."""
    right, bottom = width_px - 1.0, height_px - 1.0
    return np.array([[0, 0, 1], [right, 0, 1], [right, bottom, 1], [0, bottom, 1.0]])


def usable(shots: Sequence[Shot], where: Path) -> list[Shot]:
    """Those that look down far enough for flat ground to be true.

    Raises:
        DataError: none does.
    """
    kept = [
        shot
        for shot in shots
        if shot.tilt_deg <= MAX_TILT_DEG and shot.height_agl_m > 1.0 and shot.sees_no_horizon
    ]
    if not kept:
        raise DataError(
            f"{where}: no picture looks down within {MAX_TILT_DEG:g} degrees from above 1 m"
        )
    return kept


def outline_of(shots: Sequence[Shot]) -> tuple[Floats, Floats]:
    """Latitudes and longitudes of the corners of all pictures."""
    lat_deg, lon_deg = [], []
    for shot in shots:
        lat, lon = LocalFrame(shot.lat_deg, shot.lon_deg).to_geodetic(shot.ground_m())
        lat_deg.append(lat)
        lon_deg.append(lon)
    return np.concatenate(lat_deg), np.concatenate(lon_deg)


class FlightGround:
    """The pictures of a flight on a local plane; of several of one spot the one nearest above.

    Raises:
        DataError: one was taken farther away than the plane reaches.
    """

    def __init__(self, shots: Sequence[Shot], frame: LocalFrame, gsd_m: float) -> None:
        self.shots, self._frame, self.gsd_m = tuple(shots), frame, gsd_m
        self._at_m = frame.to_enu([s.lat_deg for s in shots], [s.lon_deg for s in shots])
        for shot, at_m in zip(shots, self._at_m, strict=True):
            if not np.hypot(*at_m) <= MAX_RADIUS_M:
                raise DataError(f"{shot.path}: taken far from all else; is its position right?")
        centres = [shot.centre_m for shot in shots]
        self._centres_m = self._at_m + np.array(centres)
        self._reach_m = np.array(
            [
                np.hypot(*(shot.ground_m() - np.asarray(centre)).T).max()
                for shot, centre in zip(shots, centres, strict=True)
            ]
        )
        self._picture = lru_cache(maxsize=CACHED)(self._read)

    def read_at(
        self, west_m: float, north_m: float, height_px: int, width_px: int
    ) -> tuple[Image, Mask]:
        """[H, W, 3] RGB and [H, W] mask with the upper left corner anywhere on the plane.

        Raises:
            DataError: a picture that cannot be read.
        """
        size_px = max(height_px, width_px)
        half_m = size_px * self.gsd_m / 2.0
        middle = np.array([west_m + half_m, north_m - half_m])
        image, valid = nothing((size_px, size_px))
        away_m = np.hypot(*(self._centres_m - middle).T)
        for row in np.argsort(away_m, kind="stable"):
            if away_m[row] > self._reach_m[row] + half_m * math.sqrt(2.0) or valid.all():
                continue
            picture, shown = self._laid(int(row), middle, size_px)
            fresh = (shown > 0) & (valid == 0)
            image[fresh], valid[fresh] = picture[fresh], 1
        return image[:height_px, :width_px], valid[:height_px, :width_px]

    def _laid(self, row: int, middle_m: Floats, size_px: int) -> tuple[Image, Mask]:
        shot = self.shots[row]
        pixel_from_ground = shot.camera.pixel_from_ground(shot.attitude, shot.height_agl_m)
        east_m, north_m = middle_m - self._at_m[row]
        pixel_from_patch = pixel_from_ground @ north_up_grid(
            float(east_m), float(north_m), size_px, self.gsd_m
        )
        if not np.all(_corners(size_px, size_px) @ pixel_from_patch[2] > 1e-9):
            # the horizon runs through it
            return nothing((size_px, size_px))
        taken, seen = self._picture(row)
        picture, shown = warp(Picture(taken), pixel_from_patch, size_px)
        inverse = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        lens = cv2.warpPerspective(seen, pixel_from_patch, (size_px, size_px), flags=inverse)
        return picture, shown & np.asarray(lens, np.uint8)

    def __reduce__(self) -> tuple[Any, ...]:
        """Without the pictures that are in memory."""
        return FlightGround, (self.shots, self._frame, self.gsd_m)

    def _read(self, row: int) -> tuple[Image, Mask]:
        """A picture without distortion, and where the lens shows something of it."""
        shot = self.shots[row]
        picture = read_picture(shot.path)
        if size_of(picture) != (shot.camera.width_px, shot.camera.height_px):
            raise DataError(
                f"{shot.path}: {picture.shape[1]}x{picture.shape[0]} px, its camera gives"
                f" {shot.camera.width_px}x{shot.camera.height_px}"
            )
        return shot.camera.undistort(picture), shot.camera.undistorted_valid()
