"""Where a gimbal holds the camera: GIMBAL_DEVICE_ATTITUDE_STATUS (#285), MOUNT_ORIENTATION (#265).

Roll and pitch are against the horizon. The yaw is from north or from where the vehicle heads, as
the flags of #285 say; the older #265 has it from the vehicle. What is from the vehicle is turned by
the vehicle's own heading at the exposure, which is told far more often.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pymavlink.dialects.v20 import common as wire

from ..records import Attitude
from .quaternion import Quaternion, between, of_attitude, to_attitude, unit

DEVICE, MOUNT = "GIMBAL_DEVICE_ATTITUDE_STATUS", "MOUNT_ORIENTATION"
KINDS = frozenset({DEVICE, MOUNT})
KEPT_NS, MAX_GAP_NS = 5_000_000_000, 500_000_000
"""Across a longer silence nothing is interpolated."""
FIRST = (0, 1)
"""`gimbal_device_id` of a device that speaks for itself, and of the autopilot's first one."""

VEHICLE_FRAME: int = wire.GIMBAL_DEVICE_FLAGS_YAW_IN_VEHICLE_FRAME
EARTH_FRAME: int = wire.GIMBAL_DEVICE_FLAGS_YAW_IN_EARTH_FRAME
BLIND = (
    wire.GIMBAL_DEVICE_ERROR_FLAGS_ENCODER_ERROR
    | wire.GIMBAL_DEVICE_ERROR_FLAGS_POWER_ERROR
    | wire.GIMBAL_DEVICE_ERROR_FLAGS_MOTOR_ERROR
    | wire.GIMBAL_DEVICE_ERROR_FLAGS_SOFTWARE_ERROR
    | wire.GIMBAL_DEVICE_ERROR_FLAGS_COMMS_ERROR
    | wire.GIMBAL_DEVICE_ERROR_FLAGS_CALIBRATION_RUNNING
)
"""Failures under which a gimbal may not know where it looks; at a limit it does."""


@dataclass(frozen=True)
class Held:
    """`level_from_camera` leads to a level frame that faces north, or where the vehicle heads; None
    where the gimbal itself does not know."""

    t_ns: int
    level_from_camera: Quaternion | None
    is_from_north: bool = False


class Gimbal:
    """The last seconds of one gimbal; the old message counts where the new one is not heard.

    An attitude lies between two that were told: one that is only held may be off by whatever a
    gimbal slews in the meantime.
    """

    def __init__(self) -> None:
        self._told: dict[str, list[Held]] = {DEVICE: [], MOUNT: []}

    def take(self, message: Any, t_ns: int) -> None:
        """One of `KINDS`, true at `t_ns`; of a second gimbal, it is passed over."""
        kind = message.get_type()
        if kind == DEVICE and getattr(message, "gimbal_device_id", 0) not in FIRST:
            return
        held = (_device if kind == DEVICE else _mount)(message, t_ns)
        told = self._told[kind]
        if told and told[-1].t_ns >= t_ns:
            return  # overtaken on its way
        told.append(held)
        while t_ns - told[0].t_ns > KEPT_NS:
            del told[0]

    def forget(self) -> None:
        """What was told before does not hold."""
        for told in self._told.values():
            told.clear()

    def is_coming(self, t_ns: int) -> bool:
        """Whether what holds after `t_ns` is not told yet, and soon to be expected."""
        told = self._samples(t_ns)
        return bool(told) and 0 < t_ns - told[-1].t_ns <= MAX_GAP_NS

    def at(self, t_ns: int, heading_deg: float | None) -> Attitude | None:
        """The camera against north-east-down, the vehicle heading `heading_deg` at that time; None
        where it is not known."""
        held = _at(self._samples(t_ns), t_ns)
        if held is None or held.level_from_camera is None:
            return None
        level = to_attitude(held.level_from_camera)
        if held.is_from_north:
            return level
        if heading_deg is None:
            return None
        turned_deg = (level.heading_deg + heading_deg) % 360.0
        return Attitude(level.roll_deg, level.pitch_deg, turned_deg)

    def _samples(self, t_ns: int) -> list[Held]:
        told = self._told[DEVICE]
        return told if told and t_ns - told[-1].t_ns <= KEPT_NS else self._told[MOUNT]


def _device(message: Any, t_ns: int) -> Held:
    """By the frame that the flags name; without one, by the rule for gimbals before they did."""
    flags = message.flags
    named = flags & (VEHICLE_FRAME | EARTH_FRAME)
    is_known = not message.failure_flags & BLIND and not flags & wire.GIMBAL_DEVICE_FLAGS_RETRACT
    if not is_known or named == VEHICLE_FRAME | EARTH_FRAME:
        return Held(t_ns, None)
    is_locked = bool(flags & wire.GIMBAL_DEVICE_FLAGS_YAW_LOCK)
    return Held(t_ns, unit(message.q), named == EARTH_FRAME if named else is_locked)


def _mount(message: Any, t_ns: int) -> Held:
    """Degrees. The yaw from the vehicle goes first: the one from north is 0 where it is not sent
    at all, which is also north."""
    absolute_deg = getattr(message, "yaw_absolute", 0.0)
    is_relative = math.isfinite(message.yaw)
    yaw_deg = message.yaw if is_relative else absolute_deg or math.nan
    angles_deg = (message.roll, message.pitch, yaw_deg)
    if not all(abs(angle_deg) <= 360.0 for angle_deg in angles_deg):
        return Held(t_ns, None)
    return Held(t_ns, of_attitude(Attitude(*angles_deg)), not is_relative)


def _at(told: list[Held], t_ns: int) -> Held | None:
    """Between two samples of one frame, neither of them unknown, that are not far apart."""
    for earlier, later in pairwise(told):
        if not earlier.t_ns <= t_ns <= later.t_ns:
            continue
        a, b = earlier.level_from_camera, later.level_from_camera
        is_whole = earlier.is_from_north == later.is_from_north and a is not None and b is not None
        if not is_whole or later.t_ns - earlier.t_ns > MAX_GAP_NS:
            return None
        assert a is not None
        assert b is not None
        weight = (t_ns - earlier.t_ns) / (later.t_ns - earlier.t_ns)
        return Held(t_ns, between(a, b, weight), earlier.is_from_north)
    return None
