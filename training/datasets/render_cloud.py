"""The exact geometry of a rendered place: what is seen of it from above and from four sides."""

from __future__ import annotations

import numpy as np

from geobridge.onboard.simulation.land.raster import Floats
from geobridge.onboard.simulation.render.optics import SatelliteSensor
from geobridge.onboard.simulation.render.scenery import Setting
from geobridge.onboard.simulation.render.views import satellite

SIDE_PX = 72
"""Rays along a side, from each direction."""
_LEAN_DEG, _MARGIN = 40.0, 1.2
_DIRECTIONS = ((0.0, 0.0), *((_LEAN_DEG, azimuth) for azimuth in (45.0, 135.0, 225.0, 315.0)))


def exact_cloud(setting: Setting, middle_m: tuple[float, float, float], width_m: float) -> Floats:
    """[N, 3] metres east, north and up of the middle of a square `width_m` wide.

    Roofs, walls, crowns, cars and ground as parallel rays meet them; without error.
    """
    parts = []
    for lean_deg, azimuth_deg in _DIRECTIONS:
        sensor = SatelliteSensor(off_nadir_deg=lean_deg, off_nadir_azimuth_deg=azimuth_deg)
        shot = satellite(setting, *middle_m[:2], _MARGIN * width_m, SIDE_PX, sensor, threads=1)
        parts.append(shot.points_enu_m.reshape(-1, 3) - np.asarray(middle_m))
    points = np.concatenate(parts)
    inside = np.isfinite(points).all(axis=1) & (np.abs(points[:, :2]) <= width_m / 2.0).all(axis=1)
    return np.asarray(points[inside])
