"""What walks through the software: frames and telemetry in, fixes and rejections out.

Angles are degrees, headings clockwise from true north, times monotonic nanoseconds at mid-exposure,
positions WGS84. A missing quantity is None, never NaN and never zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from .views import View

Image = npt.NDArray[np.uint8]
"""[height, width, 3] RGB."""

Grey = npt.NDArray[np.uint8]
"""[height, width] grey levels."""

Mask = npt.NDArray[np.uint8]
"""[height, width], 1 where the picture shows something and 0 where it does not."""


@dataclass(frozen=True)
class Frame:
    """One camera picture, as the camera saw it (not undistorted)."""

    image: Image
    t_capture_ns: int
    name: str = ""

    @cached_property
    def grey(self) -> Grey:
        """The picture without its colours, for all who look at that."""
        return np.asarray(cv2.cvtColor(self.image, cv2.COLOR_RGB2GRAY), np.uint8)


@dataclass(frozen=True)
class Attitude:
    """Vehicle body (forward, right, down) against north-east-down, yaw-pitch-roll order."""

    roll_deg: float
    pitch_deg: float
    heading_deg: float


@dataclass(frozen=True)
class Prior:
    """Where the vehicle may be: a position and its 1-sigma horizontal accuracy per axis."""

    lat_deg: float
    lon_deg: float
    horiz_accuracy_m: float


@dataclass(frozen=True)
class Telemetry:
    """What the autopilot knows, interpolated to the exposure of a frame.

    `gimbal` is the attitude of the camera itself against north-east-down, not against the vehicle:
    pitch -90 looks straight down, heading is from true north (with pitch -90, that of the picture's
    top). Accuracies are 1-sigma, None where the autopilot does not say and the configuration does.
    """

    t_ns: int
    attitude: Attitude | None = None
    height_agl_m: float | None = None
    alt_amsl_m: float | None = None
    velocity_north_m_s: float | None = None
    velocity_east_m_s: float | None = None
    prior: Prior | None = None
    gimbal: Attitude | None = None
    heading_accuracy_deg: float | None = None
    height_accuracy_m: float | None = None
    position_test_ratio: float | None = None
    """The autopilot's own test of the positions it is sent: above 1 it does not take them."""
    height_above_home_m: float | None = None
    """Above where the vehicle took off: above the ground where that is as high."""

    @property
    def height_m(self) -> float | None:
        """Above the ground, or above home where no better height is known."""
        return self.height_above_home_m if self.height_agl_m is None else self.height_agl_m


class Candidate(NamedTuple):
    """One retrieved reference. `score` is the cosine of the descriptors, higher is better."""

    place: int
    lat_deg: float
    lon_deg: float
    footprint_m: float
    view: View
    score: float


class Reason(str, Enum):
    """Why a frame gave no fix."""

    BAD_IMAGE = "bad_image"
    WRONG_SIZE = "wrong_size"
    BLACK = "black"
    OVEREXPOSED = "overexposed"
    BLURRED = "blurred"
    TORN = "torn"
    FROZEN = "frozen"
    NO_ATTITUDE = "no_attitude"
    NO_HEIGHT = "no_height"
    STALE_TELEMETRY = "stale_telemetry"
    OUT_OF_ORDER = "out_of_order"
    TILTED = "tilted"
    TOO_LITTLE_GROUND = "too_little_ground"
    BAD_DESCRIPTOR = "bad_descriptor"
    OUT_OF_AREA = "out_of_area"
    LOW_SCORE = "low_score"
    NOT_VERIFIED = "not_verified"
    SCATTERED = "scattered"
    AMBIGUOUS = "ambiguous"
    IMPLAUSIBLE = "implausible"
    INCONSISTENT = "inconsistent"
    DOUBTFUL = "doubtful"
    UNCONFIRMED = "unconfirmed"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Fix:
    """Where the vehicle was at `t_capture_ns`.

    `horiz_accuracy_m` is the 1-sigma error per horizontal axis; `alt_amsl_m` is the autopilot's own
    height passed through, not measured here. `score` is the cosine of the accepted candidate,
    `correlation` the match of picture and reference imagery.
    """

    t_capture_ns: int
    lat_deg: float
    lon_deg: float
    horiz_accuracy_m: float
    alt_amsl_m: float | None
    velocity_north_m_s: float | None
    velocity_east_m_s: float | None
    score: float
    correlation: float
    place: int


@dataclass(frozen=True)
class Rejection:
    """No fix from this frame, and why; `detail` is one sentence with the figures."""

    t_capture_ns: int
    reason: Reason
    detail: str = ""
