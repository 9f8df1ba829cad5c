"""Which cloud belongs to which place: a manifest, a rendered data set, or folders of COLMAP's.

A manifest is a .jsonl, a cloud a line:

    {"id": "0839", "path": "0839/points.ply", "source": "vggt", "up": "auto"}
    {"id": "a-17", "path": "tiles/33.laz", "lat_deg": 47.1, "lon_deg": 8.2, "footprint_m": 150.0}

A folder may be a data set that `geobridge dataset render --points` wrote, or hold
`<id>/points3D.txt` or `<id>_group<n>/points3D.txt` at any depth, as GeoLink's clouds are published.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from geobridge.onboard.config import Positive, Section, validate
from geobridge.onboard.errors import ConfigError, DataError

from ..datasets.folder import METADATA, FolderStore
from ..datasets.render_blocks import SPLITS

COLMAP_FILE = "points3D.txt"
RENDERED = "points"
"""The folder of a rendered split that has its clouds."""
ENDINGS = (".txt", ".ply", ".npz", ".las", ".laz", ".tif", ".tiff")

Axis = Literal["x", "-x", "y", "-y", "z", "-z", "auto"]


class Entry(Section):
    """A line of a manifest."""

    id: Annotated[str, Field(min_length=1)]
    """The place's."""
    path: Annotated[str, Field(min_length=1)]
    """Of the cloud, from where the manifest lies; its ending tells the format."""
    group: str = ""
    """Tells several clouds of one place apart."""
    source: Literal["vggt", "colmap", "opensfm", "dsm", "lidar", "synthetic", "other"] = "other"
    up: Axis = "z"
    """The axis that points up; "auto" finds it as that of least spread."""
    north: bool = False
    """Whether x is east and y is north."""
    metres_per_unit: Positive | None = None
    """None: of no known scale; such a cloud is given the place's size."""
    middle: Annotated[tuple[float, float] | None, Field(strict=False)] = None
    """x and y of the place's middle, where it is known."""
    footprint_m: Positive | None = None
    """Side of the square that the place is."""
    lat_deg: Annotated[float, Field(ge=-90, le=90)] | None = None
    lon_deg: Annotated[float, Field(ge=-180, le=180)] | None = None
    """The place's middle, by which it is cut out of a georeferenced surface model or LiDAR tile."""
    crs: str = ""
    """Of a LiDAR tile that does not say it, as EPSG:25832."""

    @model_validator(mode="after")
    def _consistent(self) -> Entry:
        if not self.path.lower().endswith(ENDINGS):
            raise ValueError(f"path {self.path!r}: expected an ending of {', '.join(ENDINGS)}")
        if (self.lat_deg is None) != (self.lon_deg is None):
            raise ValueError("lat_deg and lon_deg: expected both")
        if self.is_crop and (self.lat_deg is None or self.footprint_m is None):
            raise ValueError(f"{self.path}: a part of it needs lat_deg, lon_deg and footprint_m")
        if self.middle and not (self.north and self.up == "z"):
            raise ValueError("middle needs north = true and up z")
        return self

    @property
    def is_crop(self) -> bool:
        """Whether the place is a part of what the file covers."""
        lower = self.path.lower()
        return lower.endswith((".tif", ".tiff")) or (
            lower.endswith((".las", ".laz")) and self.lat_deg is not None
        )


@dataclass(frozen=True)
class Listed:
    """An entry and the file that it is about."""

    entry: Entry
    file: Path

    @property
    def name(self) -> str:
        """The place, and its group."""
        return f"{self.entry.id}/{self.entry.group}" if self.entry.group else self.entry.id


def listed(source: Path) -> list[Listed]:
    """All clouds of a manifest or folder, by place and group.

    Raises:
        DataError: nothing there, a line that is wrong, or one cloud twice.
    """
    found = list(_of_manifest(source) if source.is_file() else _of_folder(source))
    if not found:
        raise DataError(
            f"{source}: no clouds there; expected a manifest of lines, SPLIT/{RENDERED}/ID.npz or"
            f" ID/{COLMAP_FILE}"
        )
    found.sort(key=lambda each: (each.entry.id, each.entry.group))
    for one, other in pairwise(found):
        if one.name == other.name:
            raise DataError(f"{source}: {one.name} is there twice; a second cloud needs a group")
    return found


def _of_manifest(path: Path) -> Iterator[Listed]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            entry = _entry(line, f"{path}, line {number}")
            yield Listed(entry, path.parent / entry.path)


def _entry(line: str, where: str) -> Entry:
    try:
        keys: Any = json.loads(line)
    except ValueError:
        raise DataError(f'{where}: expected {{"id": ..., "path": ...}}') from None
    if not isinstance(keys, dict):
        raise DataError(f'{where}: expected {{"id": ..., "path": ...}}')
    try:
        return validate(Entry, keys, where)
    except ConfigError as error:
        raise DataError(str(error)) from None


def _of_folder(folder: Path) -> Iterator[Listed]:
    rendered = [split for split in SPLITS if (folder / split / RENDERED).is_dir()]
    for split in rendered:
        yield from _rendered(folder / split)
    if rendered:
        return
    for path in sorted(folder.rglob(COLMAP_FILE)):
        name = re.fullmatch(r"(.+?)(?:_group(\w+))?", path.parent.name)
        assert name is not None
        told = {"id": name[1], "group": name[2] or "", "up": "auto", "source": "colmap"}
        where = str(path.relative_to(folder))
        yield Listed(Entry.model_validate(told | {"path": where}), path)


def _rendered(split: Path) -> Iterator[Listed]:
    sides = {}
    for line, where in FolderStore(split, []).lines(METADATA):
        try:
            told = json.loads(line)
            sides[str(told["id"])] = float(told["footprint_m"])
        except (ValueError, KeyError, TypeError):
            raise DataError(f"{where}: expected id and footprint_m") from None
    exact: dict[str, Any] = {"source": "synthetic", "north": True, "metres_per_unit": 1.0}
    for path in sorted((split / RENDERED).glob("*.npz")):
        keys = exact | {"id": path.stem, "path": path.name, "middle": (0.0, 0.0)}
        entry = Entry.model_validate(keys | {"footprint_m": sides.get(path.stem)})
        yield Listed(entry, path)
