"""A folder of photos to a flight log: each says where and how it was taken, by EXIF and XMP.

DJI's XMP tells the camera's attitude against the earth, the drone's, and a height above take-off;
EXIF alone tells a position. Times are those of the names or of GNSS, which are UTC, else those of
the camera's clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ...errors import DataError
from ...geodesy import distance_m
from ...records import Attitude, Prior, Telemetry
from ..assemble import POSITION_ACCURACY_M
from ..flight_log import Clock, FlightLog
from ..telemetry_csv import TelemetryLog
from ..truth_csv import Track
from .photo_tags import PhotoTags, read_tags
from .picture_times import Told, increasing, taken_ns

_RELATIVE, _ABSOLUTE = "drone-dji:RelativeAltitude", "drone-dji:AbsoluteAltitude"
_DRONE = tuple(f"drone-dji:Flight{angle}Degree" for angle in ("Roll", "Pitch", "Yaw"))
_CAMERA = tuple(f"drone-dji:Gimbal{angle}Degree" for angle in ("Roll", "Pitch", "Yaw"))
MOVED_M, BACKWARDS_DEG = 1.0, 90.0
"""A step this long has a direction; a picture this far off it does not look ahead."""
_RTK = ("drone-dji:RtkStdLat", "drone-dji:RtkStdLon")


@dataclass(frozen=True)
class _Photo:
    path: Path
    tags: PhotoTags


def read_photos(folder: Path, paths: Sequence[Path]) -> FlightLog:
    """Rows by picture; those without a position have none.

    Raises:
        DataError: a picture whose tags cannot be read, or nothing in any of them.
    """
    photos = [_Photo(path, read_tags(path)) for path in paths]
    times_ns, told = taken_ns([(photo.path, photo.tags) for photo in photos])
    findings: list[str] = []
    clock = Clock.UTC if told in (Told.NAME, Told.GNSS) else Clock.CAMERA
    stamps = increasing(times_ns)
    rows = sorted(zip(stamps, photos, strict=True), key=lambda row: row[0])
    samples = tuple(_sample(t_ns, photo.tags) for t_ns, photo in rows)
    provenance = {"clock": told.value} | _sources([photo.tags for photo in photos])
    for name, cell in _CELLS.items():
        absent = sum(cell(sample) is None for sample in samples)
        if absent:
            findings.append(f"{absent} of {len(samples)} photos without {name}")
    if all(cell(sample) is None for cell in _CELLS.values() for sample in samples):
        raise DataError(
            f"{folder}: {len(photos)} photos that tell neither position nor attitude of their"
            " own; a log does, with which they are matched"
        )
    if any(_ABSOLUTE in photo.tags.xmp for photo in photos):
        findings.append(f"{_ABSOLUTE}: its datum is not said; not used as height above sea level")
    findings += _compass([photo.tags for _, photo in rows])
    truth = _truth(rows)
    if truth is not None:
        provenance["truth"] = "EXIF, the photo's own position by GNSS"
    files = tuple(photo.path.name for _, photo in rows)
    log = TelemetryLog(samples, files)
    return FlightLog(folder, "photos", clock, log, truth, provenance, tuple(findings))


_CELLS: dict[str, Callable[[Telemetry], object]] = {
    "position": lambda sample: sample.prior,
    "attitude of drone or camera": lambda sample: sample.attitude or sample.gimbal,
    "height above take-off": lambda sample: sample.height_above_home_m,
}


def _sample(t_ns: int, tags: PhotoTags) -> Telemetry:
    has_position = tags.lat_deg is not None and tags.lon_deg is not None
    return Telemetry(
        t_ns,
        attitude=_angles(tags, _DRONE),
        alt_amsl_m=_altitude_m(tags),
        prior=Prior(tags.lat_deg or 0.0, tags.lon_deg or 0.0, _accuracy_m(tags))
        if has_position
        else None,
        gimbal=_angles(tags, _CAMERA),
        height_above_home_m=tags.number(_RELATIVE),
    )


def _angles(tags: PhotoTags, names: Sequence[str]) -> Attitude | None:
    roll, pitch, yaw = (tags.number(name) for name in names)
    if roll is None or pitch is None or yaw is None:
        return None
    return Attitude(roll, pitch, yaw % 360.0)


def _accuracy_m(tags: PhotoTags) -> float:
    stated = [value for name in _RTK for value in [tags.number(name)] if value]
    return max(stated) if len(stated) == len(_RTK) else POSITION_ACCURACY_M


def _sources(tags: Sequence[PhotoTags]) -> dict[str, str]:
    told = {
        "attitude": ("drone-dji:Flight..Degree, of the drone", lambda t: _angles(t, _DRONE)),
        "gimbal": ("drone-dji:Gimbal..Degree, of the camera", lambda t: _angles(t, _CAMERA)),
        "height_above_home_m": (
            f"{_RELATIVE}, above where it took off",
            lambda t: t.number(_RELATIVE),
        ),
        "prior": ("EXIF, by GNSS", lambda t: t.lat_deg),
        "alt_amsl_m": ("EXIF GPSAltitude, above sea level", _altitude_m),
    }
    found = {name: text for name, (text, cell) in told.items() if any(map(_is_told(cell), tags))}
    widths_deg = {each.hfov_deg for each in tags if each.hfov_deg is not None}
    if len(widths_deg) == 1:
        found["camera"] = (
            f"EXIF, were it without distortion: camera.hfov_deg={widths_deg.pop():.1f}"
        )
    return found


def _altitude_m(tags: PhotoTags) -> float | None:
    """EXIF's; where DJI wrote it, it is of a datum that nobody says, tens of metres off the sea."""
    return None if _ABSOLUTE in tags.xmp else tags.alt_m


def _is_told(cell: Callable[[PhotoTags], object]) -> Callable[[PhotoTags], bool]:
    return lambda tags: cell(tags) is not None


def _compass(tags: Sequence[PhotoTags]) -> list[str]:
    """Headings of EXIF that point back along the way, as a camera's that looks ahead do not."""
    known = [
        (each.lat_deg, each.lon_deg, each.heading_deg)
        for each in tags
        if each.lat_deg is not None and each.lon_deg is not None and each.heading_deg is not None
    ]
    away = 0
    for (lat, lon, heading), (next_lat, next_lon, _) in pairwise(known):
        if distance_m(lat, lon, next_lat, next_lon) < MOVED_M:
            continue
        east = (next_lon - lon) * math.cos(math.radians(lat))
        course = math.degrees(math.atan2(east, next_lat - lat))
        away += abs((heading - course + 180.0) % 360.0 - 180.0) > BACKWARDS_DEG
    if not away:
        return []
    return [f"the compass of {away} photos points more than {BACKWARDS_DEG:g} degrees off the way"]


def _truth(rows: Sequence[tuple[int, _Photo]]) -> Track | None:
    placed = [
        (t_ns, photo.tags.lat_deg, photo.tags.lon_deg)
        for t_ns, photo in rows
        if photo.tags.lat_deg is not None and photo.tags.lon_deg is not None
    ]
    if not placed:
        return None
    times_ns, lat_deg, lon_deg = zip(*placed, strict=True)
    return Track(times_ns, lat_deg, lon_deg)
