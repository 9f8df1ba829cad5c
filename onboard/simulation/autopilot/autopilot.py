"""An autopilot on MAVLink: what it answers and streams, whichever firmware it is.

No clock and no socket: `step` and `receive` are given the time and return what is to be sent.
"""

from __future__ import annotations

import math

from pymavlink.dialects.v20 import ardupilotmega as wire

from ...geodesy import MAX_RADIUS_M, LocalFrame
from ..flying.aircraft import Airframe
from ..state import Readings
from . import streams
from .commands import as_command, is_for, mode_of
from .integers import int32
from .streams import NS_PER_S, Schedule
from .vehicle import ACCEPTED, DENIED, FAILED, UNSUPPORTED, Command, Firmware, Message, Origin


class Autopilot:
    """`ArduCopter` or `Px4` behind its link, as component 1 of the system its parameter names.

    `unix_offset_ns` is what the wall clock is ahead of the clock of `t_ns`; without it SYSTEM_TIME
    says 0, as before any GNSS. Home is the ground below where it was switched on. `t_ns` of `step`
    and `receive` are on one monotonic clock, and readings are of the moment of their `step`.

    Heartbeats name the airframe, and that is all it changes: under a fixed wing, too, ArduPilot has
    the modes, mode numbers and EKF failsafe of `ArduCopter`. ArduPlane numbers its modes otherwise
    (GUIDED is 15), has no LAND, and checks its EKF in VTOL modes alone (ArduPlane/ekf_check.cpp).
    """

    def __init__(
        self,
        firmware: Firmware,
        frame: LocalFrame,
        airframe: Airframe = Airframe.MULTIROTOR,
        *,
        unix_offset_ns: int | None = None,
    ) -> None:
        self.firmware = firmware
        self._frame = frame
        self._airframe = airframe
        self._unix_offset_ns = unix_offset_ns
        self._boot_ns: int | None = None
        self._home_alt_m = 0.0
        self._texts = 0
        self._told_origin: Origin | None = None
        self._schedule = Schedule()
        self._schedule.set_rate(wire.MAVLINK_MSG_ID_HEARTBEAT, 1.0)
        for number, rate_hz in firmware.streams().items():
            self._schedule.set_rate(number, rate_hz)

    @property
    def system(self) -> int:
        """MAVLink system id."""
        return self.firmware.system

    def step(self, readings: Readings, t_ns: int) -> list[Message]:
        """What the sensors say at `t_ns`, and what is to be sent then."""
        if self._boot_ns is None:
            self._boot_ns = t_ns
            self._home_alt_m = readings.alt_baro_amsl_m - (readings.height_agl_m or 0.0)
        self.firmware.step(readings, self._boot_s(t_ns))
        due = [self._message(number, t_ns) for number in self._schedule.due(t_ns)]
        return [message for message in due if message is not None] + self._spoken()

    def receive(self, message: Message, t_ns: int) -> list[Message]:
        """A decoded message that arrived at `t_ns`, and the answers to it; none before a step."""
        if self._boot_ns is None or not is_for(message, self.system):
            return []
        kind = message.get_type()
        if kind == "TIMESYNC" and message.tc1 == 0:
            own_ns = t_ns - self._boot_ns
            return [wire.MAVLink_timesync_message(tc1=own_ns, ts1=message.ts1)]
        answers = self.firmware.parameters.take(message)
        if kind in ("COMMAND_INT", "COMMAND_LONG"):
            answers += self._obey(as_command(message), t_ns)
        elif kind == "SET_MODE":
            self.firmware.set_mode(message.custom_mode)
        elif kind == "REQUEST_DATA_STREAM":
            rate_hz = message.req_message_rate if message.start_stop else 0.0
            for number in self.firmware.stream_group(message.req_stream_id):
                self._schedule.set_rate(number, rate_hz)
        elif kind == "SET_GPS_GLOBAL_ORIGIN":
            self._set_origin(message)
        else:
            self.firmware.receive(message, self._boot_s(t_ns))
        return answers + self._spoken()

    def _boot_s(self, t_ns: int) -> float:
        return (t_ns - (self._boot_ns or 0)) / NS_PER_S

    def _obey(self, command: Command, t_ns: int) -> list[Message]:
        """The answer COMMAND_ACK comes first, what was asked for after it."""
        asked: Message | None = None
        number = round(command.params[0]) if math.isfinite(command.params[0]) else -1
        if command.number == wire.MAV_CMD_SET_MESSAGE_INTERVAL:
            result = self._set_interval(number, command.params[1])
        elif command.number == wire.MAV_CMD_GET_MESSAGE_INTERVAL:
            result = ACCEPTED if number in _SENT else UNSUPPORTED
            if number in _SENT:
                interval_us = self._schedule.interval_us(number)
                asked = wire.MAVLink_message_interval_message(number, interval_us)
        elif command.number == wire.MAV_CMD_REQUEST_MESSAGE:
            asked = self._message(number, t_ns)
            result = FAILED if asked is None else ACCEPTED
        elif command.number == wire.MAV_CMD_REQUEST_AUTOPILOT_CAPABILITIES:
            asked, result = self._version(), ACCEPTED
        elif command.number == wire.MAV_CMD_DO_SET_MODE:
            mode = mode_of(command, self.firmware.identity)
            result = ACCEPTED if self.firmware.set_mode(mode) else FAILED
        else:
            result = self.firmware.command(command, self._boot_s(t_ns))
        ack = wire.MAVLink_command_ack_message(command=command.number, result=result)
        return [ack] if asked is None else [ack, asked]

    def _set_interval(self, number: int, interval_us: float) -> int:
        """0 is the rate that the message has by default, -1 ends it."""
        if not math.isfinite(interval_us):
            return DENIED
        if number not in _SENT:
            return UNSUPPORTED
        default_hz = self.firmware.streams().get(number, 0.0)
        self._schedule.set_rate(number, default_hz if interval_us == 0.0 else 1e6 / interval_us)
        return ACCEPTED

    def _set_origin(self, message: Message) -> None:
        """Latitude and longitude in degrees x 1e7, altitude in millimetres."""
        lat_deg, lon_deg = message.latitude / 1e7, message.longitude / 1e7
        if not (abs(lat_deg) <= 90.0 and abs(lon_deg) <= 180.0):
            return
        east_m, north_m = self._frame.to_enu(lat_deg, lon_deg).tolist()
        if math.hypot(east_m, north_m) <= MAX_RADIUS_M:
            self.firmware.set_origin(Origin(east_m, north_m, message.altitude / 1e3))

    def _spoken(self) -> list[Message]:
        """Texts that are waiting, and the origin when it has changed."""
        found: list[Message] = []
        for text in self.firmware.voice.drain():
            self._texts = self._texts % 65_535 + 1
            found += streams.status_text(text, self._texts)
        if self.firmware.origin != self._told_origin:
            self._told_origin = self.firmware.origin
            found.append(self._origin())
        return [message for message in found if message is not None]

    def _message(self, number: int, t_ns: int) -> Message | None:
        """One telemetry message, where there is something to say."""
        boot_ms = (t_ns - (self._boot_ns or 0)) // 1_000_000
        estimate, origin = self.firmware.estimate, self.firmware.origin
        if number == wire.MAVLINK_MSG_ID_HEARTBEAT:
            return self._heartbeat()
        if number == wire.MAVLINK_MSG_ID_AUTOPILOT_VERSION:
            return self._version()
        if number == wire.MAVLINK_MSG_ID_GPS_GLOBAL_ORIGIN:
            return self._origin()
        if number == wire.MAVLINK_MSG_ID_SYSTEM_TIME:
            unix_us = (t_ns + self._unix_offset_ns) // 1000 if self._unix_offset_ns else 0
            return wire.MAVLink_system_time_message(time_unix_usec=unix_us, time_boot_ms=boot_ms)
        if number == wire.MAVLINK_MSG_ID_ATTITUDE:
            return streams.attitude(estimate.attitude, boot_ms)
        if number == wire.MAVLINK_MSG_ID_ATTITUDE_QUATERNION:
            return streams.attitude_quaternion(estimate.attitude, boot_ms)
        if number == wire.MAVLINK_MSG_ID_GLOBAL_POSITION_INT and origin is not None:
            return streams.global_position(estimate, self._frame, self._home_alt_m, boot_ms)
        if number == wire.MAVLINK_MSG_ID_LOCAL_POSITION_NED and origin is not None:
            return streams.local_position(estimate, origin, boot_ms)
        return self.firmware.status(number, self._boot_s(t_ns))

    def _heartbeat(self) -> Message:
        is_armed = self.firmware.is_armed
        base_mode = wire.MAV_MODE_FLAG_CUSTOM_MODE_ENABLED
        return wire.MAVLink_heartbeat_message(
            type=_TYPES[self._airframe],
            autopilot=self.firmware.identity,
            base_mode=base_mode | (wire.MAV_MODE_FLAG_SAFETY_ARMED if is_armed else 0),
            custom_mode=self.firmware.custom_mode,
            system_status=wire.MAV_STATE_ACTIVE if is_armed else wire.MAV_STATE_STANDBY,
            mavlink_version=3,
        )

    def _version(self) -> Message:
        return wire.MAVLink_autopilot_version_message(
            capabilities=self.firmware.capabilities,
            flight_sw_version=self.firmware.version,
            middleware_sw_version=0,
            os_sw_version=0,
            board_version=0,
            flight_custom_version=[0] * 8,
            middleware_custom_version=[0] * 8,
            os_custom_version=[0] * 8,
            vendor_id=0,
            product_id=0,
            uid=0,
        )

    def _origin(self) -> Message | None:
        origin = self.firmware.origin
        if origin is None:
            return None
        lat_deg, lon_deg = self._frame.to_geodetic([origin.east_m, origin.north_m])
        return wire.MAVLink_gps_global_origin_message(
            latitude=round(float(lat_deg) * 1e7),
            longitude=round(float(lon_deg) * 1e7),
            altitude=int32(1e3 * origin.alt_amsl_m),
        )


_TYPES = {
    Airframe.MULTIROTOR: wire.MAV_TYPE_QUADROTOR,
    Airframe.FIXED_WING: wire.MAV_TYPE_FIXED_WING,
}
_SENT = frozenset(
    {
        wire.MAVLINK_MSG_ID_HEARTBEAT,
        wire.MAVLINK_MSG_ID_AUTOPILOT_VERSION,
        wire.MAVLINK_MSG_ID_SYSTEM_TIME,
        wire.MAVLINK_MSG_ID_GPS_RAW_INT,
        wire.MAVLINK_MSG_ID_GPS2_RAW,
        wire.MAVLINK_MSG_ID_ATTITUDE,
        wire.MAVLINK_MSG_ID_ATTITUDE_QUATERNION,
        wire.MAVLINK_MSG_ID_LOCAL_POSITION_NED,
        wire.MAVLINK_MSG_ID_GLOBAL_POSITION_INT,
        wire.MAVLINK_MSG_ID_GPS_GLOBAL_ORIGIN,
        wire.MAVLINK_MSG_ID_TIMESYNC,
        wire.MAVLINK_MSG_ID_EKF_STATUS_REPORT,
        wire.MAVLINK_MSG_ID_ESTIMATOR_STATUS,
    }
)
