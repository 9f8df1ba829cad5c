"""Is the frame worth looking at, and what ground does it show?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..camera import Camera, enu_from_body, enu_from_gimbal
from ..config import LocalizerConfig, PrepareConfig
from ..records import Attitude, Frame, Image, Reason, Rejection, Telemetry
from ..terrain import Relief
from .doubt import AS_TOLD, Hypothesis, hypotheses
from .health import picture_problem
from .rectify import Matrix, Patch, Picture, crop, lay
from .sight import Sight
from .told import MIN_HEIGHT_AGL_M, Below, height, turned

AROUND = tuple((east, north) for north in (1, 0, -1) for east in (-1, 0, 1) if east or north)
"""Where in a patch the footprints around its middle lie, east and north."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A picture, as the camera gave it, with what is known and what is not about the vehicle.

    `gimbal` is the camera's own attitude where it is not fixed to the vehicle. `hypotheses` are
    what may be true instead of attitude and height, the most likely first, and `AS_TOLD` alone
    where verification finds what is left. `added_accuracy_m` (1-sigma per axis) is how much
    farther off the vehicle may be than with a known attitude.
    """

    image: Image
    camera: Camera
    attitude: Attitude
    height_agl_m: float
    gimbal: Attitude | None = None
    relief: Relief | None = None
    hypotheses: tuple[Hypothesis, ...] = (AS_TOLD,)
    added_accuracy_m: float = 0.0

    @cached_property
    def _picture(self) -> Picture:
        return Picture(self.image)

    @cached_property
    def enu_from_camera(self) -> Matrix:
        """[3, 3] rotation from camera axes to east, north, up, as told."""
        if self.gimbal is not None:
            return enu_from_gimbal(self.gimbal)
        return self.camera.enu_from_camera(self.attitude)

    @cached_property
    def _lever_m(self) -> Matrix:
        """[3] metres east, north and up from the vehicle to the camera, as told."""
        return np.asarray(enu_from_body(self.attitude) @ self.camera.mount.lever_m)

    def sight(self, heading_error_deg: float = 0.0, scale: float = 0.0) -> Sight:
        """Where the camera sees what, under a hypothesis about heading and height."""
        sight = self._as_told if scale == 0.0 else self._from_height(1.0 + scale)
        return sight.turned(-heading_error_deg) if heading_error_deg else sight

    @cached_property
    def _as_told(self) -> Sight:
        return self._from_height(1.0)

    def _from_height(self, share: float) -> Sight:
        camera_m = self._lever_m + np.array([0.0, 0.0, self.height_agl_m * share])
        camera_m[2] = max(camera_m[2], MIN_HEIGHT_AGL_M)
        return Sight(self.camera, self.enu_from_camera, camera_m, self.relief)

    def rectify(
        self, footprint_m: float, gsd_m: float, heading_error_deg: float = 0.0, scale: float = 0.0
    ) -> Patch | None:
        """The ground under a hypothesis: the heading is so much less than told, the height so
        much of itself more. None where the frame shows no ground."""
        return lay(self._picture, self.sight(heading_error_deg, scale), footprint_m, gsd_m)


def prepare(
    frame: Frame,
    telemetry: Telemetry,
    camera: Camera,
    config: PrepareConfig,
    below: Below | None = None,
) -> Prepared | Rejection:
    """Check picture and trusted telemetry; the first thing wrong is the reason."""

    def reject(reason: Reason, detail: str) -> Rejection:
        return Rejection(frame.t_capture_ns, reason, detail)

    size_px = camera.width_px, camera.height_px
    problem = picture_problem(frame, *size_px, config.min_contrast)
    if problem is not None:
        return reject(*problem)
    age_s = abs(frame.t_capture_ns - telemetry.t_ns) * 1e-9
    if not age_s <= config.max_telemetry_age_s:
        return reject(Reason.STALE_TELEMETRY, f"telemetry is {age_s:.2f} s off the exposure")
    turn = turned(telemetry, camera, config)
    if turn is None:
        whose = "gimbal attitude" if camera.mount.gimbal else "attitude"
        return reject(Reason.NO_ATTITUDE, f"no {whose} at the exposure")
    high = height(telemetry, config, below)
    if isinstance(high, str):
        return reject(Reason.NO_HEIGHT, high)
    relief = below.terrain.around(*below.at_m) if below and below.at_m else None
    ready = Prepared(
        frame.image,
        camera,
        turn.attitude,
        high.agl_m,
        turn.gimbal,
        relief,
        hypotheses(turn.heading_accuracy_deg, high.ratio),
        high.agl_m * math.tan(math.radians(turn.tilt_accuracy_deg)),
    )
    tilt_deg = off_nadir_deg(ready.enu_from_camera)
    if not tilt_deg <= config.max_tilt_deg:
        return reject(
            Reason.TILTED, f"camera {tilt_deg:.0f} deg off nadir, {config.max_tilt_deg:g} allowed"
        )
    return ready


def upright(frame: Frame, camera: Camera, config: PrepareConfig) -> Image | Rejection:
    """The undistorted picture itself, where there is nothing to flatten: of a camera that looks
    ahead, as street pictures do."""
    size_px = camera.width_px, camera.height_px
    problem = picture_problem(frame, *size_px, config.min_contrast)
    if problem is not None:
        return Rejection(frame.t_capture_ns, *problem)
    return camera.undistort(frame.image)


def ground(
    t_ns: int,
    prepared: Prepared,
    footprint_m: float,
    gsd_m: float,
    config: LocalizerConfig,
    hypothesis: Hypothesis = AS_TOLD,
) -> tuple[Patch, list[Patch]] | Rejection:
    """The patch of ground that is aligned with the imagery, and the footprints in it that are
    encoded: the one in its middle, and those around it where they are asked for."""
    supposed = hypothesis.heading_offset_deg, hypothesis.scale
    patch = prepared.rectify(footprint_m * config.verify.footprint_ratio, gsd_m, *supposed)
    if patch is None:
        return Rejection(t_ns, Reason.TOO_LITTLE_GROUND, "no ground in the picture")
    squares = [crop(patch, footprint_m, 0, 0)]
    if config.retrieve.around and len(squares[0].image) < len(patch.image):
        squares += [crop(patch, footprint_m, *place) for place in AROUND]
    needed = config.prepare.min_valid_fraction
    seen = [square for square in squares if square.valid_fraction >= needed]
    if not seen:
        detail = f"{squares[0].valid_fraction:.0%} of the footprint seen, {needed:.0%} needed"
        return Rejection(t_ns, Reason.TOO_LITTLE_GROUND, detail)
    return patch, seen


def off_nadir_deg(enu_from_camera: Matrix) -> float:
    """Angle between the optical axis and straight down."""
    down = -float(enu_from_camera[2, 2])
    return math.degrees(math.acos(max(-1.0, min(1.0, down))))
