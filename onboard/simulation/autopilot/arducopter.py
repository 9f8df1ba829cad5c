"""ArduCopter around its EKF3: modes, arming, the EKF failsafe, and what it says on its streams."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from pymavlink.dialects.v20 import ardupilotmega as wire

from ...geodesy import LocalFrame
from ..state import Readings
from . import ap_visual_odometry, parameters
from .ap_gps import Receiver, Receivers
from .ap_status import EKF_STATUS_REPORT, GPS2_RAW, GPS_RAW_INT, ekf_status_report, gps_raw
from .ekf3 import Ekf3
from .ekf_check import EkfCheck
from .estimator import POSITION
from .gnss import Solution
from .parameters import Encoding, Parameters
from .vehicle import (
    ACCEPTED,
    DENIED,
    FAILED,
    FORCE,
    UNSUPPORTED,
    Command,
    Estimate,
    Message,
    Origin,
    Voice,
    external_position,
)

MODES = {"STABILIZE": 0, "ALT_HOLD": 2, "AUTO": 3, "GUIDED": 4, "LOITER": 5, "RTL": 6, "LAND": 9}
NEED_POSITION = frozenset({"AUTO", "GUIDED", "LOITER", "RTL"})
MAX_AHRS_GPS_M = 10.0  # AP_Arming.h AP_ARMING_AHRS_GPS_ERROR_MAX
PREARM_INTERVAL_S = 30.0  # AP_Arming.cpp: how often the reasons are repeated

_STREAM_GROUPS = {
    wire.MAV_DATA_STREAM_EXTENDED_STATUS: ("SR0_EXT_STAT", (GPS_RAW_INT, GPS2_RAW)),
    wire.MAV_DATA_STREAM_POSITION: (
        "SR0_POSITION",
        (wire.MAVLINK_MSG_ID_GLOBAL_POSITION_INT, wire.MAVLINK_MSG_ID_LOCAL_POSITION_NED),
    ),
    wire.MAV_DATA_STREAM_EXTRA1: ("SR0_EXTRA1", (wire.MAVLINK_MSG_ID_ATTITUDE,)),
    wire.MAV_DATA_STREAM_EXTRA3: (
        "SR0_EXTRA3",
        (EKF_STATUS_REPORT, wire.MAVLINK_MSG_ID_SYSTEM_TIME),
    ),
}
"""GCS_Mavlink.cpp of ArduCopter: SR0_* is the rate in Hz of a group, 0 until someone asks."""

_ZERO = np.zeros(2)


class ArduCopter:
    """ArduCopter 4.7; `in_flight` begins armed and aloft, its gyros settled, in GUIDED.

    Raises:
        ConfigError: a value is given to a parameter that is not in `parameters.ARDUCOPTER`.
    """

    identity = wire.MAV_AUTOPILOT_ARDUPILOTMEGA
    version = 4 << 24 | 7 << 16
    capabilities = (
        wire.MAV_PROTOCOL_CAPABILITY_MAVLINK2
        | wire.MAV_PROTOCOL_CAPABILITY_COMMAND_INT
        | wire.MAV_PROTOCOL_CAPABILITY_PARAM_ENCODE_C_CAST
    )

    def __init__(
        self,
        frame: LocalFrame,
        values: Mapping[str, float] | None = None,
        *,
        in_flight: bool = False,
    ) -> None:
        self.voice = Voice()
        self.parameters = Parameters(parameters.ARDUCOPTER, Encoding(is_bytewise=False), values)
        self.ekf = Ekf3(self.parameters, self.voice, is_settled=in_flight)
        self.receivers = Receivers(self.parameters, frame, self.voice)
        self.vision = ap_visual_odometry.VisualOdometry(self.parameters)
        self.is_armed = in_flight
        self.mode = "GUIDED" if in_flight else "STABILIZE"
        self._frame = frame
        self._check = EkfCheck(self.parameters, self.voice)
        self._prearm_s = 0.0

    @property
    def system(self) -> int:
        """SYSID_THISMAV."""
        return self.parameters.integer("SYSID_THISMAV")

    @property
    def custom_mode(self) -> int:
        """Of MODES."""
        return MODES[self.mode]

    @property
    def origin(self) -> Origin | None:
        """Of the EKF."""
        return self.ekf.origin

    @property
    def estimate(self) -> Estimate:
        """After the last step, of which there must have been one."""
        return self.ekf.inertial.estimate(is_valid=self.ekf.has_position)

    def step(self, readings: Readings, t_s: float) -> None:
        """Predict, fuse the receiver on board, watch the filter."""
        self.ekf.step(readings, t_s)
        solution = Solution.of_receiver(readings, self._frame, t_s)
        if solution is not None:
            self._fuse(self.receivers.take_reading(solution), t_s)
        has_failed = self._check.step(self.ekf, t_s, is_armed=self.is_armed)
        if has_failed and self.mode in NEED_POSITION and self.parameters["FS_EKF_ACTION"] > 0:
            self.mode = "LAND"
            self.voice.say("EKF Failsafe: changed to LAND Mode", wire.MAV_SEVERITY_CRITICAL)
        if not self.is_armed and t_s - self._prearm_s >= PREARM_INTERVAL_S:
            self._prearm_s = t_s
            self.voice.complain("PreArm", self.complaints(t_s))

    def receive(self, message: Message, t_s: float) -> None:
        """GPS_INPUT, ODOMETRY, VISION_POSITION_ESTIMATE; nothing for GLOBAL_POSITION_SENSOR."""
        if message.get_type() == "GPS_INPUT":
            self._fuse(self.receivers.take_gps_input(message, t_s), t_s)
        elif message.get_type() in ap_visual_odometry.KINDS:
            origin = self.ekf.origin
            own_m = self.ekf.horizontal.state[POSITION] - (origin.plus(_ZERO) if origin else _ZERO)
            fix = self.vision.take(message, t_s, own_m)
            if fix is not None:
                self.ekf.take_local(fix)

    def command(self, command: Command, t_s: float) -> int:
        """Arming, the source set, and the external position estimate."""
        if command.number == wire.MAV_CMD_COMPONENT_ARM_DISARM:
            return self._arm(command, t_s)
        if command.number == wire.MAV_CMD_SET_EKF_SOURCE_SET:
            if command.params[0] not in (1.0, 2.0, 3.0):
                return DENIED
            self.ekf.source_set = int(command.params[0])
            return ACCEPTED
        if command.number == wire.MAV_CMD_EXTERNAL_POSITION_ESTIMATE:
            external = external_position(command, self._frame)
            taken = external is not None and self.ekf.take_external(external, t_s)
            return ACCEPTED if taken else FAILED
        return UNSUPPORTED

    def set_origin(self, origin: Origin) -> bool:
        """Taken while the EKF has none."""
        return self.ekf.set_origin(origin)

    def set_mode(self, custom_mode: int) -> bool:
        """Modes that steer by position are refused in flight without one."""
        name = next((name for name, number in MODES.items() if number == custom_mode), None)
        if name is None or (name in NEED_POSITION and self.is_armed and not self.ekf.has_position):
            return False
        self.mode = name
        return True

    def complaints(self, t_s: float) -> list[str]:
        """What stands against arming in this mode (AP_Arming_Copter.cpp, AP_Arming.cpp)."""
        found = self.receivers.complaints(t_s)
        if self.vision.is_enabled and not self.vision.is_healthy(t_s):
            found.append("VisOdom: not healthy")
        if self.mode in NEED_POSITION:
            if self.ekf.is_glitching:
                found.append("GPS glitching")
            if not self.ekf.has_position:
                found.append("Need Position Estimate")
            elif (apart_m := self._gps_apart_m(t_s)) > MAX_AHRS_GPS_M:
                found.append(f"GPS and AHRS differ by {apart_m:.1f}m")
            if self._check.is_over(self.ekf):
                found.append("EKF position variance")
        return found

    def status(self, number: int, t_s: float) -> Message | None:
        """EKF_STATUS_REPORT, GPS_RAW_INT, GPS2_RAW."""
        if number == EKF_STATUS_REPORT:
            return ekf_status_report(self.ekf)
        if number in (GPS_RAW_INT, GPS2_RAW):
            receiver = self.receivers.instances[0 if number == GPS_RAW_INT else 1]
            return gps_raw(receiver, t_s)
        return None

    def streams(self) -> dict[int, float]:
        """By SR0_*, which the real one has at 0 until a ground station asks."""
        return {
            number: self.parameters[name]
            for name, numbers in _STREAM_GROUPS.values()
            for number in numbers
        }

    def stream_group(self, group: int) -> tuple[int, ...]:
        """Of REQUEST_DATA_STREAM; 0 is all."""
        chosen = _STREAM_GROUPS.values() if group == 0 else [_STREAM_GROUPS.get(group, ("", ()))]
        return tuple(number for _, numbers in chosen for number in numbers)

    def _fuse(self, receiver: Receiver | None, t_s: float) -> None:
        """The filter hears the receiver in use alone."""
        if receiver is None or receiver.last is None or receiver is not self.receivers.used(t_s):
            return
        self.ekf.take_gps(receiver.last, self.receivers.lag_s(receiver))

    def _gps_apart_m(self, t_s: float) -> float:
        used = self.receivers.used(t_s)
        if used is None or used.last is None:
            return 0.0
        return math.dist(
            self.ekf.horizontal.state[POSITION].tolist(), (used.last.east_m, used.last.north_m)
        )

    def _arm(self, command: Command, t_s: float) -> int:
        if command.params[0] != 1.0:
            self.is_armed = False
            return ACCEPTED
        is_checked = command.params[1] != FORCE and self.parameters["ARMING_CHECK"] > 0
        if is_checked and self.voice.complain("Arm", self.complaints(t_s)):
            return FAILED
        self.is_armed = True
        return ACCEPTED
