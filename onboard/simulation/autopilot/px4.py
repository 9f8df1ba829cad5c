"""PX4 around its EKF2: modes, arming, the position failsafe, and what it says on its streams."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from pymavlink.dialects.v20 import ardupilotmega as wire

from ...geodesy import MAX_RADIUS_M, LocalFrame
from ..state import Readings
from . import parameters, px4_odometry
from .ekf2 import Ekf2
from .gnss import Solution
from .gnss_raw import gnss_fields
from .parameters import Encoding, Parameters
from .px4_timesync import Timesync
from .vehicle import (
    ACCEPTED,
    FORCE,
    NO_DEGREES,
    REJECTED_FOR_NOW,
    UNSUPPORTED,
    Command,
    Estimate,
    Message,
    Origin,
    Voice,
    external_position,
)


def _custom_mode(main: int, sub: int = 0) -> int:
    """px4_custom_mode.h."""
    return main << 16 | sub << 24


MODES = {
    "MANUAL": _custom_mode(1),
    "POSITION": _custom_mode(3),
    "OFFBOARD": _custom_mode(6),
    "STABILIZED": _custom_mode(7),
    "HOLD": _custom_mode(4, 3),
    "MISSION": _custom_mode(4, 4),
    "RETURN": _custom_mode(4, 5),
    "LAND": _custom_mode(4, 6),
}
MAX_RATIO = 1e6  # more does not fit the 32-bit float of a place that is nowhere near
NEED_POSITION = frozenset({"POSITION", "OFFBOARD", "HOLD", "MISSION", "RETURN"})

_STREAMS = {
    wire.MAVLINK_MSG_ID_ATTITUDE: 50.0,
    wire.MAVLINK_MSG_ID_ATTITUDE_QUATERNION: 50.0,
    wire.MAVLINK_MSG_ID_GLOBAL_POSITION_INT: 10.0,
    wire.MAVLINK_MSG_ID_LOCAL_POSITION_NED: 30.0,
    wire.MAVLINK_MSG_ID_GPS_RAW_INT: 5.0,
    wire.MAVLINK_MSG_ID_ESTIMATOR_STATUS: 1.0,
    wire.MAVLINK_MSG_ID_SYSTEM_TIME: 1.0,
    wire.MAVLINK_MSG_ID_TIMESYNC: 10.0,
}
"""Of the Onboard mode of a link; TIMESYNC is not streamed in the Normal one."""


class Px4:
    """PX4 1.18; `in_flight` begins armed and aloft in MISSION, its GNSS good for long.

    It has no handler for GPS_INPUT, and passes it over.

    Raises:
        ConfigError: a value is given to a parameter that is not in `parameters.PX4`.
    """

    identity = wire.MAV_AUTOPILOT_PX4
    version = 1 << 24 | 18 << 16
    capabilities = (
        wire.MAV_PROTOCOL_CAPABILITY_MAVLINK2
        | wire.MAV_PROTOCOL_CAPABILITY_COMMAND_INT
        | wire.MAV_PROTOCOL_CAPABILITY_PARAM_ENCODE_BYTEWISE
    )

    def __init__(
        self,
        frame: LocalFrame,
        values: Mapping[str, float] | None = None,
        *,
        in_flight: bool = False,
    ) -> None:
        self.voice = Voice()
        self.parameters = Parameters(parameters.PX4, Encoding(is_bytewise=True), values)
        self.ekf = Ekf2(self.parameters, is_settled=in_flight)
        self.timesync = Timesync()
        self.is_armed = in_flight
        self._frame = frame
        self._wanted = "MISSION" if in_flight else "HOLD"
        self._is_failing = False
        self._odometry = px4_odometry.OdometryInput(self.parameters, self.voice)
        self._readings: Readings | None = None
        self._gnss: Solution | None = None

    @property
    def mode(self) -> str:
        """The one wanted, or LAND while the failsafe lasts (Descend is shown as that)."""
        return "LAND" if self._is_failing else self._wanted

    @property
    def system(self) -> int:
        """MAV_SYS_ID."""
        return self.parameters.integer("MAV_SYS_ID")

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
        self._readings = readings
        silent = self.ekf.step(readings, t_s)
        if any(slot in silent for slot in self.ekf.slots):
            self.voice.say("Aux global position data stopped", wire.MAV_SEVERITY_WARNING)
        solution = Solution.of_receiver(readings, self._frame, t_s)
        if solution is not None:
            self._gnss = solution
            self.ekf.take_gnss(solution)
        self._watch()

    def receive(self, message: Message, t_s: float) -> None:
        """GLOBAL_POSITION_SENSOR, ODOMETRY, VISION_POSITION_ESTIMATE, answers to TIMESYNC."""
        kind = message.get_type()
        if kind == "TIMESYNC":
            self.timesync.take(message, t_s)
        elif kind == "GLOBAL_POSITION_SENSOR":
            self._take_global(message, t_s)
        elif kind in px4_odometry.KINDS and self._readings is not None:
            fix = self._odometry.take(message, self._readings.attitude.heading_deg)
            if fix is not None:
                fix_s = self.timesync.stamp_s(fix.sent_us, t_s)
                fix_s -= self.parameters["EKF2_EV_DELAY"] / 1000.0
                sigma_m = fix.sigma_m if math.isfinite(fix.sigma_m) else 0.0
                self.ekf.take_local(fix.offset_enu_m, sigma_m, fix_s, is_reset=fix.is_reset)

    def command(self, command: Command, t_s: float) -> int:
        """Arming and the external position estimate."""
        if command.number == wire.MAV_CMD_COMPONENT_ARM_DISARM:
            return self._arm(command)
        if command.number == wire.MAV_CMD_EXTERNAL_POSITION_ESTIMATE:
            external = external_position(command, self._frame)
            if external is None:
                return REJECTED_FOR_NOW
            taken = self.ekf.take_external(external, is_in_air=self.is_armed)
            return ACCEPTED if taken else REJECTED_FOR_NOW
        return UNSUPPORTED

    def set_origin(self, origin: Origin) -> bool:
        """Taken at any time."""
        return self.ekf.set_origin(origin)

    def set_mode(self, custom_mode: int) -> bool:
        """Modes that steer by position are refused in flight without one."""
        name = next((name for name, number in MODES.items() if number == custom_mode), None)
        if name is None or (name in NEED_POSITION and self.is_armed and not self.ekf.has_position):
            return False
        self._wanted = name
        return True

    def complaints(self) -> list[str]:
        """What stands against arming in this mode (src/modules/commander HealthAndArmingChecks)."""
        found = []
        if self._wanted in NEED_POSITION:
            if self.ekf.is_unstable:
                found.append("horizontal position unstable")
            if not self.ekf.has_position:
                found.append("no valid global position")
        return found

    def status(self, number: int, t_s: float) -> Message | None:
        """ESTIMATOR_STATUS, GPS_RAW_INT, and its own TIMESYNC requests."""
        if number == wire.MAVLINK_MSG_ID_TIMESYNC:
            return self.timesync.request(t_s)
        if number == wire.MAVLINK_MSG_ID_GPS_RAW_INT and self._gnss is not None:
            return wire.MAVLink_gps_raw_int_message(**gnss_fields(self._gnss, self._gnss.fix_type))
        if number == wire.MAVLINK_MSG_ID_ESTIMATOR_STATUS:
            return self._estimator_status(t_s)
        return None

    def streams(self) -> dict[int, float]:
        """Of the Onboard mode of a link."""
        return dict(_STREAMS)

    def stream_group(self, group: int) -> tuple[int, ...]:
        """PX4 has no REQUEST_DATA_STREAM."""
        return ()

    def _take_global(self, message: Message, t_s: float) -> None:
        """To the slot whose EKF2_AGPi_ID is the id of the message; 0 is a slot that is off.

        How the receiver dates the sample was not readable: here by the message's own definition,
        transmission less processing, on the time of arrival until TIMESYNC has converged.
        """
        slots = (n for n in range(4) if self.parameters.integer(f"EKF2_AGP{n}_ID") == message.id)
        slot = next(slots, None)
        if slot is None or message.id == 0 or math.isinf(message.eph):
            return
        if NO_DEGREES in (message.lat, message.lon):
            return
        place_m = self._frame.to_enu(message.lat / 1e7, message.lon / 1e7)
        if not np.hypot(*place_m) <= MAX_RADIUS_M:
            return
        sent_s = self.timesync.stamp_s(message.time_usec, t_s)
        fix_s = sent_s - message.processing_time / 1e6
        self.ekf.take_global(slot, place_m, message.eph, fix_s)

    def _watch(self) -> None:
        """Failsafe while a mode lacks its position; afterwards the wanted mode comes back."""
        is_failing = self.is_armed and self._wanted in NEED_POSITION and not self.ekf.has_position
        if is_failing != self._is_failing:
            self._is_failing = is_failing
            text = "Failsafe activated" if is_failing else "Failsafe deactivated"
            self.voice.say(text, wire.MAV_SEVERITY_CRITICAL)

    def _arm(self, command: Command) -> int:
        if command.params[0] != 1.0:
            self.is_armed = False
            return ACCEPTED
        is_checked = command.params[1] != FORCE
        if is_checked and self.voice.complain("Preflight Fail", self.complaints()):
            text = "Arming denied: Resolve system health failures first"
            self.voice.say(text, wire.MAV_SEVERITY_CRITICAL)
            return REJECTED_FOR_NOW
        self.is_armed = True
        return ACCEPTED

    def _estimator_status(self, t_s: float) -> Message:
        flags = wire.ESTIMATOR_ATTITUDE | wire.ESTIMATOR_VELOCITY_VERT | wire.ESTIMATOR_POS_VERT_ABS
        if self.ekf.has_position:
            flags |= wire.ESTIMATOR_VELOCITY_HORIZ | wire.ESTIMATOR_POS_HORIZ_REL
            flags |= wire.ESTIMATOR_POS_HORIZ_ABS | wire.ESTIMATOR_PRED_POS_HORIZ_ABS
        else:
            flags |= wire.ESTIMATOR_CONST_POS_MODE
        if self.ekf.ratio > 1.0:
            flags |= wire.ESTIMATOR_GPS_GLITCH
        return wire.MAVLink_estimator_status_message(
            time_usec=round(t_s * 1e6),
            flags=flags,
            vel_ratio=0.0,
            pos_horiz_ratio=min(self.ekf.ratio, MAX_RATIO),
            pos_vert_ratio=0.0,
            mag_ratio=0.0,
            hagl_ratio=0.0,
            tas_ratio=0.0,
            pos_horiz_accuracy=math.sqrt(2.0 * self.ekf.horizontal.position_variance_m2),
            pos_vert_accuracy=math.sqrt(self.ekf.vertical.position_variance_m2),
        )
