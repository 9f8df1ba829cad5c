from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("rasterio")
pytest.importorskip("numba")

import rasterio
from rasterio.crs import CRS
from rasterio.warp import transform

from geobridge.onboard.errors import DataError
from geobridge.training.rasters.place import read_place
from geobridge.training.rasters.surface import MAX_GAP_M

Write = Callable[..., Path]
Array = npt.NDArray[Any]

LAT_DEG, LON_DEG = 33.642, 72.991
UTM = "EPSG:32643"
SIZE_M = 300


def around(crs: str, size_px: int, gsd_m: float, east_m: float = 0.0) -> rasterio.Affine:
    """Pixels of `gsd_m` on the ground around one place of the Earth."""
    (x,), (y,) = transform("EPSG:4326", crs, [LON_DEG], [LAT_DEG])
    unit, stretch = gsd_m, 1.0
    if crs.startswith("EPSG:4326"):
        unit, stretch = gsd_m / 110_900.0, 1.0 / math.cos(math.radians(LAT_DEG))
        east_m = east_m * stretch / 110_900.0
    half = rasterio.Affine.translation(-size_px / 2, -size_px / 2)
    scale = rasterio.Affine.scale(unit * stretch, -unit)
    return rasterio.Affine.translation(x + east_m, y) @ scale @ half


@pytest.fixture
def map_path(tmp_path: Path, texture: Callable[..., Array], write_raster: Write) -> Path:
    """300 m x 300 m, 1 m a pixel."""
    place = around(UTM, SIZE_M, 1.0)
    return write_raster(tmp_path / "map.tif", texture(SIZE_M), UTM, place)


@pytest.fixture
def write_dsm(tmp_path: Path, write_raster: Write) -> Callable[..., Path]:
    """Heights with 2 m a pixel, 30 m more on each side than the map."""

    def write(heights: Array | None = None, crs: str = UTM, **options: Any) -> Path:
        values = dome() if heights is None else heights
        east_m = options.pop("east_m", 0.0)
        where = around(crs.partition("+")[0], values.shape[0], 2.0, east_m)
        return write_raster(tmp_path / "dsm.tif", values, crs, where, **options)

    return write


def dome(size_px: int = 180) -> Array:
    """500 m AMSL and a hill of 40 m in the middle."""
    along = (np.arange(size_px) - size_px / 2 + 0.5) * 2.0
    away2 = along[:, None] ** 2 + along[None] ** 2
    return (500.0 + 40.0 * np.exp(-away2 / (2.0 * 40.0**2))).astype(np.float32)


def test_without_a_surface_model_the_land_is_level(map_path: Path) -> None:
    place = read_place(map_path, alt_amsl_m=412.5)
    assert not place.has_surface
    assert place.gsd_m == pytest.approx(1.0, rel=2e-3)
    assert place.ground_amsl_m([(0.0, 0.0), (140.0, -140.0)]) == pytest.approx([412.5, 412.5])
    west, south, east, north = place.bounds_m
    assert (east - west, north - south) == pytest.approx((300.0, 300.0), abs=6.0)
    assert place.valid_share(0.0, 0.0, 200.0) == 1.0


def test_the_gsd_asked_for_is_used(map_path: Path) -> None:
    place = read_place(map_path, gsd_m=2.5)
    assert place.gsd_m == 2.5
    assert place.valid.shape[0] in range(119, 124)


@pytest.mark.parametrize("crs", [UTM, "EPSG:4326", "EPSG:32642", "EPSG:32643+5773"])
def test_heights_in_any_crs_lie_where_they_should(
    crs: str, map_path: Path, write_dsm: Callable[..., Path]
) -> None:
    place = read_place(map_path, write_dsm(crs=crs))
    top_m = place.frame.to_enu(LAT_DEG, LON_DEG)
    for east_m, north_m in ((0.0, 0.0), (50.0, 0.0), (0.0, -50.0), (-90.0, 60.0)):
        away2 = east_m**2 + north_m**2
        expected = 500.0 + 40.0 * math.exp(-away2 / (2.0 * 40.0**2))
        found = float(place.ground_amsl_m(top_m + np.array([east_m, north_m])))
        assert found == pytest.approx(expected, abs=0.6 if crs == "EPSG:4326" else 0.4)


def test_small_holes_are_filled(map_path: Path, write_dsm: Callable[..., Path]) -> None:
    heights = dome()
    heights[60:71, 100:111] = -9999.0
    place = read_place(map_path, write_dsm(heights, nodata=-9999.0))
    around_hole = place.ground_amsl_m(np.random.default_rng(0).uniform(-140, 140, (2000, 2)))
    assert around_hole.min() > 499.0
    assert around_hole.max() < 541.0


@pytest.mark.parametrize("hole", [np.nan, -9999.0])
def test_large_holes_are_refused(
    hole: float, map_path: Path, write_dsm: Callable[..., Path]
) -> None:
    heights = dome()
    heights[80:100, 80:100] = hole
    with pytest.raises(DataError) as said:
        read_place(map_path, write_dsm(heights, nodata=hole))
    line = str(said.value)
    assert f"more than {MAX_GAP_M:.0f} m across" in line
    assert "dsm.tif: no heights in 1." in line
    assert "between latitudes 33.641" in line
    assert "\n" not in line


def test_holes_beyond_the_map_do_not_matter(map_path: Path, write_dsm: Callable[..., Path]) -> None:
    heights = dome()
    heights[:12] = np.nan
    assert read_place(map_path, write_dsm(heights)).has_surface


@pytest.mark.parametrize(
    ("east_m", "complaint"),
    [(80.0, r"does not cover 1\d % of the map, between latitudes"), (900.0, "it lies elsewhere")],
)
def test_a_model_that_does_not_cover_the_map_is_refused(
    east_m: float, complaint: str, map_path: Path, write_dsm: Callable[..., Path]
) -> None:
    with pytest.raises(DataError, match=complaint):
        read_place(map_path, write_dsm(east_m=east_m))


@pytest.mark.parametrize(("short_px", "fits"), [(0, True), (4, False)])
def test_a_model_may_end_a_pixel_early_and_no_more(
    short_px: int, fits: bool, map_path: Path, write_dsm: Callable[..., Path]
) -> None:
    path = write_dsm(dome(150 - 2 * short_px))
    if fits:
        assert read_place(map_path, path).has_surface
        return
    with pytest.raises(DataError, match="does not cover"):
        read_place(map_path, path)


@pytest.mark.parametrize(
    ("heights", "crs", "complaint"),
    [
        (dome() * 0 + 32_000, UTM, "heights from 32000 to 32000 are not metres above mean sea"),
        (dome() * 0 - 9_999, UTM, "is its nodata value set"),
        (np.stack([dome()] * 3, axis=-1), UTM, "has 3 bands; expected one band of heights"),
        (dome().astype(np.complex64), UTM, "complex numbers are not heights"),
        (dome(), "EPSG:4979", "heights above the ellipsoid"),
        (dome(), "EPSG:32643+8228", "its heights are in 'foot'; expected metres"),
        (dome() * np.nan, UTM, "holds no height anywhere on the map"),
    ],
)
def test_what_is_no_height_in_metres_is_refused(
    heights: Array, crs: str, complaint: str, map_path: Path, write_dsm: Callable[..., Path]
) -> None:
    if crs == "EPSG:4979":
        path = write_dsm(heights, "EPSG:4326")
        with rasterio.open(path, "r+") as dataset:
            dataset.crs = CRS.from_epsg(4979)
    else:
        path = write_dsm(heights, crs)
    with pytest.raises(DataError, match=complaint):
        read_place(map_path, path)


def test_a_unit_of_the_band_is_read(map_path: Path, write_dsm: Callable[..., Path]) -> None:
    path = write_dsm()
    with rasterio.open(path, "r+") as dataset:
        dataset.units = ("ft",)
    with pytest.raises(DataError, match="its heights are in 'ft'; expected metres"):
        read_place(map_path, path)


@pytest.mark.parametrize(
    ("crs", "complaint"),
    [
        (None, "has no CRS"),
        ('LOCAL_CS["building site",UNIT["metre",1]]', "'building site' does not say where"),
        ("EPSG:4978", "'WGS 84' does not say where on Earth"),
        ("+proj=longlat +R=1737400 +no_defs", "of a body of 1737 km radius, not of the Earth"),
    ],
)
@pytest.mark.parametrize("role", ["map", "dsm"])
def test_a_raster_that_is_not_on_earth_is_refused(
    crs: str | None, complaint: str, role: str, tmp_path: Path, map_path: Path, write_raster: Write
) -> None:
    values = dome() if role == "dsm" else np.zeros((9, 9, 3), np.uint8)
    odd = write_raster(tmp_path / "odd.tif", values, crs)
    with pytest.raises(DataError, match=r"odd\.tif: .*" + complaint):
        read_place(*((odd,) if role == "map" else (map_path, odd)))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"gsd_m": 0.0}, "gsd_m 0.0: expected metres per pixel"),
        ({"gsd_m": math.nan}, "gsd_m nan"),
        ({"gsd_m": 1e9}, r"map\.tif: .* m on the ground, less than a pixel of 1e\+09 m"),
        ({"alt_amsl_m": 20_000.0}, "alt_amsl_m 20000.0: expected -500 to 9000 m"),
        ({"dsm": Path("nowhere.tif")}, "nowhere.tif: not a readable raster"),
    ],
)
def test_wrong_arguments_are_one_line(
    options: dict[str, Any], complaint: str, map_path: Path
) -> None:
    with pytest.raises(DataError, match=complaint) as said:
        read_place(map_path, **options)
    assert "\n" not in str(said.value)


@pytest.mark.real_data
def test_real_maps(data: Path) -> None:
    campus = read_place(data / "nust_overflight/reference.tif")
    assert campus.gsd_m == pytest.approx(0.5, rel=1e-3)
    west, south, east, north = campus.bounds_m
    assert 880.0 < east - west < 960.0
    assert 880.0 < north - south < 960.0
    beach = read_place(data / "brighton_beach/ortho.tif", gsd_m=0.25)
    assert beach.valid.mean() < 0.9
    assert beach.frame.origin_lat_deg == pytest.approx(46.84, abs=0.01)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["corrupt", "float_nan", "rotated", "RGB.byte"])
def test_real_rasters_that_are_no_maps_are_one_line(name: str, data: Path) -> None:
    with pytest.raises(DataError) as said:
        read_place(data / f"geotiff/{name}.tif")
    assert name in str(said.value)
    assert "\n" not in str(said.value)
