"""`geobridge rehearse`: many simulated flights over one's own map, before the first real one.

<out>/rehearsal.png          the map for a pilot: where fixes are to be expected, and where silence
<out>/localizability.tif     availability, expected error, probability of a wrong fix, passes; UTM
<out>/localizability.geojson the same cells as polygons, and the route in stretches, WGS84
<out>/rehearsal.json         all figures, ranges, seeds and versions
<out>/flights/               every flight, kept as it is flown: a killed rehearsal goes on there
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from geobridge.onboard import durable
from geobridge.onboard.config import ReplayConfig, load
from geobridge.onboard.errors import DataError
from geobridge.onboard.replay.picture import require_matplotlib
from geobridge.onboard.replay.summary import versions
from geobridge.onboard.simulation.flying.route import Route
from geobridge.onboard.simulation.land.palette import Season
from geobridge.training.rasters.georeference import require_file

from .campaign import Task, fly_all, plain, rig_of
from .conditions import Range, Ranges
from .geofiles import write_geojson, write_geotiff
from .localizability import Localizability, map_of
from .paths import Box
from .picture import draw_picture
from .sources import BundleSource, MapSource, PlaceSource
from .survey import CELL_M, FLIGHTS, RATE_HZ, Survey, grid_of, outline, task_of
from .verdict import WORTH, Stretch, stretches, tell, totals

PICTURE, FIGURES = "rehearsal.png", "rehearsal.json"
SEASONS = tuple(season.value for season in Season)
GEOTIFF, GEOJSON = "localizability.tif", "localizability.geojson"


def rehearse(
    bundle: Path,
    out: Path,
    *,
    raster: Path | None = None,
    dsm: Path | None = None,
    survey: Survey | None = None,
    config: Path | None = None,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Rehearse over one's own map; the verdict, the figures and where everything was written.

    Args:
        bundle: what will be flown.
        out: folder of the results; an interrupted rehearsal goes on there.
        raster: the map flown over, a GeoTIFF, better of another date than what was packed; by
            default the bundle's own imagery.
        dsm: heights of its surface; without, the land is flat.
        survey: route or area, ranges, number of flights.
        config: TOML with `camera` and `localizer` tables, as for a replay.
        overrides: `camera.hfov_deg=73.7` and the like, over the file's.

    Raises:
        ConfigError, DataError, BundleError, EngineError: in one line, before the first flight.
    """
    for path in (raster, dsm):
        if path is not None:
            require_file(path)
    if dsm is not None and raster is None:
        raise DataError(f"{dsm}: a surface model needs the map that it belongs to")
    settings = load(ReplayConfig, config, overrides)
    source = MapSource(raster, dsm) if raster else BundleSource(bundle)
    return rehearse_over(source, source.name, bundle, out, survey or Survey(), settings)


def rehearse_and_tell(
    bundle: Path,
    out: Path,
    raster: Path | None = None,
    dsm: Path | None = None,
    route: str | None = None,
    area: Box | None = None,
    flights: int = FLIGHTS,
    cell_m: float = CELL_M,
    rate_hz: float = RATE_HZ,
    seed: int = 0,
    processes: int | None = None,
    seasons: Sequence[str] = SEASONS,
    heights_agl_m: Range | None = Ranges.heights_agl_m,
    headings_deg: Range = Ranges.headings_deg,
    solar_hours: Range = Ranges.solar_hours,
    cloud_cover: Range = Ranges.cloud_cover,
    visibility_m: Range = Ranges.visibility_m,
    map_age_years: Range = Ranges.map_age_years,
    wind_m_s: Range = Ranges.wind_m_s,
    config: Path | None = None,
    overrides: Sequence[str] = (),
) -> str:
    """`rehearse` with the fields of `Survey` and `Ranges` one by one; the verdict alone."""
    ranges = Ranges(
        heights_agl_m,
        headings_deg,
        tuple(Season(name) for name in dict.fromkeys(seasons)),
        solar_hours,
        cloud_cover,
        visibility_m,
        map_age_years,
        wind_m_s,
    )
    survey = Survey(
        route=route,
        area=area,
        ranges=ranges,
        flights=flights,
        cell_m=cell_m,
        rate_hz=rate_hz,
        seed=seed,
        processes=processes,
    )
    result = rehearse(
        bundle, out, raster=raster, dsm=dsm, survey=survey, config=config, overrides=overrides
    )
    files = "\n".join(str(out / name) for name in (PICTURE, GEOTIFF, GEOJSON, FIGURES))
    return f"{result['verdict']}\n{files}"


def rehearse_over(
    place: PlaceSource,
    map_name: str,
    bundle: Path,
    out: Path,
    survey: Survey,
    settings: ReplayConfig,
) -> dict[str, Any]:
    """Rehearse over any place, a procedural world for example; as `rehearse`.

    Args:
        place: makes the place in every process: hashable by value, and can be pickled.
        map_name: tells the place from others; flights of another one are not taken over.
        bundle, out, survey, settings: as for `rehearse`.
    """
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: exists and is not a folder")
    require_matplotlib()
    task = task_of(place, map_name, bundle, survey, settings)
    processes = survey.processes or os.cpu_count() or 1
    flights = fly_all(task, survey.flights, out / "flights", processes)
    if not any(flown.said for flown in flights):
        raise DataError(
            f"{out}: not one frame; the flights are too short for {survey.rate_hz:g} Hz"
        )
    rig = rig_of(task)
    frame = rig.place.frame
    along_m, lat_deg, lon_deg = outline(task.course, frame)
    found = map_of(grid_of(task.course, frame, survey.cell_m), flights)
    is_route = isinstance(task.course, Route)
    parts = stretches(found, along_m, lat_deg, lon_deg) if is_route else []
    figures = totals(flights)
    verdict = tell(_name(task), figures, parts)
    write_geotiff(out / GEOTIFF, found)
    write_geojson(out / GEOJSON, found, parts)
    report = _report(task, survey, found, figures, parts, verdict)
    report["conditions"] = [{"ending": f.ending, **f.conditions} for f in flights]
    durable.write_text(out / FIGURES, json.dumps(report, indent=1, allow_nan=False) + "\n")
    durable.write_file(out / PICTURE, lambda path: draw_picture(path, found, parts, verdict, rig))
    return {"verdict": verdict, **figures, "picture": str(out / PICTURE)}


def _name(task: Task) -> str:
    return Path(task.course.source).name if isinstance(task.course, Route) else "area"


def _report(
    task: Task,
    survey: Survey,
    found: Localizability,
    figures: dict[str, float | int | None],
    parts: Sequence[Stretch],
    verdict: str,
) -> dict[str, Any]:
    return {
        "worth": WORTH,
        "verdict": verdict.splitlines(),
        "totals": figures,
        "stretches": [
            {key: value for key, value in asdict(part).items() if not key.endswith("_deg")}
            for part in parts
        ],
        "grid": asdict(found.grid),
        "cells_known": int((found.passes > 0).sum()),
        "smoothing_m": found.smoothing_m,
        "seed": survey.seed,
        "task": plain(task),
        "versions": versions(),
    }
