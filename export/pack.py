"""`geobridge pack`: imagery of any kind and exported encoders to a bundle that flies.

Work happens in a folder beside the bundle and is kept there when interrupted; the same command goes
on where it stopped. The bundle appears as a whole, and the same input gives the same bytes. Where a
bundle is replaced, descriptors of what did not change are taken over from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from geobridge.onboard.bundle import sha256
from geobridge.onboard.errors import DataError
from geobridge.onboard.manifest_entries import MAX_FOOTPRINT_PX, MAX_GSD_M, MIN_GSD_M
from geobridge.onboard.views import View

from .assemble import assemble
from .encoding.chunks import ENGINES as ENGINE_OF
from .encoding.encode import Engine, here
from .encoding.exported import Exported
from .encoding.on_ray import OnRay
from .folders import Folders
from .gather import gather
from .plan import Plan, footprints_for, spacing_for
from .record import ExportRecord, read_record
from .references.area import read_area
from .references.opened import datum_error, open_sources
from .references.sources import References, read_references, single_source

ENGINES: dict[str, Callable[[], Engine]] = {"local": lambda: here, "ray": OnRay}


def pack(
    references: Path,
    encoders: Path,
    out: Path,
    footprints_m: Sequence[float] = (),
    heights_agl_m: tuple[float, float] | None = None,
    hfov_deg: float = 70.0,
    spacing_m: float | None = None,
    accuracy_m: float | None = None,
    gsd_m: float | None = None,
    registration_m: float = 5.0,
    licence: str = "",
    attribution: str = "",
    captured: str = "",
    area: Path | None = None,
    terrain: Path | None = None,
    bundle_version: int = 1,
    engine: str = "local",
    device: str = "cpu",
) -> Path:
    """Pack references of any view; the bundle's path.

    Args:
        references: a raster, an MBTiles file, a folder of tiles, or a TOML file with any number of
            sources of any kind, see `references.sources`.
        encoders: folder made by `geobridge export`, with a drone encoder and one of every view that
            the sources show.
        out: the bundle folder to write; a bundle already there is replaced at the end.
        footprints_m: sides of reference squares, one lattice of each; by default what the encoders
            were trained for.
        heights_agl_m: lowest and highest that will be flown, in the place of `footprints_m`.
        hfov_deg: horizontal field of view of the camera that will fly, for `heights_agl_m`.
        spacing_m: distance of neighbouring references of the smallest squares, larger ones in
            proportion; by default an eighth of the footprint.
        accuracy_m: 1-sigma error per axis that retrieval alone may have, in the place of
            `spacing_m`.
        gsd_m: ground sampling of the imagery; by default what the encoders were trained for.
        registration_m: 1-sigma error per axis of the imagery's own georeference, where a source
            does not say its own; that of a map's datum against WGS84 is added to either.
        licence, attribution, captured: of a single source; they travel in the manifest.
        area: what to cover: GeoJSON, KML or a QGroundControl plan.
        terrain: heights of the surface, any CRS.
        bundle_version: rises with every bundle of an aircraft, whatever its area: a store takes no
            older one.
        engine: `local`, or `ray` for many machines.
        device: that encodes, `cpu` or `cuda`; only a processor gives the same bytes every time.

    Raises:
        ConfigError: names the key of the references file.
        DataError: names the file that cannot be used, or the value that makes no sense.
    """
    record = read_record(encoders)
    listed = _references(references, (licence, attribution, captured), area, terrain)
    footprints = _footprints(record, footprints_m, heights_agl_m, hfov_deg)
    spacing = _spacing(footprints[0], spacing_m, accuracy_m)
    gsd = record.gsd_m if gsd_m is None else gsd_m
    _check_numbers(footprints, spacing, gsd, registration_m, bundle_version)
    cover = read_area(listed.area) if listed.area else None
    sources = open_sources(listed.source, cover, gsd, margin_m=footprints[-1])
    _check_encoders(record, sources.views, encoders)
    plan = Plan(
        record=record,
        sources=sources.entries,
        described=tuple(source.model_dump_json() for source in listed.source),
        origin=sources.extent.frame,
        area=sha256(listed.area) if listed.area else "",
        terrain=sha256(listed.terrain) if listed.terrain else "",
        footprints_m=footprints,
        spacings_m=tuple(spacing * side / footprints[0] for side in footprints),
        gsd_m=gsd,
        registration_m=_registration(listed, registration_m),
        bundle_version=bundle_version,
    )
    exported = Exported(encoders, record, ENGINE_OF[device])
    folders = Folders.beside(out)
    try:
        with folders.begun(plan.fingerprint):
            gathered = gather(
                plan, sources, cover, listed.terrain, exported, folders, ENGINES[engine]()
            )
            assemble(plan, gathered, exported, folders.bundle, folders.work)
            return folders.publish()
    except OSError as error:  # as a full disk
        where = error.filename2 or error.filename or folders.bundle  # of a copy, where it goes
        raise DataError(
            f"{where}: {error.strerror or error}; what is done is kept, the same command goes on"
        ) from None


def _references(
    path: Path, terms: tuple[str, str, str], area: Path | None, terrain: Path | None
) -> References:
    """As listed, with what the command says of area and terrain."""
    if path.suffix.lower() == ".toml":
        if any(terms):
            raise DataError(f"{path}: says the terms of its sources itself; leave --licence out")
        listed = read_references(path)
    else:
        listed = single_source(path, *terms)
    update = {key: value for key, value in (("area", area), ("terrain", terrain)) if value}
    return listed.model_copy(update=update)


def _footprints(
    record: ExportRecord,
    footprints_m: Sequence[float],
    heights_agl_m: tuple[float, float] | None,
    hfov_deg: float,
) -> tuple[float, ...]:
    if heights_agl_m is not None:
        if footprints_m:
            raise DataError("--height-agl-m chooses the footprints; leave --footprint-m out")
        return footprints_for(heights_agl_m, hfov_deg)
    return tuple(sorted(set(footprints_m))) or (record.footprint_m,)


def _spacing(footprint_m: float, spacing_m: float | None, accuracy_m: float | None) -> float:
    if spacing_m is not None and accuracy_m is not None:
        raise DataError("--accuracy-m chooses the spacing; leave --spacing-m out")
    if accuracy_m is not None:
        return min(spacing_for(accuracy_m), footprint_m / 2.0)
    return footprint_m / 8.0 if spacing_m is None else spacing_m


def _registration(listed: References, registration_m: float) -> float:
    """The largest of those of the sources that show the ground, each with its datum's."""
    own = [
        math.hypot(getattr(source, "registration_m", None) or registration_m, datum_error(source))
        for source in listed.source
        if source.kind != "street"
    ]
    return max(own, default=registration_m)


def _check_numbers(
    footprints_m: Sequence[float],
    spacing_m: float,
    gsd_m: float,
    registration_m: float,
    bundle_version: int,
) -> None:
    numbers = [("spacing", spacing_m), ("gsd", gsd_m), ("registration", registration_m)]
    for name, value in [*(("footprint", side) for side in footprints_m), *numbers]:
        if not 0 < value < math.inf:
            raise DataError(f"--{name}-m: {value} must be positive")
    if not MIN_GSD_M <= gsd_m <= MAX_GSD_M:
        raise DataError(f"--gsd-m: {gsd_m:g} is not from {MIN_GSD_M:g} to {MAX_GSD_M:g} m")
    if bundle_version < 1:
        raise DataError(f"--bundle-version: {bundle_version} must be positive")
    if footprints_m[0] < 8 * gsd_m:
        raise DataError(
            f"--footprint-m: {footprints_m[0]:g} m is less than 8 pixels of {gsd_m:g} m"
        )
    if spacing_m < gsd_m:
        raise DataError(f"--spacing-m: {spacing_m:g} m is less than a pixel of {gsd_m:g} m")
    if footprints_m[-1] > MAX_FOOTPRINT_PX * gsd_m:
        raise DataError(
            f"--footprint-m: {footprints_m[-1]:g} m is more than {MAX_FOOTPRINT_PX} pixels of"
            f" {gsd_m:g} m"
        )


def _check_encoders(record: ExportRecord, views: Sequence[View], encoders: Path) -> None:
    exported = {(entry.view, entry.precision) for entry in record.encoders}
    for view in views:
        if (view.value, "fp32") not in exported:
            raise DataError(f"{encoders}: no {view} encoder in fp32; run geobridge export with it")
