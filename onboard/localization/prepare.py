"""Is the frame worth looking at, and what ground does it show?"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ..camera import Camera, enu_from_body, enu_from_gimbal
from ..config import MAX_HEIGHT_RATIO, LocalizerConfig, PrepareConfig
from ..records import Attitude, Frame, Image, Prior, Reason, Rejection, Telemetry
from ..terrain import Relief, Terrain
from .doubt import AS_TOLD, Hypothesis, height_ratio, hypotheses
from .health import picture_problem
from .rectify import Matrix, Patch, crop_centre, lay
from .sight import Sight

MIN_HEIGHT_AGL_M, MAX_HEIGHT_AGL_M = 0.1, 20_000.0
"""Heights outside are nonsense of a sensor, and would leave the range of the arithmetic."""
ANY_HEADING_DEG = 90.0
"""1-sigma of a heading that nobody knows."""


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

    @property
    def enu_from_camera(self) -> Matrix:
        """[3, 3] rotation from camera axes to east, north, up, as told."""
        if self.gimbal is not None:
            return enu_from_gimbal(self.gimbal)
        return self.camera.enu_from_camera(self.attitude)

    def sight(self, heading_error_deg: float = 0.0, scale: float = 0.0) -> Sight:
        """Where the camera sees what, under a hypothesis about heading and height."""
        lever_m = enu_from_body(self.attitude) @ self.camera.mount.lever_m
        height_m = self.height_agl_m * (1.0 + scale)
        camera_m = lever_m + np.array([0.0, 0.0, height_m])
        camera_m[2] = max(camera_m[2], MIN_HEIGHT_AGL_M)
        told = Sight(self.camera, self.enu_from_camera, camera_m, self.relief)
        return told.turned(-heading_error_deg) if heading_error_deg else told

    def rectify(
        self, footprint_m: float, gsd_m: float, heading_error_deg: float = 0.0, scale: float = 0.0
    ) -> Patch | None:
        """The ground under a hypothesis: the heading is so much less than told, the height so
        much of itself more. None where the frame shows no ground."""
        return lay(self.image, self.sight(heading_error_deg, scale), footprint_m, gsd_m)


@dataclass(frozen=True)
class Below:
    """The heights that a bundle carries, and where the vehicle is on its plane if that is known."""

    terrain: Terrain
    at_m: tuple[float, float] | None = None


def trusted(telemetry: Telemetry) -> Telemetry:
    """The telemetry without what cannot be true: a quantity is finite and possible, or None."""
    height_m, prior = telemetry.height_agl_m, telemetry.prior
    north_m_s, east_m_s = telemetry.velocity_north_m_s, telemetry.velocity_east_m_s
    moving = north_m_s is not None and east_m_s is not None and _finite(north_m_s, east_m_s)
    alt_m = telemetry.alt_amsl_m
    return replace(
        telemetry,
        attitude=_sane(telemetry.attitude),
        height_agl_m=height_m if height_m is not None and _possible(height_m) else None,
        alt_amsl_m=alt_m if alt_m is not None and math.isfinite(alt_m) else None,
        velocity_north_m_s=north_m_s if moving else None,
        velocity_east_m_s=east_m_s if moving else None,
        prior=prior if prior and _somewhere(prior) else None,
        gimbal=_sane(telemetry.gimbal),
        heading_accuracy_deg=_stated(telemetry.heading_accuracy_deg, ANY_HEADING_DEG),
        height_accuracy_m=_stated(telemetry.height_accuracy_m, MAX_HEIGHT_AGL_M),
        position_test_ratio=_test(telemetry.position_test_ratio),
    )


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
    problem = picture_problem(frame.image, *size_px, config.min_contrast)
    if problem is not None:
        return reject(*problem)
    age_s = abs(frame.t_capture_ns - telemetry.t_ns) * 1e-9
    if not age_s <= config.max_telemetry_age_s:
        return reject(Reason.STALE_TELEMETRY, f"telemetry is {age_s:.2f} s off the exposure")
    turned = _turned(telemetry, camera, config)
    if turned is None:
        whose = "gimbal attitude" if camera.mount.gimbal else "attitude"
        return reject(Reason.NO_ATTITUDE, f"no {whose} at the exposure")
    height = _height(telemetry, config, below)
    if isinstance(height, str):
        return reject(Reason.NO_HEIGHT, height)
    relief = below.terrain.around(*below.at_m) if below and below.at_m else None
    ready = Prepared(
        frame.image,
        camera,
        turned.attitude,
        height.agl_m,
        turned.gimbal,
        relief,
        hypotheses(turned.heading_accuracy_deg, height.ratio),
        height.agl_m * math.tan(math.radians(turned.tilt_accuracy_deg)),
    )
    tilt_deg = off_nadir_deg(ready.enu_from_camera)
    if not tilt_deg <= config.max_tilt_deg:
        return reject(
            Reason.TILTED, f"camera {tilt_deg:.0f} deg off nadir, {config.max_tilt_deg:g} allowed"
        )
    return ready


@dataclass(frozen=True)
class _Turned:
    """How the vehicle is turned, and its camera where that is not fixed to it; 1-sigma what is not
    allowed for anyway."""

    attitude: Attitude
    gimbal: Attitude | None
    heading_accuracy_deg: float
    tilt_accuracy_deg: float = 0.0


def _turned(telemetry: Telemetry, camera: Camera, config: PrepareConfig) -> _Turned | None:
    attitude, gimbal = telemetry.attitude, telemetry.gimbal
    accuracy_deg = telemetry.heading_accuracy_deg or config.heading_accuracy_deg
    if camera.mount.gimbal:
        if gimbal is None:
            return None
        level = Attitude(0.0, 0.0, gimbal.heading_deg)
        return _Turned(attitude or level, gimbal, accuracy_deg)
    if attitude is not None:
        return _Turned(attitude, None, accuracy_deg)
    if config.level_accuracy_deg is None:
        return None
    return _Turned(Attitude(0.0, 0.0, 0.0), None, ANY_HEADING_DEG, config.level_accuracy_deg)


@dataclass(frozen=True)
class _Height:
    """Above ground, and how many times as high the vehicle may be."""

    agl_m: float
    ratio: float


def _height(telemetry: Telemetry, config: PrepareConfig, below: Below | None) -> _Height | str:
    """The height that is told, that sea level and terrain tell, or that is to be searched; else
    why there is none."""
    if telemetry.height_agl_m is not None:
        agl_m, accuracy_m = telemetry.height_agl_m, telemetry.height_accuracy_m
        share = config.height_accuracy if accuracy_m is None else accuracy_m / agl_m
        found = _Height(agl_m, height_ratio(share))
    elif below is not None and telemetry.alt_amsl_m is not None:
        ground_m, spread_m = _ground_below(below)
        agl_m = telemetry.alt_amsl_m - ground_m
        if not _possible(agl_m):
            return f"{agl_m:.0f} m above the terrain, by the height above sea level"
        accuracy_m = math.hypot(telemetry.height_accuracy_m or 0.0, spread_m)
        found = _Height(agl_m, height_ratio(max(accuracy_m / agl_m, config.height_accuracy)))
    elif config.height_range_agl_m is not None:
        low_m, high_m = config.height_range_agl_m
        found = _Height(math.sqrt(low_m * high_m), math.sqrt(high_m / low_m))
    else:
        return "no height above ground at the exposure"
    if not found.ratio <= math.sqrt(MAX_HEIGHT_RATIO):
        return (
            f"{found.agl_m:.0f} m above ground, or {found.ratio:.1f} times that: too wide a search"
        )
    return found


def _ground_below(below: Below) -> tuple[float, float]:
    """Height AMSL of the ground below the vehicle, and what it may be off by, 1-sigma."""
    here_m = below.terrain.height_amsl_m(*below.at_m) if below.at_m else None
    if here_m is not None:
        return here_m, 0.0
    low_m, high_m = below.terrain.span_m()
    return (low_m + high_m) / 2.0, (high_m - low_m) / 4.0


def ground(
    t_ns: int,
    prepared: Prepared,
    footprint_m: float,
    gsd_m: float,
    config: LocalizerConfig,
    hypothesis: Hypothesis = AS_TOLD,
) -> tuple[Patch, Patch] | Rejection:
    """The patch of ground that is aligned with the imagery, and the footprint in its middle."""
    supposed = hypothesis.heading_offset_deg, hypothesis.scale
    patch = prepared.rectify(footprint_m * config.verify.footprint_ratio, gsd_m, *supposed)
    if patch is None:
        return Rejection(t_ns, Reason.TOO_LITTLE_GROUND, "no ground in the picture")
    middle = crop_centre(patch, footprint_m)
    seen, needed = middle.valid_fraction, config.prepare.min_valid_fraction
    if not seen >= needed:
        detail = f"{seen:.0%} of the footprint seen, {needed:.0%} needed"
        return Rejection(t_ns, Reason.TOO_LITTLE_GROUND, detail)
    return patch, middle


def off_nadir_deg(enu_from_camera: Matrix) -> float:
    """Angle between the optical axis and straight down."""
    down = -float(enu_from_camera[2, 2])
    return math.degrees(math.acos(max(-1.0, min(1.0, down))))


def _sane(attitude: Attitude | None) -> Attitude | None:
    return attitude if attitude and _finite(*vars(attitude).values()) else None


def _stated(accuracy: float | None, unknown: float) -> float | None:
    """An accuracy up to that of not knowing, which one that is no accuracy means as well."""
    if accuracy is None:
        return None
    return min(accuracy, unknown) if accuracy > 0.0 else unknown


def _test(ratio: float | None) -> float | None:
    """A test ratio that is none is one that failed."""
    return math.inf if ratio is not None and not ratio >= 0.0 else ratio


def _possible(height_agl_m: float) -> bool:
    return MIN_HEIGHT_AGL_M <= height_agl_m <= MAX_HEIGHT_AGL_M


def _somewhere(prior: Prior) -> bool:
    on_earth = abs(prior.lat_deg) <= 90.0 and abs(prior.lon_deg) <= 180.0
    return on_earth and 0.0 < prior.horiz_accuracy_m < math.inf


def _finite(*values: float) -> bool:
    return all(math.isfinite(value) for value in values)
