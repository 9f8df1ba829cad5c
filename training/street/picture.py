"""One street-level picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StreetPicture:
    """Where it was taken (WGS84), the true bearing of its middle column (NaN if not known), when.

    `taken` sorts as time does, and is empty if not known; `sequence` names the walk or drive;
    `told` says where its position stands, for complaints.
    """

    path: Path
    lat_deg: float
    lon_deg: float
    heading_deg: float
    taken: str = ""
    sequence: str = ""
    told: str = ""
