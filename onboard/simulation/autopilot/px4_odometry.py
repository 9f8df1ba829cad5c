"""PX4's way in for local positions (src/modules/mavlink/mavlink_receiver.cpp)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from pymavlink.dialects.v20 import ardupilotmega as wire

from .estimator import Floats
from .parameters import Parameters
from .vehicle import Message, Voice

KINDS = ("ODOMETRY", "VISION_POSITION_ESTIMATE")

_NORTH_UP = {wire.MAV_FRAME_LOCAL_NED: False, wire.MAV_FRAME_LOCAL_ENU: True}
_FORWARD_UP = {wire.MAV_FRAME_LOCAL_FRD: False, wire.MAV_FRAME_LOCAL_FLU: True}
_CHILDREN = frozenset(
    {
        *_NORTH_UP,
        *_FORWARD_UP,
        wire.MAV_FRAME_BODY_FRD,
        wire.MAV_FRAME_BODY_NED,
        wire.MAV_FRAME_BODY_OFFSET_NED,
    }
)
_VISUAL = frozenset(
    {
        wire.MAV_ESTIMATOR_TYPE_UNKNOWN,
        wire.MAV_ESTIMATOR_TYPE_NAIVE,
        wire.MAV_ESTIMATOR_TYPE_VISION,
        wire.MAV_ESTIMATOR_TYPE_VIO,
    }
)


@dataclass(frozen=True)
class VisualFix:
    """Metres east and north of the origin; `sigma_m` is NaN where none was stated."""

    offset_enu_m: Floats
    sigma_m: float
    sent_us: int
    is_reset: bool


class OdometryInput:
    """Frames and estimator types, as the receiver sorts them."""

    def __init__(self, parameters: Parameters, voice: Voice) -> None:
        self._parameters, self._voice = parameters, voice
        self._resets: int | None = None

    def take(self, message: Message, heading_deg: float) -> VisualFix | None:
        """A fix for EKF2, or None; `heading_deg` is the autopilot's own."""
        if message.get_type() == "VISION_POSITION_ESTIMATE":  # taken as LOCAL_NED
            offset_m, sent_us = np.array([message.y, message.x]), message.usec
            return self._fix(message, offset_m, message.covariance, sent_us)
        if message.estimator_type not in _VISUAL:
            if message.estimator_type != wire.MAV_ESTIMATOR_TYPE_MOCAP:
                text = f"ODOMETRY: estimator_type {message.estimator_type} unsupported"
                self._voice.say(text, wire.MAV_SEVERITY_CRITICAL)
            return None
        if message.quality < self._parameters.integer("EKF2_EV_QMIN"):
            return None
        if message.child_frame_id not in _CHILDREN:
            return None
        offset = _east_north_m(message, heading_deg)
        if offset is None:
            return None
        is_naive = message.estimator_type == wire.MAV_ESTIMATOR_TYPE_NAIVE
        covariance = [math.nan] * 21 if is_naive else message.pose_covariance
        return self._fix(message, offset, covariance, message.time_usec)

    def _fix(
        self, message: Message, offset_m: Floats, covariance: list[float], sent_us: int
    ) -> VisualFix | None:
        sigma_m = self._sigma_m(covariance)
        if not np.all(np.isfinite(offset_m)) or math.isinf(sigma_m):
            return None
        before, self._resets = self._resets, message.reset_counter
        return VisualFix(offset_m, sigma_m, sent_us, before not in (None, self._resets))

    def _sigma_m(self, covariance: list[float]) -> float:
        """Of the diagonal alone; EKF2_EV_NOISE_MD 1 does without it."""
        variance = max(covariance[0], covariance[6])
        if self._parameters.integer("EKF2_EV_NOISE_MD") == 1 or not variance >= 0.0:
            return math.nan
        return math.sqrt(variance)


def _east_north_m(message: Message, heading_deg: float) -> Floats | None:
    """[2] by the frame; one that is not tied to north is turned by the difference of headings."""
    if message.frame_id in _NORTH_UP:
        is_enu = _NORTH_UP[message.frame_id]
        return np.array([message.x, message.y] if is_enu else [message.y, message.x])
    if message.frame_id not in _FORWARD_UP:
        return None
    sign = -1.0 if _FORWARD_UP[message.frame_id] else 1.0
    w, x, y, z = message.q
    yaw_rad = sign * math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    turn_rad = math.radians(heading_deg) - yaw_rad
    forward_m, right_m = message.x, sign * message.y
    north_m = math.cos(turn_rad) * forward_m - math.sin(turn_rad) * right_m
    east_m = math.sin(turn_rad) * forward_m + math.cos(turn_rad) * right_m
    return np.array([east_m, north_m])
