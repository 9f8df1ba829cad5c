"""Mapillary's API v4: pictures in a box. https://www.mapillary.com/developer/api-documentation"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from geobridge.onboard.errors import DataError

from ..config import Mapillary
from ..stage import Line, place_id
from .polite import Service, keep_picture, key_of

Box = tuple[float, float, float, float]
"""West, south, east, north in degrees."""
LIMIT = 2000
"""More pictures it does not list; a box with so many is asked in quarters."""
SMALLEST_DEG = 1e-4
FIELDS = (
    "id,computed_geometry,geometry,captured_at,compass_angle,computed_compass_angle,is_pano,"
    "sequence,thumb_2048_url"
)


def asker(source: Mapillary) -> Callable[[Box, Sequence[tuple[float, float]], Path], list[Line]]:
    """Asks for a box and downloads what it shows.

    Raises:
        ConfigError: there is no token.
    """
    token = key_of(source.key_env, "mapillary")
    service = Service("mapillary", source.rate_hz, {"Authorization": f"OAuth {token}"})
    plain = Service("mapillary's pictures", source.rate_hz)

    def ask(box: Box, _: Sequence[tuple[float, float]], pictures: Path) -> list[Line]:
        lines = []
        for image in _listed(service, source, box):
            line = _line(image, source)
            path = pictures / f"mapillary-{line['key']}.jpg"
            if not path.exists():
                keep_picture(_picture(service, plain, source, image), path, "mapillary's pictures")
            lines.append(line | {"path": str(path)})
        return lines

    return ask


def _listed(service: Service, source: Mapillary, box: Box) -> list[dict[str, Any]]:
    query = {
        "fields": FIELDS,
        "bbox": ",".join(f"{value:.7f}" for value in box),
        "limit": LIMIT,
    }
    if source.panoramas_only:
        query["is_pano"] = "true"
    images = service.json(f"{source.url}/images", query).get("data")
    if not isinstance(images, list) or not all(isinstance(each, dict) for each in images):
        raise DataError(f"{service.name}: expected data, a list of images")
    if len(images) < LIMIT or box[2] - box[0] < SMALLEST_DEG:
        return images
    found = {str(i["id"]): i for part in _quarters(box) for i in _listed(service, source, part)}
    return list(found.values())


def _picture(service: Service, plain: Service, source: Mapillary, image: dict[str, Any]) -> bytes:
    """Addresses of pictures live for a while only: one that is refused is asked for anew."""
    url = image.get("thumb_2048_url")
    if isinstance(url, str):
        try:
            return plain.bytes(url)
        except DataError:
            pass
    answer = service.json(f"{source.url}/{image['id']}", {"fields": "thumb_2048_url"})
    url = answer.get("thumb_2048_url")
    if not isinstance(url, str):
        raise DataError(f"{service.name}: image {image['id']} has no thumb_2048_url")
    return plain.bytes(url)


def _line(image: dict[str, Any], source: Mapillary) -> Line:
    geometry = image.get("computed_geometry") or image.get("geometry") or {}
    at = geometry.get("coordinates") if isinstance(geometry, dict) else None
    key = str(image.get("id") or "")
    try:
        lon_deg, lat_deg = float(at[0]), float(at[1])  # type: ignore[index]
    except (TypeError, ValueError, IndexError):
        raise DataError(f"mapillary: image {key!r}: expected coordinates, found {at!r}") from None
    if not key.isalnum() or not (abs(lat_deg) <= 90.0 and abs(lon_deg) <= 180.0):
        raise DataError(f"mapillary: image {key!r} at {at!r}: expected an id and a position")
    angles = (image.get("computed_compass_angle"), image.get("compass_angle"))
    heading = next((float(a) for a in angles if isinstance(a, (int, float))), math.nan)
    return {
        "id": place_id("mapillary", key),
        "source": "mapillary",
        "key": key,
        "lat_deg": lat_deg,
        "lon_deg": lon_deg,
        "heading_deg": heading % 360.0 if math.isfinite(heading) else None,
        "taken": _text(image.get("captured_at")),
        "sequence": str(image.get("sequence") or ""),
        "licence": source.licence,
        "attribution": source.attribution,
    }


def _text(captured_ms: Any) -> str:
    """ISO date of milliseconds since 1970."""
    if not isinstance(captured_ms, (int, float)):
        return ""
    return datetime.fromtimestamp(captured_ms / 1000.0, timezone.utc).strftime("%Y-%m-%d")


def _quarters(box: Box) -> list[Box]:
    west, south, east, north = box
    lon, lat = (west + east) / 2.0, (south + north) / 2.0
    return [
        (west, south, lon, lat),
        (lon, south, east, lat),
        (west, lat, lon, north),
        (lon, lat, east, north),
    ]
