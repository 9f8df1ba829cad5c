"""MAVLink 2 over one port: messages of the autopilot in, GPS_INPUT and HEARTBEAT out."""

from __future__ import annotations

import select
from dataclasses import asdict
from typing import Any

from pymavlink.dialects.v20 import common  # MAVLink 2 whatever MAVLINK20 says or others import

from ..config import LinkConfig
from .outputs import GpsInput
from .ports import open_port

UNDERSTOOD = frozenset({"HEARTBEAT", "ATTITUDE", "GLOBAL_POSITION_INT"})


class Link:
    """One thread may receive while another one sends.

    Raises:
        LinkError: the port cannot be opened; on sending or receiving, the other side is gone.
    """

    def __init__(self, config: LinkConfig) -> None:
        self._port = open_port(config.address, config.baud)
        self._mavlink = common.MAVLink(self._port, config.source_system, config.source_component)
        self._mavlink.robust_parsing = True  # damaged bytes come back as a message to pass over

    def receive(self, timeout_s: float) -> list[Any]:
        """The messages of one read that this software understands, from anyone; maybe none."""
        if not select.select([self._port], [], [], timeout_s)[0]:
            return []
        messages = self._mavlink.parse_buffer(self._port.read()) or []
        del self._mavlink.buf[: self._mavlink.buf_index]  # else kept until a read ends a message
        self._mavlink.buf_index = 0
        return [message for message in messages if message.get_type() in UNDERSTOOD]

    def send_heartbeat(self, *, is_active: bool) -> None:
        """Say that a companion computer is here, and whether it is giving positions."""
        self._mavlink.heartbeat_send(
            type=common.MAV_TYPE_ONBOARD_CONTROLLER,
            autopilot=common.MAV_AUTOPILOT_INVALID,
            base_mode=0,
            custom_mode=0,
            system_status=common.MAV_STATE_ACTIVE if is_active else common.MAV_STATE_STANDBY,
        )

    def send_gps_input(self, fields: GpsInput) -> None:
        """Send one position, or the word that there is none."""
        self._mavlink.gps_input_send(**asdict(fields))

    def close(self) -> None:
        """Let go of the port."""
        self._port.close()
