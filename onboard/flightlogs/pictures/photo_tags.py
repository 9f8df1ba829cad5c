"""What a photo says of itself: EXIF, XMP, and the description that Mapillary's apps write.

EXIF 2.32 (GPS tags 1 to 7, 16, 17 and 29); XMP of DJI (`drone-dji`) and of panoramas (`GPano`).
"""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ...errors import DataError

_GPS, _EXIF, _DESCRIPTION = 0x8825, 0x8769, 270
_TAKEN, _FRACTION, _FOCAL_35MM, _ZONE = 0x9003, 0x9291, 0xA405, 0x9011
_LAT, _LON, _ALT, _TIME, _DATE = 2, 4, 6, 7, 29
_BELOW_SEA = 1
_DIRECTION_REF = 16
_XMP_VALUE = re.compile(r'([A-Za-z-]+:[A-Za-z]+)(?:="([^"]*)"|>([^<]*)<)')
_FILM_DIAGONAL_MM = math.hypot(36.0, 24.0)


@dataclass(frozen=True)
class PhotoTags:
    """A photo's own statements; None or empty where it says nothing. WGS84, true north."""

    width_px: int
    height_px: int
    lat_deg: float | None = None
    lon_deg: float | None = None
    heading_deg: float | None = None
    taken: str = ""
    """By the camera's clock, `YYYY:MM:DD hh:mm:ss` with or without a fraction."""
    zone: str = ""
    """Of that clock, as +10:00."""
    gps_time_s: float | None = None
    """Since 1970, UTC, of the receiver's last solution."""
    alt_m: float | None = None
    """Above sea level, as EXIF has it."""
    focal_35mm: float | None = None
    xmp: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_panorama(self) -> bool:
        """Equirectangular, all around."""
        said = self.xmp.get("GPano:ProjectionType", "")
        return said == "equirectangular" or self.width_px == 2 * self.height_px

    @property
    def hfov_deg(self) -> float | None:
        """Of an undistorted picture, from the focal length that 35 mm film would need for the same
        diagonal (CIPA DCG-001); a picture wider than film is taken as cut from one of 4:3."""
        if not self.focal_35mm:
            return None
        shape = self.width_px / self.height_px
        shape = 4.0 / 3.0 if shape > 1.55 else shape
        width_mm = _FILM_DIAGONAL_MM * shape / math.hypot(shape, 1.0)
        return math.degrees(2.0 * math.atan(width_mm / 2.0 / self.focal_35mm))

    def number(self, name: str) -> float | None:
        """A number of the XMP."""
        return _number(self.xmp.get(name))


def read_tags(path: Path) -> PhotoTags:
    """The tags of a picture file; its pixels are not decoded.

    Raises:
        DataError: names the file; not a picture, or a position that is none.
    """
    from PIL import Image, UnidentifiedImageError  # comes with an extra

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tags that are passed over
            with Image.open(path) as photo:
                exif = photo.getexif()
                size, raw = photo.size, photo.info.get("xmp", b"")
                gps, taken = dict(exif.get_ifd(_GPS)), dict(exif.get_ifd(_EXIF))
                described = exif.get(_DESCRIPTION)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise DataError(f"{path}: not a picture whose tags can be read: {error}") from None
    xmp = _xmp(raw)
    lat_deg, lon_deg = _position(gps)
    if lat_deg is not None and not (abs(lat_deg) <= 90.0 and abs(lon_deg or 999.0) <= 180.0):
        raise DataError(f"{path}: EXIF says latitude {lat_deg}, longitude {lon_deg}")
    fraction = _text(taken.get(_FRACTION))
    return PhotoTags(
        *size,
        lat_deg,
        lon_deg,
        _heading(gps, xmp, _mapillary(described)),
        _text(taken.get(_TAKEN)) + (f".{fraction}" if fraction else ""),
        _text(taken.get(_ZONE)),
        _gps_time_s(gps),
        _altitude_m(gps),
        _number(taken.get(_FOCAL_35MM)),
        xmp,
    )


def _altitude_m(gps: Mapping[int, Any]) -> float | None:
    alt_m, reference = _number(gps.get(_ALT)), gps.get(5)
    below = reference in (_BELOW_SEA, bytes([_BELOW_SEA]))
    return -alt_m if alt_m is not None and below else alt_m


def _gps_time_s(gps: Mapping[int, Any]) -> float | None:
    try:
        day = datetime.strptime(_text(gps.get(_DATE)), "%Y:%m:%d").replace(tzinfo=timezone.utc)
        hours, minutes, seconds = (float(value) for value in gps[_TIME])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    time_s = day.timestamp() + hours * 3600.0 + minutes * 60.0 + seconds
    return time_s if math.isfinite(time_s) else None


def _position(gps: Mapping[int, Any]) -> tuple[float | None, float | None]:
    lat_deg, lon_deg = _degrees(gps.get(_LAT)), _degrees(gps.get(_LON))
    if lat_deg is None or lon_deg is None or (lat_deg == 0.0 and lon_deg == 0.0):
        return None, None
    south, west = _text(gps.get(1)).upper() == "S", _text(gps.get(3)).upper() == "W"
    return -lat_deg if south else lat_deg, -lon_deg if west else lon_deg


def _heading(
    gps: Mapping[int, Any], xmp: Mapping[str, str], told: Mapping[str, Any]
) -> float | None:
    """GPano's, Mapillary's true heading, or EXIF's where it does not say that it is magnetic."""
    compass = told.get("MAPCompassHeading")
    candidates = (
        xmp.get("GPano:PoseHeadingDegrees"),
        compass.get("TrueHeading") if isinstance(compass, dict) else None,
        None if _text(gps.get(_DIRECTION_REF)).upper() == "M" else gps.get(17),
    )
    for candidate in candidates:
        heading_deg = _number(candidate)
        if heading_deg is not None and abs(heading_deg) <= 360.0:
            return heading_deg % 360.0
    return None


def _mapillary(description: Any) -> dict[str, Any]:
    try:
        told = json.loads(description)
    except (TypeError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _xmp(raw: Any) -> dict[str, str]:
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
    return {name: (a or b).strip() for name, a, b in _XMP_VALUE.findall(text)}


def _degrees(values: Any) -> float | None:
    """Degrees, minutes and seconds."""
    try:
        degrees, minutes, seconds = (float(value) for value in values)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    total = degrees + minutes / 60.0 + seconds / 3600.0
    return total if math.isfinite(total) else None


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) else None


def _text(value: Any) -> str:
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    return text.strip("\0 ")
