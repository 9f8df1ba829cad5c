"""A table of street pictures; surveys name its columns in many ways."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from geobridge.onboard.errors import DataError
from geobridge.onboard.flightlogs.table import LATITUDE, LONGITUDE, Range, Table, read_table

from .picture import StreetPicture

HEADING = Range("a heading of -360 to 360 degrees", -360.0, 360.0)
_NAMES = {
    "file": ("file", "filename", "image", "name"),
    "lat_deg": ("lat_deg", "lat", "latitude"),
    "lon_deg": ("lon_deg", "lon", "lng", "longitude"),
    "heading_deg": ("heading_deg", "heading", "map_true_heading", "compass_angle", "bearing"),
}
_OTHERS = ("alt", "altitude", "alt_amsl_m", "time_s", "captured_at", "sequence")


def read(path: Path, folder: Path, names: Sequence[str]) -> list[StreetPicture]:
    """The rows of a table, in their order.

    Raises:
        DataError: a column is missing, a value out of range, or a row without its picture.
    """
    columns = _columns(path)
    required = [columns[name] for name in ("file", "lat_deg", "lon_deg")]
    optional = [columns["heading_deg"], *_OTHERS]
    table = read_table(path, required, optional)
    files = table.texts(columns["file"])
    lat_deg = table.numbers(columns["lat_deg"], LATITUDE)
    lon_deg = table.numbers(columns["lon_deg"], LONGITUDE)
    has_heading = columns["heading_deg"] in table
    headings = table.numbers(columns["heading_deg"], HEADING) if has_heading else None
    there = set(names)
    pictures = []
    for row, name in enumerate(files):
        if name not in there:
            expected = f"expected a picture beside the table, found {name!r}"
            raise table.error(row, columns["file"], expected)
        heading_deg = headings[row] % 360.0 if headings else math.nan
        told = _told(table, row, columns["file"])
        picture = StreetPicture(folder / name, lat_deg[row], lon_deg[row], heading_deg, told=told)
        pictures.append(picture)
    return pictures


def _columns(path: Path) -> dict[str, str]:
    """What the file calls each column, our own name where it has none of them."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = {name.strip() for name in next(csv.reader(file), [])}
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error):
        raise DataError(f"{path}: not a CSV file in UTF-8") from None
    return {
        ours: next((name for name in names if name in header), ours)
        for ours, names in _NAMES.items()
    }


def _told(table: Table, row: int, column: str) -> str:
    return f"{table.path}, line {table.lines[row]}, {column}"
