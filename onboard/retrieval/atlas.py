"""Several bundles open at once: area after area along a route, or one map in parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..bundle import Bundle
from ..errors import BundleError
from ..geodesy import MAX_RADIUS_M, distance_m
from ..records import Candidate
from ..views import View
from .halves import Descriptor
from .index import Index
from .layer import EVERYWHERE, Within


@dataclass(frozen=True)
class Area:
    """An opened bundle and its references."""

    bundle: Bundle
    index: Index

    def within(self, lat_deg: float, lon_deg: float, radius_m: float) -> Within | None:
        """A circle on this bundle's plane; None where it meets nothing that is covered."""
        coverage = self.bundle.manifest.coverage
        origin = coverage.origin_lat_deg, coverage.origin_lon_deg
        if not distance_m(*origin, lat_deg, lon_deg) <= 2.0 * MAX_RADIUS_M:
            return None
        east_m, north_m = coverage.frame.to_enu(lat_deg, lon_deg).tolist()
        misses_east = east_m + radius_m < coverage.west_m or east_m - radius_m > coverage.east_m
        misses_north = (
            north_m + radius_m < coverage.south_m or north_m - radius_m > coverage.north_m
        )
        return None if misses_east or misses_north else Within((east_m, north_m), radius_m)


class Atlas:
    """Bundles of one descriptor space.

    Raises:
        BundleError: one of them was made by other encoders than the first.
    """

    def __init__(self, bundles: Sequence[Bundle]) -> None:
        first = _space(bundles[0])
        for bundle in bundles:
            if _space(bundle) != first:
                raise BundleError(
                    f"{bundle.path}: its descriptors are of other encoders than those of"
                    f" {bundles[0].path}; they do not compare"
                )
        self.areas = [Area(bundle, Index.open(bundle)) for bundle in bundles]

    @classmethod
    def open(cls, paths: Sequence[Path], trusted_keys: Sequence[Path] = ()) -> Atlas:
        """Bundles on disk, after all their checks.

        Raises:
            BundleError, ConfigError: of the first that must not be used.
        """
        return cls([Bundle.open(path, trusted_keys) for path in paths])

    def search(
        self,
        descriptor: Descriptor,
        top_k: int,
        view: View = View.SATELLITE,
        near: tuple[float, float, float] | None = None,
    ) -> list[tuple[Area, Candidate]]:
        """The best places of a view in all bundles for [D], best first.

        `near` is a latitude, a longitude and a radius in metres; bundles that it does not reach are
        not searched.
        """
        found: list[tuple[Area, Candidate]] = []
        for area in self.areas:
            within = EVERYWHERE if near is None else area.within(*near)
            if within is not None:
                found += [
                    (area, each) for each in area.index.search(descriptor, top_k, within, view)
                ]
        return sorted(found, key=lambda pair: -pair[1].score)[:top_k]


def _space(bundle: Bundle) -> tuple[int, frozenset[str]]:
    """What descriptors must have in common to compare."""
    checkpoints = frozenset(encoder.checkpoint_sha256 for encoder in bundle.manifest.encoders)
    return bundle.manifest.descriptor.dimension, checkpoints
