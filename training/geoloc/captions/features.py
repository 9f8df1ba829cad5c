"""What a map says of a place: OpenStreetMap's features as GeoJSON, tags as properties.

As `osmium export -f geojson` and Overpass' converters write them: tags directly, or under `tags`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shapely import STRtree, box
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from geobridge.onboard.errors import DataError

from ..squares import metres_per_degree

KINDS: dict[str, tuple[tuple[str, str], ...]] = {
    "river": (("waterway", "river"), ("water", "river"), ("waterway", "riverbank")),
    "stream": (("waterway", "stream"), ("waterway", "ditch"), ("waterway", "drain")),
    "canal": (("waterway", "canal"), ("water", "canal")),
    "lake": (("natural", "water"), ("water", "lake"), ("water", "pond"), ("landuse", "reservoir"),
             ("water", "reservoir")),
    "coast": (("natural", "coastline"), ("natural", "beach")),
    "railway": (("railway", "rail"), ("railway", "light_rail"), ("railway", "tram")),
    "motorway": (("highway", "motorway"), ("highway", "trunk")),
    "road": (("highway", "primary"), ("highway", "secondary"), ("highway", "tertiary"),
             ("highway", "unclassified"), ("highway", "residential"), ("highway", "service"),
             ("highway", "living_street")),
    "path": (("highway", "footway"), ("highway", "path"), ("highway", "cycleway"),
             ("highway", "track"), ("highway", "pedestrian")),
    "roundabout": (("junction", "roundabout"),),
    "bridge": (("bridge", "*"), ("man_made", "bridge")),
    "forest": (("landuse", "forest"), ("natural", "wood")),
    "orchard": (("landuse", "orchard"), ("landuse", "vineyard")),
    "farmland": (("landuse", "farmland"), ("landuse", "farmyard")),
    "grass": (("landuse", "grass"), ("landuse", "meadow"), ("natural", "grassland")),
    "park": (("leisure", "park"), ("leisure", "garden")),
    "pitch": (("leisure", "pitch"), ("leisure", "stadium"), ("leisure", "track")),
    "parking": (("amenity", "parking"),),
    "church": (("amenity", "place_of_worship"), ("building", "church"), ("building", "mosque"),
               ("building", "temple")),
    "school": (("amenity", "school"), ("amenity", "university"), ("amenity", "kindergarten")),
    "industry": (("landuse", "industrial"), ("building", "industrial"), ("building", "warehouse")),
    "shops": (("landuse", "commercial"), ("landuse", "retail"), ("building", "retail")),
    "houses": (("landuse", "residential"), ("building", "house"), ("building", "residential"),
               ("building", "detached"), ("building", "terrace"), ("building", "apartments")),
    "building": (("building", "*"),),
    "cemetery": (("landuse", "cemetery"), ("amenity", "grave_yard")),
    "solar": (("generator:source", "solar"),),
    "tower": (("man_made", "tower"), ("man_made", "water_tower"), ("power", "tower")),
}  # fmt: skip
"""Of a feature by its tags; the first that fits, and `*` for any value but no."""


@dataclass(frozen=True)
class Near:
    """A kind of thing within reach of a place: how many, metres of line and share of the ground
    within the square itself, the share of it that is covered."""

    kind: str
    count: int
    length_m: float
    share: float


class Features:
    """The map of a build, by a spatial index.

    Raises:
        DataError: not GeoJSON, or a geometry that is none.
    """

    def __init__(self, path: Path) -> None:
        self._kinds: list[str] = []
        self._shapes: list[BaseGeometry] = []
        for number, feature in enumerate(_features(path), start=1):
            kind = kind_of(feature.get("properties") or {})
            if kind is None:
                continue
            try:
                self._shapes.append(shape(feature["geometry"]))
            except (ShapelyError, KeyError, TypeError, ValueError, AttributeError):
                raise DataError(f"{path}, feature {number}: its geometry is none") from None
            self._kinds.append(kind)
        self._tree = STRtree(self._shapes)

    def near(self, lat_deg: float, lon_deg: float, reach_m: float) -> list[Near]:
        """What lies within a square of `2 reach_m`, the largest first."""
        per_lat_m, per_lon_m = (float(each) for each in metres_per_degree(lat_deg))
        dlat, dlon = reach_m / per_lat_m, reach_m / per_lon_m
        square = box(lon_deg - dlon, lat_deg - dlat, lon_deg + dlon, lat_deg + dlat)
        found: dict[str, list[tuple[float, float]]] = {}
        for at in sorted(self._tree.query(square, predicate="intersects")):
            part = self._shapes[at].intersection(square)
            if part.is_empty:
                continue
            scale = (per_lat_m + per_lon_m) / 2.0
            size = (part.length * scale if not part.area else 0.0, part.area / square.area)
            found.setdefault(self._kinds[at], []).append(size)
        listed = [
            Near(kind, len(s), sum(each[0] for each in s), min(1.0, sum(each[1] for each in s)))
            for kind, s in found.items()
        ]
        return sorted(listed, key=lambda each: (-each.share, -each.length_m, each.kind))


def kind_of(properties: dict[str, Any]) -> str | None:
    """By tags; None for what nobody would name."""
    tags = properties.get("tags") if isinstance(properties.get("tags"), dict) else properties
    assert isinstance(tags, dict)
    for kind, pairs in KINDS.items():
        for key, value in pairs:
            told = tags.get(key)
            if told is not None and (told == value or (value == "*" and told != "no")):
                return kind
    return None


def _features(path: Path) -> Iterable[dict[str, Any]]:
    try:
        tree = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}") from None
    features = tree.get("features") if isinstance(tree, dict) else None
    if not isinstance(features, list) or not all(isinstance(f, dict) for f in features):
        raise DataError(f"{path}: expected a FeatureCollection")
    return features
