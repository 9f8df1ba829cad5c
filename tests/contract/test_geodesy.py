from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobridge.onboard.geodesy import MAX_RADIUS_M, LocalFrame, distance_m

A_M = 6_378_137.0
F = 1 / 298.257223563
E2 = F * (2 - F)

latitudes = st.floats(-89.0, 89.0)
longitudes = st.floats(-180.0, 180.0)
frames = st.builds(LocalFrame, latitudes, longitudes)
radii_m = st.floats(0.0, MAX_RADIUS_M - 1.0)
bearings = st.floats(0.0, 2 * math.pi)


def ecef(lat_deg: float, lon_deg: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A point of the WGS84 ellipsoid, NIMA TR8350.2 (4-14)."""
    lat, lon = math.radians(lat_deg), math.radians(lon_deg)
    n = A_M / math.sqrt(1 - E2 * math.sin(lat) ** 2)
    return np.array(
        [
            n * math.cos(lat) * math.cos(lon),
            n * math.cos(lat) * math.sin(lon),
            n * (1 - E2) * math.sin(lat),
        ]
    )


@given(frames, radii_m, bearings)
def test_plane_to_degrees_and_back(frame: LocalFrame, radius_m: float, bearing: float) -> None:
    point_m = radius_m * np.array([math.sin(bearing), math.cos(bearing)])
    assert np.abs(frame.to_enu(*frame.to_geodetic(point_m)) - point_m).max() < 1e-6


@given(frames, radii_m, bearings)
def test_east_and_north_are_the_tangent_plane_of_the_ellipsoid(
    frame: LocalFrame, radius_m: float, bearing: float
) -> None:
    lat, lon = math.radians(frame.origin_lat_deg), math.radians(frame.origin_lon_deg)
    east = np.array([-math.sin(lon), math.cos(lon), 0.0])
    up = np.array([math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)])
    there = frame.to_geodetic([radius_m * math.sin(bearing), radius_m * math.cos(bearing)])
    offset = ecef(*map(float, there)) - ecef(frame.origin_lat_deg, frame.origin_lon_deg)
    expected = [east @ offset, np.cross(up, east) @ offset]
    assert frame.to_enu(*there) == pytest.approx(expected, abs=1e-6)


def test_a_degree_at_the_equator() -> None:
    """Radii of curvature there: a for a parallel, a (1 - e2) for a meridian."""
    frame = LocalFrame(0.0, 0.0)
    step_deg = 1e-3
    metres = math.radians(step_deg)
    assert frame.to_enu(0.0, step_deg) == pytest.approx([A_M * metres, 0.0], abs=1e-6)
    assert frame.to_enu(step_deg, 0.0) == pytest.approx([0.0, A_M * (1 - E2) * metres], abs=1e-6)


def test_a_quarter_degree_of_meridian() -> None:
    """Meridian arc by numerical integration of the radius of curvature, against the chord."""
    lat_deg = np.linspace(47.0, 47.25, 10_001)
    curvature_m = A_M * (1 - E2) / (1 - E2 * np.sin(np.radians(lat_deg)) ** 2) ** 1.5
    arc_m = float(np.mean((curvature_m[1:] + curvature_m[:-1]) / 2) * math.radians(0.25))
    chord_m = arc_m - arc_m**3 / (24 * 6_371_000**2)
    assert distance_m(47.0, 8.0, 47.25, 8.0) == pytest.approx(chord_m, abs=1e-4)


@given(latitudes, longitudes, st.floats(-0.4, 0.4), st.floats(-0.4, 0.4))
def test_distance_is_the_chord_between_surface_points(
    lat_deg: float, lon_deg: float, dlat_deg: float, dlon_deg: float
) -> None:
    there = (lat_deg + dlat_deg, lon_deg + dlon_deg)
    expected = float(np.linalg.norm(ecef(*there) - ecef(lat_deg, lon_deg)))
    assert distance_m(lat_deg, lon_deg, *there) == pytest.approx(expected, abs=1e-6)
    assert distance_m(*there, lat_deg, lon_deg) == pytest.approx(expected, abs=1e-6)


def test_across_the_antimeridian() -> None:
    frame = LocalFrame(-17.0, 179.999)
    east_m = float(frame.to_enu(-17.0, -179.999)[0])
    assert east_m == pytest.approx(
        A_M * math.cos(math.radians(17.0)) * math.radians(0.002), rel=1e-3
    )
    _, lon_deg = frame.to_geodetic([east_m, 0.0])
    assert float(lon_deg) % 360 == pytest.approx(180.001, abs=1e-6)


def test_shapes_are_kept() -> None:
    frame = LocalFrame(33.6, 72.9)
    enu_m = frame.to_enu(np.full((2, 3), 33.61), np.full((2, 3), 72.91))
    assert enu_m.shape == (2, 3, 2)
    assert [degrees.shape for degrees in frame.to_geodetic(enu_m)] == [(2, 3), (2, 3)]


@pytest.mark.parametrize("origin", [(91.0, 0.0), (0.0, 181.0), (math.nan, 0.0), (0.0, math.nan)])
def test_an_origin_off_the_earth_is_refused(origin: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="not a WGS84 position"):
        LocalFrame(*origin)


@pytest.mark.parametrize("east_m", [MAX_RADIUS_M + 1.0, math.inf, math.nan])
def test_points_far_from_the_origin_are_refused(east_m: float) -> None:
    with pytest.raises(ValueError, match="farther than 60 km"):
        LocalFrame(10.0, 10.0).to_geodetic([[0.0, 0.0], [east_m, 0.0]])


@given(frames, st.floats(0.0, 30_000.0), bearings)
def test_scale_stays_within_what_the_module_promises(
    frame: LocalFrame, radius_m: float, bearing: float
) -> None:
    """100 m of plane there are 100 m of ground, to 1.1e-5 at 30 km."""
    here = radius_m * np.array([math.sin(bearing), math.cos(bearing)])
    ends = [here + 50.0 * np.array(way) for way in ([0, 1], [0, -1], [1, 0], [-1, 0])]
    north, south, east, west = ([float(v) for v in frame.to_geodetic(end)] for end in ends)
    assert distance_m(*north, *south) == pytest.approx(100.0, rel=1.2e-5)
    assert distance_m(*east, *west) == pytest.approx(100.0, rel=1.2e-5)


@pytest.mark.parametrize(
    ("crs", "lat_deg", "lon_deg"),
    [
        ("EPSG:4326", 33.64251234567, 72.99251234567),
        ("EPSG:27700", 51.5, -0.12),  # OSGB36, the others Potsdam, Bern, NAD27 and Tokyo
        ("EPSG:31467", 48.5, 9.0),
        ("EPSG:21781", 46.9, 7.4),
        ("EPSG:26710", 38.0, -122.0),
        ("EPSG:4301", 35.7, 139.7),
    ],
)
def test_the_projection_string_is_the_same_plane(crs: str, lat_deg: float, lon_deg: float) -> None:
    """Also for what is on another datum, by up to 460 m away."""
    warp = pytest.importorskip("rasterio.warp")
    frame = LocalFrame(lat_deg, lon_deg)
    lats_deg, lons_deg = (
        [lat_deg, lat_deg - 0.04, lat_deg + 0.06],
        [lon_deg, lon_deg + 0.06, lon_deg],
    )
    x, y = warp.transform("EPSG:4326", crs, lons_deg, lats_deg)
    east_m, north_m = warp.transform(crs, frame.proj, x, y)
    assert frame.to_enu(lats_deg, lons_deg) == pytest.approx(
        np.column_stack([east_m, north_m]), abs=0.02
    )
