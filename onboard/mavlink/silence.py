"""Why no autopilot or no gimbal is heard: one line with the remedy."""

from __future__ import annotations

from ..config import LinkConfig
from .link import Link


def silence(link: Link, config: LinkConfig) -> str:
    """For a link on which nothing is believed."""
    where = f"link.address {config.address}"
    if link.refused:
        return (
            f"{where}: {link.refused} frames without a right signature; link.signing_key must hold"
            " the autopilot's key"
        )
    if link.traffic.foreign:
        return (
            f"{where}: other systems are heard, but not system {config.autopilot_system} component"
            f" {config.autopilot_component}; set link.autopilot_system"
        )
    if link.traffic.damaged:
        return f"{where}: bytes, but no message; is link.baud {config.baud} the autopilot's?"
    return f"{where}: no autopilot is heard; is it connected, and does it speak MAVLink there?"


def gimbal_silence(config: LinkConfig) -> str:
    """For a camera on a gimbal whose attitude nobody tells."""
    component = config.gimbal_component or config.autopilot_component
    return (
        f"no gimbal attitude from component {component}; link.gimbal_component must name who sends"
        " GIMBAL_DEVICE_ATTITUDE_STATUS or MOUNT_ORIENTATION: the autopilot, or 154 for a gimbal"
    )
