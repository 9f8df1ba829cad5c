"""In which country a place lies, and what kind of land it is; splits are balanced over both."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from shapely import Point, STRtree
from shapely.errors import ShapelyError
from shapely.geometry import shape

from geobridge.onboard.errors import DataError
from geobridge.onboard.records import Image

SIDE_PX = 96
_GREEN, _EDGES = 12.0, 14.0
"""Excess green in grey levels above which a pixel is vegetation; edge strength of built land."""


def terrain_of(image: Image) -> str:
    """Of a satellite picture [S, S, 3]: "wooded", "green", "built", "mixed" or "open"; a coarse
    reading of colours and edges, good enough to balance by."""
    small = cv2.resize(image, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    red, green, blue = (small[..., band].astype(np.float32) for band in range(3))
    leafy = float((2.0 * green - red - blue > _GREEN).mean())
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.float32)
    right, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    edges = float(np.sqrt(right * right + down * down).mean()) / 4.0
    if leafy > 0.6:
        return "wooded" if edges > _EDGES / 2.0 else "green"
    if edges > _EDGES:
        return "built" if leafy < 0.3 else "mixed"
    return "green" if leafy > 0.3 else "open"


class Countries:
    """Polygons with a `name`.

    Raises:
        DataError: not GeoJSON of such polygons.
    """

    def __init__(self, path: Path) -> None:
        try:
            features = json.loads(path.read_bytes())["features"]
            self._names = [str(each["properties"]["name"]) for each in features]
            self._tree = STRtree([shape(each["geometry"]) for each in features])
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, ShapelyError):
            raise DataError(f"{path}: expected GeoJSON features with a name each") from None

    def of(self, lat_deg: float, lon_deg: float) -> str:
        """The name; empty outside all of them."""
        found = sorted(self._tree.query(Point(lon_deg, lat_deg), predicate="intersects"))
        return self._names[found[0]] if found else ""
