"""Google's Street View Static API: the panorama nearest to a seed.

https://developers.google.com/maps/documentation/streetview (metadata: `status`, `pano_id`,
`location`, `date`; a picture: `pano`, `size`, `heading`, `pitch`, `fov`)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from geobridge.onboard.durable import write_bytes
from geobridge.onboard.errors import DataError
from geobridge.onboard.frames.picture import rgb_from_bgr
from geobridge.onboard.records import Image

from ..config import StreetView
from ..stage import Line, place_id
from .polite import Service, key_of

FACE_PX = 640
"""The largest it gives."""
WIDTH_PX = 2048
FACES = {"north": (0, 0), "east": (90, 0), "south": (180, 0), "west": (270, 0), "up": (0, 90),
         "down": (0, -90)}  # fmt: skip
"""Heading and pitch of each; every one 90 degrees wide."""


def asker(source: StreetView) -> Callable[[Any, Sequence[tuple[float, float]], Path], list[Line]]:
    """Asks for the panoramas near points and downloads them.

    Raises:
        ConfigError: there is no key.
    """
    key = key_of(source.key_env, "street view")
    service = Service("street view", source.rate_hz)

    def ask(_: Any, points: Sequence[tuple[float, float]], pictures: Path) -> list[Line]:
        lines: dict[str, Line] = {}
        for lat_deg, lon_deg in points:
            told = _nearest(service, source, key, lat_deg, lon_deg)
            if told is None or told["pano_id"] in lines:
                continue
            line = _line(told, source)
            path = pictures / f"streetview-{line['id']}.jpg"
            if not path.exists():
                _keep(path, panorama(_faces(service, source, key, told["pano_id"])))
            lines[told["pano_id"]] = line | {"path": str(path)}
        return list(lines.values())

    return ask


def _nearest(
    service: Service, source: StreetView, key: str, lat_deg: float, lon_deg: float
) -> dict[str, Any] | None:
    query = {"location": f"{lat_deg:.7f},{lon_deg:.7f}", "radius": source.radius_m}
    told = service.json(f"{source.url}/metadata", query | {"source": "outdoor", "key": key})
    status = told.get("status")
    if status in ("ZERO_RESULTS", "NOT_FOUND"):
        return None
    if status != "OK":
        raise DataError(f"street view: {status}: {told.get('error_message', 'no reason given')}")
    at = told.get("location")
    if not isinstance(told.get("pano_id"), str) or not isinstance(at, dict):
        raise DataError("street view: expected pano_id and location")
    return told


def _faces(service: Service, source: StreetView, key: str, pano: str) -> dict[str, Image]:
    faces = {}
    for name, (heading_deg, pitch_deg) in FACES.items():
        query = {"pano": pano, "size": f"{FACE_PX}x{FACE_PX}", "heading": heading_deg}
        raw = service.bytes(source.url, query | {"pitch": pitch_deg, "fov": 90, "key": key})
        picture = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR) if raw else None
        if picture is None:
            raise DataError(f"street view: the {name} of {pano} is no picture")
        faces[name] = rgb_from_bgr(cv2.resize(picture, (FACE_PX, FACE_PX)))
    return faces


def panorama(faces: dict[str, Image]) -> Image:
    """Six [S, S, 3] faces to [W / 2, W, 3] equirectangular, north in the middle."""
    azimuth = ((np.arange(WIDTH_PX) + 0.5) / WIDTH_PX - 0.5) * 2.0 * np.pi
    elevation = (0.5 - (np.arange(WIDTH_PX // 2) + 0.5) / (WIDTH_PX // 2)) * np.pi
    azimuth, elevation = np.meshgrid(azimuth, elevation)
    flat = np.cos(elevation)
    ray = np.stack([flat * np.sin(azimuth), flat * np.cos(azimuth), np.sin(elevation)], axis=-1)
    out = np.zeros((*azimuth.shape, 3), np.uint8)
    best = np.full(azimuth.shape, -1.0)
    for name, (heading_deg, pitch_deg) in FACES.items():
        right, up, ahead = _axes(heading_deg, pitch_deg)
        depth = ray @ ahead
        side = next(iter(faces.values())).shape[0]
        x = (ray @ right / np.maximum(depth, 1e-6) + 1.0) * side / 2.0 - 0.5
        y = (1.0 - ray @ up / np.maximum(depth, 1e-6)) * side / 2.0 - 0.5
        seen = cv2.remap(
            faces[name], x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        nearer = depth > best
        out[nearer], best[nearer] = seen[nearer], depth[nearer]
    return out


def _axes(heading_deg: float, pitch_deg: float) -> tuple[Any, Any, Any]:
    """Right, up and ahead of a face, east, north, up."""
    h, p = np.radians([heading_deg, pitch_deg])
    right = np.array([np.cos(h), -np.sin(h), 0.0])
    ahead = np.array([np.cos(p) * np.sin(h), np.cos(p) * np.cos(h), np.sin(p)])
    return right, np.cross(right, ahead), ahead


def _keep(path: Path, image: Image) -> None:
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    assert done
    write_bytes(path, data.tobytes())


def _line(told: dict[str, Any], source: StreetView) -> Line:
    try:
        lat_deg, lon_deg = float(told["location"]["lat"]), float(told["location"]["lng"])
    except (KeyError, TypeError, ValueError):
        raise DataError("street view: expected location.lat and location.lng") from None
    key = str(told["pano_id"])
    return {
        "id": place_id("streetview", key),
        "source": "streetview",
        "key": key,
        "lat_deg": lat_deg,
        "lon_deg": lon_deg,
        "heading_deg": 0.0,
        "taken": str(told.get("date") or ""),
        "sequence": "",
        "licence": source.licence,
        "attribution": str(told.get("copyright") or source.attribution),
    }
