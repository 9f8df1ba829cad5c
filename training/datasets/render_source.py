"""Which land a data set shows: one rendered from the seed, or one's own map."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geobridge.onboard.errors import DataError
from geobridge.onboard.simulation.world import MAX_SIZE_PX, make_world

from ..rasters.place import read_place
from .render_lands import MapLand, WorldLand

SIZE_KM = (0.4, 10.0)
DEFAULT_SIZE_KM = 3.0
_GSD_M = 0.5

AnyLand = WorldLand | MapLand


@dataclass(frozen=True)
class Source:
    """What the land is made of.

    Args:
        size_km: side of a rendered world, by default `DEFAULT_SIZE_KM`.
        raster: a map instead of a rendered world.
        dsm: heights for the map; without them there is no street view.
        gsd_m: side of a pixel of the map, by default its own.

    Raises:
        DataError: a size out of range, or values of a map and of a world together.
    """

    size_km: float | None
    raster: Path | None
    dsm: Path | None
    gsd_m: float | None

    def __post_init__(self) -> None:
        if self.raster is not None and self.size_km is not None:
            raise DataError("--size-km belongs to a rendered world; --map has its own size")
        for name, value in (("dsm", self.dsm), ("gsd-m", self.gsd_m)):
            if self.raster is None and value is not None:
                raise DataError(f"--{name} belongs to --map")
        if not SIZE_KM[0] <= self._side_km <= SIZE_KM[1]:
            raise DataError(f"--size-km {self.size_km}: expected {SIZE_KM[0]} to {SIZE_KM[1]:.0f}")

    @property
    def _side_km(self) -> float:
        return DEFAULT_SIZE_KM if self.size_km is None else self.size_km

    def parameters(self) -> dict[str, Any]:
        """What tells this land from others; of files their digests.

        Raises:
            OSError: a file cannot be read.
        """
        if self.raster is None:
            return {"size-km": self._side_km}
        dsm = self.dsm and _digest(self.dsm)
        return {"map": _digest(self.raster), "dsm": dsm, "gsd-m": self.gsd_m}

    def land(self, seed: int) -> AnyLand:
        """The land itself, which takes a while.

        Raises:
            DataError: a map that cannot be used.
        """
        if self.raster is not None:
            return MapLand(read_place(self.raster, self.dsm, self.gsd_m))
        size_m = 1000.0 * self._side_km
        return WorldLand(make_world(seed, size_m, max(_GSD_M, size_m / MAX_SIZE_PX)))


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"
