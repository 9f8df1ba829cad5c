"""`geobridge pack`: a georeferenced raster and exported encoders to a bundle that flies.

Street-level pictures of known position may come along; they point at squares of the raster.

Work happens in a folder beside the bundle and is kept there when interrupted; the same command goes
on where it stopped. The bundle appears as a whole, and the same input gives the same bytes.
"""

from __future__ import annotations

import logging
import math
import shutil
from pathlib import Path

from geobridge.onboard import durable
from geobridge.onboard.bundle import MANIFEST, Bundle, sha256
from geobridge.onboard.engines.onnxruntime import OnnxRuntimeEngine
from geobridge.onboard.errors import DataError
from geobridge.onboard.manifest import SourceEntry
from geobridge.onboard.retrieval.encoder import Encoder
from geobridge.onboard.retrieval.imagery import ReferenceImagery
from geobridge.onboard.views import View
from geobridge.training.rasters.raster import Raster

from .assemble import Parts, assemble
from .plan import Plan
from .record import ExportRecord, read_record
from .references.imagery import tile_reader, write_imagery
from .references.places import Lattice, Places, encode_places, in_one_order, lay_places
from .references.street import StreetFolder, encode_street, lay_street

log = logging.getLogger(__name__)

WORK, PLAN = "work", "plan.json"

Terms = tuple[str, str, str]
"""Licence, attribution and date of capture of a source."""


def pack(
    raster: Path,
    encoders: Path,
    out: Path,
    footprint_m: float | None = None,
    spacing_m: float | None = None,
    gsd_m: float | None = None,
    registration_m: float = 5.0,
    licence: str = "",
    attribution: str = "",
    captured: str = "",
    bundle_version: int = 1,
    street: Path | None = None,
    street_reach_m: float = 60.0,
    street_licence: str = "",
    street_attribution: str = "",
    street_captured: str = "",
) -> Path:
    """Pack a raster's squares as satellite references, and street pictures; the bundle's path.

    Args:
        raster: GeoTIFF or anything else GDAL reads, in any CRS.
        encoders: folder made by `geobridge export`, with a drone and a satellite encoder.
        out: the bundle folder to write; a bundle already there is replaced at the end.
        footprint_m: side of a reference square; by default what the encoders were trained for.
        spacing_m: distance of neighbouring references; by default an eighth of the footprint.
        gsd_m: ground sampling of the imagery; by default what the encoders were trained for.
        registration_m: 1-sigma error per axis of the raster's own georeference.
        licence, attribution, captured: of the raster; they travel in the manifest.
        bundle_version: grows with every bundle of an area.
        street: folder of street-level pictures with their positions, see `references.street`;
            needs a street encoder.
        street_reach_m: how far around them the ground is that they show.
        street_licence, street_attribution, street_captured: of the pictures.

    Raises:
        DataError: names the file that cannot be used, or the value that makes no sense.
    """
    record = read_record(encoders)
    pictures = StreetFolder.read(street) if street else None
    street_terms = street_licence, street_attribution, street_captured
    footprint_m = record.footprint_m if footprint_m is None else footprint_m
    plan = Plan(
        record=record,
        sources=_sources(raster, (licence, attribution, captured), pictures, street_terms),
        footprint_m=footprint_m,
        spacing_m=footprint_m / 8 if spacing_m is None else spacing_m,
        gsd_m=record.gsd_m if gsd_m is None else gsd_m,
        registration_m=registration_m,
        bundle_version=bundle_version,
        street_reach_m=street_reach_m,
    )
    _check(plan, encoders, (View.STREET,) if pictures else ())
    partial = _begin(out, plan)
    parts = _gather(plan, raster, encoders, partial, pictures)
    assemble(plan, parts, encoders, partial)
    return _publish(partial, out)


def _sources(
    raster: Path, terms: Terms, pictures: StreetFolder | None, street_terms: Terms
) -> tuple[SourceEntry, ...]:
    if not raster.is_file():
        raise DataError(f"{raster}: no such file")
    imagery = _source(raster, sha256(raster), *terms)
    if pictures is None:
        return (imagery,)
    return imagery, _source(pictures.folder, pictures.sha256(), *street_terms)


def _source(path: Path, digest: str, licence: str, attribution: str, captured: str) -> SourceEntry:
    return SourceEntry(
        name=path.absolute().name,
        sha256=digest,
        licence=licence,
        attribution=attribution,
        captured=captured,
    )


def _check(plan: Plan, encoders: Path, more_views: tuple[View, ...]) -> None:
    exported = {(entry.view, entry.precision) for entry in plan.record.encoders}
    for view in (View.DRONE, View.SATELLITE, *more_views):
        if (view.value, "fp32") not in exported:
            raise DataError(f"{encoders}: no {view} encoder in fp32; run geobridge export with it")
    numbers = "footprint_m spacing_m gsd_m registration_m bundle_version street_reach_m"
    for name in numbers.split():
        if not 0 < getattr(plan, name) < math.inf:
            option = name.replace("_", "-")
            raise DataError(f"--{option}: {getattr(plan, name)} must be positive")
    if plan.footprint_m < 8 * plan.gsd_m:
        raise DataError(
            f"--footprint-m: {plan.footprint_m:g} m is less than 8 pixels of {plan.gsd_m:g} m"
        )


def _begin(out: Path, plan: Plan) -> Path:
    """The working folder: fresh, or as an interrupted run of the same plan left it."""
    if out.exists() and not (out / MANIFEST).exists():
        raise DataError(f"{out}: exists and is not a bundle; choose another folder")
    partial = out.parent / f"{durable.TEMPORARY_PREFIX}{out.name}"
    marker = partial / WORK / PLAN
    if marker.exists() and marker.read_text(encoding="utf-8") == plan.fingerprint:
        log.info("going on in %s", partial)
    else:
        shutil.rmtree(partial, ignore_errors=True)
        durable.write_text(marker, plan.fingerprint)
    return partial


def _gather(
    plan: Plan, raster: Path, encoders: Path, partial: Path, pictures: StreetFolder | None
) -> Parts:
    """Imagery tiles, the places on them, and the descriptors of all."""
    with Raster(raster, plan.gsd_m) as opened:
        lattice = Lattice(opened.frame, opened.grid, plan.footprint_m, plan.spacing_m)
        imagery_entry = write_imagery(opened, partial)
    imagery = ReferenceImagery(imagery_entry, tile_reader(partial, imagery_entry.tile_px))
    squares = _squares(plan, raster, lattice, imagery)
    work, references = partial / WORK, []
    street = None
    if pictures:
        street = lay_street(pictures, lattice.frame, imagery, plan.street_reach_m, source=1)
        encoder = _encoder(encoders, plan.record, View.STREET)
        references.append((street.places, encode_street(street, encoder, work / "street")))
    encoder = _encoder(encoders, plan.record, View.SATELLITE)
    references.append((squares, encode_places(squares, imagery, encoder, work / "places")))
    places, descriptors = in_one_order(references)
    return Parts(
        frame=lattice.frame,
        imagery_entry=imagery_entry,
        imagery=imagery,
        places=places,
        descriptors=descriptors,
        held_out=encode_places(lattice.between(squares), imagery, encoder, work / "held_out"),
        street_pictures=street.paths if street else (),
    )


def _squares(plan: Plan, raster: Path, lattice: Lattice, imagery: ReferenceImagery) -> Places:
    squares = lay_places(lattice, imagery)
    if len(squares) == 0:
        raise DataError(
            f"{raster}: no square of {plan.footprint_m:g} m has enough data; lower --footprint-m"
        )
    log.info("%d places of %g m, %g m apart", len(squares), plan.footprint_m, plan.spacing_m)
    return squares


def _encoder(folder: Path, record: ExportRecord, view: View) -> Encoder:
    entry = record.encoder(view)
    engine = OnnxRuntimeEngine(folder / entry.file)
    return Encoder(engine, entry.preprocess.spec, record.dimension)


def _publish(partial: Path, out: Path) -> Path:
    """The bundle in its place, once it can be opened."""
    shutil.rmtree(partial / WORK)
    Bundle.open(partial)
    return durable.publish_folder(partial, out)
