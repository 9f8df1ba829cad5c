"""All sources that show the ground, opened on one local plane."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio

from geobridge.onboard.bundle import sha256
from geobridge.onboard.errors import DataError
from geobridge.onboard.frames.folder import SUFFIXES
from geobridge.onboard.geodesy import MAX_RADIUS_M, LocalFrame, distance_m
from geobridge.training.imagery import tiles
from geobridge.training.imagery.mbtiles import MBTiles
from geobridge.training.imagery.tile_folder import TileFolder
from geobridge.training.rasters.georeference import outline_of as raster_outline
from geobridge.training.rasters.raster import Grid, Raster
from geobridge.training.sources import RasterSource, ServerSource, TilesSource, told

from .area import Area, Bounds, Ring, middle_of
from .ground import shots
from .ground.flight import FlightGround
from .ground.flight import outline_of as flight_outline
from .ground.mosaic import Ground, Mosaic
from .imagery import TILE_PX
from .sources import FlightSource, Source


@dataclass(frozen=True)
class Extent:
    """The plane of a bundle, and the box of it that is packed; None: as far as the sources go."""

    frame: LocalFrame
    bounds_m: Bounds | None


def extent_of(
    sources: Sequence[Source], area: Area | None, others: Sequence[Ring], margin_m: float
) -> Extent:
    """Around an area, with a margin, else around the first source that shows the ground: so that
    more sources leave everything where it is.

    Args:
        sources: all of them.
        area: what to cover.
        others: positions of what shows no ground: street pictures.
        margin_m: that references at the edge of the area reach over it.

    Raises:
        DataError: a server without an area, or sources that lie too far apart for one plane.
    """
    for source in sources:
        if isinstance(source, ServerSource) and area is None:
            raise DataError(f"{told(source)}: a server needs an area (--area)")
    if area is not None:
        frame = area.middle
        west, south, east, north = area.bounds_m(frame)
        return Extent(frame, (west - margin_m, south - margin_m, east + margin_m, north + margin_m))
    outlines = {told(source): ring for source in sources if (ring := _outline(source))}
    if not outlines:
        return Extent(_middle_of_most(others), None)
    first = next(iter(outlines))
    for name, ring in outlines.items():
        if not _reaches(middle_of([outlines[first]]), ring):
            beside = "its own middle" if name == first else f"the middle of {first}"
            raise DataError(
                f"{name}: reaches more than {MAX_RADIUS_M / 1000:.0f} km from {beside};"
                " wrong CRS or position, or give an area"
            )
    return Extent(middle_of([outlines[first]]), None)


def _middle_of_most(rings: Sequence[Ring]) -> LocalFrame:
    """Around those of the points that lie where most do."""
    lat_deg, lon_deg = (np.concatenate(values) for values in zip(*rings, strict=True))
    usual = LocalFrame(float(np.median(lat_deg)), float(np.median(lon_deg)))
    near = np.array(
        [
            distance_m(usual.origin_lat_deg, usual.origin_lon_deg, lat, lon) <= MAX_RADIUS_M
            for lat, lon in zip(lat_deg, lon_deg, strict=True)
        ]
    )
    return middle_of([(lat_deg[near], lon_deg[near])]) if near.any() else usual


def open_mosaic(
    sources: Mapping[int, Source], extent: Extent, gsd_m: float, zooms: Mapping[int, int]
) -> Mosaic | None:
    """The imagery of all sources that have some, by their rows in the manifest.

    Args:
        sources: by row.
        extent: the plane and the box.
        gsd_m: side of a pixel of it.
        zooms: of the servers' tiles, which are in their caches.

    Raises:
        DataError: a source cannot be used; names it.
    """
    grounds: dict[int, Ground] = {}
    boxes: list[Bounds] = []
    for row, source in sources.items():
        opened = _open(source, extent, gsd_m, zooms.get(row))
        if opened is not None:
            grounds[row], box = opened
            boxes.append(box)
    if not grounds:
        return None
    west, south, east, north = _union(boxes)
    if extent.bounds_m is not None:
        west, south = max(west, extent.bounds_m[0]), max(south, extent.bounds_m[1])
        east, north = min(east, extent.bounds_m[2]), min(north, extent.bounds_m[3])
    if not (west < east and south < north):
        raise DataError("no source reaches the area")
    return Mosaic(extent.frame, _whole_tiles(west, south, east, north, gsd_m), grounds)


def _whole_tiles(west: float, south: float, east: float, north: float, gsd_m: float) -> Grid:
    """Tiles lie at whole steps from the plane's origin: with more or fewer sources the same pixels
    come out to the last bit, and what was encoded need not be encoded again."""
    side_m = TILE_PX * gsd_m
    left, top = math.floor(west / side_m), math.ceil(north / side_m)
    columns = max(1, math.ceil(east / side_m) - left)
    rows = max(1, top - math.floor(south / side_m))
    return Grid(left * side_m, top * side_m, gsd_m, columns * TILE_PX, rows * TILE_PX)


def _open(
    source: Source, extent: Extent, gsd_m: float, zoom: int | None
) -> tuple[Ground, Bounds] | None:
    frame = extent.frame
    if isinstance(source, RasterSource):
        raster = Raster(source.path, gsd_m, frame, extent.bounds_m)
        grid = raster.grid
        south_m = grid.north_m - grid.height_px * gsd_m
        east_m = grid.west_m + grid.width_px * gsd_m
        return raster, (grid.west_m, south_m, east_m, grid.north_m)
    if isinstance(source, FlightSource):
        taken = shots.read_shots(source)
        return FlightGround(taken, frame, gsd_m), _box(frame, flight_outline(taken))
    if isinstance(source, TilesSource):
        store = open_tiles(source)
        ground = tiles.Tiles(store, frame, gsd_m, source.zoom)
        return ground, _box(frame, tiles.outline_of(store, ground.zoom), extent.bounds_m)
    if isinstance(source, ServerSource):
        kept = MBTiles(source.cache)
        assert extent.bounds_m is not None, "a server has an area"
        return tiles.Tiles(kept, frame, gsd_m, zoom), extent.bounds_m
    return None


def open_tiles(source: TilesSource) -> MBTiles | TileFolder:
    """The store of a source of tiles."""
    if source.path.is_dir():
        return TileFolder(source.path, source.scheme)
    return MBTiles(source.path)


def ring_of(frame: LocalFrame, bounds_m: Bounds) -> Ring:
    """Latitudes and longitudes of the corners of a box of the plane."""
    west, south, east, north = bounds_m
    return frame.to_geodetic([(west, south), (east, south), (east, north), (west, north)])


def _outline(source: Source) -> Ring | None:
    if isinstance(source, RasterSource):
        return raster_outline(source.path)
    if isinstance(source, TilesSource):
        return tiles.outline_of(open_tiles(source), source.zoom)
    if isinstance(source, FlightSource):
        return flight_outline(shots.read_shots(source))
    return None


def _reaches(frame: LocalFrame, ring: Ring) -> bool:
    lat_deg, lon_deg = ring
    if not (np.isfinite(lat_deg).all() and (np.abs(lat_deg) <= 90.0).all()):
        return False
    off_deg = (lon_deg - frame.origin_lon_deg + 180.0) % 360.0 - 180.0
    # the plane does not tell the other side of the Earth from this one
    near = (np.abs(lat_deg - frame.origin_lat_deg) < 5.0).all() and (np.abs(off_deg) < 90.0).all()
    return bool(near and (np.hypot(*frame.to_enu(lat_deg, lon_deg).T) <= MAX_RADIUS_M * 1.5).all())


def _box(frame: LocalFrame, ring: Ring, bounds_m: Bounds | None = None) -> Bounds:
    """Around an outline; the bounds themselves where there are some, which lie inside or not."""
    if bounds_m is not None:
        return bounds_m
    enu_m = frame.to_enu(*ring)
    (west, south), (east, north) = enu_m.min(axis=0), enu_m.max(axis=0)
    return float(west), float(south), float(east), float(north)


def _union(boxes: Sequence[Bounds]) -> Bounds:
    west, south, east, north = np.array(boxes).T
    return float(west.min()), float(south.min()), float(east.max()), float(north.max())


def raster_sha256(path: Path) -> str:
    """Of a raster: of its file, or where it is in several, as a VRT or what has its georeference
    beside it, that of what `sha256sum` prints for all that GDAL reads."""
    with rasterio.open(path) as dataset:
        files = sorted({Path(name).absolute() for name in dataset.files} - {path.absolute()})
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise DataError(f"{path}: needs {missing[0]}, which is not there")
    return _of_all([path, *files]) if files else sha256(path)


def folder_sha256(source: FlightSource) -> str:
    """One digest of a flight: that of what `sha256sum` prints for its telemetry and pictures."""
    pictures = sorted(p for p in source.path.iterdir() if p.suffix.lower() in SUFFIXES)
    files = [*([source.telemetry] if source.telemetry else []), *pictures]
    return _of_all(files)


def _of_all(files: Sequence[Path]) -> str:
    lines = (f"{sha256(path)}  {path.name}\n" for path in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
