"""What is to be packed, as a planner says it: one source, or a TOML file with several.

    area = "mission.geojson"      what to cover: GeoJSON, KML or a QGroundControl plan
    terrain = "dsm.tif"           heights of the surface
    [[source]]                    in order of preference where they show the same ground
    path = "ortho.tif"            or url = "https://…/{z}/{x}/{y}.png"
    kind = "raster"               needed only where it cannot be seen from the path
    licence = "CC BY 4.0"

Paths are relative to the file. A street or flight source adds places of its own view; all others
are satellite imagery.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from geobridge.onboard.config import CameraConfig, Positive, Section, load, validate
from geobridge.onboard.errors import ConfigError, DataError
from geobridge.training.sources import (
    FilePath,
    PathSource,
    RasterSource,
    ServerSource,
    StreetSource,
    TilesSource,
)


class FlightSource(PathSource):
    """An earlier flight: a folder of pictures looking down, and what says where they were taken."""

    kind: Literal["flight"]
    telemetry: FilePath | None = None
    """A log of any kind that is matched to the pictures, or a CSV as of `replay` with `file` and a
    prior; None reads EXIF and XMP of the pictures."""
    camera: CameraConfig | None = None
    """None takes the field of view from EXIF."""
    time_offset_s: float = 0.0
    """Added to the times of the pictures, as `geobridge log --pictures` estimates it."""
    registration_m: Positive | None = None


Source = Annotated[
    RasterSource | TilesSource | ServerSource | StreetSource | FlightSource,
    Field(discriminator="kind"),
]


class References(Section):
    """The whole of a references file."""

    area: FilePath | None = None
    terrain: FilePath | None = None
    source: Annotated[tuple[Source, ...], Field(min_length=1, strict=False)]


def read_references(path: Path) -> References:
    """What a TOML file lists, its paths made whole.

    Raises:
        ConfigError: names the file and the key.
        DataError: names a path that is not there, or that shows no kind.
    """
    tree = load(_Tree, path).model_dump()
    base = path.parent
    for number, source in enumerate(tree["source"]):
        if "url" in source:
            source.setdefault("kind", "server")
        for key in ("path", "positions", "telemetry", "cache"):
            if isinstance(source.get(key), str):
                source[key] = str(base / source[key])
        if "kind" not in source:
            if not isinstance(source.get("path"), str):
                raise ConfigError(f"{path}: source.{number}: expected a path or a url")
            source["kind"] = kind_of(Path(source["path"]))
    for key in ("area", "terrain"):
        if tree[key] is not None:
            tree[key] = str(base / tree[key])
    references = validate(References, tree, str(path))
    _require_there(references)
    return references


def single_source(path: Path, licence: str, attribution: str, captured: str) -> References:
    """A raster or tiles alone, as they are.

    Raises:
        DataError: it is not there, or its kind has to be said.
    """
    terms = {"licence": licence, "attribution": attribution, "captured": captured}
    source = {"path": str(path), "kind": kind_of(path), **terms}
    return validate(References, {"source": [source]}, str(path))


class _Tree(Section):
    """As it stands in the file, before kinds and paths are known."""

    area: str | None = None
    terrain: str | None = None
    source: Annotated[list[dict[str, Any]], Field(min_length=1)]


def kind_of(path: Path) -> str:
    """What a path holds: raster, tiles, or street pictures.

    Raises:
        DataError: it is not there, or its kind has to be said.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_file():
        return "tiles" if path.suffix.lower() == ".mbtiles" else "raster"
    names = {child.name for child in path.iterdir()}
    if any(name.isdecimal() and (path / name).is_dir() for name in names):
        return "tiles"
    if "positions.csv" in names:
        return "street"
    raise DataError(
        f"{path}: a folder of tiles would have folders 0 to 24, one of street pictures a"
        ' positions.csv; say kind = "street" or "flight" in a references file'
    )


def _require_there(references: References) -> None:
    paths = [references.area, references.terrain]
    for source in references.source:
        paths += [getattr(source, name, None) for name in ("path", "positions", "telemetry")]
    for path in paths:
        if path is not None and not path.exists():
            raise DataError(f"{path}: no such file or folder")
