"""Stage 4: the satellite picture of exactly the drone picture's footprint."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import rasterio

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Image, Mask

from ..imagery.mbtiles import MBTiles
from ..imagery.server import cells_of, fetch_cells, zoom_of
from ..imagery.tile_folder import TileFolder
from ..imagery.tiles import Tiles, pixel_m
from ..rasters.georeference import outline_of, require_on_earth
from ..rasters.raster import Raster
from ..rasters.surface import pixel_side_m
from ..sources import RasterSource, ServerSource, TilesSource, told
from .config import Alignment
from .dates import days_apart
from .gates import measured
from .pictures import read_view, write_picture
from .registration import Shift, find_shift
from .stage import Line, stamp

SatelliteSource = RasterSource | TilesSource | ServerSource


class Ground(Protocol):
    """Imagery on a local plane."""

    def read_at(
        self, west_m: float, north_m: float, height_px: int, width_px: int
    ) -> tuple[Image, Mask]:
        """[H, W, 3] RGB and [H, W] mask with the upper left corner anywhere on the plane."""


@dataclass(frozen=True)
class SatelliteWork:
    """Places of one scale that lie near each other, with `lat_deg`, `lon_deg`, and `sha256` and the
    date `captured` of their drone picture; `stamps` of the sources' files."""

    sources: Sequence[SatelliteSource]
    stamps: Sequence[list[int]]
    scale_m: float
    size_px: int
    alignment: Alignment
    places: Sequence[Line]
    pictures: Path


def align(work: SatelliteWork) -> list[Line]:
    """Write the satellite pictures; of each: its source, date, resolution, the shift against the
    drone picture and whether it was corrected, what the gates measure.

    A place that no source shows whole, or whose shift forbids it, gives a line with `refused`.

    Raises:
        DataError: imagery is damaged.
    """
    lat_deg = [place["lat_deg"] for place in work.places]
    lon_deg = [place["lon_deg"] for place in work.places]
    frame = LocalFrame(float(np.mean(lat_deg)), float(np.mean(lon_deg)))
    middles = frame.to_enu(lat_deg, lon_deg)
    reach_m = work.scale_m / 2.0 + 2.0 * work.alignment.search_m
    low, high = middles.min(axis=0) - reach_m, middles.max(axis=0) + reach_m
    bounds_m = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    opened = list(_open(work, frame, bounds_m))
    try:
        return [
            _aligned(work, place, (float(east), float(north)), opened)
            for place, (east, north) in zip(work.places, middles, strict=True)
        ]
    finally:
        for each in opened:
            if isinstance(each.ground, Raster):
                each.ground.__exit__(None, None, None)


@dataclass(frozen=True)
class _Opened:
    number: int
    source: SatelliteSource
    ground: Ground
    gsd_m: float
    """Side of the imagery's own pixels on the ground."""


def _open(
    work: SatelliteWork, frame: LocalFrame, bounds_m: tuple[float, float, float, float]
) -> Iterator[_Opened]:
    """The sources that reach the places."""
    gsd_m = work.scale_m / work.size_px
    for number, source in enumerate(work.sources):
        if isinstance(source, RasterSource):
            if _reaches(source.path, frame, bounds_m):
                raster = Raster(source.path, gsd_m, frame, bounds_m)
                yield _Opened(number, source, raster, own_gsd_m(source.path))
            continue
        is_server = isinstance(source, ServerSource)
        stored = source.cache if isinstance(source, ServerSource) else source.path
        if isinstance(source, TilesSource) and stored.is_dir():
            tiles = Tiles(TileFolder(stored, source.scheme), frame, gsd_m, source.zoom)
        else:
            tiles = Tiles(MBTiles(stored), frame, gsd_m, None if is_server else source.zoom)
        own_m = pixel_m(tiles.zoom, 256, frame.origin_lat_deg)
        yield _Opened(number, source, tiles, own_m)


def _reaches(path: Path, frame: LocalFrame, bounds_m: tuple[float, float, float, float]) -> bool:
    lat_deg, lon_deg = outline_of(path)
    near = np.cos(np.radians(lat_deg - frame.origin_lat_deg)) > 0.0
    enu_m = frame.to_enu(lat_deg, lon_deg)
    (west, south), (east, north) = enu_m.min(axis=0), enu_m.max(axis=0)
    overlaps = west < bounds_m[2] and bounds_m[0] < east
    return bool(near.any() and overlaps and south < bounds_m[3] and bounds_m[1] < north)


def own_gsd_m(path: Path) -> float:
    """Side of a raster's own pixels in its middle."""
    with rasterio.open(path) as dataset:
        return pixel_side_m(path, dataset)


def stamps_of(sources: Sequence[SatelliteSource]) -> list[list[int]]:
    """What tells the files of sources from others; a folder of tiles, and what a server gave, count
    as never changed.

    Raises:
        DataError: one is not there, or does not say where on Earth it lies.
    """
    for source in sources:
        if isinstance(source, RasterSource):
            require_on_earth(source.path)
        elif isinstance(source, TilesSource) and not source.path.exists():
            raise DataError(f"{source.path}: no such file or folder")
    return [
        stamp(s.path) if not isinstance(s, ServerSource) and s.path.is_file() else []
        for s in sources
    ]


def prefetch(
    sources: Sequence[SatelliteSource], places: Sequence[Line], size_px: int, margin_m: float
) -> None:
    """Fetch the servers' tiles around places with `side_m` into their caches; asks for none twice.

    Raises:
        DataError: a server refuses.
    """
    for source in sources:
        if not isinstance(source, ServerSource):
            continue
        cells: dict[int, set[tuple[int, int]]] = {}
        for place in places:
            frame = LocalFrame(place["lat_deg"], place["lon_deg"])
            reach_m = place["side_m"] / 2.0 + margin_m
            ring = frame.to_geodetic([(-reach_m, -reach_m), (reach_m, reach_m)])
            zoom = zoom_of(source, place["lat_deg"], place["side_m"] / size_px)
            cells.setdefault(zoom, set()).update(cells_of(ring, zoom))
        for zoom, some in sorted(cells.items()):
            fetch_cells(source, zoom, sorted(some))


def _aligned(
    work: SatelliteWork, place: Line, middle_m: tuple[float, float], opened: Sequence[_Opened]
) -> Line:
    drone = read_view(work.pictures, "drone", place)
    margin_px = math.ceil(work.alignment.search_m / (work.scale_m / work.size_px))
    for each in _ranked(work, place, opened):
        wide, mask = _read(work, each.ground, middle_m, (0.0, 0.0), margin_px)
        inner = np.s_[margin_px : margin_px + work.size_px, margin_px : margin_px + work.size_px]
        if mask[inner].mean() < work.alignment.min_valid:
            continue
        margin_m = margin_px * work.scale_m / work.size_px
        shift = find_shift(drone, wide, work.scale_m, margin_m)
        return _written(work, place, each, np.ascontiguousarray(wide[inner]), middle_m, shift)
    return {"id": place["id"], "refused": "no satellite imagery"}


def _written(
    work: SatelliteWork,
    place: Line,
    used: _Opened,
    image: Image,
    middle_m: tuple[float, float],
    shift: Shift,
) -> Line:
    rule = work.alignment
    believed, corrected = shift.believed(rule.min_correlation), False
    line: Line = {"id": place["id"]}
    if rule.requires and not believed:
        return line | {"refused": "shift not believed"}
    if believed and rule.correct:
        moved, mask = _read(work, used.ground, middle_m, (shift.east_m, shift.north_m), 0)
        if mask.mean() >= rule.min_valid:
            image, corrected = moved, True
    away_m = math.hypot(shift.east_m, shift.north_m)
    if rule.max_shift_m is not None and believed and not corrected and away_m > rule.max_shift_m:
        return line | {"refused": "shifted too far"}
    return line | {
        "sha256": {"satellite": write_picture(work.pictures, "satellite", place["id"], image)},
        "source": told(used.source),
        "source_number": used.number,
        "captured": used.source.captured,
        "licence": used.source.licence,
        "attribution": used.source.attribution,
        "gsd_m": round(used.gsd_m, 4),
        "shift_east_m": shift.east_m,
        "shift_north_m": shift.north_m,
        "correlation": shift.correlation,
        "peak_ratio": shift.ratio,
        "believed": believed,
        "corrected": corrected,
        "gates": {"satellite": measured(image)},
    }


def _read(
    work: SatelliteWork,
    ground: Ground,
    middle_m: tuple[float, float],
    moved_m: tuple[float, float],
    margin_px: int,
) -> tuple[Image, Mask]:
    side_px = work.size_px + 2 * margin_px
    half_m = side_px / 2.0 * work.scale_m / work.size_px
    west_m, north_m = middle_m[0] + moved_m[0] - half_m, middle_m[1] + moved_m[1] + half_m
    return ground.read_at(west_m, north_m, side_px, side_px)


def _ranked(work: SatelliteWork, place: Line, opened: Sequence[_Opened]) -> Sequence[_Opened]:
    if work.alignment.prefer == "first":
        return opened
    return sorted(opened, key=lambda each: days_apart(each.source.captured, place["captured"]))
