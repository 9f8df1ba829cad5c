"""How well the step from a map's datum to WGS84 is known, which is GNSS's own."""

from __future__ import annotations

import warnings
from functools import lru_cache

from pyproj import CRS, Transformer
from pyproj.aoi import AreaOfInterest
from pyproj.exceptions import ProjError
from pyproj.transformer import TransformerGroup

from geobridge.onboard.geodesy import WGS84

UNTOLD_M = 5.0
"""Of a geocentric datum that nobody related to WGS84: those in use are no more than 2 m apart."""

_AROUND_DEG = 0.01
_UNKNOWN_M = 999.0
"""EPSG's way of saying that nobody knows."""


@lru_cache(maxsize=256)
def datum_error_m(wkt: str, lat_deg: float, lon_deg: float) -> float | None:
    """1-sigma horizontal error of a CRS's datum against WGS84 at a place, by EPSG's figure for the
    transformation that PROJ takes there; None where there is none, or nobody knows how good it is.

    PROJ has no grids of shifts here unless somebody installed them, and takes the best without.
    """
    try:
        crs = CRS.from_wkt(wkt)
        known = _transformations(crs, lat_deg, lon_deg)
    except ProjError:
        return None
    if not known:
        # GRS80 and CGCS2000 have the same axis; no datum from before satellites has it
        ellipsoid = crs.ellipsoid
        is_geocentric = ellipsoid and ellipsoid.semi_major_metre == WGS84.semimajor_axis
        return UNTOLD_M if is_geocentric else None
    # of parameters that the CRS brings along nothing is said, and whoever wrote them knows
    error_m = max(0.0, known[0].accuracy)
    return None if error_m >= _UNKNOWN_M else error_m


def _transformations(crs: CRS, lat_deg: float, lon_deg: float) -> list[Transformer]:
    """To WGS84 around a place, best first, without those that leave the datum as it is."""
    around = AreaOfInterest(
        max(-180.0, lon_deg - _AROUND_DEG),
        lat_deg - _AROUND_DEG,
        min(180.0, lon_deg + _AROUND_DEG),
        lat_deg + _AROUND_DEG,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a grid would be better
        group = TransformerGroup(
            crs,
            "EPSG:4326",
            always_xy=True,
            area_of_interest=around,  # type: ignore[arg-type]  # its stub names another class
            allow_ballpark=False,
        )
    return group.transformers
