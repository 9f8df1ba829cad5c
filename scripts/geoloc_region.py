"""A rendered region with known truth, as somebody would bring it to `geobridge dataset build`.

mosaic.tif        drone orthomosaic in summer: holes, seams, and parts that were spoilt on purpose
recent.tif        satellite imagery of the year before, shifted by `SHIFT_M`
old.tif           of an earlier autumn, not shifted
streets/          panoramas along the roads, positions.csv
features.geojson  what a map has there
truth.json        what was spoilt where, which panoramas are planted duplicates, the shift
build.toml        geoloc_region.toml, which lies beside this script
"""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio

from geobridge.export.geotiff import write_geotiff
from geobridge.onboard.simulation.render.day import AUTUMN_OVERCAST, SPRING_AFTERNOON, SUMMER_NOON
from geobridge.onboard.simulation.render.optics import SatelliteSensor
from geobridge.onboard.simulation.render.scenery import Scenery, on_day
from geobridge.onboard.simulation.render.views import orthomap, panorama
from geobridge.onboard.simulation.world import World, make_world
from geobridge.training.datasets.render_lands import _stands

SHIFT_M = (5.0, -3.0)
SPOILT = ("blurred", "flat", "watery")
SPOILT_M = 200.0
"""Side of a spoilt part: wider than the widest crop."""
DUPLICATE_M = 12.0


@dataclass(frozen=True)
class Region:
    """Where it lies, and what is true of it."""

    folder: Path
    truth: dict[str, Any]


def make_region(
    folder: Path,
    seed: int = 5,
    size_m: float = 2000.0,
    gsd_m: float = 0.4,
    spoilt: int = 6,
    panoramas: int = 260,
    duplicates: int = 20,
    panorama_px: int = 512,
) -> Region:
    """Render it; `spoilt` parts of each kind."""
    world = make_world(seed, size_m)
    place = Scenery(world)
    rng = np.random.default_rng(seed)
    stands = _spread(world, rng, panoramas)
    parts = _parts(stands, rng, spoilt)
    folder.mkdir(parents=True, exist_ok=True)
    _write_imagery(folder, world, place, gsd_m, parts, rng)
    names = _write_streets(folder / "streets", world, place, stands, duplicates, panorama_px, rng)
    _write_features(folder / "features.geojson", world)
    truth = {"parts": parts, "shift_m": SHIFT_M, **names}
    (folder / "truth.json").write_text(json.dumps(truth, indent=1))
    (folder / "build.toml").write_text(Path(__file__).with_suffix(".toml").read_text())
    return Region(folder, truth)


def _spread(world: World, rng: np.random.Generator, count: int) -> np.ndarray:
    """[N, 3] stands on roads, no two nearer than 40 m."""
    stands = _stands(world)[rng.permutation(len(_stands(world)))]
    stands = stands[np.abs(stands[:, :2]).max(axis=1) < world.size_m / 2 - 60.0]
    kept: list[np.ndarray] = []
    for stand in stands:
        if len(kept) < count and all(np.hypot(*(stand[:2] - k[:2])) >= 40.0 for k in kept):
            kept.append(stand)
    return np.array(kept)


def _parts(stands: np.ndarray, rng: np.random.Generator, each: int) -> list[dict[str, Any]]:
    """Squares around stands, apart from each other."""
    parts: list[dict[str, Any]] = []
    for stand in stands[rng.permutation(len(stands))]:
        apart = all(
            max(abs(stand[0] - p["east_m"]), abs(stand[1] - p["north_m"])) > SPOILT_M + 20.0
            for p in parts
        )
        if apart and len(parts) < each * len(SPOILT):
            kind = SPOILT[len(parts) % len(SPOILT)]
            parts.append({"kind": kind, "east_m": float(stand[0]), "north_m": float(stand[1])})
    return parts


def _write_imagery(
    folder: Path,
    world: World,
    place: Scenery,
    gsd_m: float,
    parts: list[dict[str, Any]],
    rng: np.random.Generator,
) -> None:
    side_px, half_m = round(world.size_m / gsd_m), world.size_m / 2.0
    summer = orthomap(on_day(place, SUMMER_NOON), -half_m, half_m, gsd_m, (side_px, side_px)).image
    summer = _seamed(summer.copy(), rng)
    for part in parts:
        _spoil(summer, part, half_m, gsd_m, rng)
    path = write_geotiff(folder / "mosaic.tif", summer, world.frame, -half_m, half_m, gsd_m)
    _punch(path, world, rng)
    coarse_m = 0.6
    side_px = round(world.size_m / coarse_m)
    spring = replace(SPRING_AFTERNOON, cars_moved=1.0)
    shifted = SatelliteSensor(registration_east_m=SHIFT_M[0], registration_north_m=SHIFT_M[1])
    for name, day, sensor in (
        ("recent.tif", spring, shifted),
        ("old.tif", AUTUMN_OVERCAST, SatelliteSensor()),
    ):
        image = orthomap(
            on_day(place, day), -half_m, half_m, coarse_m, (side_px, side_px), sensor
        ).image
        write_geotiff(folder / name, image, world.frame, -half_m, half_m, coarse_m)


def _seamed(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Strips of other brightness, a pixel beside each other."""
    edges = np.linspace(0, image.shape[1], 9).astype(int)
    for left, right in itertools.pairwise(edges):
        strip = np.roll(image[:, left:right], int(rng.integers(-1, 2)), axis=0)
        lit = strip.astype(np.float32) * rng.uniform(0.88, 1.12)
        image[:, left:right] = np.clip(lit, 1, 255)
    return image


def _spoil(
    image: np.ndarray, part: dict[str, Any], half_m: float, gsd_m: float, rng: np.random.Generator
) -> None:
    row, column = (half_m - part["north_m"]) / gsd_m, (part["east_m"] + half_m) / gsd_m
    reach = SPOILT_M / 2.0 / gsd_m
    top, left = max(0, round(row - reach)), max(0, round(column - reach))
    square = image[top : round(row + reach), left : round(column + reach)]
    if part["kind"] == "blurred":
        square[:] = cv2.GaussianBlur(square, (0, 0), 2.4 / gsd_m)
    elif part["kind"] == "flat":
        mean = square.reshape(-1, 3).mean(axis=0)
        square[:] = np.clip(
            mean + (square - mean) * 0.06 + rng.normal(0, 0.8, square.shape), 1, 255
        )
    else:
        height, width = square.shape[:2]
        waves = cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), 3.0)
        square[:] = np.clip(
            np.array([38.0, 66.0, 82.0]) + 5.0 * (waves / waves.std())[..., None], 1, 255
        )


def _punch(path: Path, world: World, rng: np.random.Generator) -> None:
    """Holes without data, as where a flight took no pictures, and a ragged edge."""
    with rasterio.open(path, "r+") as dataset:
        alpha = dataset.read(4)
        size = alpha.shape[0]
        for _ in range(12):
            side = int(rng.uniform(30.0, 90.0) / world.size_m * size)
            row, column = rng.integers(0, size - side, 2)
            alpha[row : row + side, column : column + side] = 0
        steps = rng.uniform(0.0, 0.03, 40)
        for number, step in enumerate(steps):
            part = slice(number * size // 40, (number + 1) * size // 40)
            alpha[part, : int(step * size)] = 0
        dataset.write(alpha, 4)


def _write_streets(
    folder: Path,
    world: World,
    place: Scenery,
    stands: np.ndarray,
    duplicates: int,
    width_px: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    setting = on_day(place, SUMMER_NOON)
    planted = rng.choice(len(stands), duplicates, replace=False)
    rows, listed = [], {}
    for number, (east_m, north_m, angle) in enumerate(stands):
        listed[f"p{number:04d}.jpg"] = (east_m, north_m, angle)
    for number in planted:
        turn = rng.uniform(0.0, 2.0 * math.pi)
        east_m = stands[number][0] + DUPLICATE_M * math.cos(turn)
        north_m = stands[number][1] + DUPLICATE_M * math.sin(turn)
        listed[f"d{number:04d}.jpg"] = (east_m, north_m, stands[number][2])
    for name, (east_m, north_m, angle) in listed.items():
        heading_deg = math.degrees(math.pi / 2.0 - angle) % 360.0
        shot = panorama(setting, float(east_m), float(north_m), heading_deg, width_px)
        cv2.imwrite(str(folder / name), shot.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
        lat_deg, lon_deg = world.frame.to_geodetic((east_m, north_m))
        rows.append(f"{name},{float(lat_deg):.8f},{float(lon_deg):.8f},{heading_deg:.2f}")
    header = "file,lat_deg,lon_deg,heading_deg"
    (folder / "positions.csv").write_text("\n".join([header, *rows]) + "\n")
    return {
        "stands": {name: [float(v) for v in at[:2]] for name, at in listed.items()},
        "duplicates": {f"d{n:04d}.jpg": f"p{n:04d}.jpg" for n in map(int, planted)},
    }


_ROADS = {"HIGHWAY": "primary", "COLLECTOR": "secondary", "LANE": "tertiary",
          "STREET": "residential", "TRACK": "track"}  # fmt: skip
_USES = {
    "HOUSES": {"landuse": "residential"}, "ROWS": {"landuse": "residential"},
    "SLABS": {"landuse": "residential"}, "TOWERS": {"landuse": "residential"},
    "PERIMETER": {"landuse": "residential"}, "HALLS": {"landuse": "industrial"},
    "CAR_PARK": {"amenity": "parking"}, "PARK": {"leisure": "park"}, "PITCH": {"leisure": "pitch"},
    "FIELD": {"landuse": "farmland"}, "MEADOW": {"landuse": "meadow"},
    "ORCHARD": {"landuse": "orchard"}, "FOREST": {"landuse": "forest"},
    "PLANTATION": {"landuse": "forest"}, "CHURCH": {"amenity": "place_of_worship"},
    "SOLAR": {"generator:source": "solar"}, "STADIUM": {"leisure": "stadium"},
}  # fmt: skip


def _write_features(path: Path, world: World) -> None:
    layout = world.layout
    features = []

    def add(kind: str, line_m: Any, tags: dict[str, str]) -> None:
        lat, lon = world.frame.to_geodetic(np.asarray(line_m, float)[:, :2])
        ring = [[float(b), float(a)] for a, b in zip(lat, lon, strict=True)]
        coordinates: Any = ring if kind == "LineString" else [[*ring, ring[0]]]
        geometry = {"type": kind, "coordinates": coordinates}
        features.append({"type": "Feature", "geometry": geometry, "properties": tags})

    for road in layout.roads:
        add("LineString", road.line_m, {"highway": _ROADS[road.kind.name]})
    for block in layout.blocks:
        if tags := _USES.get(block.use.name):
            add("Polygon", block.outline_m, tags)
    for river in layout.waters.rivers:
        add("LineString", river.line_m, {"waterway": "river"})
    for lake in layout.waters.lakes:
        add("Polygon", lake, {"natural": "water"})
    for trunk in layout.trunks:
        tags = {"railway": "rail"} if trunk.kind.name == "RAIL" else {"highway": "motorway"}
        add("LineString", trunk.line_m, tags)
    for junction in layout.roundabouts:
        ring = np.linspace(0.0, 2.0 * math.pi, 13)[:-1]
        circle = np.stack([np.cos(ring), np.sin(ring)], axis=-1) * junction.radius_m
        add("Polygon", circle + junction.at_m, {"junction": "roundabout"})
    for bridge in layout.bridges:
        add("LineString", bridge.line_m, {"bridge": "yes"})
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
