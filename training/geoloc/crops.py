"""Stage 2: the drone mosaics cut around street positions, at one of a few scales.

Which scales fit is measured first, from one coarse look at the mosaic; then every place is given
one of those that fit, so that all are used alike; then the squares are cut.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geobridge.onboard.errors import DataError
from geobridge.onboard.frames.picture import read_upright
from geobridge.onboard.preprocess import resize
from geobridge.onboard.records import Image, Mask

from ..rasters.raster import Raster
from .config import Crops
from .gates import measured
from .near import inside
from .pictures import write_picture
from .sources.mosaics import MosaicFile
from .stage import Line

LOOK_PX = 90
"""Pixels across the largest scale when a position's surroundings are looked at."""
PANORAMA_ASPECT = 1.8
"""Pictures wider than that are whole panoramas, and become twice as wide as high."""


@dataclass(frozen=True)
class FitWork:
    """Positions that may lie on a mosaic, with `id`, `lat_deg`, `lon_deg`."""

    mosaic: MosaicFile
    scales_m: Sequence[float]
    places: Sequence[Line]


def find_fits(work: FitWork) -> list[Line]:
    """`id`, `mosaic`, and `valid` for every scale.

    Raises:
        DataError: the mosaic is damaged.
    """
    largest_m = max(work.scales_m)
    gsd_m = largest_m / LOOK_PX
    lines = []
    with Raster(work.mosaic.path, gsd_m) as raster:
        for place in work.places:
            east_m, north_m = raster.frame.to_enu(place["lat_deg"], place["lon_deg"])
            west, top = float(east_m) - largest_m / 2, float(north_m) + largest_m / 2
            _, mask = raster.read_at(west, top, LOOK_PX, LOOK_PX)
            valid = {f"{scale:g}": _valid(mask, scale / gsd_m) for scale in work.scales_m}
            lines.append({"id": place["id"], "mosaic": work.mosaic.name, "valid": valid})
    return lines


def _valid(mask: Mask, side_px: float) -> float:
    """Share of the middle that is valid; a pixel's width of doubt counts against it."""
    half = min(LOOK_PX // 2, int(np.ceil(side_px / 2.0)))
    middle = LOOK_PX // 2
    return round(
        float(mask[middle - half : middle + half, middle - half : middle + half].mean()), 4
    )


def choose_scales(fits: Sequence[Line], crops: Crops, seed: int) -> dict[str, float]:
    """A scale in metres for every place: of those that fit, the one that is rarest so far.

    Places come in an order drawn by the seed from their names, so nothing depends on the order in
    which they were found.
    """
    used: Counter[float] = Counter()
    chosen: dict[str, float] = {}
    for fit in sorted(fits, key=lambda each: _drawn(seed, each["id"])):
        fitting = [s for s in crops.scales_m if fit["valid"][f"{s:g}"] >= crops.min_valid]
        ranked = sorted(fitting, key=lambda s: (used[s], _drawn(seed, f"{fit['id']} {s:g}")))
        chosen[fit["id"]] = ranked[0]
        used[ranked[0]] += 1
    return chosen


@dataclass(frozen=True)
class CropWork:
    """Places of one mosaic and one scale, with `lat_deg`, `lon_deg`, `path` and `stamp` of the
    street picture."""

    mosaic: MosaicFile
    scale_m: float
    size_px: int
    min_valid: float
    places: Sequence[Line]
    pictures: Path


def cut(work: CropWork) -> list[Line]:
    """Write the drone and street pictures; `id`, `valid`, and of both `sha256` and `gates`.

    A picture that turns out to have black corners, or a street picture that cannot be read, gives
    a line with `refused`, perhaps `told`, and no measures.

    Raises:
        DataError: the mosaic is damaged, or the disk is full.
    """
    size_px = work.size_px
    lines: list[Line] = []
    with Raster(work.mosaic.path, work.scale_m / size_px) as raster:
        for place in work.places:
            east_m, north_m = raster.frame.to_enu(place["lat_deg"], place["lon_deg"])
            half_m = work.scale_m / 2.0
            image, mask = raster.read_at(
                float(east_m) - half_m, float(north_m) + half_m, size_px, size_px
            )
            lines.append(_written(work, place, image, float(mask.mean())))
    return lines


def _written(work: CropWork, place: Line, image: Image, valid: float) -> Line:
    line: Line = {"id": place["id"], "valid": round(valid, 4)}
    if valid < work.min_valid:
        return line | {"refused": "black corners"}
    try:
        street = street_picture(Path(place["path"]), work.size_px)
    except DataError as error:
        return line | {"refused": "the street picture cannot be read", "told": str(error)}
    both = {"drone": image, "street": street}
    kept = {v: write_picture(work.pictures, v, place["id"], each) for v, each in both.items()}
    return line | {"sha256": kept, "gates": {v: measured(each) for v, each in both.items()}}


def street_picture(path: Path, size_px: int) -> Image:
    """A panorama at twice `size_px` by `size_px`; another picture as high as that at most.

    Raises:
        DataError: it cannot be read.
    """
    image = read_upright(path)
    height, width = image.shape[:2]
    if width >= PANORAMA_ASPECT * height:
        return resize(image, size_px, 2 * size_px, "box")
    factor = min(1.0, size_px / height)
    return resize(image, max(1, round(height * factor)), max(1, round(width * factor)), "box")


def mosaic_candidates(
    places: Sequence[Line], seeds: Sequence[Line], mosaics: Mapping[str, MosaicFile]
) -> dict[str, list[Line]]:
    """Places by each mosaic of which a window holds them."""
    found: dict[str, list[Line]] = {}
    for name in mosaics:
        windows = [seed for seed in seeds if seed["mosaic"] == name]
        found[name] = [
            place for place, near in zip(places, inside(places, windows), strict=True) if near
        ]
    return found


def _drawn(seed: int, text: str) -> bytes:
    return hashlib.blake2b(f"{seed} {text}".encode(), digest_size=8).digest()
