"""All that a bundle is made of: imagery, places layer by layer, and their descriptors."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import Floats, LocalFrame
from geobridge.onboard.manifest_entries import ImageryEntry, TerrainEntry
from geobridge.onboard.retrieval.imagery import ReferenceImagery
from geobridge.onboard.retrieval.layer import spatial_order
from geobridge.onboard.views import View
from geobridge.training.rasters.raster import Grid
from geobridge.training.sources import StreetSource, told

from .encoding.chunks import Encoded, Job, Known
from .encoding.encode import Engine, encode, known_from
from .encoding.exported import Exported
from .folders import Folders
from .measures.scores import AnotherDay
from .plan import Plan
from .references.area import Area
from .references.ground.flight import FlightGround
from .references.grounds import open_mosaic
from .references.imagery import tile_reader, write_imagery
from .references.opened import SATELLITE, OpenedSources
from .references.places import Laid, Lattice, Pictures, Places, lay_frames, lay_squares
from .references.sources import FlightSource
from .references.street.lay import lay_street
from .references.terrain import lay_terrain

log = logging.getLogger(__name__)

Halves = npt.NDArray[np.float16]


@dataclass(frozen=True)
class EncodedLayer:
    """A layer's places with their descriptors and digests, and queries that nobody indexed.

    `held_out` are squares between places as references see them, `flown` the same as a drone may
    see them on another day; of street pictures there are none. `shown`: some of what it shows.
    """

    view: View
    footprint_m: float
    spacing_m: float | None
    places: Places
    descriptors: Halves
    digests: npt.NDArray[np.uint8]
    held_out: Halves
    held_out_m: Floats
    flown: Halves
    shown: Laid


@dataclass(frozen=True)
class Gathered:
    """What the stages before made of the sources."""

    frame: LocalFrame
    imagery_entry: ImageryEntry | None
    imagery: ReferenceImagery | None
    terrain: tuple[TerrainEntry, npt.NDArray[np.float32]] | None
    layers: tuple[EncodedLayer, ...]


def gather(
    plan: Plan,
    sources: OpenedSources,
    area: Area | None,
    terrain: Path | None,
    exported: Exported,
    folders: Folders,
    engine: Engine,
) -> Gathered:
    """Imagery tiles into the bundle's folder, then every place and its descriptor.

    Raises:
        DataError: names the source that cannot be used, or that gives no place.
    """
    folder = folders.bundle
    mosaic = open_mosaic(sources.sources, sources.extent, plan.gsd_m, sources.zooms)
    entry = write_imagery(mosaic, folder) if mosaic else None
    imagery = ReferenceImagery(entry, tile_reader(folder, entry.tile_px)) if entry else None
    frame = sources.extent.frame
    if terrain is not None and entry is None:
        raise DataError(f"{terrain}: terrain lies under imagery, and no source has any")
    heights = lay_terrain(terrain, frame, entry, folder) if terrain and entry else None
    laid = _street(sources, frame, imagery)  # first, for they are the ones that may be broken
    if mosaic is not None and entry is not None:
        flights = {row: g for row, g in mosaic.grounds.items() if isinstance(g, FlightGround)}
        laid += _flights(plan, flights, mosaic.frame, mosaic.grid, area)
        laid += _satellite(plan, sources, folder, entry, mosaic.frame, mosaic.grid, area)
    _check_something(laid, plan, sources)
    known = known_from(folders.final)
    encoded = [_encoded(each, exported, folders.work, known, engine) for each in laid]
    return Gathered(frame, entry, imagery, heights, tuple(_merged(encoded)))


def _street(
    sources: OpenedSources, frame: LocalFrame, imagery: ReferenceImagery | None
) -> list[Laid]:
    laid = []
    for row, street in sources.streets.items():
        source = sources.sources[row]
        assert isinstance(source, StreetSource)
        laid.append(lay_street(street, source, row, frame, imagery))
        log.info("%d street places of %s", len(laid[-1].places), street.path)
        for note in street.notes:
            log.warning("%s: %s", street.path, note)
    return laid


def _flights(
    plan: Plan,
    flights: Mapping[int, FlightGround],
    frame: LocalFrame,
    grid: Grid,
    area: Area | None,
) -> list[Laid]:
    laid = []
    for row, ground in flights.items():
        for side, step in zip(plan.footprints_m, plan.spacings_m, strict=True):
            lattice = Lattice(frame, grid, side, step, View.DRONE)
            laid.append(lay_frames(lattice, ground, row, area))
            log.info("%d places of %g m from a flight", len(laid[-1].places), side)
    return laid


def _satellite(
    plan: Plan,
    sources: OpenedSources,
    folder: Path,
    entry: ImageryEntry,
    frame: LocalFrame,
    grid: Grid,
    area: Area | None,
) -> list[Laid]:
    rows = sources.of(*SATELLITE)
    laid = []
    for side, step in zip(plan.footprints_m, plan.spacings_m, strict=True) if rows else ():
        laid.append(lay_squares(Lattice(frame, grid, side, step), folder, entry, rows, area))
        log.info("%d places of %g m, %g m apart", len(laid[-1].places), side, step)
        _warn_of_nothing_to_see(laid[-1].places, side)
    return laid


def _warn_of_nothing_to_see(places: Places, side_m: float) -> None:
    flagged = np.count_nonzero(places["flags"])
    if 2 * flagged > len(places):
        log.warning(
            "%d of %d squares of %g m show water or too little to align with: expect silence",
            flagged,
            len(places),
            side_m,
        )


def _check_something(laid: list[Laid], plan: Plan, sources: OpenedSources) -> None:
    """Every kind of source must give places: none of them is listed for nothing."""
    given = {each.view for each in laid if len(each.places)}
    expected = {
        view: rows
        for view, rows in (
            (View.SATELLITE, sources.of(*SATELLITE)),
            (View.DRONE, sources.of(FlightSource)),
            (View.STREET, sources.of(StreetSource)),
        )
        if rows
    }
    for view, rows in expected.items():
        if view not in given:
            raise DataError(
                f"{told(rows[min(rows)])}: no square of {plan.footprints_m[0]:g} m has enough data;"
                " lower --footprint-m, or check the area"
            )


def _encoded(
    laid: Laid, exported: Exported, work: Path, known: Known, engine: Engine
) -> EncodedLayer:
    source = laid.places["source"].min() if len(laid.places) else 0
    name = f"{laid.view}-{laid.footprint_m}-{source}"

    def encoded(what: str, view: View, squares: Laid, pictures: Pictures) -> Encoded:
        job = Job(f"{name}-{what}", len(squares.places), pictures, exported.encoder(view))
        return encode(job, work, known, engine)

    own = encoded("places", laid.view, laid, laid.pictures)
    held_out = flown = np.empty((0, exported.record.dimension), np.float16)
    held_out_m = np.empty((0, 2))
    if laid.between is not None:
        between = laid.between
        held_out = encoded("held_out", laid.view, between, between.pictures).descriptors
        flown = encoded("flown", View.DRONE, between, AnotherDay(between.pictures)).descriptors
        held_out_m = centres_m(between.places)
    return EncodedLayer(
        laid.view,
        laid.footprint_m,
        laid.spacing_m,
        laid.places,
        own.descriptors,
        own.digests,
        held_out,
        held_out_m,
        flown,
        laid,
    )


def _merged(layers: Sequence[EncodedLayer]) -> Iterator[EncodedLayer]:
    """Layers of one view and footprint as one, the squares of satellites first."""
    order = (View.SATELLITE, View.DRONE, View.STREET)
    alike: dict[tuple[int, float], list[EncodedLayer]] = {}
    for layer in layers:
        if len(layer.places):
            alike.setdefault((order.index(layer.view), layer.footprint_m), []).append(layer)
    for _, group in sorted(alike.items(), key=lambda each: each[0]):
        first = group[0]
        if len(group) == 1:
            yield first
            continue
        places = np.concatenate([layer.places for layer in group])
        row = spatial_order(places["east_m"], places["north_m"])
        yield replace(
            first,
            places=places[row],
            descriptors=np.concatenate([layer.descriptors for layer in group])[row],
            digests=np.concatenate([layer.digests for layer in group])[row],
            held_out=np.concatenate([layer.held_out for layer in group]),
            held_out_m=np.concatenate([layer.held_out_m for layer in group]),
            flown=np.concatenate([layer.flown for layer in group]),
        )


def centres_m(places: Places) -> Floats:
    """[N, 2] metres east and north."""
    return np.column_stack([places["east_m"], places["north_m"]])
