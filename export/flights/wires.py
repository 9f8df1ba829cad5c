"""Where a live flight can be reached, and what a daemon must know of it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from geobridge.onboard.errors import DataError
from geobridge.onboard.frames.stream import STREAM_PREFIX

from .autopilots import ARDUCOPTER
from .options import numbers

log = logging.getLogger(__name__)

_ANYWHERE, _HERE = "0.0.0.0", "127.0.0.1"


@dataclass(frozen=True)
class Wires:
    """Where autopilot and camera can be reached, which autopilot it is, and with what parameters.

    Take-off waits `wait_s` for somebody to look through the camera, and then goes without.
    """

    address: str
    camera_socket: Path
    autopilot: str = ARDUCOPTER
    parameters: Mapping[str, float] = field(default_factory=dict)
    wait_s: float = 60.0

    def onboard_toml(self) -> list[str]:
        """The lines of onboard.toml that lead here; none of a table."""
        lines = [
            f"source.frames = {json.dumps(f'{STREAM_PREFIX}{self.camera_socket}')}",
            f"link.address = {other_end(self.address)}",
        ]
        return lines + ["link.gps_id = 1"] * (self.autopilot == ARDUCOPTER)


def wires_of(
    address: str | None,
    camera_socket: Path | None,
    autopilot: str,
    parameters: Sequence[str],
    wait_s: float,
) -> Wires | None:
    """From the options of `geobridge fly`; None for a flight on disk.

    Raises:
        DataError: half of them, or a parameter that is none.
    """
    if (address is None) != (camera_socket is None):
        raise DataError("--live ADDRESS and --camera-socket PATH: expected both or neither")
    if address is None or camera_socket is None:
        if parameters:
            raise DataError(f"--set {parameters[0]}: expected with --live")
        return None
    return Wires(address, camera_socket, autopilot, numbers(parameters, "--set"), wait_s)


@contextmanager
def announced(wires: Wires) -> Iterator[None]:
    """For whoever is to start a daemon: what its onboard.toml needs."""
    for line in wires.onboard_toml():
        log.info("onboard.toml: %s", line)
    yield


def other_end(address: str) -> str:
    """What opens the other end of an address, as TOML."""
    found = re.fullmatch(r"(udpout|udpin):(.+):(\d+)", address)
    if found is None:
        return f"the other end of {address}"
    kind, host, port = found.groups()
    if kind == "udpout":
        host = host if host.startswith("127.") else _ANYWHERE
        return f'"udpin:{host}:{port}"'
    return f'"udpout:{_HERE if host == _ANYWHERE else host}:{port}"'
