"""The camera: how it sees, and how it sits on the vehicle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from .calibration.intrinsics import COUNTS, is_in_picture
from .calibration.read import read_calibration
from .camera import Camera, Lens, Mount
from .config_file import Positive, Section
from .errors import ConfigError

Degrees = Annotated[float, Field(ge=-360, le=360)]
Lever = Annotated[float, Field(ge=-50, le=50)]


class MountConfig(Section):
    """Camera on vehicle, angles as a gimbal reports them."""

    roll_deg: Degrees = 0.0
    pitch_deg: Degrees = -90.0
    yaw_deg: Degrees = 0.0
    forward_m: Lever = 0.0
    """With `right_m`, `down_m`: where the camera is from the point whose position is estimated."""
    right_m: Lever = 0.0
    down_m: Lever = 0.0
    gimbal: bool = False
    """The camera hangs on a gimbal, whose attitude comes with the telemetry."""

    @model_validator(mode="after")
    def _fixed_or_not(self) -> MountConfig:
        fixed = {"roll_deg", "pitch_deg", "yaw_deg"} & self.model_fields_set
        if self.gimbal and fixed:
            raise ValueError(
                f"{min(fixed)} is of a camera that is fixed, and this one is on a gimbal"
            )
        return self


class IntrinsicsConfig(Section):
    """A calibration for pictures of one size; distortion in OpenCV's order (k1 k2 p1 p2 k3)."""

    width_px: Annotated[int, Field(gt=0)]
    height_px: Annotated[int, Field(gt=0)]
    fx_px: Positive
    fy_px: Positive
    cx_px: float
    cy_px: float
    distortion: tuple[float, ...] = Field(default=(), strict=False)
    lens: Lens = "pinhole"
    """`fisheye` has the four coefficients of an equidistant lens."""

    @model_validator(mode="after")
    def _opencv_takes_these(self) -> IntrinsicsConfig:
        counts = COUNTS[self.lens]
        if len(self.distortion) not in counts:
            raise ValueError(
                f"distortion of a {self.lens} takes {_either(counts[1:])} coefficients in OpenCV's"
                " order"
            )
        return self

    @model_validator(mode="after")
    def _axis_in_picture(self) -> IntrinsicsConfig:
        """As of a calibration file."""
        for axis, side in (("cx_px", "width_px"), ("cy_px", "height_px")):
            if not is_in_picture(getattr(self, axis), getattr(self, side)):
                raise ValueError(
                    f"{axis} is {getattr(self, axis):g}, not in a picture of"
                    f" {self.width_px}x{self.height_px} px"
                )
        return self


class CameraConfig(Section):
    """A horizontal field of view, for an undistorted picture, or full intrinsics, here or in a
    file."""

    hfov_deg: Annotated[float, Field(gt=1, lt=170)] | None = None
    intrinsics: IntrinsicsConfig | None = None
    calibration: str | None = None
    """A file of OpenCV, Kalibr or ROS."""
    calibrated: str | None = None
    """Which camera of a Kalibr chain."""
    mount: MountConfig = MountConfig()

    @model_validator(mode="after")
    def _one_way_to_say_it(self) -> CameraConfig:
        ways = (self.hfov_deg, self.intrinsics, self.calibration)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("needs one of hfov_deg, an [intrinsics] table, or a calibration file")
        if self.calibrated is not None and self.calibration is None:
            raise ValueError("calibrated names a camera of a calibration file, which is missing")
        return self

    def size_px(self) -> tuple[int, int] | None:
        """Width and height of the pictures that the intrinsics are for; None for a field of view.

        Raises:
            ConfigError: the calibration file is none.
        """
        known = self._known()
        return (known["width_px"], known["height_px"]) if known else None

    def camera(self, width_px: int, height_px: int) -> Camera:
        """The camera of pictures of this size.

        Raises:
            ConfigError: the intrinsics were given for another size, or their file is none.
        """
        mount, known = Mount(**self.mount.model_dump()), self._known()
        if known is None:
            assert self.hfov_deg is not None
            return Camera.from_hfov(width_px, height_px, self.hfov_deg, mount)
        if (known["width_px"], known["height_px"]) != (width_px, height_px):
            raise ConfigError(
                f"{self.calibration or 'camera.intrinsics'}: for"
                f" {known['width_px']}x{known['height_px']} px,"
                f" the pictures have {width_px}x{height_px} px"
            )
        return Camera(**known, mount=mount)

    def _known(self) -> dict[str, Any] | None:
        """Full intrinsics by `Camera`'s names, where there are any."""
        if self.calibration is not None:
            return vars(read_calibration(Path(self.calibration), self.calibrated))
        return self.intrinsics.model_dump() if self.intrinsics else None


def _either(counts: Sequence[int]) -> str:
    *others, last = map(str, counts)
    return f"{', '.join(others)} or {last}" if others else last
