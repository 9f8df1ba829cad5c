"""Where references are laid out over an area, and their descriptors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geobridge.onboard import durable
from geobridge.onboard.bundle import PLACE
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Image, Mask
from geobridge.onboard.retrieval.encoder import Encoder
from geobridge.onboard.retrieval.imagery import ReferenceImagery
from geobridge.onboard.retrieval.index import spatial_order
from geobridge.onboard.views import VIEW_CODES, View
from geobridge.training.rasters.raster import Grid

log = logging.getLogger(__name__)

MIN_VALID_FRACTION = 0.5
"""Part of a square that the imagery must show for it to become a reference."""
HELD_OUT = 200
CHUNK = 256

Places = npt.NDArray[Any]
Descriptors = npt.NDArray[np.float16]
Picture = tuple[Image, Mask | None]


@dataclass(frozen=True)
class Lattice:
    """Squares of `footprint_m`, their centres `spacing_m` apart, over a grid of pixels."""

    frame: LocalFrame
    grid: Grid
    footprint_m: float
    spacing_m: float

    def centres_m(self) -> npt.NDArray[np.float64]:
        """[N, 2] metres east and north, in the middle of whole steps over the grid."""
        width_m = self.grid.width_px * self.grid.gsd_m
        height_m = self.grid.height_px * self.grid.gsd_m
        east = self.grid.west_m + _middles(width_m, self.spacing_m)
        north = self.grid.north_m - _middles(height_m, self.spacing_m)
        return np.stack(np.meshgrid(east, north), axis=-1).reshape(-1, 2)

    def places(self, centres_m: npt.NDArray[np.float64]) -> Places:
        """Rows of PLACE in spatial order."""
        rows = np.zeros(len(centres_m), PLACE)
        rows["east_m"], rows["north_m"] = centres_m.T
        rows["lat_deg"], rows["lon_deg"] = self.frame.to_geodetic(centres_m)
        rows["footprint_m"] = self.footprint_m
        rows["view"] = VIEW_CODES[View.SATELLITE]
        rows["aliasing"] = np.nan
        return rows[spatial_order(rows["east_m"], rows["north_m"])]

    def between(self, places: Places) -> Places:
        """Up to `HELD_OUT` squares that lie halfway between places: queries nobody indexed."""
        step = max(1, len(places) // HELD_OUT)
        centres = np.column_stack([places["east_m"], places["north_m"]])[::step][:HELD_OUT]
        return self.places(centres + self.spacing_m / 2)


def lay_places(lattice: Lattice, imagery: ReferenceImagery) -> Places:
    """The lattice's squares that the imagery shows, as rows of PLACE in spatial order."""
    centres = lattice.centres_m()
    size_px = round(lattice.footprint_m / imagery.entry.gsd_m)
    shown = [
        imagery.read(float(east), float(north), size_px)[1].mean() >= MIN_VALID_FRACTION
        for east, north in centres
    ]
    return lattice.places(centres[np.array(shown, bool)])


def square_of(place: Any, imagery: ReferenceImagery) -> tuple[Image, Mask]:
    """[S, S, 3] and [S, S] of a place's square."""
    size_px = round(float(place["footprint_m"]) / imagery.entry.gsd_m)
    image, valid, _ = imagery.read(float(place["east_m"]), float(place["north_m"]), size_px)
    return image, valid


def encode_places(
    places: Places, imagery: ReferenceImagery, encoder: Encoder, work: Path
) -> Descriptors:
    """[N, D] unit descriptors of squares, see `encode_rows`."""
    return encode_rows(len(places), lambda row: square_of(places[row], imagery), encoder, work)


def encode_rows(
    count: int, picture_of: Callable[[int], Picture], encoder: Encoder, work: Path
) -> Descriptors:
    """[N, D] unit descriptors; chunks already in the folder `work` are not encoded again.

    `picture_of` gives the [H, W, 3] of a row, and the [H, W] that says where it shows something.
    """
    parts = []
    for number, start in enumerate(range(0, count, CHUNK)):
        path = work / f"{number:06d}.npy"
        rows = range(start, min(start + CHUNK, count))
        if not path.exists():
            prepared = [encoder.prepare(*picture_of(row)) for row in rows]
            descriptors = encoder.encode(prepared).astype(np.float16)
            durable.write_file(path, partial(_save, descriptors))
            log.info("encoded %d of %d %s", rows.stop, count, work.name)
        parts.append(np.load(path, allow_pickle=False))
    return np.concatenate(parts)


def in_one_order(references: Iterable[tuple[Places, Descriptors]]) -> tuple[Places, Descriptors]:
    """Places of several kinds and their descriptors, row by row, in one spatial order."""
    places, descriptors = map(np.concatenate, zip(*references, strict=True))
    order = spatial_order(places["east_m"], places["north_m"])
    return places[order], descriptors[order]


def _save(array: npt.NDArray[Any], path: Path) -> None:
    with path.open("wb") as file:  # np.save would append .npy to the temporary name
        np.save(file, array, allow_pickle=False)


def _middles(length_m: float, spacing_m: float) -> npt.NDArray[np.float64]:
    count = max(1, int(length_m // spacing_m))
    return (np.arange(count, dtype=float) + 0.5) * (length_m / count)
