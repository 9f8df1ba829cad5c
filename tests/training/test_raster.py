from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from rasterio.warp import transform

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.training.rasters import raster as rasters
from geobridge.training.rasters.raster import Raster

Draw = Callable[..., npt.NDArray[np.uint8]]
Write = Callable[..., Path]
Array = npt.NDArray[Any]

LAT_DEG, LON_DEG = 33.642, 72.991


def placed(crs: str, size: int, gsd_m: float, turn_deg: float = 0.0) -> rasterio.Affine:
    """Pixels of `gsd_m` on the ground around one place of the Earth, turned anticlockwise."""
    (x,), (y,) = transform("EPSG:4326", crs, [LON_DEG], [LAT_DEG])
    unit, stretch = gsd_m, 1.0
    if crs == "EPSG:4326":
        unit, stretch = gsd_m / 110_900.0, 1 / math.cos(math.radians(LAT_DEG))
    if crs == "EPSG:3857":
        unit = gsd_m / math.cos(math.radians(LAT_DEG))
    half = rasterio.Affine.translation(-size / 2, -size / 2)
    scale = rasterio.Affine.scale(unit * stretch, -unit)
    turn = rasterio.Affine.rotation(turn_deg)
    return rasterio.Affine.translation(x, y) @ turn @ scale @ half


def centroid(values: Array) -> Array:
    """Row and column of the middle of what is bright."""
    bright = np.clip(values.astype(float) - 60, 0, None)
    rows, columns = np.indices(bright.shape)
    return np.array([np.average(rows, weights=bright), np.average(columns, weights=bright)])


@pytest.mark.parametrize("turn_deg", [0.0, 30.0])
@pytest.mark.parametrize("crs", ["EPSG:32643", "EPSG:3857", "EPSG:4326"])
@pytest.mark.parametrize(("row", "column"), [(40, 40), (61, 170), (155, 95)])
def test_a_bright_dot_lies_where_the_local_frame_says(
    crs: str, turn_deg: float, row: int, column: int, tmp_path: Path, write_raster: Write
) -> None:
    image = np.full((220, 220, 3), 40, np.uint8)
    image[row - 1 : row + 2, column - 1 : column + 2] = 250
    place = placed(crs, 220, 2.0, turn_deg)
    path = write_raster(tmp_path / "map.tif", image, crs, place)
    x, y = place @ (column + 0.5, row + 0.5)
    (lon_deg,), (lat_deg,) = transform(crs, "EPSG:4326", [x], [y])
    with Raster(path, 1.5) as raster:
        picture, _ = raster.read_all()
        east_m, north_m = raster.frame.to_enu(lat_deg, lon_deg)
        grid = raster.grid
    expected = [(grid.north_m - north_m) / 1.5 - 0.5, (east_m - grid.west_m) / 1.5 - 0.5]
    found = centroid(picture.max(axis=2))
    assert np.abs(found - expected).max() < 0.5


@pytest.mark.parametrize("gsd_m", [0.8, 1.3, 3.0])
@pytest.mark.parametrize("crs", ["EPSG:32643", "EPSG:4326"])
def test_windows_are_parts_of_the_whole(
    crs: str, gsd_m: float, tmp_path: Path, texture: Draw, write_raster: Write
) -> None:
    path = write_raster(tmp_path / "map.tif", texture(300), crs, placed(crs, 300, 1.0, 20.0))
    with Raster(path, gsd_m) as raster:
        whole, mask = raster.read_all()
        for share in (0.15, 0.45, 0.6):
            row, column = round(share * len(whole)), round((0.7 - share) * whole.shape[1])
            part, valid = raster.read(row, column, 30, 40)
            there = np.s_[row : row + 30, column : column + 40]
            inner = cv2.erode(valid & mask[there], np.ones((5, 5), np.uint8)) > 0
            assert np.mean(valid != mask[there]) < 0.01
            assert np.abs(part.astype(int) - whole[there])[inner].max() <= 1


def test_a_window_may_overhang_the_raster(
    tmp_path: Path, texture: Draw, write_raster: Write
) -> None:
    path = write_raster(tmp_path / "map.tif", texture(50))
    with Raster(path, 1.0) as raster:
        whole, _ = raster.read_all()
        part, valid = raster.read(-20, -20, 40, 40)
        far, nothing = raster.read(5000, 5000, 8, 8)
    assert valid[:19].sum() == valid[:, :19].sum() == 0
    assert valid[21:, 21:].all()
    assert np.abs(part[21:, 21:].astype(int) - whole[1:20, 1:20]).max() <= 1
    assert (far.sum(), nothing.sum()) == (0, 0)


def test_much_finer_imagery_is_averaged(tmp_path: Path, write_raster: Write) -> None:
    stripes = np.zeros((200, 200), np.uint8)
    stripes[:, ::2] = 200
    path = write_raster(tmp_path / "map.tif", stripes, nodata=255)
    with Raster(path, 8.0) as raster:
        picture, valid = raster.read_all()
    inner = picture[2:-2, 2:-2][valid[2:-2, 2:-2] > 0]
    assert 95 < inner.mean() < 105
    assert inner.std() < 5


def test_a_frame_given_is_the_frame_used(
    tmp_path: Path, texture: Draw, write_raster: Write
) -> None:
    path = write_raster(tmp_path / "map.tif", texture(60))
    with Raster(path, 1.0) as own:
        lat_deg, lon_deg = own.frame.to_geodetic([-100.0, 50.0])
        frame = LocalFrame(float(lat_deg), float(lon_deg))
        with Raster(path, 1.0, frame) as given:
            assert given.frame == frame
            assert given.grid.west_m == pytest.approx(own.grid.west_m + 100.0, abs=0.1)
            assert given.grid.north_m == pytest.approx(own.grid.north_m - 50.0, abs=0.1)


def middle(path: Path) -> tuple[Array, Array]:
    """The inner part of a raster's picture and mask."""
    with Raster(path, 1.0) as raster:
        picture, valid = raster.read_all()
    return picture[5:-5, 5:-5], valid[5:-5, 5:-5]


def test_a_palette_is_looked_up(tmp_path: Path, write_raster: Write) -> None:
    path = write_raster(tmp_path / "map.tif", np.full((40, 40), 7, np.uint8))
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {7: (200, 100, 50, 255)})
    picture, valid = middle(path)
    assert (picture == [200, 100, 50]).all()
    assert valid.all()


def test_transparent_and_missing_parts_are_masked_and_stain_nothing(
    tmp_path: Path, write_raster: Write
) -> None:
    image = np.full((60, 60, 3), 180, np.uint8)
    black, white = image.copy(), image.copy()
    black[:, :30], white[:, :30] = 0, 255
    alpha = np.where(black[..., :1] > 0, 255, 0).astype(np.uint8)
    rgba = np.concatenate([white, alpha], axis=2)
    transparent = write_raster(tmp_path / "alpha.tif", rgba, photometric="RGB", ALPHA="YES")
    marked = write_raster(tmp_path / "nodata.tif", white, nodata=255)
    collar = write_raster(tmp_path / "collar.tif", black)
    for path in (transparent, marked, collar):
        picture, valid = middle(path)
        assert not valid[:, :23].any(), path
        assert valid[:, 27:].mean() > 0.99, path
        assert (picture[valid > 0] == 180).all(), path
        assert not picture[valid == 0].any(), path


def test_single_black_pixels_are_shadows(
    tmp_path: Path, texture: Draw, write_raster: Write
) -> None:
    image = texture(60)
    image[::7, ::7] = 0
    _, valid = middle(write_raster(tmp_path / "map.tif", image))
    assert valid.all()


def test_one_band_is_grey(tmp_path: Path, texture: Draw, write_raster: Write) -> None:
    picture, _ = middle(write_raster(tmp_path / "map.tif", texture(60)[..., 0]))
    assert (picture[..., 0] == picture[..., 2]).all()
    assert picture.std() > 20


@pytest.mark.parametrize(
    ("kind", "gain", "offset"), [("uint16", 40, 3000), ("float32", 1e-3, -0.1), ("int16", 9, -900)]
)
def test_other_depths_are_stretched_all_colours_alike(
    kind: str, gain: float, offset: float, tmp_path: Path, texture: Draw, write_raster: Write
) -> None:
    levels = texture(80)
    values = (levels.astype(float) * gain + offset).astype(kind)
    picture, valid = middle(write_raster(tmp_path / "map.tif", values))
    plain, _ = middle(write_raster(tmp_path / "plain.tif", levels))
    assert valid.all()
    low, high = np.percentile(levels, [1, 99])
    expected = np.clip((plain - low) * 255 / (high - low), 0, 255)
    assert np.abs(picture - expected).mean() < 3


def test_no_number_is_no_data(tmp_path: Path, texture: Draw, write_raster: Write) -> None:
    values = texture(60).astype(np.float32)
    values[:, :30] = np.nan
    values[40, 40] = np.inf
    picture, valid = middle(write_raster(tmp_path / "map.tif", values))
    assert not valid[:, :23].any()
    assert valid[:, 27:].mean() > 0.99
    assert 80 < picture[:, 27:].mean() < 180


def refused(path: Path, gsd_m: float = 1.0) -> str:
    with pytest.raises(DataError) as caught, Raster(path, gsd_m) as raster:
        raster.read_all()
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text


def test_what_is_no_map_is_refused_in_one_line(
    tmp_path: Path, texture: Draw, write_raster: Write
) -> None:
    image = texture(60)
    assert "No such file" in refused(tmp_path / "absent.tif")
    (tmp_path / "text.tif").write_text("this is no picture")
    assert "not a readable raster" in refused(tmp_path / "text.tif")
    assert "has no CRS" in refused(write_raster(tmp_path / "nowhere.tif", image, None))
    empty = np.zeros((60, 60), np.uint8)
    assert "no pixel with data" in refused(write_raster(tmp_path / "empty.tif", empty, nodata=0))
    blank = np.full((60, 60), np.nan, np.float32)
    assert "no pixel with data" in refused(write_raster(tmp_path / "blank.tif", blank))
    complex_values = np.ones((60, 60), np.complex64)
    assert "complex" in refused(write_raster(tmp_path / "complex.tif", complex_values))


def test_coordinates_that_the_crs_cannot_mean_are_refused(
    tmp_path: Path, texture: Draw, write_raster: Write
) -> None:
    metres = rasterio.Affine(1.0, 0.0, 320_000.0, 0.0, -1.0, 3_727_000.0)
    degrees = write_raster(tmp_path / "degrees.tif", texture(60), "EPSG:4326", metres)
    assert "bounds 320000" in refused(degrees)
    wide = placed("EPSG:32643", 60, 5000.0)
    assert "60 km" in refused(write_raster(tmp_path / "wide.tif", texture(60), transform=wide))


def test_a_map_at_a_pole_or_off_the_earth_is_refused(
    tmp_path: Path, texture: Draw, write_raster: Write
) -> None:
    top = rasterio.Affine(1e-5, 0.0, 8.0, 0.0, -1e-5, 90.0)
    assert "reaches a pole" in refused(
        write_raster(tmp_path / "pole.tif", texture(60), "EPSG:4326", top), 0.5
    )
    moon = write_raster(tmp_path / "moon.tif", texture(60), "+proj=longlat +R=1737400 +no_defs")
    assert "of a body of 1737 km radius" in refused(moon)


def test_a_file_cut_short_is_refused(tmp_path: Path, texture: Draw, write_raster: Write) -> None:
    path = write_raster(
        tmp_path / "map.tif",
        texture(200),
        compress="deflate",
        tiled=True,
        blockxsize=64,
        blockysize=64,
    )
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    refused(path)


def test_an_area_larger_than_memory_is_refused_before_it_is_read(
    tmp_path: Path, texture: Draw, write_raster: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rasters, "MAX_PIXELS", 2500)
    path = write_raster(tmp_path / "map.tif", texture(60))
    assert "raise gsd_m or cut it" in refused(path)


AWKWARD = {
    "RGB.byte.tif": (300.0, "more than 60 km"),
    "alpha.tif": (10.0, None),
    "cogeo.tif": (1.0, None),
    "corrupt.tif": (1.0, "damaged"),
    "float_nan.tif": (1.0, "has no CRS"),
    "rotated.tif": (1.0, "has no CRS"),
}
"""Name, ground sampling to read it at, and what is wrong with it."""


@pytest.mark.real_data
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_files_give_a_picture_or_one_clear_line(name: str, data: Path) -> None:
    (gsd_m, problem), path = AWKWARD[name], data / "geotiff" / name
    if problem is not None:
        assert problem in refused(path, gsd_m)
        return
    with Raster(path, gsd_m) as raster:
        picture, valid = raster.read_all()
    assert picture[valid > 0].std() > 5
    assert not picture[valid == 0].any()


@pytest.mark.real_data
def test_every_awkward_file_is_looked_at(data: Path) -> None:
    assert {path.name for path in (data / "geotiff").glob("*.tif")} == set(AWKWARD)
