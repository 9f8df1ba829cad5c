"""`geobridge demo`: the whole path on a world that the project renders itself.

A map is rendered in summer, an encoder is fitted to it, exported and packed into a bundle; then the
same land is flown over in autumn light and the flight is replayed against exact truth. Nothing here
was recorded by a camera: it shows that every stage works together, not how well it works outdoors.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.warp import calculate_default_transform, reproject

from geobridge.onboard.camera import Camera
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Image
from geobridge.onboard.replay import replay
from geobridge.onboard.simulation.flight import FlightFiles, fly, write_flight
from geobridge.onboard.simulation.orthophoto import (
    AUTUMN_OVERCAST,
    SUMMER_NOON,
    render_orthophoto,
)
from geobridge.onboard.simulation.world import World, make_world
from geobridge.training.trainer import train

from .encoders import export
from .pack import pack

log = logging.getLogger(__name__)

ORIGIN = LocalFrame(47.4, 8.5)
"""The middle of the rendered map; nothing real lies behind it."""
UTM = "EPSG:32632"
HFOV_DEG = 70.0


@dataclass(frozen=True)
class Size:
    """How much of everything; `training` overrides keys of area.toml."""

    world_m: float
    rate_hz: float
    training: tuple[str, ...]


FULL = Size(
    world_m=1000.0,
    rate_hz=2.0,
    training=("optim.steps=280", "optim.batch_size=80", "data.min_separation_m=50.0"),
)
QUICK = Size(
    world_m=600.0,
    rate_hz=1.0,
    training=(
        "optim.steps=260",
        "optim.batch_size=48",
        "data.min_separation_m=35.0",
        "data.gsd_m=2.0",
        "preprocess.height_px=64",
        "preprocess.width_px=64",
        "model.vision={layers = [1, 1, 1, 1], width = 32, head_width = 64}",
    ),
)


def demo(out: Path, quick: bool = False) -> dict[str, Any]:
    """Render, train, export, pack, fly, replay; the summary of the flight.

    Args:
        out: folder for everything; training goes on there if it was interrupted.
        quick: a smaller map and a smaller network.
    """
    size = QUICK if quick else FULL
    out.mkdir(parents=True, exist_ok=True)
    log.info(
        "1/5 rendering a map of %.0f x %.0f m and a flight over it", size.world_m, size.world_m
    )
    world = make_world(seed=7, size_m=size.world_m)
    raster = write_geotiff(out / "map.tif", render_orthophoto(world, SUMMER_NOON), world)
    flight = _fly(out / "flight", world, size)
    log.info("2/5 fitting an encoder to the map")
    with as_file(files("geobridge.training") / "configs" / "area.toml") as config:
        checkpoint = train(config, _training(out, raster, size))
    log.info("3/5 exporting the image encoders")
    encoders = export(checkpoint, out / "encoders")
    log.info("4/5 packing the bundle")
    bundle = pack(
        raster,
        encoders,
        out / "bundle",
        registration_m=1.0,
        licence="rendered by geobridge demo",
        captured="never",
    )
    log.info("5/5 replaying the flight")
    summary = replay(
        str(flight.video),
        flight.telemetry,
        bundle,
        out / "replay",
        truth=flight.truth,
        overrides=[f"camera.hfov_deg={HFOV_DEG}"],
    )
    return summary | {"bundle": str(bundle)}


def _training(out: Path, raster: Path, size: Size) -> list[str]:
    where = [f'data.raster="{raster}"', f'run.folder="{out / "run"}"']
    return [*where, "run.checkpoint_every_steps=50", *size.training]


def _fly(folder: Path, world: World, size: Size) -> FlightFiles:
    """A round of the map in other light, another season and with other cars than the reference."""
    folder.mkdir(exist_ok=True)
    half = 0.28 * world.size_m
    route = [(-half, -half), (-half, half), (half, 0.6 * half), (0.7 * half, -half), (0.0, -half)]
    poses = fly(world, route, speed_m_s=12.0, height_agl_m=150.0, rate_hz=size.rate_hz, seed=11)
    camera = Camera.from_hfov(640, 480, HFOV_DEG)
    picture = render_orthophoto(world, AUTUMN_OVERCAST)
    return write_flight(folder, picture, world, camera, poses, ORIGIN, seed=12)


def write_geotiff(path: Path, orthophoto: Image, world: World) -> Path:
    """A rendered orthophoto as a GeoTIFF in UTM, as a surveyor would deliver it."""
    half = world.size_m / 2
    local = rasterio.Affine(world.gsd_m, 0.0, -half, 0.0, -world.gsd_m, half)
    height, width = orthophoto.shape[:2]
    bounds = (-half, -half, half, half)
    to_utm, columns, rows = calculate_default_transform(
        ORIGIN.proj, UTM, width, height, *bounds, resolution=world.gsd_m
    )
    alpha = np.full((height, width, 1), 255, np.uint8)
    bands = np.ascontiguousarray(np.concatenate([orthophoto, alpha], axis=2).transpose(2, 0, 1))
    warped = np.zeros((4, rows, columns), np.uint8)
    reproject(
        bands,
        warped,
        src_transform=local,
        src_crs=ORIGIN.proj,
        dst_transform=to_utm,
        dst_crs=UTM,
        resampling=Resampling.cubic,
    )
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 4,
        "width": columns,
        "height": rows,
        "crs": UTM,
        "transform": to_utm,
        "compress": "deflate",
        "photometric": "RGB",
        "alpha": "YES",
    }
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(warped)
    return path
