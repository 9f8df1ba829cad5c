"""What to cover: polygons from GeoJSON, KML or a QGroundControl plan."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import MAX_RADIUS_M, Floats, LocalFrame

MAX_BYTES = 64 << 20
Ring = tuple[Floats, Floats]
"""[N] latitudes and [N] longitudes."""
Bounds = tuple[float, float, float, float]
"""West, south, east and north, metres of a local plane."""
_EXPECTED = "expected a polygon in GeoJSON (.geojson, .json), KML (.kml) or a plan (.plan)"


@dataclass(frozen=True)
class Area:
    """Polygons of WGS84 latitudes and longitudes, each of an outline and the holes in it."""

    path: Path
    polygons: tuple[tuple[Ring, ...], ...]

    @property
    def rings(self) -> list[Ring]:
        """Of all polygons."""
        return [ring for polygon in self.polygons for ring in polygon]

    @property
    def middle(self) -> LocalFrame:
        """The plane around the middle of all rings.

        Raises:
            DataError: they reach farther than one plane does.
        """
        frame = middle_of(self.rings)
        if not all((np.hypot(*frame.to_enu(*ring).T) <= MAX_RADIUS_M).all() for ring in self.rings):
            raise DataError(
                f"{self.path}: reaches more than {MAX_RADIUS_M / 1000:.0f} km from its middle;"
                " cut it into areas"
            )
        return frame

    def bounds_m(self, frame: LocalFrame) -> Bounds:
        """The box around it."""
        enu_m = np.concatenate([frame.to_enu(*ring) for ring in self.rings])
        (west, south), (east, north) = enu_m.min(axis=0), enu_m.max(axis=0)
        return float(west), float(south), float(east), float(north)

    def holds(self, centres_m: Floats, frame: LocalFrame) -> npt.NDArray[np.bool_]:
        """For each of [N, 2] points whether it lies inside."""
        inside = np.zeros(len(centres_m), np.bool_)
        for polygon in self.polygons:
            odd = np.zeros(len(centres_m), np.bool_)
            for ring in polygon:
                odd ^= _encloses(frame.to_enu(*ring), centres_m)
            inside |= odd
        return inside


def _encloses(corners: Floats, centres_m: Floats) -> npt.NDArray[np.bool_]:
    """Whether a line eastward from each of [N, 2] points meets an odd number of edges."""
    odd = np.zeros(len(centres_m), np.bool_)
    east_m, north_m = centres_m.T
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y1 != y2:
            crosses = (y1 > north_m) != (y2 > north_m)
            odd ^= crosses & (east_m < x1 + (north_m - y1) * (x2 - x1) / (y2 - y1))
    return odd


def middle_of(outlines: Sequence[Ring]) -> LocalFrame:
    """A plane around the middle of [N] latitudes and longitudes, across the date line too.

    A few decimals: the same area gets the same origin.
    """
    lat_deg = np.concatenate([lat for lat, _ in outlines])
    lon_deg = np.concatenate([lon for _, lon in outlines])
    off_deg = (lon_deg - lon_deg[0] + 180.0) % 360.0 - 180.0
    middle_deg = lon_deg[0] + (off_deg.min() + off_deg.max()) / 2.0
    return LocalFrame(
        round(float(lat_deg.min() + lat_deg.max()) / 2.0, 4),
        round(float((middle_deg + 180.0) % 360.0 - 180.0), 4),
    )


def read_area(path: Path) -> Area:
    """The polygons of a file.

    Raises:
        DataError: names the file and what was expected.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path}: larger than {MAX_BYTES >> 20} MB; {_EXPECTED}")
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    read = _from_kml if path.suffix.lower() == ".kml" else _from_json
    polygons = tuple(
        tuple(_ring(lon_lat, path) for lon_lat in polygon) for polygon in read(raw, path)
    )
    if not polygons:
        raise DataError(f"{path}: holds no polygon; {_EXPECTED}")
    return Area(path, polygons)


def _ring(lon_lat: Any, path: Path) -> Ring:
    try:
        points = np.array([[float(point[0]), float(point[1])] for point in lon_lat])
    except (TypeError, ValueError, IndexError):
        raise DataError(f"{path}: a polygon's corners are not pairs of numbers") from None
    if len(points) < 3:
        raise DataError(f"{path}: a polygon has {len(points)} corners; expected 3 or more")
    lon_deg, lat_deg = points.T
    if not (np.isfinite(points).all() and (np.abs(lat_deg) <= 89.0).all()):
        raise DataError(f"{path}: a latitude of {_worst(lat_deg):g}; expected longitude, latitude")
    if not (np.abs(lon_deg) <= 180.0).all():
        raise DataError(f"{path}: a longitude of {_worst(lon_deg):g}; expected -180 to 180")
    return lat_deg, lon_deg


def _worst(values: Floats) -> float:
    return float(values[np.argmax(np.abs(np.nan_to_num(values, nan=np.inf)))])


def _from_json(raw: bytes, path: Path) -> Iterator[Any]:
    try:
        tree = json.loads(raw)
    except (ValueError, RecursionError):
        raise DataError(f"{path}: not JSON; {_EXPECTED}") from None
    if isinstance(tree, dict) and tree.get("fileType") == "Plan":
        yield from _of_plan(tree)
    else:
        yield from _of_geojson(tree)


def _of_geojson(tree: Any) -> Iterator[Any]:
    if not isinstance(tree, dict):
        return
    for part in ("features", "geometries"):
        for child in tree.get(part) or ():
            yield from _of_geojson(child)
    yield from _of_geojson(tree.get("geometry"))
    coordinates = tree.get("coordinates") or ()
    if tree.get("type") == "Polygon":
        yield coordinates
    elif tree.get("type") == "MultiPolygon":
        yield from coordinates


def _of_plan(tree: dict[str, Any]) -> Iterator[Any]:
    """The geofence's inclusion polygons; without any, the polygons of surveys."""
    fence = tree.get("geoFence") or {}
    fences = [each.get("polygon") for each in fence.get("polygons") or () if each.get("inclusion")]
    items = (tree.get("mission") or {}).get("items") or ()
    surveys = [item["polygon"] for item in items if isinstance(item, dict) and item.get("polygon")]
    for polygon in fences or surveys:
        yield [[point[1::-1] if isinstance(point, list) else point for point in polygon]]


def _from_kml(raw: bytes, path: Path) -> Iterator[Any]:
    try:
        root = ElementTree.fromstring(raw)
    except ElementTree.ParseError as error:
        raise DataError(f"{path}: not KML: {error}") from None
    for polygon in root.iter():
        if _tag(polygon) != "Polygon":
            continue
        texts = [each.text or "" for each in polygon.iter() if _tag(each) == "coordinates"]
        yield [[point.split(",") for point in text.split()] for text in texts]


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
