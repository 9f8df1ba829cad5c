"""What is to be packed."""

from __future__ import annotations

import json
from dataclasses import dataclass

from geobridge.onboard.manifest import SourceEntry

from .record import ExportRecord


@dataclass(frozen=True)
class Plan:
    """Everything that decides what a bundle holds; equal plans give equal bundles.

    `sources`: the raster, then the street pictures if there are any.
    """

    record: ExportRecord
    sources: tuple[SourceEntry, ...]
    footprint_m: float
    spacing_m: float
    gsd_m: float
    registration_m: float
    bundle_version: int
    street_reach_m: float

    @property
    def fingerprint(self) -> str:
        """Tells unfinished work of this plan from that of another."""
        nested = {
            "record": self.record.model_dump(mode="json"),
            "sources": [source.model_dump(mode="json") for source in self.sources],
        }
        return json.dumps({**vars(self), **nested}, sort_keys=True)
