"""Where references are laid out over an area."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geobridge.onboard.bundle import PLACE
from geobridge.onboard.geodesy import Floats, LocalFrame
from geobridge.onboard.manifest_entries import ImageryEntry
from geobridge.onboard.records import Image, Mask
from geobridge.onboard.retrieval.imagery import ReferenceImagery
from geobridge.onboard.retrieval.layer import spatial_order
from geobridge.onboard.views import VIEW_CODES, View
from geobridge.training.rasters.raster import Grid

from .area import Area
from .ground.flight import FlightGround
from .imagery import source_of, tile_reader
from .texture import flags_of

MIN_VALID_FRACTION = 0.5
"""Part of a square that the imagery must show for it to become a reference."""
HELD_OUT = 200

Places = npt.NDArray[Any]
Picture = tuple[Image, Mask | None]
Pictures = Callable[[int], Picture]


@dataclass(frozen=True)
class Laid:
    """Places of one view and footprint in spatial order, and what each of them shows.

    `pictures` gives the [H, W, 3] of a row, and the [H, W] that says where it shows something; it
    can be pickled. `spacing_m`: None where places lie as they were taken. `between` are squares
    halfway between places: queries nobody indexed.
    """

    view: View
    footprint_m: float
    spacing_m: float | None
    places: Places
    pictures: Pictures
    between: Laid | None = None


@dataclass(frozen=True)
class Squares:
    """The squares of a bundle's imagery around places, as some of its sources show them."""

    folder: Path
    entry: ImageryEntry
    places: Places
    sources: tuple[int, ...]

    @cached_property
    def imagery(self) -> ReferenceImagery:
        """Opened where it is used, which may be in another process."""
        reader = tile_reader(self.folder, self.entry.tile_px, self.sources)
        return ReferenceImagery(self.entry, reader)

    def __call__(self, row: int) -> Picture:
        """[S, S, 3] and [S, S] of a place."""
        place = self.places[row]
        size_px = round(float(place["footprint_m"]) / self.entry.gsd_m)
        image, valid, _ = self.imagery.read(
            float(place["east_m"]), float(place["north_m"]), size_px
        )
        return image, valid

    def __getstate__(self) -> dict[str, Any]:
        """Without what was opened."""
        return {key: value for key, value in vars(self).items() if key != "imagery"}


@dataclass(frozen=True)
class Frames:
    """The squares around places as a flight's own pictures show them."""

    ground: FlightGround
    places: Places

    def __call__(self, row: int) -> Picture:
        """[S, S, 3] and [S, S] of a place."""
        place, gsd_m = self.places[row], self.ground.gsd_m
        size_px = round(float(place["footprint_m"]) / gsd_m)
        half_m = size_px * gsd_m / 2.0
        west_m, north_m = float(place["east_m"]) - half_m, float(place["north_m"]) + half_m
        return self.ground.read_at(west_m, north_m, size_px, size_px)


@dataclass(frozen=True)
class Lattice:
    """Squares of `footprint_m`, their centres `spacing_m` apart, over a grid of pixels."""

    frame: LocalFrame
    grid: Grid
    footprint_m: float
    spacing_m: float
    view: View = View.SATELLITE

    def centres_m(self) -> Floats:
        """[N, 2] metres east and north, in the middle of whole steps from the plane's origin."""
        grid = self.grid
        east = _middles(grid.west_m, grid.width_px * grid.gsd_m, self.spacing_m)
        south_m = grid.north_m - grid.height_px * grid.gsd_m
        north = _middles(south_m, grid.height_px * grid.gsd_m, self.spacing_m)
        return np.stack(np.meshgrid(east, north), axis=-1).reshape(-1, 2)

    def places(self, centres_m: Floats) -> Places:
        """Rows of PLACE in spatial order."""
        rows = np.zeros(len(centres_m), PLACE)
        rows["east_m"], rows["north_m"] = centres_m.T
        rows["lat_deg"], rows["lon_deg"] = self.frame.to_geodetic(centres_m)
        rows["footprint_m"] = self.footprint_m
        rows["view"] = VIEW_CODES[self.view]
        rows["aliasing"] = np.nan
        return rows[spatial_order(rows["east_m"], rows["north_m"])]

    def laid(self, places: Places, pictures_at: Callable[[Places], Pictures]) -> Laid:
        """Places with their pictures, and up to `HELD_OUT` squares halfway between them."""
        step = max(1, len(places) // HELD_OUT)
        centres = np.column_stack([places["east_m"], places["north_m"]])[::step][:HELD_OUT]
        middles = self.places(centres + self.spacing_m / 2)
        kind = self.view, self.footprint_m, self.spacing_m
        between = Laid(*kind, middles, pictures_at(middles))
        return Laid(*kind, places, pictures_at(places), between)


def lay_squares(
    lattice: Lattice,
    folder: Path,
    entry: ImageryEntry,
    sources: Collection[int],
    area: Area | None,
) -> Laid:
    """The lattice's squares that some sources show, in an area if there is one."""
    places = _within(lattice, area)
    squares = Squares(folder, entry, places, tuple(sources))
    size_px = round(lattice.footprint_m / entry.gsd_m)
    shown = np.zeros(len(places), np.bool_)
    for row, place in enumerate(places):
        at = float(place["east_m"]), float(place["north_m"])
        rgba, _ = squares.imagery.rgba(*at, size_px)
        valid = (rgba[..., 3] > 127).astype(np.uint8)
        shown[row] = valid.mean() >= MIN_VALID_FRACTION
        if shown[row]:
            places["source"][row] = source_of(rgba[..., 3])
            places["flags"][row] = flags_of(rgba[..., :3], valid)
    return lattice.laid(places[shown], lambda at: Squares(folder, entry, at, tuple(sources)))


def lay_frames(lattice: Lattice, ground: FlightGround, source: int, area: Area | None) -> Laid:
    """The lattice's squares that the pictures of a flight show, in an area if there is one."""
    places = _within(lattice, area)
    places["source"] = source
    frames = Frames(ground, places)
    shown = np.zeros(len(places), np.bool_)
    for row in range(len(places)):
        image, valid = frames(row)
        assert valid is not None, "frames say what they show"
        shown[row] = valid.mean() >= MIN_VALID_FRACTION
        if shown[row]:
            places["flags"][row] = flags_of(image, valid)
    return lattice.laid(places[shown], lambda at: Frames(ground, at))


def _within(lattice: Lattice, area: Area | None) -> Places:
    centres_m = lattice.centres_m()
    if area is not None:
        centres_m = centres_m[area.holds(centres_m, lattice.frame)]
    return lattice.places(centres_m)


def _middles(start_m: float, length_m: float, spacing_m: float) -> Floats:
    """Those of the steps that lie between two points; halfway where there is none."""
    first, last = start_m / spacing_m - 0.5, (start_m + length_m) / spacing_m - 0.5
    steps = np.arange(math.ceil(first - 1e-9), math.floor(last + 1e-9) + 1)
    if not len(steps):
        return np.array([start_m + length_m / 2.0])
    return np.asarray((steps + 0.5) * spacing_m)
