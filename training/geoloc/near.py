"""Which places lie in which windows, by a spatial index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from .squares import A_M, Floats, offset_m
from .stage import Line


def on_sphere(lat_deg: npt.ArrayLike, lon_deg: npt.ArrayLike) -> Floats:
    """[N, 3] metres: near each other where the places are, anywhere on Earth, a few parts in a
    thousand too far or too near."""
    lat, lon = np.radians(np.asarray(lat_deg, float)), np.radians(np.asarray(lon_deg, float))
    flat = np.cos(lat)
    return np.asarray(
        A_M * np.stack([flat * np.cos(lon), flat * np.sin(lon), np.sin(lat)], axis=-1)
    )


def points(lines: Sequence[Line]) -> Floats:
    """[N, 3] of lines with `lat_deg` and `lon_deg`."""
    return on_sphere([each["lat_deg"] for each in lines], [each["lon_deg"] for each in lines])


def inside(places: Sequence[Line], windows: Sequence[Line]) -> list[bool]:
    """Of every place, whether a window with `side_m` holds it."""
    if not places or not windows:
        return [False] * len(places)
    reach_m = 0.75 * max(window["side_m"] for window in windows)
    near = cKDTree(points(windows)).query_ball_point(points(places), reach_m)
    return [
        any(_holds(windows[at], place) for at in rows)
        for place, rows in zip(places, near, strict=True)
    ]


def _holds(window: Line, place: Line) -> bool:
    east_m, north_m = offset_m(
        place["lat_deg"], place["lon_deg"], window["lat_deg"], window["lon_deg"]
    )
    half_m = window["side_m"] / 2.0
    return bool(abs(east_m) <= half_m and abs(north_m) <= half_m)
