"""A flight onto disk, with a word on what it costs before and how far it is."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from geobridge.onboard.camera import Camera
from geobridge.onboard.durable import write_text
from geobridge.onboard.errors import DataError
from geobridge.onboard.records import Image
from geobridge.onboard.simulation.flying.exposures import exposures
from geobridge.onboard.simulation.flying.recording import Log, Pictures, write_flight
from geobridge.onboard.simulation.flying.simulate import Ending, Steering
from geobridge.onboard.simulation.state import State
from geobridge.training.datasets.render_progress import duration

from .mission import Eye, Mission

log = logging.getLogger(__name__)

CONFIG = "flight.toml"
"""The camera, for `geobridge replay --config`."""
_SAY_EVERY_S = 5.0


def record(
    mission: Mission, out: Path, pictures: Pictures, kept: Log, steering: Steering
) -> dict[str, Any]:
    """Fly, render and write into a new or empty folder; paths and figures.

    Raises:
        DataError: the flight is over before its second picture; see `write_flight`.
    """
    flight = mission.flown(steering)
    duration_s = flight.truth[-1].time_s
    shots = exposures(mission.shutter, 0.0, duration_s, mission.seed)
    if len(shots) < 2:
        raise DataError(
            f"{mission.route.source}: too short for this map, speed and picture rate: the flight is"
            f" over after {duration_s:.2f} s ({flight.ending.value}), before a second picture"
        )
    if flight.ending is not Ending.ARRIVED:
        log.warning("after %.1f s the flight ends early: %s", duration_s, flight.ending.value)
    told = _Told(mission.eye(), len(shots))
    told.estimate(flight.truth[0])
    files = write_flight(out, flight, shots, told, mission.terrain, pictures=pictures, log=kept)
    config = write_text(out / CONFIG, "\n".join([*camera_toml(mission.camera), ""]))
    return {
        "frames": str(files.pictures),
        "log": str(files.log),
        "telemetry": str(files.telemetry),
        "truth": str(files.truth),
        "poses": str(files.poses),
        "config": str(config),
        "ending": flight.ending.value,
        "duration_s": duration_s,
        "route_m": mission.route.length_m,
        "pictures": len(shots),
    }


class _Told:
    """The camera, with its progress in the log."""

    def __init__(self, eye: Eye, count: int) -> None:
        self._eye, self._count, self._done = eye, count, 0
        self._start_s = self._said_s = time.monotonic()

    def estimate(self, state: State) -> None:
        """Say what all the pictures will cost, by the second one: the first one compiles."""
        self._eye(state)
        self._start_s = time.monotonic()
        self._eye(state)
        self._said_s = time.monotonic()
        cost_s = (self._said_s - self._start_s) * self._count
        log.info("%d pictures; about %s", self._count, duration(cost_s))

    def __call__(self, state: State) -> Image:
        image = self._eye(state)
        self._done += 1
        now_s = time.monotonic()
        if now_s - self._said_s >= _SAY_EVERY_S:
            self._said_s = now_s
            left_s = (now_s - self._start_s) / self._done * (self._count - self._done)
            log.info("%d of %d pictures, %s left", self._done, self._count, duration(left_s))
        return image


def camera_toml(camera: Camera) -> list[str]:
    """The tables of a configuration."""
    intrinsics = asdict(camera)
    mount = intrinsics.pop("mount")
    return [
        "[camera.intrinsics]",
        *(f"{name} = {json.dumps(value)}" for name, value in intrinsics.items()),
        "[camera.mount]",
        *(f"{name} = {json.dumps(value)}" for name, value in mount.items()),
    ]
