"""The sources of a bundle, read as far as it takes to know where they lie and whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from geobridge.onboard.bundle import sha256
from geobridge.onboard.errors import DataError
from geobridge.onboard.manifest_entries import SourceEntry
from geobridge.onboard.views import View
from geobridge.training.imagery import server
from geobridge.training.imagery.tile_folder import TileFolder
from geobridge.training.rasters.georeference import datum_error_of, require_file
from geobridge.training.sources import (
    RasterSource,
    ServerSource,
    StreetSource,
    TilesSource,
    told,
)
from geobridge.training.street.pictures import StreetFolder, read_street

from .area import Area
from .ground.mosaic import MAX_SOURCES
from .grounds import Extent, extent_of, folder_sha256, open_tiles, raster_sha256, ring_of
from .sources import FlightSource, Source
from .street.lay import ring_of as street_ring

SATELLITE = (RasterSource, TilesSource, ServerSource)


@dataclass(frozen=True)
class OpenedSources:
    """All sources by their rows in the manifest.

    `zooms` are those of servers' tiles, which have been fetched.
    """

    sources: Mapping[int, Source]
    entries: tuple[SourceEntry, ...]
    extent: Extent
    streets: Mapping[int, StreetFolder]
    zooms: Mapping[int, int]

    @property
    def views(self) -> tuple[View, ...]:
        """Whose encoders it takes: the drone's always."""
        kinds = {
            View.SATELLITE: self.of(*SATELLITE),
            View.STREET: self.of(StreetSource),
        }
        return (View.DRONE, *(view for view, rows in kinds.items() if rows))

    def of(self, *kinds: type[Source]) -> dict[int, Source]:
        """Those of some kinds."""
        return {row: each for row, each in self.sources.items() if isinstance(each, kinds)}


def open_sources(
    listed: Sequence[Source], area: Area | None, gsd_m: float, margin_m: float
) -> OpenedSources:
    """Find out where all sources lie, read street pictures' positions, fetch servers' tiles.

    Raises:
        DataError: names the source that cannot be used.
    """
    if len(listed) > MAX_SOURCES:
        raise DataError(f"{len(listed)} sources; a bundle has up to {MAX_SOURCES}")
    sources = dict(enumerate(listed))
    streets = {
        row: read_street(source)
        for row, source in sources.items()
        if isinstance(source, StreetSource)
    }
    rings = [street_ring(street.pictures) for street in streets.values()]
    extent = extent_of(listed, area, rings, margin_m)
    zooms: dict[int, int] = {}
    entries = []
    for row, source in sources.items():
        if isinstance(source, ServerSource):
            assert extent.bounds_m is not None, "a server has an area"
            ring = ring_of(extent.frame, extent.bounds_m)
            zooms[row] = server.fetch(source, ring, gsd_m)
            digest = server.content_sha256(source.cache, ring, zooms[row])
        else:
            digest = _digest(source, streets.get(row))
        entries.append(_entry(source, digest, streets.get(row)))
    return OpenedSources(sources, tuple(entries), extent, streets, zooms)


def datum_error(source: Source) -> float:
    """1-sigma horizontal error in metres of a source's datum against WGS84; tiles and positions
    are of WGS84."""
    return datum_error_of(source.path) if isinstance(source, RasterSource) else 0.0


def _digest(source: Source, street: StreetFolder | None) -> str:
    if street is not None:
        return street.sha256()
    if isinstance(source, TilesSource):
        store = open_tiles(source)
        return store.sha256() if isinstance(store, TileFolder) else sha256(source.path)
    if isinstance(source, FlightSource):
        return folder_sha256(source)
    assert isinstance(source, RasterSource)
    require_file(source.path)
    return raster_sha256(source.path)


def _entry(source: Source, digest: str, street: StreetFolder | None) -> SourceEntry:
    is_server = isinstance(source, ServerSource)
    name = told(source) if is_server else Path(told(source)).absolute().name
    error_m = datum_error(source)
    datum = (f"datum known against WGS84 to {error_m:g} m",) if error_m else ()
    return SourceEntry(
        name=name,
        kind=source.kind,
        sha256=digest,
        licence=source.licence,
        attribution=source.attribution,
        captured=source.captured,
        notes=street.notes if street is not None else datum,
    )
