"""Rasters whose georeference GDAL does not take for one, and rasters that have none."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
import rasterio.warp
from rasterio.control import GroundControlPoint

from geobridge.onboard.errors import DataError
from geobridge.onboard.geodesy import LocalFrame
from geobridge.training.rasters.datum import UNTOLD_M
from geobridge.training.rasters.georeference import datum_error_of, require_on_earth
from geobridge.training.rasters.raster import Raster

Draw = Callable[..., npt.NDArray[np.uint8]]
Write = Callable[..., Path]

FRAME = LocalFrame(33.642, 72.991)
CORNERS = ((0, 0), (0, 60), (60, 60), (60, 0))


@pytest.mark.parametrize("corner", [(0.0, 0.0), (0.0, 200.0), (1e-9, -1e-9)])
def test_pixels_of_a_metre_at_the_origin_of_their_projection_are_read_as_others(
    corner: tuple[float, float], tmp_path: Path, texture: Draw, write_raster: Write
) -> None:
    """GDAL takes them for pixels without any georeference."""
    image, crs = texture(200), FRAME.proj
    place = rasterio.Affine(1.0, 0.0, corner[0], 0.0, -1.0, corner[1])
    with (
        pytest.warns(rasterio.errors.NotGeoreferencedWarning)
        if corner == (0.0, 0.0)
        else (contextlib.nullcontext())
    ):
        path = write_raster(tmp_path / "map.tif", image, crs, place)
    with Raster(path, 1.0, FRAME) as raster:
        picture, valid = raster.read_at(corner[0], corner[1], 200, 200)
    assert valid.mean() > 0.99
    assert np.abs(picture.astype(int) - image[..., :3])[2:-2, 2:-2].max() <= 1


def test_a_crs_without_a_place_for_the_pixels_is_refused(
    tmp_path: Path, texture: Draw, write_raster: Write
) -> None:
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = write_raster(
            tmp_path / "loose.tif", texture(60), transform=rasterio.Affine.identity()
        )
    with pytest.raises(DataError, match=r"loose.tif: .* not say where its corners lie \(gdal_tr"):
        require_on_earth(path)
    points = [GroundControlPoint(r, c, 320_000.0 + c, 3_727_000.0 - r) for r, c in CORNERS]
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = points, rasterio.crs.CRS.from_epsg(32643)
    with pytest.raises(DataError, match=r"loose.tif: has control points alone"):
        require_on_earth(path)


UTM_ON = "+proj=utm +zone=43 +units=m +ellps="


@pytest.mark.parametrize(
    ("crs", "lat_deg", "lon_deg", "error_m"),
    [
        ("EPSG:32643", 33.642, 72.991, 0.0),
        ("EPSG:32643+5773", 33.642, 72.991, 0.0),
        ("EPSG:27700", 51.5, -0.12, 2.0),  # without the grid of shifts
        ("EPSG:31467", 48.5, 9.0, 3.0),
        ("EPSG:26910", 38.0, -122.0, 4.0),
        ("EPSG:28355", -35.3, 149.1, 3.0),
        (UTM_ON + "GRS80", 33.642, 72.991, UNTOLD_M),
        (UTM_ON + "bessel +towgs84=9,8,7", 33.642, 72.991, 0.0),  # whoever gives them knows
    ],
)
def test_a_map_lies_where_its_datum_has_it(
    crs: str, lat_deg: float, lon_deg: float, error_m: float, tmp_path: Path, write_raster: Write
) -> None:
    [x], [y] = rasterio.warp.transform("EPSG:4326", crs, [lon_deg], [lat_deg])
    image = np.full((200, 200, 3), 40, np.uint8)
    image[98:102, 98:102] = 250
    path = write_raster(
        tmp_path / "map.tif", image, crs, rasterio.Affine(1.0, 0.0, x - 100, 0.0, -1.0, y + 100)
    )
    with Raster(path, 1.0, LocalFrame(lat_deg, lon_deg)) as raster:
        picture, valid = raster.read_at(-50.0, 50.0, 100, 100)
    rows, columns = np.nonzero(picture[..., 0] > 150)
    assert valid.all()
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == pytest.approx((50.0, 50.0), abs=0.6)
    assert datum_error_of(path) == error_m


@pytest.mark.parametrize("crs", ["EPSG:24313", UTM_ON + "bessel"])
def test_a_datum_that_nobody_related_to_wgs84_is_refused(
    crs: str, tmp_path: Path, texture: Draw, write_raster: Write
) -> None:
    path = write_raster(tmp_path / "old.tif", texture(60), crs)
    with pytest.raises(DataError, match=r"old\.tif: how the datum of its CRS .* is not known"):
        require_on_earth(path)


def test_a_crs_whose_name_is_no_text_is_refused_in_one_line(
    tmp_path: Path, texture: Draw, write_raster: Write
) -> None:
    path = write_raster(tmp_path / "name.tif", texture(60), UTM_ON + "WGS84")
    raw = path.read_bytes()
    assert raw.count(b"unknown|") > 0
    path.write_bytes(raw.replace(b"unknown|", b"unkn\xffwn|"))
    with pytest.raises(DataError, match=r"name\.tif: not a readable raster: .*can't decode"):
        require_on_earth(path)
