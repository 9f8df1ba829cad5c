"""Street-level pictures whose positions are known, as places of view street.

    <folder>/positions.csv          file,lat_deg,lon_deg[,heading_deg]; WGS84, a row per picture
    <folder>/<file>                 equirectangular panoramas or plain photos, as training saw them

`heading_deg` is the true bearing of a picture's middle column.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geobridge.onboard.bundle import PLACE, sha256
from geobridge.onboard.errors import DataError
from geobridge.onboard.flightlogs.table import LATITUDE, LONGITUDE, Range, Table, read_table
from geobridge.onboard.frames.folder import SUFFIXES
from geobridge.onboard.frames.picture import read_picture
from geobridge.onboard.geodesy import MAX_RADIUS_M, LocalFrame, distance_m
from geobridge.onboard.retrieval.encoder import Encoder
from geobridge.onboard.retrieval.imagery import ReferenceImagery
from geobridge.onboard.retrieval.index import spatial_order
from geobridge.onboard.views import VIEW_CODES, View

from .places import Descriptors, Places, encode_rows

POSITIONS = "positions.csv"
HEADING = Range("a heading of -360 to 360 degrees", -360.0, 360.0)


@dataclass(frozen=True)
class StreetFolder:
    """Pictures and where they were taken, in the order of the rows; headings NaN if not known."""

    table: Table
    paths: tuple[Path, ...]
    lat_deg: tuple[float, ...]
    lon_deg: tuple[float, ...]
    heading_deg: tuple[float, ...]

    @classmethod
    def read(cls, folder: Path) -> StreetFolder:
        """Read the table and compare it with the pictures beside it, which are not opened.

        Raises:
            DataError: a column is missing, a value out of range, a row without its picture or a
                picture without its row.
        """
        table = read_table(folder / POSITIONS, ["file", "lat_deg", "lon_deg"], ["heading_deg"])
        names = table.texts("file")
        _check_pictures(folder, table, names)
        unknown = [math.nan] * len(names)
        heading_deg = table.numbers("heading_deg", HEADING) if "heading_deg" in table else unknown
        return cls(
            table=table,
            paths=tuple(folder / name for name in names),
            lat_deg=tuple(table.numbers("lat_deg", LATITUDE)),
            lon_deg=tuple(table.numbers("lon_deg", LONGITUDE)),
            heading_deg=tuple(heading_deg),
        )

    @property
    def folder(self) -> Path:
        """Where the table and the pictures lie."""
        return self.table.path.parent

    def sha256(self) -> str:
        """One digest of all: that of what `sha256sum` prints for the table and then every row."""
        lines = (f"{sha256(path)}  {path.name}\n" for path in (self.table.path, *self.paths))
        return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True)
class StreetPlaces:
    """[N] rows of PLACE in spatial order, and the picture of each."""

    places: Places
    paths: tuple[Path, ...]


def lay_street(
    street: StreetFolder, frame: LocalFrame, imagery: ReferenceImagery, reach_m: float, source: int
) -> StreetPlaces:
    """Every picture as a place of the bundle's plane.

    Args:
        street: the pictures.
        frame: the plane.
        imagery: what a position that they give can be checked against.
        reach_m: how far around them the ground is that they show.
        source: row of their source in the manifest.

    Raises:
        DataError: names the row whose position the reference imagery does not show.
    """
    rows = np.zeros(len(street.paths), PLACE)
    rows["lat_deg"], rows["lon_deg"] = street.lat_deg, street.lon_deg
    rows["heading_deg"] = np.mod(street.heading_deg, 360.0)
    rows["footprint_m"], rows["source"] = reach_m, source
    rows["view"], rows["aliasing"] = VIEW_CODES[View.STREET], np.nan
    enu_m = frame.to_enu(rows["lat_deg"], rows["lon_deg"])
    rows["east_m"], rows["north_m"] = enu_m.T
    for row, place in enumerate(rows):
        if not _is_shown(place, frame, imagery):
            raise street.table.error(row, "file", "expected a place that the raster shows")
    order = spatial_order(rows["east_m"], rows["north_m"])
    return StreetPlaces(rows[order], tuple(street.paths[row] for row in order))


def encode_street(street: StreetPlaces, encoder: Encoder, work: Path) -> Descriptors:
    """[N, D] unit descriptors of the pictures, see `places.encode_rows`.

    Raises:
        DataError: names a picture that cannot be read.
    """
    paths = street.paths
    return encode_rows(len(paths), lambda row: (read_picture(paths[row]), None), encoder, work)


def _is_shown(place: Any, frame: LocalFrame, imagery: ReferenceImagery) -> bool:
    origin = frame.origin_lat_deg, frame.origin_lon_deg
    if distance_m(*origin, float(place["lat_deg"]), float(place["lon_deg"])) > MAX_RADIUS_M:
        return False  # the plane does not tell the other side of the Earth from this one
    _, valid, _ = imagery.read(float(place["east_m"]), float(place["north_m"]), 1)
    return bool(valid.all())


def _check_pictures(folder: Path, table: Table, names: tuple[str, ...]) -> None:
    files = (path for path in folder.iterdir() if path.is_file())
    there = {path.name for path in files if path.suffix.lower() in SUFFIXES}
    for row, name in enumerate(names):
        if name not in there:
            raise table.error(row, "file", f"expected a picture beside the table, found {name!r}")
    without = sorted(there.difference(names))
    if without:
        raise DataError(f"{folder / without[0]}: {POSITIONS} has no row for this picture")
