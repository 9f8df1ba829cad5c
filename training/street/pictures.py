"""Street-level pictures of known position, from whatever tells it.

    positions.csv        file,lat_deg,lon_deg[,heading_deg]; surveys' other headers are known too
    *.geojson, *.json    points with a file or id, as Mapillary's API gives them; its tools'
                         mapillary_image_description.json; OpenSfM's reconstruction.json
    the pictures         EXIF and XMP

`heading_deg` is the true bearing of a picture's middle column. Pictures are in the order in which
they were taken where that is known, else in that of the rows or names.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from geobridge.onboard.bundle import sha256
from geobridge.onboard.errors import DataError
from geobridge.onboard.flightlogs.pictures.photo_tags import read_tags
from geobridge.onboard.frames.folder import SUFFIXES

from ..sources import StreetSource
from . import compass, exports, positions_csv
from .picture import StreetPicture

POSITIONS = "positions.csv"
TABLES = (
    POSITIONS,
    "mapillary_image_description.json",
    "reconstruction.json",
    "positions.geojson",
)


@dataclass(frozen=True)
class StreetFolder:
    """Pictures and where they were taken; headings NaN where not known.

    `notes` say what was done about them.
    """

    path: Path
    table: Path | None
    pictures: tuple[StreetPicture, ...]
    notes: tuple[str, ...] = ()

    def sha256(self) -> str:
        """One digest of all: that of what `sha256sum` prints for the table and every picture."""
        files = [*([self.table] if self.table else []), *(each.path for each in self.pictures)]
        lines = (f"{sha256(path)}  {path.name}\n" for path in files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_street(source: StreetSource) -> StreetFolder:
    """The pictures of a folder, their compasses checked as the source asks.

    Raises:
        DataError: names the table's row or the picture, and what was expected.
    """
    folder, table = source.path, source.positions or _table(source.path)
    names = _names(folder)
    if table is None:
        pictures = _tagged([folder / name for name in names])
    elif table.suffix.lower() == ".csv":
        pictures = positions_csv.read(table, folder, names)
    else:
        pictures = exports.read(table, folder, names)
    if table is not None:
        _check_all_told(folder, table, names, pictures)
    if not pictures:
        raise DataError(f"{folder}: holds no pictures")
    return _with_compass(StreetFolder(folder, table, tuple(pictures)), source.compass)


def _table(folder: Path) -> Path | None:
    return next((folder / name for name in TABLES if (folder / name).is_file()), None)


def _names(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    files = (path for path in folder.iterdir() if path.is_file())
    return sorted(path.name for path in files if path.suffix.lower() in SUFFIXES)


def _tagged(paths: Sequence[Path]) -> list[StreetPicture]:
    pictures, without = [], []
    for path in paths:
        tags = read_tags(path)
        if tags.lat_deg is None or tags.lon_deg is None:
            without.append(path)
            continue
        heading_deg = math.nan if tags.heading_deg is None else tags.heading_deg
        pictures.append(StreetPicture(path, tags.lat_deg, tags.lon_deg, heading_deg, tags.taken))
    if without:
        raise DataError(
            f"{without[0]}: EXIF holds no position, as of {len(without)} of {len(paths)} pictures;"
            " give the folder a positions.csv, or move them away"
        )
    return pictures


def _check_all_told(
    folder: Path, table: Path, names: Sequence[str], pictures: Sequence[StreetPicture]
) -> None:
    without = sorted(set(names).difference(each.path.name for each in pictures))
    if without:
        raise DataError(f"{folder / without[0]}: {table.name} has no row for this picture")


def _with_compass(street: StreetFolder, rule: str) -> StreetFolder:
    """Without the headings that cannot be believed."""
    if rule == "trust":
        return street
    pictures = list(street.pictures)
    if rule == "ignore":
        unknown = [replace(each, heading_deg=math.nan) for each in pictures]
        return replace(street, pictures=tuple(unknown), notes=("headings ignored, as asked",))
    judged = compass.judge(pictures)
    believed = [
        each if good else replace(each, heading_deg=math.nan)
        for each, good in zip(pictures, judged.believed, strict=True)
    ]
    return replace(street, pictures=tuple(believed), notes=judged.notes)
