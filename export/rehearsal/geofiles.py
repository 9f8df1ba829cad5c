"""A localizability map for geographic information systems: GeoTIFF and GeoJSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from geobridge.onboard import durable

from .localizability import Localizability
from .verdict import WORTH, Stretch, say

NODATA = -9999.0
BANDS = (
    ("availability", "expected share of frames with a fix"),
    ("error_m", "expected error of a fix, metres"),
    ("wrong", "probability that a published fix is wrong"),
    ("passes", "flights that crossed the cell"),
)
_DECIMALS, _DEGREE_DECIMALS = 4, 8


def write_geotiff(path: Path, found: Localizability) -> Path:
    """Four float32 bands in UTM, as `BANDS` has them; what is unknown is `NODATA`."""
    grid = found.grid
    bands = np.stack([getattr(found, name).astype(np.float32) for name, _ in BANDS])
    profile = {
        "driver": "GTiff",
        "dtype": "float32",
        "count": len(BANDS),
        "width": grid.columns,
        "height": grid.rows,
        "crs": grid.crs,
        "transform": rasterio.Affine(
            grid.cell_m, 0.0, grid.west_m, 0.0, -grid.cell_m, grid.north_m
        ),
        "nodata": NODATA,
        "compress": "deflate",
    }

    def write(temporary: Path) -> None:
        with rasterio.open(temporary, "w", **profile) as dataset:
            dataset.write(np.where(np.isnan(bands), np.float32(NODATA), bands))
            dataset.update_tags(worth=WORTH)
            for number, (name, words) in enumerate(BANDS, start=1):
                dataset.set_band_description(number, f"{name}: {words}")

    return durable.write_file(path, write)


def write_geojson(path: Path, found: Localizability, parts: Sequence[Stretch]) -> Path:
    """Every cell as a polygon and every stretch of a route as a line, WGS84 (RFC 7946)."""
    features = [*_cells(found), *map(_stretch, parts)]
    tree = {"type": "FeatureCollection", "description": WORTH, "features": features}
    return durable.write_text(path, json.dumps(tree, allow_nan=False) + "\n")


def _cells(found: Localizability) -> Iterator[dict[str, Any]]:
    lat_deg, lon_deg = found.grid.corners()
    names = ("availability", "availability_low", "availability_high", "error_m")
    layers = {name: getattr(found, name).ravel() for name in (*names, "wrong", "wrong_high")}
    passes, reasons = found.passes.ravel(), found.reason.ravel()
    for cell in range(len(passes)):
        ring = _line(lat_deg[cell].tolist(), lon_deg[cell].tolist())
        figures = {name: _figure(layer[cell]) for name, layer in layers.items()}
        properties = {
            "kind": "cell",
            "verdict": say(float(layers["availability"][cell])).value,
            **figures,
            "wrong_fixes": int(found.wrong_fixes.ravel()[cell]),
            "passes": int(passes[cell]),
            "reason": str(reasons[cell]) or None,
        }
        yield _feature({"type": "Polygon", "coordinates": [ring]}, properties)


def _stretch(part: Stretch) -> dict[str, Any]:
    names = ("availability", "availability_low", "availability_high", "error_m", "wrong")
    properties = {
        "kind": "stretch",
        "verdict": part.say.value,
        "begin_m": round(part.begin_m, 1),
        "end_m": round(part.end_m, 1),
        **{name: _figure(getattr(part, name)) for name in names},
        "reason": part.reason or None,
    }
    line = _line(part.lat_deg, part.lon_deg)
    return _feature({"type": "LineString", "coordinates": line}, properties)


def _feature(geometry: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _line(lat_deg: Sequence[float], lon_deg: Sequence[float]) -> list[list[float]]:
    line = [
        [round(lon, _DEGREE_DECIMALS), round(lat, _DEGREE_DECIMALS)]
        for lat, lon in zip(lat_deg, lon_deg, strict=True)
    ]
    return line if len(line) > 1 else line * 2


def _figure(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else round(float(value), _DECIMALS)
