"""JSON of others: GeoJSON points, Mapillary's API and tools, OpenSfM's reconstructions.

https://www.mapillary.com/developer/api-documentation (image fields)
https://github.com/mapillary/mapillary_tools (mapillary_image_description.json)
https://opensfm.org/docs/dataset.html (reconstruction.json: `reference_lla`, shots with a rotation
from world to camera as an axis times an angle, and a translation; world axes east, north, up)
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import LocalFrame

from .picture import StreetPicture

MAX_BYTES = 512 << 20
_FILES = ("file", "filename", "image", "name", "id")
_HEADINGS = ("heading_deg", "computed_compass_angle", "compass_angle", "heading", "bearing")


def read(path: Path, folder: Path, names: Sequence[str]) -> list[StreetPicture]:
    """The pictures that an export tells a position of, in the order in which they were taken.

    Raises:
        DataError: not one of the known kinds, a picture that is not there, or a position that is
            none.
    """
    tree = _parse(path)
    if isinstance(tree, dict) and isinstance(tree.get("features"), list):
        found = list(_of_geojson(tree["features"], path, folder, names))
    elif isinstance(tree, dict) and isinstance(tree.get("data"), list):
        found = list(_of_api(tree["data"], path, folder, names))
    elif isinstance(tree, list) and tree and isinstance(tree[0], dict):
        of = _of_opensfm if "shots" in tree[0] else _of_tools
        found = list(of(tree, path, folder, names))
    else:
        raise DataError(
            f"{path}: expected GeoJSON features, Mapillary's data or image descriptions, or an"
            " OpenSfM reconstruction"
        )
    return sorted(found, key=lambda each: (each.sequence, each.taken))


def _parse(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path}: larger than {MAX_BYTES >> 20} MB")
        return json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}") from None


def _of_geojson(
    features: list[Any], path: Path, folder: Path, names: Sequence[str]
) -> Iterator[StreetPicture]:
    for number, feature in enumerate(features, start=1):
        where = f"{path}, feature {number}"
        geometry = feature.get("geometry") if isinstance(feature, dict) else None
        if not isinstance(geometry, dict) or geometry.get("type") != "Point":
            raise DataError(f"{where}: expected a Point")
        properties = {**(feature.get("properties") or {})}
        properties.setdefault("id", feature.get("id"))
        yield _picture(properties, geometry.get("coordinates"), where, folder, names)


def _of_api(
    images: list[Any], path: Path, folder: Path, names: Sequence[str]
) -> Iterator[StreetPicture]:
    for number, image in enumerate(images, start=1):
        where = f"{path}, data {number}"
        if not isinstance(image, dict):
            raise DataError(f"{where}: expected an object")
        geometry = image.get("computed_geometry") or image.get("geometry") or {}
        yield _picture(image, geometry.get("coordinates"), where, folder, names)


def _of_tools(
    images: list[Any], path: Path, folder: Path, names: Sequence[str]
) -> Iterator[StreetPicture]:
    for number, image in enumerate(images, start=1):
        where = f"{path}, entry {number}"
        if not isinstance(image, dict):
            raise DataError(f"{where}: expected an object")
        if "error" in image:  # the tools could not use it
            continue
        compass = image.get("MAPCompassHeading")
        told = {
            "file": Path(str(image.get("filename", ""))).name,
            "heading_deg": compass.get("TrueHeading") if isinstance(compass, dict) else None,
            "captured_at": image.get("MAPCaptureTime"),
            "sequence": image.get("MAPSequenceUUID"),
        }
        at = [image.get("MAPLongitude"), image.get("MAPLatitude")]
        yield _picture(told, at, where, folder, names)


def _of_opensfm(
    parts: list[Any], path: Path, folder: Path, names: Sequence[str]
) -> Iterator[StreetPicture]:
    for part in parts:
        reference, shots = part.get("reference_lla"), part.get("shots")
        if not isinstance(reference, dict) or not isinstance(shots, dict):
            raise DataError(f"{path}: expected reference_lla and shots")
        try:
            frame = LocalFrame(float(reference["latitude"]), float(reference["longitude"]))
        except (KeyError, TypeError, ValueError):
            raise DataError(f"{path}, reference_lla: expected latitude and longitude") from None
        for name, shot in shots.items():
            where = f"{path}, shot {name}"
            east_north, heading_deg = _pose(shot, where)
            lat_deg, lon_deg = frame.to_geodetic(east_north)
            told = {
                "file": name,
                "heading_deg": heading_deg,
                "captured_at": shot.get("capture_time"),
                "sequence": shot.get("skey"),
            }
            yield _picture(told, [float(lon_deg), float(lat_deg)], where, folder, names)


def _pose(shot: Mapping[str, Any], where: str) -> tuple[Any, float]:
    """Metres east and north of the reference, and the bearing of the optical axis."""
    try:
        turn = np.array([float(value) for value in shot["rotation"]]).reshape(3)
        moved = np.array([float(value) for value in shot["translation"]]).reshape(3)
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{where}: expected a rotation and a translation") from None
    camera_from_world, _ = cv2.Rodrigues(turn)
    centre = -camera_from_world.T @ moved
    axis = camera_from_world[2]
    return centre[:2], math.degrees(math.atan2(axis[0], axis[1])) % 360.0


def _picture(
    told: Mapping[str, Any], lon_lat: Any, where: str, folder: Path, names: Sequence[str]
) -> StreetPicture:
    name = _name(told, names)
    if name is None:
        found = next((told[key] for key in _FILES if told.get(key)), None)
        raise DataError(f"{where}: expected a picture in {folder}, found {found!r}")
    try:
        lon_deg, lat_deg = float(lon_lat[0]), float(lon_lat[1])
    except (TypeError, ValueError, IndexError):
        raise DataError(f"{where}: expected [longitude, latitude], found {lon_lat!r}") from None
    if not (abs(lat_deg) <= 90.0 and abs(lon_deg) <= 180.0):
        raise DataError(f"{where}: latitude {lat_deg:g}, longitude {lon_deg:g} are none")
    heading = next((told[key] for key in _HEADINGS if _is_number(told.get(key))), None)
    heading_deg = math.nan if heading is None else float(heading) % 360.0
    taken, sequence = (_text(told.get(key)) for key in ("captured_at", "sequence"))
    return StreetPicture(folder / name, lat_deg, lon_deg, heading_deg, taken, sequence, where)


def _name(told: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Its own name, or that of the picture whose name without ending is its id."""
    for key in _FILES:
        wanted = str(told.get(key) or "")
        for name in names if wanted else ():
            if wanted in (name, Path(name).stem):
                return name
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _text(value: Any) -> str:
    """As it sorts: numbers with their digits below each other."""
    if value is None:
        return ""
    return f"{value:024.6f}" if _is_number(value) else str(value)
