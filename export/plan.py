"""What is to be packed."""

from __future__ import annotations

import json
from dataclasses import dataclass

from geobridge.onboard.manifest import SourceEntry

from .encoders import ExportRecord


@dataclass(frozen=True)
class Plan:
    """Everything that decides what a bundle holds; equal plans give equal bundles."""

    record: ExportRecord
    source: SourceEntry
    footprint_m: float
    spacing_m: float
    gsd_m: float
    registration_m: float
    bundle_version: int

    @property
    def fingerprint(self) -> str:
        """Tells unfinished work of this plan from that of another."""
        nested = {key: getattr(self, key).model_dump(mode="json") for key in ("record", "source")}
        return json.dumps({**vars(self), **nested}, sort_keys=True)
