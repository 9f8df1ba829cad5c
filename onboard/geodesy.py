"""WGS84 and a local metric plane.

All metric work of one bundle happens in one `LocalFrame`: east and north of its origin, in metres,
of the WGS84 ellipsoid's surface (an ellipsoidal orthographic projection). At 30 km from the origin
its scale is off by 1.1e-5 and grid north by 0.27 deg x tan(latitude); a bundle covers less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pymap3d

Floats = npt.NDArray[np.float64]

WGS84 = pymap3d.Ellipsoid.from_name("wgs84")
MAX_RADIUS_M = 60_000.0
"""Beyond this distance from its origin a local frame refuses to work."""


@dataclass(frozen=True)
class LocalFrame:
    """A plane tangent to the WGS84 ellipsoid at an origin, axes true east and true north there.

    Raises:
        ValueError: the origin is not a latitude and longitude in degrees.
    """

    origin_lat_deg: float
    origin_lon_deg: float

    def __post_init__(self) -> None:
        if not (abs(self.origin_lat_deg) <= 90.0 and abs(self.origin_lon_deg) <= 180.0):
            raise ValueError(
                f"origin latitude {self.origin_lat_deg}, longitude {self.origin_lon_deg}"
                " is not a WGS84 position in degrees"
            )

    @property
    def proj(self) -> str:
        """The same plane as a PROJ string, for libraries that reproject rasters."""
        return (
            f"+proj=ortho +lat_0={self.origin_lat_deg!r} +lon_0={self.origin_lon_deg!r}"
            " +datum=WGS84 +units=m +no_defs"
        )

    def to_enu(self, lat_deg: npt.ArrayLike, lon_deg: npt.ArrayLike) -> Floats:
        """WGS84 degrees, any equal shapes [...], to [..., 2] metres east and north."""
        east_m, north_m, _ = pymap3d.geodetic2enu(
            np.asarray(lat_deg, float),
            np.asarray(lon_deg, float),
            0.0,
            self.origin_lat_deg,
            self.origin_lon_deg,
            0.0,
        )
        return np.stack([np.asarray(east_m, float), np.asarray(north_m, float)], axis=-1)

    def to_geodetic(self, enu_m: npt.ArrayLike) -> tuple[Floats, Floats]:
        """[..., 2] metres east and north to WGS84 latitude and longitude in degrees.

        Raises:
            ValueError: a point lies farther than `MAX_RADIUS_M` from the origin.
        """
        enu = np.asarray(enu_m, float)
        radius2_m2 = np.sum(enu**2, axis=-1)
        if not np.all(radius2_m2 <= MAX_RADIUS_M**2):
            raise ValueError(f"point farther than {MAX_RADIUS_M / 1000:.0f} km from the origin")
        east_m, north_m = enu[..., 0], enu[..., 1]
        up_m = self._surface_up_m(radius2_m2, north_m)
        origin = self.origin_lat_deg, self.origin_lon_deg, 0.0
        x_m, y_m, z_m = pymap3d.enu2ecef(east_m, north_m, up_m, *origin)
        # of a point of the surface, latitude needs no iteration
        lat_rad = np.arctan2(z_m, (1.0 - WGS84.eccentricity**2) * np.hypot(x_m, y_m))
        return np.degrees(lat_rad), np.degrees(np.arctan2(y_m, x_m))

    def _surface_up_m(self, radius2_m2: Floats, north_m: Floats) -> Floats:
        """Where the ellipsoid lies above the plane (less than 0): the nearer root of its equation
        along the plane's normal."""
        lat_rad = math.radians(self.origin_lat_deg)
        sine, cosine = math.sin(lat_rad), math.cos(lat_rad)
        flat = (WGS84.semimajor_axis / WGS84.semiminor_axis) ** 2 - 1.0
        normal_m = WGS84.semimajor_axis / math.sqrt(1.0 - (WGS84.eccentricity * sine) ** 2)
        square = 1.0 + flat * sine**2
        half_m = normal_m + north_m * (flat * sine * cosine)
        rest_m2 = radius2_m2 + flat * (north_m * cosine) ** 2
        return np.asarray(-rest_m2 / (half_m + np.sqrt(half_m**2 - square * rest_m2)))


def distance_m(lat1_deg: float, lon1_deg: float, lat2_deg: float, lon2_deg: float) -> float:
    """Straight distance between two surface points no more than about 100 km apart."""
    east_m, north_m, up_m = pymap3d.geodetic2enu(lat2_deg, lon2_deg, 0.0, lat1_deg, lon1_deg, 0.0)
    return math.sqrt(float(east_m) ** 2 + float(north_m) ** 2 + float(up_m) ** 2)
