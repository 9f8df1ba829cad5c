"""What the demo's mission has before take-off: a map, street pictures, days."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from geobridge.onboard.durable import write_text
from geobridge.onboard.simulation.land.geometry import walk
from geobridge.onboard.simulation.land.plan import RoadKind
from geobridge.onboard.simulation.render.day import SUMMER_NOON
from geobridge.onboard.simulation.render.scenery import Scenery, on_day
from geobridge.onboard.simulation.render.views import orthomap, panorama
from geobridge.training.street.pictures import POSITIONS

from ..geotiff import write_geotiff

STREET_EVERY_M = 90.0
STREET_WIDTH_PX = 256
_DRIVEN = (RoadKind.HIGHWAY, RoadKind.COLLECTOR, RoadKind.STREET)


def write_map(path: Path, scenery: Scenery) -> Path:
    """The satellite's picture of the whole land, in summer."""
    world = scenery.world
    half_m, size_px = world.size_m / 2.0, world.grid.size_px
    shot = orthomap(on_day(scenery, SUMMER_NOON), -half_m, half_m, world.gsd_m, (size_px, size_px))
    return write_geotiff(path, shot.image, world.frame, -half_m, half_m, world.gsd_m)


def write_street(folder: Path, scenery: Scenery) -> Path:
    """Panoramas along the roads, as a survey car would have brought them home."""
    folder.mkdir(exist_ok=True)
    setting = on_day(scenery, SUMMER_NOON)
    lines = ["file,lat_deg,lon_deg,heading_deg"]
    for number, (east_m, north_m, heading_deg) in enumerate(_stations(scenery)):
        shot = panorama(setting, east_m, north_m, heading_deg, STREET_WIDTH_PX, seed=number)
        name = f"{number:04d}.jpg"
        cv2.imwrite(str(folder / name), cv2.cvtColor(shot.image, cv2.COLOR_RGB2BGR))
        lat_deg, lon_deg = scenery.frame.to_geodetic((east_m, north_m))
        lines.append(f"{name},{float(lat_deg):.9f},{float(lon_deg):.9f},{heading_deg:.2f}")
    write_text(folder / POSITIONS, "\n".join(lines) + "\n")
    return folder


def _stations(scenery: Scenery) -> Iterator[tuple[float, float, float]]:
    """East, north, bearing of the road; well inside the map."""
    inside_m = scenery.world.size_m / 2.0 - 30.0
    for road in scenery.world.layout.roads:
        if road.kind not in _DRIVEN:
            continue
        length_m = float(np.hypot(*np.diff(road.line_m, axis=0).T).sum())
        at, angle = walk(road.line_m, np.arange(STREET_EVERY_M / 2, length_m, STREET_EVERY_M))
        for (east_m, north_m), turn in zip(at, angle, strict=True):
            if max(abs(east_m), abs(north_m)) < inside_m:
                yield float(east_m), float(north_m), float(90.0 - np.degrees(turn)) % 360.0
