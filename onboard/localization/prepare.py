"""Is the frame worth looking at, and what ground does it show?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ..camera import Camera
from ..config import LocalizerConfig, PrepareConfig
from ..records import Attitude, Frame, Image, Prior, Reason, Rejection, Telemetry
from .rectify import Patch, crop_centre, rectify

_HEALTH_STEP_PX = 8
MIN_HEIGHT_AGL_M, MAX_HEIGHT_AGL_M = 0.1, 20_000.0
"""Heights outside are nonsense of a sensor, and would leave the range of the arithmetic."""


@dataclass(frozen=True)
class Prepared:
    """An undistorted picture with the attitude and height that belong to it."""

    image: Image
    camera: Camera
    attitude: Attitude
    height_agl_m: float

    def rectify(
        self, footprint_m: float, gsd_m: float, heading_error_deg: float = 0.0, scale: float = 0.0
    ) -> Patch | None:
        """The ground under a hypothesis about heading and height."""
        attitude = Attitude(
            self.attitude.roll_deg,
            self.attitude.pitch_deg,
            self.attitude.heading_deg - heading_error_deg,
        )
        height_m = self.height_agl_m * (1.0 + scale)
        return rectify(self.image, self.camera, attitude, height_m, footprint_m, gsd_m)


def trusted(telemetry: Telemetry) -> Telemetry:
    """The telemetry without what cannot be true: a quantity is finite and possible, or None."""
    attitude, height_m, prior = telemetry.attitude, telemetry.height_agl_m, telemetry.prior
    north_m_s, east_m_s = telemetry.velocity_north_m_s, telemetry.velocity_east_m_s
    moving = north_m_s is not None and east_m_s is not None and _finite(north_m_s, east_m_s)
    alt_m = telemetry.alt_amsl_m
    return replace(
        telemetry,
        attitude=attitude if attitude and _finite(*vars(attitude).values()) else None,
        height_agl_m=height_m if height_m is not None and _possible(height_m) else None,
        alt_amsl_m=alt_m if alt_m is not None and math.isfinite(alt_m) else None,
        velocity_north_m_s=north_m_s if moving else None,
        velocity_east_m_s=east_m_s if moving else None,
        prior=prior if prior and _somewhere(prior) else None,
    )


def prepare(
    frame: Frame, telemetry: Telemetry, camera: Camera, config: PrepareConfig
) -> Prepared | Rejection:
    """Undistort, and check picture and trusted telemetry; the first thing wrong is the reason."""

    def reject(reason: Reason, detail: str) -> Rejection:
        return Rejection(frame.t_capture_ns, reason, detail)

    problem = picture_problem(frame.image, camera, config.min_contrast)
    if problem:
        return reject(Reason.BAD_IMAGE, problem)
    age_s = abs(frame.t_capture_ns - telemetry.t_ns) * 1e-9
    if not age_s <= config.max_telemetry_age_s:
        return reject(Reason.STALE_TELEMETRY, f"telemetry is {age_s:.2f} s off the exposure")
    attitude, height_m = telemetry.attitude, telemetry.height_agl_m
    if attitude is None:
        return reject(Reason.NO_ATTITUDE, "no attitude at the exposure")
    if height_m is None:
        return reject(Reason.NO_HEIGHT, "no height above ground at the exposure")
    tilt_deg = camera_tilt_deg(camera, attitude)
    if not tilt_deg <= config.max_tilt_deg:
        return reject(
            Reason.TILTED, f"camera {tilt_deg:.0f} deg off nadir, {config.max_tilt_deg:g} allowed"
        )
    return Prepared(camera.undistort(frame.image), camera, attitude, height_m)


def ground(
    t_ns: int, prepared: Prepared, footprint_m: float, gsd_m: float, config: LocalizerConfig
) -> tuple[Patch, Patch] | Rejection:
    """The patch of ground that is aligned with the imagery, and the footprint in its middle."""
    patch = prepared.rectify(footprint_m * config.verify.footprint_ratio, gsd_m)
    if patch is None:
        return Rejection(t_ns, Reason.TILTED, "the horizon is in the picture")
    middle = crop_centre(patch, footprint_m)
    seen, needed = middle.valid_fraction, config.prepare.min_valid_fraction
    if not seen >= needed:
        detail = f"{seen:.0%} of the footprint seen, {needed:.0%} needed"
        return Rejection(t_ns, Reason.TOO_LITTLE_GROUND, detail)
    return patch, middle


def picture_problem(image: Image, camera: Camera, min_contrast: float) -> str | None:
    """What is wrong with a picture, or None."""
    if image.dtype != np.uint8 or image.shape != (camera.height_px, camera.width_px, 3):
        return f"picture is {image.shape}, the camera gives {camera.width_px}x{camera.height_px}"
    contrast = float(image[::_HEALTH_STEP_PX, ::_HEALTH_STEP_PX].mean(axis=2).std())
    if not contrast >= min_contrast:
        return f"contrast {contrast:.1f} grey levels, {min_contrast:g} needed"
    return None


def camera_tilt_deg(camera: Camera, attitude: Attitude) -> float:
    """Angle between the optical axis and straight down."""
    down = -float(camera.enu_from_camera(attitude)[2, 2])
    return math.degrees(math.acos(max(-1.0, min(1.0, down))))


def _possible(height_agl_m: float) -> bool:
    return MIN_HEIGHT_AGL_M <= height_agl_m <= MAX_HEIGHT_AGL_M


def _somewhere(prior: Prior) -> bool:
    on_earth = abs(prior.lat_deg) <= 90.0 and abs(prior.lon_deg) <= 180.0
    return on_earth and 0.0 < prior.horiz_accuracy_m < math.inf


def _finite(*values: float) -> bool:
    return all(math.isfinite(value) for value in values)
