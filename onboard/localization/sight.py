"""Where a camera above ground sees what: metres of ground to pixels of the frame and back.

Ground coordinates are metres east and north of the vehicle, heights are above the ground below it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..camera import Camera, rotation
from ..records import Attitude

Floats = npt.NDArray[np.float64]

MAX_LOOK_DEG = 65.0
"""A camera that looks flatter than this, off straight down, is taken at this: the ground beyond is
too coarse to be compared."""
_HALVINGS = 20
"""Of a ray's way between camera and lowest ground: a kilometre to a millimetre."""


class Relief(Protocol):
    """The ground around a place, against the ground at that place."""

    @property
    def lowest_m(self) -> float:
        """The lowest ground that there is, on the scale of `up_m`."""

    def up_m(self, ground_m: Floats) -> Floats:
        """[N, 2] metres east and north to [N] metres above the ground at (0, 0)."""


@dataclass(frozen=True, eq=False)
class Sight:
    """One view of the ground.

    `camera_m` [3] is where the camera is: metres east and north of the vehicle, and above the
    ground below it. Without a relief the ground is a plane.
    """

    camera: Camera
    enu_from_camera: Floats
    camera_m: Floats
    relief: Relief | None = None

    @classmethod
    def above(cls, camera: Camera, attitude: Attitude, height_agl_m: float) -> Sight:
        """A camera at the vehicle's own place, over a plane."""
        return cls(camera, camera.enu_from_camera(attitude), np.array([0.0, 0.0, height_agl_m]))

    def turned(self, heading_deg: float) -> Sight:
        """The same with the whole vehicle turned clockwise."""
        turn = rotation(0.0, 0.0, -heading_deg)  # about up, which is against down
        return replace(
            self,
            enu_from_camera=np.asarray(turn @ self.enu_from_camera),
            camera_m=np.asarray(turn @ self.camera_m),
        )

    def homography(self) -> Floats | None:
        """[3, 3] frame pixels from metres of ground, kept in sign; None where no plane is seen
        through a pinhole."""
        if self.relief is not None or not self.camera.is_straight:
            return None
        ground = np.column_stack([np.eye(3)[:, :2], -self.camera_m])
        return np.asarray(self.camera.matrix @ self.enu_from_camera.T @ ground)

    @cached_property
    def centre_m(self) -> tuple[float, float] | None:
        """Metres east and north of the vehicle of the ground in the middle of the frame, or as far
        out as `MAX_LOOK_DEG` allows; None straight up."""
        east, north, up = self.enu_from_camera @ self.camera.middle_ray
        flat = math.hypot(east, north)
        if -up < flat / math.tan(math.radians(MAX_LOOK_DEG)):
            if flat < 1e-9:
                return None
            reach = math.tan(math.radians(MAX_LOOK_DEG)) / flat
            east, north, up = east * reach, north * reach, -1.0
        at_m = self._fall(np.array([[east, north, up]]))[0]
        return float(at_m[0]), float(at_m[1])

    def frame_px(self, ground_m: npt.ArrayLike) -> Floats:
        """[N, 2] metres of ground to [N, 2] pixels as the camera gives them; NaN where it does not
        look. What stands between ground and camera hides nothing."""
        ground = np.asarray(ground_m, float).reshape(-1, 2)
        up = np.zeros(len(ground)) if self.relief is None else self.relief.up_m(ground)
        rays = (np.column_stack([ground, up]) - self.camera_m) @ self.enu_from_camera
        return self.camera.seen_px(rays)

    def ground_m(self, frame_px: npt.ArrayLike) -> Floats:
        """[N, 2] pixels of the frame to [N, 2] metres of ground; NaN above the horizon."""
        return self._fall(self.camera.rays(frame_px) @ self.enu_from_camera.T)

    def _fall(self, rays: Floats) -> Floats:
        """[N, 3] directions from the camera to [N, 2] where they meet the ground."""
        down = np.where(rays[:, 2] < -1e-6, -rays[:, 2], np.nan)[:, None]
        slopes = rays[:, :2] / down

        def at(up_m: Floats) -> Floats:
            return np.asarray(self.camera_m[:2] + slopes * (self.camera_m[2] - up_m)[:, None])

        if self.relief is None:
            return at(np.zeros(len(rays)))
        above = np.full(len(rays), self.camera_m[2])
        below = np.full(len(rays), min(self.relief.lowest_m, self.camera_m[2]))
        for _ in range(_HALVINGS):
            between = (above + below) / 2.0
            is_air = self.relief.up_m(at(between)) < between
            above, below = np.where(is_air, between, above), np.where(is_air, below, between)
        return at(below)
