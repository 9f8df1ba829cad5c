"""Which picture of a flight was taken where: by EXIF and XMP, by a log, or by a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from geobridge.onboard.camera import Camera
from geobridge.onboard.config import CameraConfig
from geobridge.onboard.errors import DataError
from geobridge.onboard.flightlogs.flight_log import FlightLog
from geobridge.onboard.flightlogs.match import match_pictures
from geobridge.onboard.flightlogs.pictures.photo_tags import PhotoTags, read_tags
from geobridge.onboard.flightlogs.read import read_flight_log
from geobridge.onboard.frames.folder import SUFFIXES
from geobridge.onboard.records import Attitude, Telemetry

from ..sources import FlightSource
from .flight import Shot, usable

MAX_AGE_NS = 1_000_000_000
"""A picture farther from the nearest telemetry was not taken on this flight."""
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
    else:
        log = read_flight_log(source.telemetry)
        read = _listed if log.kind == "csv" else _logged
        shots = list(read(paths, log, source))
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


def _logged(paths: list[Path], log: FlightLog, source: FlightSource) -> Iterator[Shot]:
    """Those that were taken while the log lasts."""
    times_ns = match_pictures(source.path, log, source.time_offset_s).times_ns
    for path in paths:
        if path.name not in times_ns:
            continue
        t_ns = times_ns[path.name]
        sample = log.telemetry.at(t_ns)
        if abs(sample.t_ns - t_ns) <= MAX_AGE_NS:
            yield _sampled(path, sample, source.camera)


def _listed(paths: list[Path], log: FlightLog, source: FlightSource) -> Iterator[Shot]:
    times_ns = log.telemetry.times_by_file()
    if times_ns is None:
        raise DataError(f"{source.telemetry}, line 1, file: the column is missing")
    for path in paths:
        if path.name not in times_ns:
            raise DataError(f"{path}: {source.telemetry} has no row for this picture")
        yield _sampled(path, log.telemetry.at(times_ns[path.name]), source.camera)


def _sampled(path: Path, sample: Telemetry, config: CameraConfig | None) -> Shot:
    attitude, height_m, at = sample.attitude, sample.height_m, sample.prior
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
