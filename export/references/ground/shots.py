"""Which picture of a flight was taken where: by EXIF and XMP, by a log, or by a table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from geobridge.onboard.camera import Camera
from geobridge.onboard.config import CameraConfig
from geobridge.onboard.errors import DataError
from geobridge.onboard.flightlogs.photo_tags import PhotoTags, read_tags
from geobridge.onboard.flightlogs.telemetry_csv import TelemetryLog, read_telemetry
from geobridge.onboard.flightlogs.tlog import read_tlog
from geobridge.onboard.frames.folder import SUFFIXES
from geobridge.onboard.records import Attitude, Telemetry

from ..sources import FlightSource
from .flight import Shot, usable

MAX_AGE_NS = 1_000_000_000
"""A picture farther from the nearest telemetry was not taken on this flight."""
_UTC = re.compile(r"(\d{14})(\d{0,6})Z?$")
_HEIGHT, _YAW, _PITCH, _ROLL = (
    f"drone-dji:{name}"
    for name in ("RelativeAltitude", "GimbalYawDegree", "GimbalPitchDegree", "GimbalRollDegree")
)


def read_shots(source: FlightSource) -> list[Shot]:
    """The pictures of a flight that can be laid on the ground, in the order of their names.

    Raises:
        DataError: names the picture or the log, and what it lacks.
    """
    paths = sorted(p for p in source.path.iterdir() if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise DataError(f"{source.path}: holds no pictures")
    if source.telemetry is None:
        shots = [_tagged(path, source.camera) for path in paths]
    elif source.telemetry.suffix.lower() == ".tlog":
        log = read_tlog(source.telemetry).telemetry
        shots = list(_logged(paths, log, source))
        if not shots:
            raise DataError(
                f"{source.path}: no picture was taken during {source.telemetry}; names carry UTC as"
                " YYYYMMDDhhmmss and hundredths, time_offset_s is added to it"
            )
    else:
        shots = list(_listed(paths, read_telemetry(source.telemetry), source))
    return usable(shots, source.path)


def _tagged(path: Path, config: CameraConfig | None) -> Shot:
    """By the photo's own word; the gimbal's angles are against the ground, not the vehicle."""
    tags = read_tags(path)
    if tags.lat_deg is None or tags.lon_deg is None:
        raise DataError(f"{path}: EXIF holds no position")
    height_m, yaw_deg = tags.number(_HEIGHT), tags.number(_YAW)
    if height_m is None or yaw_deg is None:
        raise DataError(f"{path}: XMP holds no height and heading; give a telemetry table")
    attitude = Attitude(tags.number(_ROLL) or 0.0, (tags.number(_PITCH) or -90.0) + 90.0, yaw_deg)
    return Shot(path, tags.lat_deg, tags.lon_deg, attitude, height_m, _camera(path, tags, config))


def _logged(paths: list[Path], log: TelemetryLog, source: FlightSource) -> Iterator[Shot]:
    for path in paths:
        t_ns = _utc_ns(path)
        if t_ns is None:
            raise DataError(f"{path}: its name carries no time (YYYYMMDDhhmmss, hundredths, Z)")
        t_ns += round(source.time_offset_s * 1e9)
        sample = log.at(t_ns)
        if abs(sample.t_ns - t_ns) <= MAX_AGE_NS:
            yield _sampled(path, sample, source.camera)


def _listed(paths: list[Path], log: TelemetryLog, source: FlightSource) -> Iterator[Shot]:
    times = log.times_by_file()
    if times is None:
        raise DataError(f"{source.telemetry}, line 1, file: the column is missing")
    for path in paths:
        if path.name not in times:
            raise DataError(f"{path}: {source.telemetry} has no row for this picture")
        yield _sampled(path, log.at(times[path.name]), source.camera)


def _sampled(path: Path, sample: Telemetry, config: CameraConfig | None) -> Shot:
    attitude, height_m, at = sample.attitude, sample.height_agl_m, sample.prior
    if attitude is None or height_m is None or at is None:
        raise DataError(f"{path}: its telemetry lacks attitude, height or position (prior_lat_deg)")
    camera = _camera(path, read_tags(path), config)
    return Shot(path, at.lat_deg, at.lon_deg, attitude, height_m, camera)


def _camera(path: Path, tags: PhotoTags, config: CameraConfig | None) -> Camera:
    if config is not None:
        return config.camera(tags.width_px, tags.height_px)
    if tags.hfov_deg is None:
        raise DataError(f"{path}: EXIF holds no focal length; give the source a camera")
    return Camera.from_hfov(tags.width_px, tags.height_px, tags.hfov_deg)


def _utc_ns(path: Path) -> int | None:
    found = _UTC.search(path.stem)
    if found is None:
        return None
    try:
        whole = datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return int(whole.timestamp()) * 10**9 + int(found[2].ljust(9, "0") or "0")
