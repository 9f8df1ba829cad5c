"""Which message an autopilot is told by: the one configured, or what its kind and version take."""

from __future__ import annotations

from collections.abc import Callable

from ...config import LinkConfig
from ...errors import ConfigError
from ...records import Attitude
from ..autopilot import Autopilot, Kind
from .external_position import ExternalPosition
from .global_sensor import GlobalPositionSensor
from .gps_input import GpsInput
from .local import Odometry, VisionPosition
from .publisher import Output

PX4_GLOBAL_SENSOR, PX4_EXTERNAL, ARDUPILOT_EXTERNAL = (1, 18), (1, 15), (4, 5)
"""The first versions that read them."""


def choose(
    config: LinkConfig, autopilot: Autopilot, attitude_at: Callable[[int], Attitude | None]
) -> Output:
    """For an autopilot whose kind is known.

    Raises:
        ConfigError: it lacks the message that was configured, or has none of ours.
    """
    name: str = config.output
    if name == "auto":
        name = _best(autopilot)
    problem = _lack(name, autopilot)
    if problem:
        raise ConfigError(f"link.output {name}: {problem}")
    return named(name, config, autopilot, attitude_at)


def named(
    name: str,
    config: LinkConfig,
    autopilot: Autopilot,
    attitude_at: Callable[[int], Attitude | None] = lambda t_ns: None,
) -> Output:
    """By its name in `link.output`."""
    rate_hz, target = config.rate_hz, (config.autopilot_system, config.autopilot_component)
    if name == "gps_input":
        return GpsInput(config.gps_id, rate_hz, config.source_set)
    if name == "global_position_sensor":
        return GlobalPositionSensor(config.sensor_id, rate_hz)
    if name == "external_position_estimate":
        return ExternalPosition(*target, rate_hz)
    local = Odometry if name == "odometry" else VisionPosition
    return local(autopilot, target, attitude_at, rate_hz, config.source_set)


def _best(autopilot: Autopilot) -> str:
    if autopilot.kind is Kind.ARDUPILOT:
        return "gps_input"
    version = autopilot.version or (0, 0)
    if version >= PX4_GLOBAL_SENSOR:
        return "global_position_sensor"
    return "external_position_estimate" if version >= PX4_EXTERNAL else "odometry"


def _lack(name: str, autopilot: Autopilot) -> str | None:
    """Why this autopilot would not read it, and what it reads instead."""
    is_px4, version = autopilot.kind is Kind.PX4, autopilot.version
    if name == "gps_input" and is_px4:
        return "PX4 does not read GPS_INPUT; set link.output to auto"
    if name == "global_position_sensor" and not is_px4:
        return "ArduPilot does not read GLOBAL_POSITION_SENSOR; set link.output to gps_input"
    first = {
        "global_position_sensor": PX4_GLOBAL_SENSOR,
        "external_position_estimate": PX4_EXTERNAL if is_px4 else ARDUPILOT_EXTERNAL,
    }.get(name)
    if first and version and version < first:
        return (
            f"from version {first[0]}.{first[1]} on; the autopilot has {version[0]}.{version[1]};"
            " update it, or set link.output to odometry"
        )
    return None
