"""`geobridge dataset build CONFIG`: every key, with its unit and default. Paths are relative to the
file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from geobridge.onboard.config import Fraction, NonNegative, Positive, Section, load, validate

from ..sources import Described, FilePath, RasterSource, ServerSource, TilesSource, Words
from .config_captions import Captions

Box = Annotated[tuple[float, float, float, float], Field(strict=False)]
"""West, south, east, north in degrees."""


def _box(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    west, south, east, north = box
    if not (-180.0 <= west < east <= 180.0 and -90.0 <= south < north <= 90.0):
        raise ValueError("expected west, south, east, north in degrees, the smaller ones first")
    return box


Share = Annotated[float, Field(ge=0, lt=1)]
SCALES_M = (80.0, 100.0, 120.0, 150.0, 180.0)
"""Sides of the squares of the published set."""


class DroneFiles(Described):
    """A georeferenced mosaic, or a folder of them."""

    kind: Literal["files"] = "files"
    path: FilePath
    country: str = ""


class DroneCatalogue(Section):
    """Mosaics of an OpenAerialMap catalogue; each brings its own licence and date."""

    kind: Literal["catalogue"]
    url: str = "https://api.openaerialmap.org/meta"
    bbox: Annotated[Box, AfterValidator(_box)]
    max_gsd_m: Positive = 0.3
    max_mosaics: Annotated[int, Field(ge=1)] = 20
    max_mb: Annotated[int, Field(ge=1)] = 4000
    """Larger files are passed over."""
    country: str = ""


class StreetFiles(Described):
    """A folder of street pictures; see `street.pictures` for what may tell their positions."""

    kind: Literal["folder"] = "folder"
    path: FilePath
    positions: FilePath | None = None
    compass: Literal["check", "trust", "ignore"] = "check"


class Mapillary(Section):
    """Pictures by Mapillary's API v4, with a token of one's own in the environment."""

    kind: Literal["mapillary"]
    url: str = "https://graph.mapillary.com"
    key_env: str = "MAPILLARY_TOKEN"
    panoramas_only: bool = False
    rate_hz: Annotated[float, Field(gt=0, le=100)] = 10.0
    licence: str = "CC BY-SA 4.0"
    attribution: str = "Mapillary contributors"


class StreetView(Section):
    """Panoramas by Google's Street View Static API, for those who have the right to use them so.

    They may not be passed on: with it `publish.imagery` must be false or `publish.private` true.
    """

    kind: Literal["streetview"]
    url: str = "https://maps.googleapis.com/maps/api/streetview"
    key_env: str = "GOOGLE_MAPS_KEY"
    radius_m: Annotated[int, Field(ge=1, le=1000)] = 50
    rate_hz: Annotated[float, Field(gt=0, le=100)] = 5.0
    licence: str = "not redistributable"
    attribution: str = "Google"


class Seeds(Section):
    """Windows that slide over the mosaics."""

    window_m: Annotated[float, Field(ge=20, le=5000)] = 180.0
    step_m: Annotated[float, Field(ge=5, le=5000)] = 90.0
    min_valid: Fraction = 0.5
    """A window that shows less is no seed."""


class Crops(Section):
    """Squares of the mosaics around the street positions."""

    scales_m: Annotated[
        tuple[Annotated[float, Field(ge=20, le=1000)], ...], Field(min_length=1, strict=False)
    ] = SCALES_M
    min_valid: Fraction = 0.995
    """A square that shows less has black corners."""
    size_px: Annotated[int, Field(ge=32, le=2048)] = 384
    overlap: Fraction = 0.5
    """Of two squares that share more of the smaller one, one is left out."""


class Gates(Section):
    """Thresholds of one view; what lies below is thrown away. A gate without a threshold throws
    away the share `reject`."""

    bh: NonNegative | None = None
    c: NonNegative | None = None
    un: NonNegative | None = None
    reject: Share = 0.02


class Cleaning(Section):
    """The gates, view by view."""

    drone: Gates = Gates()
    satellite: Gates = Gates()
    street: Gates = Gates()


class Alignment(Section):
    """How the satellite picture meets the drone's."""

    prefer: Literal["nearest", "first"] = "nearest"
    """Of several that show a place: that of the nearest date, or the first listed."""
    min_valid: Fraction = 0.995
    """Satellite imagery that shows less of a square is passed over."""
    search_m: Annotated[float, Field(ge=2, le=60)] = 15.0
    min_correlation: Fraction = 0.15
    """A shift found with less is not believed."""
    correct: bool = False
    """Cut the satellite picture where the correlation has it."""
    max_shift_m: Positive | None = None
    """A believed shift that is larger, and not corrected, costs the place."""
    require: bool | None = None
    """Throw away places whose shift cannot be believed; by default where shifts are corrected: else
    a few places would keep what was taken out of all others."""

    @property
    def requires(self) -> bool:
        """`require`, or what it is by default."""
        return self.correct if self.require is None else self.require


class Splits(Section):
    """Blocks of land to splits."""

    val: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    test: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    block_m: Annotated[float, Field(ge=300, le=100_000)] = 1000.0
    margin_m: NonNegative = 10.0
    """No two squares of different splits come closer."""
    max_similarity: Annotated[float, Field(gt=0, le=1)] = 0.95
    """A picture outside train that is more like one in another split costs its place."""
    countries: FilePath | None = None
    """GeoJSON polygons with a `name`; else a source's own `country`."""


class Publish(Section):
    """What is written."""

    imagery: bool = True
    """False: ids, coordinates and texts alone, from which others build the set anew."""
    private: bool = False
    """The set stays in the house: it may hold pictures that must not be passed on."""
    webdataset: bool = True
    shard_mb: Annotated[int, Field(ge=1)] = 512


class BuildConfig(Section):
    """The whole file."""

    name: Words = "geoloc"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    out: FilePath
    work: FilePath
    """Caches of every stage; may be deleted when the set is finished."""
    recipe: FilePath | None = None
    """A recipe of another's build: the same places, from one's own copies of its sources."""
    drone: Annotated[
        tuple[Annotated[DroneFiles | DroneCatalogue, Field(discriminator="kind")], ...],
        Field(min_length=1, strict=False),
    ]
    street: Annotated[
        tuple[Annotated[StreetFiles | Mapillary | StreetView, Field(discriminator="kind")], ...],
        Field(min_length=1, strict=False),
    ]
    satellite: Annotated[
        tuple[
            Annotated[RasterSource | TilesSource | ServerSource, Field(discriminator="kind")], ...
        ],
        Field(min_length=1, strict=False),
    ]
    features: FilePath | None = None
    """GeoJSON of OpenStreetMap's ways and areas, tags as properties."""
    seeds: Seeds = Seeds()
    crops: Crops = Crops()
    cleaning: Cleaning = Cleaning()
    alignment: Alignment = Alignment()
    captions: Captions = Captions()
    splits: Splits = Splits()
    publish: Publish = Publish()

    @model_validator(mode="after")
    def _consistent(self) -> BuildConfig:
        google = any(each.kind == "streetview" for each in self.street)
        if google and self.publish.imagery and not self.publish.private:
            raise ValueError(
                "Street View pictures may not be passed on; set publish.imagery = false, or"
                " publish.private = true"
            )
        if self.splits.val + self.splits.test >= 1.0:
            raise ValueError("splits.val, splits.test: expected to leave something for train")
        one, other = self.out.absolute(), self.work.absolute()
        if one == other or one in other.parents or other in one.parents:
            raise ValueError("out, work: expected two folders, neither of them in the other")
        names = [each.path.name for each in self.street if isinstance(each, StreetFiles)]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"street: two folders are called {twice[0]}; rename one")
        if self.captions.kind == "model" and not self.captions.model:
            raise ValueError("captions.model: expected the name of a model")
        if self.captions.kind == "template" and self.features is None:
            raise ValueError('captions.kind "template" needs features')
        if self.splits.block_m < 2 * max(self.crops.scales_m):
            raise ValueError(
                "splits.block_m: expected at least twice the largest of crops.scales_m"
            )
        return self


def read_config(path: Path, overrides: tuple[str, ...] = ()) -> BuildConfig:
    """The configuration, its paths made whole.

    Raises:
        ConfigError: names the file and the key.
    """
    tree = load(_Tree, path, overrides).model_dump(exclude_unset=True)
    base = path.absolute().parent  # the same from wherever it is called
    _whole(tree, base, ("out", "work", "features", "recipe"))
    for source in (*tree["drone"], *tree["street"], *tree["satellite"]):
        _whole(source, base, ("path", "positions", "cache"))
    for table, kind in (("drone", "files"), ("street", "folder")):
        for source in tree[table]:
            source.setdefault("kind", kind)
    for source in tree["satellite"]:
        source.setdefault("kind", _satellite_kind(source))
    _whole(tree.get("splits", {}), base, ("countries",))
    return validate(BuildConfig, tree, str(path))


class _Tree(Section):
    """As it stands in the file, before paths and kinds are known."""

    model_config = Section.model_config | {"extra": "allow"}

    drone: Annotated[list[dict[str, Any]], Field(min_length=1)]
    street: Annotated[list[dict[str, Any]], Field(min_length=1)]
    satellite: Annotated[list[dict[str, Any]], Field(min_length=1)]
    splits: dict[str, Any] = Field(default_factory=dict)


def _satellite_kind(source: dict[str, Any]) -> str:
    if "url" in source:
        return "server"
    path = Path(str(source.get("path", "")))
    return "tiles" if path.is_dir() or path.suffix.lower() == ".mbtiles" else "raster"


def _whole(table: dict[str, Any], base: Path, keys: tuple[str, ...]) -> None:
    for key in keys:
        if isinstance(table.get(key), str):
            table[key] = str(base / table[key])
