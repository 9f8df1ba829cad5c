"""Quaternions of autopilots to roll, pitch and heading, also of a camera that looks down."""

from __future__ import annotations

import numpy as np

from .gnss import Flags
from .series import Floats, Times

_YAW_LOCK, _YAW_IN_VEHICLE, _YAW_IN_EARTH = 16, 32, 64
"""GIMBAL_DEVICE_FLAGS of MAVLink, which PX4 logs as they are."""
_VERTICAL = 0.99999
"""Sine of the pitch above which roll and heading are one turn: it is called heading."""


def euler_deg(quaternion: Floats) -> Floats:
    """[N, 3] roll, pitch, heading of [N, 4] w, x, y, z, body to north-east-down; NaN for none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        w, x, y, z = (quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)).T
    sine = 2.0 * (w * y - z * x)
    roll = np.arctan2(2.0 * (w * x + y * z), 1.0 - 2.0 * (x * x + y * y))
    pitch = np.arcsin(np.clip(sine, -1.0, 1.0))
    heading = np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    vertical = np.abs(sine) > _VERTICAL
    turn = np.arctan2(-2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z))
    roll, heading = np.where(vertical, 0.0, roll), np.where(vertical, turn, heading)
    return np.asarray(np.degrees(np.column_stack([roll, pitch, heading])), np.float64)


def counts_from_vehicle(flags: Times) -> Flags:
    """[N] whether a gimbal's yaw counts from the vehicle's heading, by the flags of its device.

    Older devices tell it by the lock alone.
    """
    unsaid = (flags & (_YAW_IN_VEHICLE | _YAW_IN_EARTH)) == 0
    told = np.where(unsaid, (flags & _YAW_LOCK) == 0, (flags & _YAW_IN_VEHICLE) != 0)
    return np.asarray(told, np.bool_)
