from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rasterio")
pytest.importorskip("torch")

import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.warp import transform

from geobridge.export.geotiff import utm_of, write_geotiff
from geobridge.onboard.geodesy import LocalFrame
from geobridge.onboard.records import Image
from geobridge.training.rasters.raster import Raster

# rasterio multiplies transforms
pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")

PLACES = [(47.4, 8.5), (-33.9, 151.2), (0.0005, -180.0), (-0.0005, 180.0), (64.1, 179.9995)]
WEST_M, NORTH_M, GSD_M = -70.0, 90.0, 0.5
DOT_M = (-31.0, 42.0)


@pytest.mark.parametrize(
    ("lat_deg", "lon_deg", "expected"),
    [
        (47.4, 8.5, 32632),
        (-33.9, 151.2, 32756),
        (0.0, 0.0, 32631),
        (-0.001, -0.001, 32730),
        (10.0, -180.0, 32601),
        (10.0, 180.0, 32660),
        (-10.0, 180.0, 32760),
        (10.0, 6.0, 32632),
        (10.0, 5.999, 32631),
    ],
)
def test_the_zone_of_a_place(lat_deg: float, lon_deg: float, expected: int) -> None:
    assert utm_of(LocalFrame(lat_deg, lon_deg)) == f"EPSG:{expected}"


@given(st.floats(-80.0, 84.0), st.floats(-180.0, 180.0))
def test_the_zone_s_meridian_is_near(lat_deg: float, lon_deg: float) -> None:
    zone = int(utm_of(LocalFrame(lat_deg, lon_deg))[-2:])
    assert 1 <= zone <= 60
    assert abs(6.0 * zone - 183.0 - lon_deg) <= 3.0


def ground() -> Image:
    """Dark, 140 m wide and 120 m high, with one bright spot at `DOT_M`; red in its east."""
    east_m, north_m = WEST_M + (np.arange(280) + 0.5) * GSD_M, NORTH_M - (np.arange(240) + 0.5) / 2
    image = np.full((240, 280, 3), 40, np.uint8)
    image[:, east_m > 20.0] = (200, 40, 40)
    away_m = np.hypot(east_m[None] - DOT_M[0], north_m[:, None] - DOT_M[1])
    image[away_m < 3.0] = 250
    return image


def middle_of_bright(green: Image) -> tuple[float, float]:
    """Column and row, counted from the corner."""
    rows, columns = np.nonzero(green > 150)
    return float(columns.mean()) + 0.5, float(rows.mean()) + 0.5


@pytest.mark.parametrize(("lat_deg", "lon_deg"), PLACES)
def test_a_map_lies_where_it_was_drawn(lat_deg: float, lon_deg: float, tmp_path: Path) -> None:
    frame = LocalFrame(lat_deg, lon_deg)
    path = write_geotiff(tmp_path / "map.tif", ground(), frame, WEST_M, NORTH_M, GSD_M)
    assert path == tmp_path / "map.tif"
    with Raster(path, GSD_M, frame) as raster:
        image, valid = raster.read_all()
        grid = raster.grid
    column, row = middle_of_bright(image[..., 1])
    found_m = grid.west_m + column * GSD_M, grid.north_m - row * GSD_M
    assert found_m == pytest.approx(DOT_M, abs=0.2)
    assert valid.sum() * GSD_M**2 == pytest.approx(140.0 * 120.0, rel=0.01)
    # red lies in the east, to the edge of what was drawn
    red = np.argwhere((image[..., 0] > 150) & (image[..., 1] < 100))
    east_m = grid.west_m + (red[:, 1] + 0.5) * GSD_M
    assert east_m.min() == pytest.approx(20.0, abs=0.8)
    assert east_m.max() == pytest.approx(70.0, abs=0.8)


@pytest.mark.parametrize(("lat_deg", "lon_deg"), PLACES)
def test_other_readers_find_it_there_too(lat_deg: float, lon_deg: float, tmp_path: Path) -> None:
    frame = LocalFrame(lat_deg, lon_deg)
    path = write_geotiff(tmp_path / "map.tif", ground(), frame, WEST_M, NORTH_M, GSD_M)
    with rasterio.open(path) as dataset:
        assert dataset.crs.to_string() == utm_of(frame)
        assert dataset.res == pytest.approx((GSD_M, GSD_M))
        bands = dataset.read()
        column, row = middle_of_bright(bands[1])
        x, y = dataset.transform @ (column, row)
        [dot_lon_deg], [dot_lat_deg] = transform(dataset.crs, "EPSG:4326", [x], [y])
    assert frame.to_enu(dot_lat_deg, dot_lon_deg) == pytest.approx(DOT_M, abs=0.2)
    outside = bands[3] == 0
    assert not bands[:3, outside].any()  # what was not drawn is empty, not black land
