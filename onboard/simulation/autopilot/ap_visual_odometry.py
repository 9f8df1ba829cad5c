"""ArduPilot's way in for local positions (libraries/AP_VisualOdom, GCS_Common.cpp)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from pymavlink.dialects.v20 import ardupilotmega as wire

from .estimator import Floats
from .jitter import JitterCorrection
from .parameters import Parameters
from .vehicle import Message

TYPE_NONE = 0
ALIGNED_TYPES = (2, 3)  # T265 and VOXL are moved onto the autopilot's own position
TIMEOUT_S = 0.3  # AP_VisualOdom.h AP_VISUALODOM_TIMEOUT_MS
MAX_DELAY_S = 0.25  # of VISO_DELAY_MS

KINDS = ("ODOMETRY", "VISION_POSITION_ESTIMATE", "GLOBAL_VISION_POSITION_ESTIMATE")


@dataclass(frozen=True)
class LocalFix:
    """Metres east and north of the filter's origin at `t_s`, 1-sigma as the filter is told it."""

    t_s: float
    offset_enu_m: Floats
    accuracy_m: float
    is_reset: bool


class VisualOdometry:
    """The back-end; it calls itself healthy while messages are no older than 0.3 s."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._jitter = JitterCorrection()
        self._heard_s = -math.inf
        self._resets: int | None = None
        self._alignment_m: Floats | None = None

    @property
    def is_enabled(self) -> bool:
        """VISO_TYPE is not none."""
        return self._parameters.integer("VISO_TYPE") != TYPE_NONE

    def is_healthy(self, t_s: float) -> bool:
        """Heard a moment ago."""
        return t_s - self._heard_s < TIMEOUT_S

    def take(self, message: Message, t_s: float, own_offset_enu_m: Floats) -> LocalFix | None:
        """A fix for the filter, or None for what is dropped without a word.

        `own_offset_enu_m` is where the filter itself believes to be, east and north of its origin.
        """
        if not self.is_enabled or not _has_right_frames(message):
            return None
        quality = getattr(message, "quality", 0)
        if quality < self._parameters.integer("VISO_QUAL_MIN"):
            return None
        self._heard_s = t_s
        offset_m = np.array([message.y, message.x])
        accuracy_m = self._accuracy_m(message)
        if not (np.all(np.isfinite(offset_m)) and math.isfinite(accuracy_m)):
            return None  # writeExtNavData
        if self._parameters.integer("VISO_TYPE") in ALIGNED_TYPES:
            if self._alignment_m is None:
                self._alignment_m = own_offset_enu_m - offset_m
            offset_m = offset_m + self._alignment_m
        resets, before = getattr(message, "reset_counter", 0), self._resets
        self._resets = resets
        return LocalFix(
            self._time_s(message, t_s), offset_m, accuracy_m, before not in (None, resets)
        )

    def _accuracy_m(self, message: Message) -> float:
        """Measured on ArduCopter 4.7.0-dev: cube root of the summed squares of the variances."""
        is_odometry = message.get_type() == "ODOMETRY"
        covariance = message.pose_covariance if is_odometry else message.covariance
        floor_m = self._parameters["VISO_POS_M_NSE"]
        if math.isnan(covariance[0]):
            return floor_m
        squares = covariance[0] ** 2 + covariance[6] ** 2 + covariance[11] ** 2
        return max(floor_m, math.pow(squares, 1.0 / 3.0))

    def _time_s(self, message: Message, t_s: float) -> float:
        sent_us = message.time_usec if message.get_type() == "ODOMETRY" else message.usec
        delay_s = min(self._parameters["VISO_DELAY_MS"] / 1000.0, MAX_DELAY_S)
        return self._jitter.correct(sent_us / 1e6, t_s) - delay_s


def _has_right_frames(message: Message) -> bool:
    """GCS_Common.cpp handle_odometry: any other pair is a silent return."""
    if message.get_type() != "ODOMETRY":
        return True
    return (message.frame_id, message.child_frame_id) == (
        wire.MAV_FRAME_LOCAL_FRD,
        wire.MAV_FRAME_BODY_FRD,
    )
