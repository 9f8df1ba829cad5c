"""A small region that is drawn, not rendered: quick, and known to the pixel."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rasterio

from geobridge.onboard.geodesy import LocalFrame

FRAME = LocalFrame(47.4, 8.5)
SIDE_M, GSD_M = 900.0, 1.0
SHIFT_M = (6.0, -4.0)
AWAY_M = 5000.0
"""Pixels of one metre at (0, 0) would pass for no georeference at all."""


@cache
def town(seed: int, shift_px: tuple[int, int] = (0, 0)) -> np.ndarray:
    """[900, 900, 3] roofs and roads that look alike nowhere, moved right and down."""
    rng = np.random.default_rng(seed)
    image = np.full((900, 900, 3), (92, 110, 80), np.uint8)
    image = np.clip(image + rng.normal(0, 6, image.shape), 1, 255).astype(np.uint8)
    for _ in range(900):
        middle = tuple(float(v) for v in rng.uniform(0, 900, 2))
        box = (middle, tuple(rng.uniform(6, 26, 2)), float(rng.uniform(0, 180)))
        colour = tuple(int(v) for v in rng.integers(40, 230, 3))
        cv2.fillPoly(image, [np.asarray(cv2.boxPoints(box), np.int32)], colour)
    return np.roll(image, shift_px[::-1], axis=(0, 1))


def write_raster(path: Path, image: np.ndarray, valid: np.ndarray | None = None) -> Path:
    alpha = np.full(image.shape[:2], 255, np.uint8) if valid is None else valid
    bands = np.concatenate([image, alpha[..., None]], axis=2).transpose(2, 0, 1)
    profile = {
        "driver": "GTiff", "dtype": "uint8", "count": 4, "photometric": "RGB", "alpha": "YES",
        "height": image.shape[0], "width": image.shape[1],
        "crs": f"{FRAME.proj} +x_0={AWAY_M:g} +y_0={AWAY_M:g}",
        "transform": rasterio.Affine(
            GSD_M, 0.0, AWAY_M - SIDE_M / 2, 0.0, -GSD_M, AWAY_M + SIDE_M / 2
        ),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(bands)
    return path


STANDS = [(x, y) for x in (-300.0, -100.0, 100.0, 300.0) for y in (-300.0, -100.0, 100.0, 300.0)]


def write_streets(folder: Path, stands: list[tuple[float, float]]) -> None:
    folder.mkdir()
    rows = ["file,lat_deg,lon_deg,heading_deg"]
    for number, at_m in enumerate(stands):
        lat, lon = FRAME.to_geodetic(at_m)
        rng = np.random.default_rng(number)
        picture = cv2.resize(rng.integers(0, 255, (12, 24, 3), np.uint8), (256, 128))
        cv2.imwrite(str(folder / f"s{number:02d}.jpg"), picture)
        rows.append(f"s{number:02d}.jpg,{float(lat):.8f},{float(lon):.8f},0")
    (folder / "positions.csv").write_text("\n".join(rows) + "\n")


def ring(west: float, south: float, east: float, north: float) -> list[list[float]]:
    corners = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    lat, lon = FRAME.to_geodetic(corners)
    return [[float(b), float(a)] for a, b in zip(lat, lon, strict=True)]


def write_features(path: Path) -> None:
    geometries: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({"type": "Polygon", "coordinates": [ring(-450, -450, 450, 450)]},
         {"landuse": "residential"}),
        *(
            ({"type": "LineString", "coordinates": ring(-450, y, 450, y)[:2]},
             {"waterway": "river"})
            for y in (-300.0, -100.0, 100.0, 300.0)
        ),
    ]  # fmt: skip
    features = [
        {"type": "Feature", "geometry": geometry, "properties": tags}
        for geometry, tags in geometries
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


CONFIG = """\
name = "drawn"
out = "set"
work = "work"
features = "features.geojson"
drone = [{ path = "mosaic.tif", licence = "CC0", captured = "2026-06-01", country = "here" }]
street = [{ path = "streets", licence = "CC0", compass = "trust" }]
satellite = [{ path = "satellite.tif", licence = "CC0", captured = "2025-05-01" }]
seeds = { window_m = 180.0, step_m = 180.0 }
crops = { size_px = 96 }
cleaning = { drone = { reject = 0.0 }, satellite = { reject = 0.0 }, street = { reject = 0.0 } }
alignment = { correct = true }
splits = { block_m = 400.0, val = 0.2, test = 0.2, margin_m = 1.0 }
captions = { kind = "template" }
"""


PLAIN = 'captions.kind="none"'
"""Texts want an interpreter's worth of imports."""


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "card.html"
    }
