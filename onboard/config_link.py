"""Where the autopilot is, who we are to it, and what it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from .config_file import Section

OutputName = Literal[
    "auto",
    "gps_input",
    "odometry",
    "vision_position_estimate",
    "external_position_estimate",
    "global_position_sensor",
]


class LinkConfig(Section):
    """Where the autopilot is, who we are to it, and what it is told."""

    address: str = "udpout:127.0.0.1:14550"
    """`udpout:HOST:PORT`, `udpin:HOST:PORT`, `tcp:HOST:PORT` or the path of a serial device."""
    baud: Annotated[int, Field(gt=0)] = 921_600
    allow_remote: bool = False
    """Let the address lie beyond this computer; needs a key."""
    signing_key: Annotated[Path, Field(strict=False)] | None = None
    """A file, its owner's alone: 32 bytes, 64 hexadecimal digits, or `passphrase: WORDS`."""
    signing_state: str = "~/.local/state/geobridge/signing"
    """Where timestamps are kept that must not be used again."""
    signing_link_id: Annotated[int, Field(ge=1, le=255)] = 1
    source_system: Annotated[int, Field(ge=1, le=255)] = 1
    source_component: Annotated[int, Field(ge=1, le=255)] = 197
    """197 is MAV_COMP_ID_VISUAL_INERTIAL_ODOMETRY."""
    autopilot_system: Annotated[int, Field(ge=1, le=255)] = 1
    autopilot_component: Annotated[int, Field(ge=1, le=255)] = 1
    """The one autopilot that is believed; everybody else is passed over."""
    gimbal_component: Annotated[int, Field(ge=1, le=255)] | None = None
    """Of a gimbal that speaks MAVLink for itself, 154 as a rule, in the autopilot's system; None:
    its attitude is told by the autopilot."""
    ground_system: Annotated[int, Field(ge=1, le=255)] = 255
    """The ground station whose commands are obeyed."""
    output: OutputName = "auto"
    """What the autopilot is told; `auto` chooses by its kind and version."""
    gps_id: Annotated[int, Field(ge=0, le=7)] = 0
    """Of GPS_INPUT: the receiver whose GPSn_TYPE is 14, counted from 0."""
    source_set: Annotated[int, Field(ge=1, le=3)] = 1
    """Of ArduPilot's EKF sources, the set that is for us: whose EK3_SRCn_* are checked."""
    sensor_id: Annotated[int, Field(ge=1, le=255)] = 1
    """Of GLOBAL_POSITION_SENSOR: what EKF2_AGPi_ID says; 0 there is a slot that is off."""
    rate_hz: Annotated[float, Field(ge=5, le=50)] = 8.0
    """ArduPilot calls a GPS unhealthy when messages are more than 215 ms apart on average."""
    max_fix_age_s: Annotated[float, Field(gt=0, le=10)] = 2.0
    """A fix is propagated by velocity for so long; then one explicit no-fix, then silence."""

    @model_validator(mode="after")
    def _not_the_autopilot_itself(self) -> LinkConfig:
        ours = self.source_system, self.source_component
        if ours == (self.autopilot_system, self.autopilot_component):
            raise ValueError("source_component must differ from the autopilot's")
        if self.gimbal_component in (self.source_component, self.autopilot_component):
            raise ValueError("gimbal_component must differ from the autopilot's and our own")
        return self
