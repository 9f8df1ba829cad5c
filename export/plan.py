"""What is to be packed."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.manifest_entries import SourceEntry

from .record import ExportRecord

SCALE_STEP = 1.5
"""Between footprints of a range of heights; training varies the scale by less."""
ASPECT = 3.0 / 4.0
"""Height of a picture against its width, where only its field of view is known."""


@dataclass(frozen=True)
class Plan:
    """Everything that decides what a bundle holds; equal plans give equal bundles.

    `footprints_m` smallest first, `spacings_m` of each. `origin` is the middle of the local plane.
    `sources` are in the order of their rows in the manifest, `described` says how each is read.
    """

    record: ExportRecord
    sources: tuple[SourceEntry, ...]
    described: tuple[str, ...]
    origin: LocalFrame
    area: str
    terrain: str
    footprints_m: tuple[float, ...]
    spacings_m: tuple[float, ...]
    gsd_m: float
    registration_m: float
    bundle_version: int

    @property
    def fingerprint(self) -> str:
        """Tells unfinished work of this plan from that of another."""
        nested = {
            "record": self.record.model_dump(mode="json"),
            "sources": [source.model_dump(mode="json") for source in self.sources],
            "origin": vars(self.origin),
        }
        return json.dumps({**vars(self), **nested}, sort_keys=True)


def footprints_for(heights_agl_m: tuple[float, float], hfov_deg: float) -> tuple[float, ...]:
    """Sides of squares that a level camera sees whole at some height of a range, smallest first.

    Raises:
        DataError: no range of heights.
    """
    low_m, high_m = heights_agl_m
    if not 0.0 < low_m <= high_m < math.inf:
        raise DataError(f"--height-agl-m: {low_m:g}:{high_m:g} is no range of heights")
    per_m = 2.0 * math.tan(math.radians(hfov_deg) / 2.0) * ASPECT
    steps = math.ceil(math.log(high_m / low_m) / math.log(SCALE_STEP) - 1e-9)
    ratio = (high_m / low_m) ** (1.0 / steps) if steps else 1.0
    return tuple(round(low_m * per_m * ratio**step, 1) for step in range(steps + 1))


def spacing_for(accuracy_m: float) -> float:
    """Of a lattice whose nearest place is that near, 1-sigma per axis: an even error over a cell
    has the standard deviation of its side over the square root of 12."""
    return accuracy_m * math.sqrt(12.0)
