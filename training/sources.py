"""Sources of imagery and street pictures, as a configuration lists them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field

from geobridge.onboard.config import Positive, Section

FilePath = Annotated[Path, Field(strict=False)]
Words = Annotated[str, Field(min_length=1)]


class Described(Section):
    """What every source says about itself; it travels in the manifest."""

    licence: str = ""
    attribution: str = ""
    captured: str = ""


class PathSource(Described):
    """One that lies on the disk."""

    path: FilePath


class RasterSource(PathSource):
    """Anything georeferenced that GDAL reads."""

    kind: Literal["raster"]
    registration_m: Positive | None = None
    """1-sigma error per axis of its own georeference; by default that of the command."""


class TilesSource(PathSource):
    """An MBTiles file, or a folder `z/x/y.png` of web-mercator tiles."""

    kind: Literal["tiles"]
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


class StreetSource(PathSource):
    """A folder of street-level pictures, panoramas or plain; see `street`."""

    kind: Literal["street"]
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


def told(source: ServerSource | PathSource) -> str:
    """Its path, or its server without what may be a key."""
    if isinstance(source, ServerSource):
        return urlsplit(source.url).hostname or "server"
    return str(source.path)
