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
from urllib.parse import urlsplit

from pydantic import Field

from geobridge.onboard.config import CameraConfig, Positive, Section, load, validate
from geobridge.onboard.errors import ConfigError, DataError

FilePath = Annotated[Path, Field(strict=False)]
Words = Annotated[str, Field(min_length=1)]


class Described(Section):
    """What every source says about itself; it travels in the manifest."""

    licence: str = ""
    attribution: str = ""
    captured: str = ""


class RasterSource(Described):
    """Anything georeferenced that GDAL reads."""

    kind: Literal["raster"]
    path: FilePath
    registration_m: Positive | None = None
    """1-sigma error per axis of its own georeference; by default that of the command."""


class TilesSource(Described):
    """An MBTiles file, or a folder `z/x/y.png` of web-mercator tiles."""

    kind: Literal["tiles"]
    path: FilePath
    scheme: Literal["xyz", "tms"] = "xyz"
    """Whether y of a folder counts from the north or from the south."""
    zoom: Annotated[int, Field(ge=0, le=24)] | None = None
    """By default the coarsest that is as fine as the bundle's imagery."""
    registration_m: Positive | None = None


class ServerSource(Described):
    """Tiles by a URL with `{z}`, `{x}` and `{y}` or `{-y}`, or a WMS by `{bbox-epsg-3857}`."""

    kind: Literal["server"]
    url: Words
    cache: FilePath
    """An MBTiles file in which they are kept; what is there is not asked for again."""
    licence: Words
    attribution: Words
    zoom: Annotated[int, Field(ge=0, le=24)] | None = None
    rate_hz: Annotated[float, Field(gt=0, le=100)] = 2.0
    """Requests per second, at most."""
    max_tiles: Annotated[int, Field(ge=1)] = 20_000
    registration_m: Positive | None = None


class StreetSource(Described):
    """A folder of street-level pictures, panoramas or plain; see `references.street`."""

    kind: Literal["street"]
    path: FilePath
    positions: FilePath | None = None
    """CSV, GeoJSON or an export of Mapillary or OpenSfM; by default the one in the folder, or what
    the pictures themselves say."""
    reach_m: Positive = 60.0
    """How far around them the ground is that they show."""
    headings: Annotated[int, Field(ge=1, le=36)] = 1
    """Of a panorama so many places, each with another bearing in its middle."""
    hfov_deg: Annotated[float, Field(gt=20, lt=150)] | None = None
    """Field of view of what is cut from a panorama; None turns it and leaves it whole."""
    compass: Literal["check", "trust", "ignore"] = "check"


class FlightSource(Described):
    """An earlier flight: a folder of pictures looking down, and what says where they were taken."""

    kind: Literal["flight"]
    path: FilePath
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


def told(source: Source) -> str:
    """Its path, or its server without what may be a key."""
    if isinstance(source, ServerSource):
        return urlsplit(source.url).hostname or "server"
    return str(source.path)


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
