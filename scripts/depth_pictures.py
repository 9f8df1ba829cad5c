"""Pictures of the distances and of the points that come with a rendered view."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from sheet import PAPER

from geobridge.onboard.records import Image
from geobridge.onboard.simulation.render.views import Shot

Floats = npt.NDArray[np.float64]


def coloured(shot: Shot) -> Image:
    """Near is bright, far is dark, the sky is black; logarithmic."""
    seen = np.isfinite(shot.distance_m)
    logarithm = np.log(np.where(seen, shot.distance_m, 1.0))
    low, high = np.percentile(logarithm[seen], [1, 99])
    share = np.clip((high - logarithm) / (high - low), 0.0, 1.0)
    colours = cv2.applyColorMap((share * 255.0).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return np.asarray(np.where(seen[..., None], colours[..., ::-1], 0), np.uint8)


def turned(shot: Shot, middle_m: Floats) -> Image:
    """The points within 110 m of a place from the south-east, 40 degrees down, far first."""
    size_px, half_m = 400, 90.0
    points = (shot.points_enu_m - middle_m).reshape(-1, 3)
    near = np.linalg.norm(np.nan_to_num(points, nan=1e6)[:, :2], axis=1) < 110.0
    points, colours = points[near], shot.image.reshape(-1, 3)[near]
    right, up, back = _axes(azimuth_deg=140.0, elevation_deg=40.0)
    order = np.argsort(points @ back)
    column, row = (np.stack([points @ right, -points @ up]) / half_m + 1.0) * size_px / 2.0
    picture = np.full((size_px, size_px, 3), PAPER, np.uint8)
    for shift in ((0, 0), (1, 0), (0, 1), (1, 1)):
        x, y = (column + shift[0]).astype(int)[order], (row + shift[1]).astype(int)[order]
        on = (x >= 0) & (x < size_px) & (y >= 0) & (y < size_px)
        picture[y[on], x[on]] = colours[order][on]
    return picture


def _axes(azimuth_deg: float, elevation_deg: float) -> tuple[Floats, Floats, Floats]:
    azimuth, elevation = np.radians([azimuth_deg, elevation_deg])
    flat = np.cos(elevation)
    back = np.array([flat * np.sin(azimuth), flat * np.cos(azimuth), np.sin(elevation)])
    right = np.array([-np.cos(azimuth), np.sin(azimuth), 0.0])
    return right, np.cross(back, right), back
