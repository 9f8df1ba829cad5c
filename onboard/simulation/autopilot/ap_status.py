"""Telemetry that only ArduPilot sends, or sends its own way."""

from __future__ import annotations

import math

from pymavlink.dialects.v20 import ardupilotmega as wire

from .ap_gps import Receiver
from .ekf3 import Aiding, Ekf3
from .gnss_raw import gnss_fields
from .vehicle import Message

EKF_STATUS_REPORT = wire.MAVLINK_MSG_ID_EKF_STATUS_REPORT
GPS_RAW_INT = wire.MAVLINK_MSG_ID_GPS_RAW_INT
GPS2_RAW = wire.MAVLINK_MSG_ID_GPS2_RAW

_ALWAYS = wire.EKF_ATTITUDE | wire.EKF_VELOCITY_VERT | wire.EKF_POS_VERT_ABS
_AIDED = (
    wire.EKF_VELOCITY_HORIZ
    | wire.EKF_POS_HORIZ_REL
    | wire.EKF_POS_HORIZ_ABS
    | wire.EKF_PRED_POS_HORIZ_REL
    | wire.EKF_PRED_POS_HORIZ_ABS
)


def ekf_status_report(ekf: Ekf3) -> Message:
    """Variances are square roots of the test ratios: 1 is at the gate."""
    flags = _ALWAYS
    if ekf.has_position:
        flags |= _AIDED
    if ekf.aiding is Aiding.NONE:
        flags |= wire.EKF_CONST_POS_MODE
    if ekf.is_glitching:
        flags |= wire.EKF_GPS_GLITCHING
    return wire.MAVLink_ekf_status_report_message(
        flags=flags,
        velocity_variance=math.sqrt(ekf.velocity_ratio),
        pos_horiz_variance=math.sqrt(ekf.position_ratio),
        pos_vert_variance=0.0,
        compass_variance=0.0,
        terrain_alt_variance=0.0,
    )


def gps_raw(receiver: Receiver, t_s: float) -> Message | None:
    """GPS_RAW_INT of the first instance, GPS2_RAW of the second one where there is one."""
    fix_type = receiver.fix_type(t_s)
    if receiver.number == 0:
        return wire.MAVLink_gps_raw_int_message(**gnss_fields(receiver.last, fix_type))
    if receiver.last is None:
        return None
    fields = gnss_fields(receiver.last, fix_type)
    return wire.MAVLink_gps2_raw_message(**fields, dgps_numch=0, dgps_age=0)
