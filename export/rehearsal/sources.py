"""Where the land of a rehearsal comes from; each makes the same place in every process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from geobridge.onboard.bundle import MANIFEST, Bundle, sha256
from geobridge.onboard.retrieval.imagery import ReferenceImagery
from geobridge.onboard.simulation.mapped import MappedPlace
from geobridge.onboard.simulation.render.scenery import Place
from geobridge.training.rasters.place import read_place

from .aged import Aged

PlaceSource = Callable[[], Place]
"""Makes a place: hashable by value, and can be pickled."""


@dataclass(frozen=True)
class MapSource:
    """One's own map, and heights of its surface if there are any."""

    raster: Path
    dsm: Path | None

    def __call__(self) -> Place:
        """Read it."""
        return Aged(read_place(self.raster, self.dsm))

    @property
    def name(self) -> str:
        """By content, so that a changed map is another one."""
        return " ".join(sha256(path) for path in (self.raster, self.dsm) if path is not None)


@dataclass(frozen=True)
class BundleSource:
    """The imagery in a bundle, on level ground."""

    bundle: Path

    def __call__(self) -> Place:
        """Read it."""
        opened = Bundle.open(self.bundle)
        entry = opened.manifest.reference_imagery
        tiles = max(entry.rows, entry.columns)
        half_m = tiles * entry.tile_px * entry.gsd_m / 2.0
        image, valid, _ = ReferenceImagery.open(opened).read(
            entry.west_m + half_m, entry.north_m - half_m, tiles * entry.tile_px
        )
        shown = slice(0, entry.rows * entry.tile_px), slice(0, entry.columns * entry.tile_px)
        frame, corner = opened.manifest.coverage.frame, (entry.west_m, entry.north_m)
        return Aged(MappedPlace(frame, image[shown], valid[shown], *corner, entry.gsd_m))

    @property
    def name(self) -> str:
        """By content."""
        return sha256(self.bundle / MANIFEST)
